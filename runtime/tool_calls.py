"""The tool calls of one call: which run, for which response, and which items the service has not confirmed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Running:
    """One tool call: the response that made it, and how many lines were said while it runs."""

    name: str
    response_id: str
    lines: int = 0


@dataclass(slots=True)
class ToolCalls:
    """Tool calls by their ids."""

    count: int = 0
    running: dict[str, Running] = field(default_factory=dict)
    _owed: set[str] = field(default_factory=set)

    def begin(self, tool_call_id: str, name: str, response_id: str) -> None:
        """A tool is called."""
        self.count += 1
        self.running[tool_call_id] = Running(name, response_id or tool_call_id)

    def end(self, tool_call_id: str, *, go_on: bool = True) -> str | None:
        """A tool has its result. Return the response that can go on, None while others of the same one run.

        None, too, when none of its results wants the model to `go_on`.
        """
        ended = self.running.pop(tool_call_id, None)
        response_id = ended.response_id if ended else tool_call_id
        if go_on:
            self._owed.add(response_id)
        if response_id not in self._owed or any(other.response_id == response_id for other in self.running.values()):
            return None
        self._owed.discard(response_id)
        return response_id


@dataclass(slots=True)
class Items:
    """What we add to the conversation, kept until the service has told that it is there."""

    _count: int = 0
    _unconfirmed: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the event that adds an item."""
        self._count += 1
        item_id = f"switchboard_{self._count}"
        event = {"type": "conversation.item.create", "item": {"id": item_id, **item}}
        self._unconfirmed[item_id] = event
        return event

    def confirmed(self, item_id: str) -> None:
        """The service has an item."""
        self._unconfirmed.pop(item_id, None)

    @property
    def unconfirmed(self) -> list[Mapping[str, Any]]:
        """The events to send again on a new sideband."""
        return list(self._unconfirmed.values())
