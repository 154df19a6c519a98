"""Tools that are as they should be, and names beside them that are no tools."""

from runtime import CallContext

OPENING_HOURS = "nine to five"


class Booking:
    """A table, taken."""


def greet(name: str) -> str:
    """Greets somebody.

    Args:
        name: Who is greeted.
    """
    return f"Hello, {name}."


async def remember(context: CallContext, what: str, times: int = 1) -> dict[str, str]:
    """Keeps a sentence for later."""
    return {context.call_id: what * times}


def promises(text: str) -> bool:
    """Tells whether words promise something."""
    return "promise" in text


def find_guest(context: CallContext) -> dict[str, str]:
    """Finds the guest who rings."""
    return {"guest": context.caller}


def two_words(one: str, other: str) -> bool:
    """Takes two texts."""
    return one == other
