"""The tool of `agents/catch-all.yaml`: keeps a message until somebody at the office reads it."""

from typing import Any

from runtime import CallContext
from samples import speak_digits
from samples.storage import transaction

# The shortest numbers that can be rung back from outside have five digits, the longest fifteen (E.164).
_DIGITS = range(5, 16)

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS messages (
        call_id TEXT NOT NULL,
        message TEXT NOT NULL,
        name TEXT NOT NULL,
        callback_number TEXT NOT NULL,
        called TEXT NOT NULL,
        caller TEXT NOT NULL,
        UNIQUE (call_id, message)
    );
"""


def leave_message(call: CallContext, name: str, message: str, callback_number: str) -> dict[str, Any]:
    """Keep a message for the office. Use it again with the same message to correct the name or the number.

    Args:
        name: Who the message is from, as the caller said it.
        message: The whole message, in the caller's own words.
        callback_number: The number to ring back, or an empty text for the number that the call comes from.
    """
    name, message = name.strip(), message.strip()
    if not name:
        return {"kept": False, "say": "Who may I say has called?"}
    if not message:
        return {"kept": False, "say": "What would you like me to pass on?"}
    number = _dialable(callback_number) or call.caller
    if len(number.removeprefix("+")) not in _DIGITS:
        return {"kept": False, "say": "On which number can we ring you back?"}
    with transaction(_SCHEMA) as connection:
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (call_id, message)"
            " DO UPDATE SET name = excluded.name, callback_number = excluded.callback_number",
            [call.call_id, message, name, number, call.called, call.caller],
        )
    return {
        "kept": True,
        "callback_number": number,
        "say": f"Thank you, {name}. I have your message. "
        f"We will ring you back on {speak_digits(number.removeprefix('+'))}.",
    }


def _dialable(number: str) -> str:
    """Keep what can be dialled of a number as it was said: `+1 (555) 010-2000` is `+15550102000`."""
    digits = "".join(character for character in number if character in "0123456789")
    return f"+{digits}" if digits and number.strip().startswith("+") else digits
