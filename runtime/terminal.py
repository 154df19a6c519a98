"""How we write to a terminal: plain text, colored when a person looks on."""

import sys
from typing import TextIO

from runtime.settings import wants_color

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Paint:
    """Wraps text in colors, or leaves it alone where nobody sees them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        self._colored = stream.isatty() and wants_color()

    def __call__(self, text: str, color: str) -> str:
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._colored else text
