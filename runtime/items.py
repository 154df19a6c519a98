"""What we add to the conversation: results of tools, and keys as messages. Kept until it is known to be there. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.commands import Command, Send
from runtime.scene import Scene


@dataclass(slots=True)
class Items:
    """One call's items of ours. What is added while no sideband is open is sent when one is."""

    scene: Scene
    _count: int = 0
    _unconfirmed: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, item: Mapping[str, Any]) -> list[Command]:
        """Add an item."""
        self._count += 1
        item_id = f"switchboard_{self._count}"
        event = {"type": "conversation.item.create", "item": {"id": item_id, **item}}
        self._unconfirmed[item_id] = event
        return [Send(event)] if self.scene.attached else []

    def confirmed(self, item_id: str) -> None:
        """The service has an item."""
        self._unconfirmed.pop(item_id, None)

    def attach(self) -> list[Command]:
        """A sideband is open: send again what the service has not confirmed to have."""
        return [Send(event) for event in self._unconfirmed.values()]
