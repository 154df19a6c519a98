"""What is logged during a call, told in lines and to nobody else."""

import io
import logging
from pathlib import Path

from runtime.overheard import overheard

logger = logging.getLogger("runtime.of_a_test")


def test_an_error_is_told_in_one_line_with_its_place() -> None:
    told: list[str] = []
    with overheard(lambda words, _: told.append(words)):
        logger.warning("not this")
        logger.error("a tool %s", "broke")
        try:
            raise ValueError("no oven")
        except ValueError:
            logger.exception("a tool broke")
        logger.error("an error of elsewhere", exc_info=ValueError("never raised"))
    first, second, third = told
    assert first == "a tool broke"
    assert second.startswith(f"a tool broke: ValueError: no oven ({Path(__file__).name}:")
    assert third == "an error of elsewhere: ValueError: never raised"


def test_warnings_are_told_where_they_are_wanted() -> None:
    told: list[str] = []
    with overheard(lambda words, _: told.append(words), logging.WARNING):
        logger.debug("not this")
        logger.warning("this")
    assert told == ["this"]


def test_nobody_else_hears_it_and_all_is_as_before_afterwards() -> None:
    root, other = logging.getLogger(), logging.StreamHandler(io.StringIO())
    root.addHandler(other)
    before, level = list(root.handlers), logging.getLogger("runtime").level
    try:
        with overheard(lambda *_: None):
            logger.error("unheard")
        assert root.handlers == before
        assert logging.getLogger("runtime").level == level
        assert other.stream.getvalue() == ""
    finally:
        root.removeHandler(other)
