"""Putting the caller through: to a place outside, or to another agent, one at a time and once it was announced. Pure.

A transfer is known to have worked by nothing but the call's end (trap 22), which is not decided here.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime import events as e
from runtime.commands import Command, Record, Refer, RunTool, StartTimer
from runtime.conduct import Destination
from runtime.scene import Scene
from runtime.speech import LINE_SECONDS, Speech
from runtime.tool_calls import ToolCalls, arguments_of
from runtime.wishes import Leave, Wish

ANNOUNCE = "announce"  # the line
TRANSFER = "transfer"  # the timer

_ONE_AT_A_TIME = "The caller is being put through already, and to one place only."


@dataclass(slots=True)
class Transfer:
    """The caller on the way to somebody else. Without a tool call nobody waits for the result."""

    destination: Destination
    tool_call_id: str = ""
    sent: bool = False
    referred: bool = False


@dataclass(slots=True)
class Transfers:
    """One call's transfers and handoffs, and the transfer that is under way."""

    scene: Scene
    speech: Speech
    tools: ToolCalls
    under_way: Transfer | None = None

    @property
    def is_sent(self) -> bool:
        """Whether the service was asked to let the caller go."""
        return self.under_way is not None and self.under_way.sent

    @property
    def is_referred(self) -> bool:
        """Whether the service relayed that."""
        return self.under_way is not None and self.under_way.referred

    # ── our tools ─────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, event: e.ToolCalled) -> list[Command]:
        """Put the caller through to a declared destination, once its announcement was heard."""
        name = str(arguments_of(event).get("destination", ""))
        destination = self.scene.conduct.destinations.get(name)
        why_not = f"There is no destination '{name}'." if destination is None else self._why_closed(destination)
        if self.under_way is not None:
            why_not = "A transfer is under way already."
        elif self.speech.awaits(ANNOUNCE):
            why_not = _ONE_AT_A_TIME
        if destination is None or why_not:
            return self.tools.finish(event.tool_call_id, why_not)
        self.under_way = Transfer(destination, event.tool_call_id)
        if destination.announce is None and self.speech.has_words(event.response_id):
            return self.speech.after(event.response_id, ANNOUNCE, self._refer, LINE_SECONDS)
        return self._announced(destination.announce, self._refer)

    def hand_off(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command]:
        """Hand the caller over to another agent, once its announcement was heard."""
        if self.speech.awaits(ANNOUNCE):  # a model may call two tools in one response
            return self.tools.finish(event.tool_call_id, _ONE_AT_A_TIME)
        run = RunTool(event.tool_call_id, event.name, event.arguments)
        return self._announced(entry.get("announce"), lambda: [run])

    def _announced(self, words: str | None, then: Callable[[], list[Command]]) -> list[Command]:
        """Let something follow an announcement, if there is one."""
        return then() if words is None else self.speech.say(ANNOUNCE, words, then=then, within=LINE_SECONDS)

    def _why_closed(self, destination: Destination) -> str:
        """Return why a destination cannot be reached at this hour, as a sentence, or `""`."""
        unmet = destination.opening.unmet(self.scene.moment)
        return f"{destination.name} cannot be reached now: {unmet}." if unmet else ""

    # ── where the call cannot be served ───────────────────────────────────────────────────────────────────────

    def divert(self, name: str) -> list[Command]:
        """Put the caller through because we cannot serve the call. `name` is one of the conduct's destinations."""
        self.under_way = Transfer(self.scene.conduct.destinations[name])
        return [*self.speech.forget(), *self._refer()]

    def let_go(self) -> list[Command]:
        """Leave the caller to the transfer that was sent: when that fails, nobody is here any more."""
        assert self.under_way is not None, "only who is being transferred is let go"
        self.under_way.tool_call_id = ""
        return self.speech.forget()

    # ── on the way ────────────────────────────────────────────────────────────────────────────────────────────

    def _refer(self) -> list[Command]:
        if self.under_way is None:
            return []
        self.under_way.sent = True
        destination = self.under_way.destination
        return [Record("transferring", {"destination": destination.name}), Refer(destination.to)]

    def referred(self, event: e.Referred) -> list[Command]:
        """The service says that it relayed the transfer, which means no more than that."""
        if self.under_way is None:
            return []
        self.under_way.referred = True
        record = Record("transfer relayed", {} if event.certain else {"certain": False})
        return [record, StartTimer(TRANSFER, self.under_way.destination.confirm_seconds)]

    def failed(self, reason: str) -> list[Command | Wish]:
        """The caller is still here: say so, and tell the model what happened."""
        transfer, self.under_way = self.under_way, None
        if transfer is None:
            return []
        destination = transfer.destination
        fields = {"destination": destination.name, "reason": reason}
        record = Record("the transfer failed", fields, level=logging.WARNING)
        if not transfer.tool_call_id:
            return [record, Leave("", reason)]
        output = f"The transfer to {destination.name} failed: {reason}. The caller is still on the line."
        said = self.speech.say("transfer failed", destination.if_it_fails) if destination.if_it_fails else []
        return [record, *said, *self.tools.finish(transfer.tool_call_id, output, go_on=not said)]

    def late(self) -> list[Command | Wish]:
        """The call did not end in time, so that nobody has picked up."""
        return self.failed("nobody confirmed it in time")
