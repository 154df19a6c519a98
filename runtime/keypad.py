"""The digits that a caller presses: collected for a tool, or gathered into a message for the model. Pure.

The model does not hear keys (protocol 2.3): nothing but this tells it of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import events as e
from runtime.commands import CancelTimer, Command, Record, StartTimer
from runtime.items import Items
from runtime.scene import Scene
from runtime.speech import Speech
from runtime.tool_calls import ToolCalls
from runtime.turns import Turns

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


@dataclass(slots=True)
class Keypad:
    """One call's keys. They wait for a tool that collects them, or until the caller has pressed the last one."""

    scene: Scene
    speech: Speech
    items: Items
    tools: ToolCalls
    turns: Turns
    _collection: Collection | None = None
    _keys: str = ""

    @property
    def is_collecting(self) -> bool:
        """Whether a tool waits for digits."""
        return self._collection is not None

    def activate(self) -> list[Command]:
        """The session stands: keys that were pressed before can be told."""
        return self._gather() if self._keys else []

    def press(self, digit: str) -> list[Command]:
        """The caller pressed a key."""
        if self._collection is not None:
            return self._collect(self._collection, digit)
        self._keys += digit
        return self._gather()

    def use(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command]:
        """Collect digits for a tool; those that were pressed before count."""
        if self._collection is not None:
            return self.tools.finish(event.tool_call_id, "Digits are being collected already.")
        self._collection = Collection(
            event.tool_call_id, event.name, entry["timeout_seconds"], entry.get("count"), entry["end_key"]
        )
        keys, self._keys = self._keys, ""
        return [CancelTimer(GATHERING), *self._collect(self._collection, keys)]

    def collected(self) -> list[Command]:
        """The time for the next digit is up; it does not run while the agent speaks, such as of what to press."""
        if self._collection is None:
            return []
        return self._wait(self._collection) if self.speech.busy else self._tell(self._collection)

    def gathered(self) -> list[Command]:
        """The caller has pressed the last key of those that no tool waited for: tell the model."""
        if not self._keys or not self.scene.active:
            return []
        content = [{"type": "input_text", "text": pressed(self._keys)}]
        self._keys = ""
        item = self.items.add({"type": "message", "role": "user", "content": content})
        return [*item, *self.turns.added()]

    def _gather(self) -> list[Command]:
        return [StartTimer(GATHERING, GATHER_SECONDS)]

    def _collect(self, collection: Collection, keys: str) -> list[Command]:
        self._keys = collection.press(keys)
        return self._tell(collection) if collection.is_over else self._wait(collection)

    def _wait(self, collection: Collection) -> list[Command]:
        return [StartTimer(COLLECTING, collection.timeout_seconds)]

    def _tell(self, collection: Collection) -> list[Command]:
        self._collection = None
        told = collection.told()
        record = Record("digits collected", {"tool": collection.name}, {"result": told})
        more = self._gather() if self._keys else []
        return [CancelTimer(COLLECTING), record, *self.tools.finish(collection.tool_call_id, told), *more]


def pressed(keys: str) -> str:
    """Return the message for the model about keys that no tool waited for."""
    return f"(The caller pressed {' '.join(keys)} on the keypad.)"
