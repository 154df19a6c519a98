"""Every trap of the protocol notes that concerns a call has a test that names it."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONCERN_US = [*range(1, 22), *range(23, 31), 32]


def named() -> set[int]:
    """Return the numbers in the docstrings that begin with `Trap 1` or `Traps 1, 2 and 3`."""
    found: set[int] = set()
    for file in HERE.glob("test_*.py"):
        for words in re.findall(r'"""Traps? ([\d, and]+)', file.read_text("utf-8")):
            found.update(map(int, re.findall(r"\d+", words)))
    return found


@pytest.mark.parametrize("number", CONCERN_US)
def test_a_trap_is_named_by_a_test(number: int) -> None:
    assert number in named(), f"no test's docstring begins with «Trap {number}»"
