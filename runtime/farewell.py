"""The agent's last words: the model hangs up, or the call must end, and either is heard before it does. Pure.

How the call ends is decided in `runtime.call`; here is when it can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime import events as e
from runtime.commands import CancelTimer, Command, HangUp, StartTimer
from runtime.scene import Scene
from runtime.speech import LINE_SECONDS, Speech
from runtime.tool_calls import ToolCalls
from runtime.wishes import Close, Wish

WHOLE_SECONDS = 5.0  # for the end of a response that hangs up, should it never be told

FAREWELL = "farewell"  # the line
HANG_UP = "hang up"  # the timer


@dataclass(slots=True)
class Farewell:
    """One call's farewell, and the tool call that wants it."""

    scene: Scene
    speech: Speech
    tools: ToolCalls
    _hanging_up: tuple[e.ToolCalled, Mapping[str, Any]] | None = None

    def use(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command | Wish]:
        """End the call when the goodbye was heard: the declared one, the model's own, or one that it is asked for."""
        if self.speech.responses.active == event.response_id:  # it may still say goodbye, or call another tool
            self._hanging_up = event, entry
            return [StartTimer(HANG_UP, WHOLE_SECONDS)]
        return self._hang_up(event, entry)

    def done(self, response_id: str) -> list[Command | Wish]:
        """A response is whole; when the model hung up in it, it is known now what else it said and called."""
        whole = self._hanging_up is not None and self._hanging_up[0].response_id == response_id
        return self.late() if whole else []

    def late(self) -> list[Command | Wish]:
        """The response in which the model hung up is whole, or should have been by now."""
        wanted, self._hanging_up = self._hanging_up, None
        if wanted is None or self.scene.ending:
            return []
        return [CancelTimer(HANG_UP), *self._hang_up(*wanted)]

    def _hang_up(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command | Wish]:
        if len(self.tools.running) > 1:
            return [*self.tools.finish(event.tool_call_id, "Not yet: another tool still runs. Wait for its result.")]
        said = "farewell" not in entry and self.speech.has_words(event.response_id)
        after = event.response_id if said else ""
        return [Close("agent_hung_up", entry.get("farewell"), "goodbye", after, cuts=False)]

    def close(self, wish: Close) -> list[Command]:
        """Say the last words, or let those that are being said be heard, and then hang up.

        A limit does not wait for the end of a long answer, which would leave no time for the farewell.
        """
        forgotten = self.speech.forget()
        if wish.after:
            return [*forgotten, *self.speech.after(wish.after, FAREWELL, _leave, LINE_SECONDS)]
        cut = self.speech.cut() if wish.cuts else []
        return [*forgotten, *cut, *self.speech.say(FAREWELL, wish.words, wish.freely, _leave, LINE_SECONDS)]


def _leave() -> list[Command]:
    return [HangUp()]
