"""Tools with a name that another module has too."""

import typing  # noqa: F401


def greet(name: str) -> str:
    """Greets somebody differently."""
    return f"Good evening, {name}."


def wave() -> str:
    """Waves."""
    return "👋"
