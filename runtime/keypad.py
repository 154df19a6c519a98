"""The digits that a caller presses: collected for a tool, or gathered into a message for the model. Pure."""

from dataclasses import dataclass

GATHER_SECONDS = 1.5  # between two keys of one wish, such as "1" and "2" of 12
COLLECTING, GATHERING = "keypad", "keys"


@dataclass(slots=True)
class Collection:
    """Digits that a tool waits for: `count` of them, or until `end_key`, or a pause of `timeout_seconds`."""

    tool_call_id: str
    name: str
    timeout_seconds: float
    count: int | None = None
    end_key: str | None = None
    digits: str = ""
    is_over: bool = False

    def press(self, keys: str) -> str:
        """Take keys, and return those that are pressed after the end."""
        for position, key in enumerate(keys):
            if self.is_over:
                return keys[position:]
            if key == self.end_key:
                self.is_over = True
            else:
                self.digits += key
                self.is_over = len(self.digits) == self.count
        return ""

    def told(self) -> str:
        """Return the result as words for the model."""
        if not self.digits:
            pause = "" if self.is_over else f" within {self.timeout_seconds:g} seconds"
            return f"The caller pressed no digit{pause}."
        few = self.count is not None and len(self.digits) < self.count
        short = f" That is {len(self.digits)} of {self.count}." if few else ""
        return f"The caller pressed {' '.join(self.digits)}.{short}"


def pressed(keys: str) -> str:
    """Return the message for the model about keys that no tool waited for."""
    return f"(The caller pressed {' '.join(keys)} on the keypad.)"
