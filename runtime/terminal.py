"""How we write to a terminal: plain text within its width, colored when a person looks on."""

import re
import shutil
import sys
from itertools import zip_longest
from typing import TextIO

from runtime.settings import wants_color

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_BAR = 30  # columns
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class Paint:
    """Wraps text in colors, or leaves it alone where nobody sees them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        self._colored = stream is not None and stream.isatty() and wants_color()

    def __call__(self, text: str, color: str) -> str:
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._colored else text


class Bar:
    """A progress bar on standard error, for a person who looks on; nothing where nobody does."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._is_seen = total > 0 and sys.stderr is not None and sys.stderr.isatty()

    def show(self, done: int, failed: int) -> None:
        """Show how many are done, and how many of them failed."""
        if self._is_seen:
            filled = _BAR * done // self._total
            told = f"{done} of {self._total}" + (f", {failed} failed" if failed else "")
            print(f"\r{'█' * filled}{'░' * (_BAR - filled)} {told}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line empty for what is printed next."""
        if self._is_seen:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def width() -> int:
    """Return how many columns there are, or 120 where there is no terminal."""
    return max(40, shutil.get_terminal_size((120, 24)).columns)


def wrapped(text: str, columns: int) -> list[str]:
    """Return a text in lines that break between words; colors take no room, and a longer word stays whole."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and _length(longer) > columns:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def beside(left: str, right: str, columns: int, mark: str = " ") -> list[str] | None:
    """Return two texts beside each other, each in so many columns, with a mark between their first lines.

    None when a word is longer than a column.
    """
    both = wrapped(left, columns), wrapped(right, columns)
    if any(_length(line) > columns for lines in both for line in lines):
        return None
    lines = []
    for one, other in zip_longest(*both, fillvalue=""):
        lines.append(f"{one}{' ' * (columns - _length(one))} {mark} {other}".rstrip())
        mark = " "
    return lines


def _length(text: str) -> int:
    return len(_COLOR.sub("", text))
