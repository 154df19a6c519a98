"""Functions whose parameters no model can fill in."""

import threading

from runtime import CallContext


def untyped(name):
    """Greets somebody."""


def stars(*names: str) -> None:
    """Greets all."""


def two_stars(**names: str) -> None:
    """Greets all."""


def by_position(name: str, /) -> None:
    """Greets somebody."""


def context_second(name: str, context: CallContext) -> None:
    """Greets somebody."""


def context_twice(one: CallContext, other: CallContext) -> None:
    """Greets nobody."""


def locked(lock: threading.Lock) -> None:
    """Waits."""


def unknown_type(name: "Nmae") -> None:  # noqa: F821
    """Greets somebody."""
