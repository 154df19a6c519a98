"""What is logged while one call is shown or noted, as lines for people. Keeps nothing, and prints nothing."""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Tell = Callable[[str, logging.LogRecord], None]
"""Takes a line for people, and the record that it tells of."""


@contextmanager
def overheard(tell: Tell, level: int = logging.ERROR) -> Iterator[None]:
    """Tell what is logged, from a level on, in a line each and to nobody else, for the block.

    An exception is told in a few words, with the place where it was raised and without its traceback. At DEBUG the
    house logs exceptions with their words.
    """
    root, house = logging.getLogger(), logging.getLogger("runtime")
    handlers, before = root.handlers, house.level
    root.handlers = [_Handler(tell, level)]
    house.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.handlers = handlers
        house.setLevel(before)


class _Handler(logging.Handler):
    def __init__(self, tell: Tell, level: int) -> None:
        super().__init__(level)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._tell(record.getMessage() + (f": {type(error).__name__}: {error}{_place(error)}" if error else ""), record)


def _place(error: BaseException) -> str:
    """Return where an exception was raised: ` (restaurant.py:40)`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
