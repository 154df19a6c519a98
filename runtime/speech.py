"""What the agent says because we ask for it: lines, what is being heard, and what follows when a line was heard. Pure.

`response.done` is the end of generation and not of speech (protocol 3.5): a line is over when its playback ended, and
what must follow it follows then, or when its time is up.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runtime.commands import CancelTimer, Command, Send, StartTimer
from runtime.responses import Responses
from runtime.scene import Scene
from runtime.session import ANSWER, LINE

TIMER = "heard "  # and the line: when its time to be heard is up
LINE_SECONDS = 12.0  # the longest that a line may take to be heard before what follows it (protocol 3.5)
MOST_WAITS = 2  # while the agent speaks, as long again: a goodbye of 20 s is rare, and one whose end is lost ends too

Then = Callable[[], list[Command]]
"""What follows when a line was heard."""


@dataclass(slots=True)
class Speech:
    """One call's lines and responses. A line is named; its name comes back in the service's events."""

    scene: Scene
    responses: Responses = field(default_factory=lambda: Responses(detached=True))
    playing: set[str] = field(default_factory=set)
    _lines: dict[str, str] = field(default_factory=dict)
    _after: dict[str, str] = field(default_factory=dict)
    _then: dict[str, Then] = field(default_factory=dict)
    _waits: dict[str, list[float]] = field(default_factory=dict)
    _spoke: str = ""
    _heard: deque[str] = field(default_factory=lambda: deque(maxlen=16))

    @property
    def busy(self) -> bool:
        """Whether the agent speaks, or is about to."""
        return bool(self.playing) or not self.responses.idle

    def say(
        self, line: str, words: str | None, freely: str = "", then: Then | None = None, within: float | None = None
    ) -> list[Command]:
        """Say declared words, or else what is asked for in the agent's own: `freely` as in `session.FREELY`.

        `then` follows when that was heard, at the latest `within` seconds.
        """
        settings = self.scene.settings
        guard = self._await(line, then, within) if then else []
        said = settings.say(words or "", line) if words or not freely else settings.say_freely(freely, line)
        return [*guard, *self.responses.want(line, said)]

    def answer(self, line: str = ANSWER, **response: Any) -> list[Command]:
        """Let the model go on by itself; `response` is what is asked for otherwise than usual."""
        return self.responses.want(line, {"metadata": {LINE: line}, **response})

    def after(self, response_id: str, line: str, then: Then, within: float) -> list[Command]:
        """Let something follow a response that the model says by itself, as if its words were a line's."""
        if self.was_heard(response_id):
            return then()
        self._after[response_id] = line
        return self._await(line, then, within)

    def awaits(self, line: str) -> bool:
        """Tell whether something follows a line that is still to be heard."""
        return line in self._then

    def _await(self, line: str, then: Then, within: float | None) -> list[Command]:
        self._then[line] = then
        if within is None:
            return []
        self._waits[line] = [within] * MOST_WAITS
        return [StartTimer(TIMER + line, self._waits[line].pop())]

    def was_heard(self, response_id: str) -> bool:
        """Tell whether a response, one of the latest, is over for the caller."""
        return response_id in self._heard

    def said(self, response_id: str) -> None:
        """A response has words."""
        self._spoke = response_id

    def has_words(self, response_id: str) -> bool:
        """Tell whether a response, the latest, says something."""
        return response_id == self._spoke or response_id in self.playing

    def line_of(self, response_id: str) -> str:
        """Return the line that a response says, or `""`."""
        return self._lines.get(response_id, "")

    def created(self, response_id: str, line: str | None) -> list[Command]:
        """A response began; `line` names ours."""
        if line is not None:
            self._lines[response_id] = line
        return self.responses.created(response_id, line)

    def started(self, response_id: str) -> None:
        """The caller begins to hear a response."""
        self.playing.add(response_id)

    def over(self, response_id: str) -> list[Command]:
        """A response is heard no more: what waited for its line follows."""
        self.playing.discard(response_id)
        self._heard.append(response_id)
        lines = self._lines.pop(response_id, None), self._after.pop(response_id, None)
        return [command for line in lines if line for command in self.follow(line)]

    def late(self, line: str) -> list[Command]:
        """A line's time is up. Nobody is cut off in the middle of a word for it, as long as that can be helped."""
        speaks = self.playing or self.responses.active is not None
        if speaks and line in self._then and self._waits[line]:
            return [StartTimer(TIMER + line, self._waits[line].pop())]
        return self.follow(line)

    def follow(self, line: str) -> list[Command]:
        """A line is over, was lost, or its time is up: what waited for it follows, once."""
        then = self._then.pop(line, None)
        return [CancelTimer(TIMER + line), *then()] if then else []

    def cut(self) -> list[Command]:
        """Stop what is being said, also what is buffered of it: the SDK would only cancel (trap 20)."""
        cancel: list[Command] = [Send({"type": "response.cancel"})] if self.responses.active else []
        clear: list[Command] = [Send({"type": "output_audio_buffer.clear"})] if self.playing else []
        return [*cancel, *clear]

    def detach(self) -> list[Command]:
        """The sideband is lost: when what is being heard ends, nobody may tell."""
        self.playing.clear()
        return self.responses.detach()

    def forget(self) -> list[Command]:
        """Let nothing follow any more, and ask for no response that is still wanted: the call ends another way."""
        self.responses.forget()
        timers: list[Command] = [CancelTimer(TIMER + line) for line in self._then]
        self._then.clear()
        return timers
