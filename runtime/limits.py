"""How long a call may last, and how long nobody may speak in it: what `limits:` declares, watched. Pure.

It knows the time as the scene tells it. That something else keeps the caller busy is told to it, and never asked for.
"""

from dataclasses import dataclass, field

from runtime import silence
from runtime.commands import CancelTimer, Command, StartTimer
from runtime.scene import Scene
from runtime.silence import Silence
from runtime.speech import LINE_SECONDS, Speech
from runtime.transfers import Transfers
from runtime.wishes import Close, Leave, Wish

FIRST_WORDS, SILENCE, WAIT, WARNING, DURATION = "first words", silence.TIMER, "wait", "warning", "duration"
"""The names of timers."""


@dataclass(slots=True)
class Limits:
    """One call's limits of time and silence. Before the caller's first words another limit than silence holds."""

    scene: Scene
    speech: Speech
    transfers: Transfers
    is_waiting: bool = False
    _heard_anybody: bool = False
    _owes_answer: bool = False
    _silence: Silence = field(default_factory=Silence)

    def activate(self) -> list[Command]:
        """The session stands: the time runs."""
        limits = self.scene.limits
        left = limits.duration.seconds - (self.scene.at - self.scene.began_at)
        commands: list[Command] = [StartTimer(FIRST_WORDS, limits.first_words_seconds), StartTimer(DURATION, left)]
        if 0 < limits.duration.warn_seconds < left:
            commands.append(StartTimer(WARNING, left - limits.duration.warn_seconds))
        return commands

    # ── signs of life ─────────────────────────────────────────────────────────────────────────────────────────

    def listen(self) -> list[Command]:
        """The caller has the word: the time for first words begins anew."""
        return [] if self._heard_anybody else [StartTimer(FIRST_WORDS, self.scene.limits.first_words_seconds)]

    def sign(self) -> list[Command]:
        """The caller gave a sign of life."""
        first, self._heard_anybody = not self._heard_anybody, True
        self._silence.sign()
        waited, self.is_waiting = self.is_waiting, False
        return [*([CancelTimer(FIRST_WORDS)] if first else []), *([CancelTimer(WAIT)] if waited else [])]

    def turn_ended(self) -> None:
        """The caller finished a turn, and waits for its answer."""
        self._owes_answer = True

    def answered(self) -> None:
        """The agent begins to answer; that it had to think was not the caller's silence."""
        if self._owes_answer:
            self._silence.sign()
            self._owes_answer = False

    def wait(self, seconds: float) -> list[Command]:
        """The caller asked to wait, and may be silent for so long."""
        self.is_waiting = True
        return [StartTimer(WAIT, seconds)]

    def waited(self) -> list[Command]:
        """The caller may be silent no longer."""
        self.is_waiting = False
        return []

    # ── silence ───────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, *, busy: bool) -> list[Command]:
        """Count the silence between all that happens, once the first words were heard."""
        limit, scene = self.scene.limits.silence, self.scene
        if limit is None:
            return []
        counts = scene.active and scene.attached and not scene.ending and self._heard_anybody
        busy = busy or not counts or scene.caller_speaks
        return self._silence.watch(busy=busy, at=scene.at, limit=limit.after_seconds)

    def silent(self) -> list[Command | Wish]:
        """The caller has been silent for as long as may be: ask, and at last give up."""
        limit = self.scene.limits.silence
        if limit is None or not self._silence.is_counting:
            return []
        asked = self._silence.over()
        if asked < len(limit.lines):
            return [*self.speech.say(f"silence {asked + 1}", limit.lines[asked], "silence")]
        return [Close("silent", limit.farewell, "unheard", reason="the caller says nothing")]

    def first_words_late(self, *, busy: bool) -> list[Command | Wish]:
        """Nobody has spoken yet."""
        if self._heard_anybody:
            return []
        seconds = self.scene.limits.first_words_seconds
        if busy:
            return [StartTimer(FIRST_WORDS, seconds)]
        return [Leave("nobody_spoke", f"nothing was heard for {seconds:g} s")]

    # ── duration ──────────────────────────────────────────────────────────────────────────────────────────────

    def warn(self) -> list[Command]:
        """The call is about to end."""
        if self.transfers.under_way is not None:
            return []
        return self.speech.say("warning", self.scene.limits.duration.warning, "warning")

    def over(self) -> list[Command | Wish]:
        """The call has lasted for as long as it may."""
        duration, transfer = self.scene.limits.duration, self.transfers.under_way
        if transfer is not None:  # it ends in a moment, one way or the other
            return [StartTimer(DURATION, transfer.destination.confirm_seconds + LINE_SECONDS)]
        return [Close("too_long", duration.farewell, reason=f"the limit is {duration.seconds:g} s")]
