"""The agent's first words: said at once or after the caller's, and compared with what is declared. Pure.

Until they are heard, nobody answers the caller where they must not be spoken over; who does is decided by the turns.
"""

import logging
from dataclasses import dataclass, field

from runtime import events as e
from runtime.commands import CancelTimer, Command, Record, StartTimer
from runtime.confirmation import Confirmation
from runtime.limits import Limits
from runtime.receipt import likeness
from runtime.scene import Scene
from runtime.session import GREETING
from runtime.speech import Speech
from runtime.turns import Turns

HELLO_SECONDS = 6.0  # a "hello?" before we were attached is never told; then the agent speaks first after all
GREETING_SECONDS = 30.0  # a greeting that is never heard to its end must not hold the caller's turns

HELLO = "hello"  # the timer


@dataclass(slots=True)
class Greeting:
    """One call's greeting."""

    scene: Scene
    speech: Speech
    confirmation: Confirmation
    turns: Turns
    limits: Limits
    awaits_hello: bool = False
    _said: dict[str, str] = field(default_factory=dict)

    def activate(self) -> list[Command]:
        """The session stands: greet, or listen."""
        settings = self.scene.settings
        if settings.greeting is None:
            return []
        if settings.wait_for_caller and self.turns.held and not self.turns.waiting:
            self.awaits_hello = True
            return [StartTimer(HELLO, HELLO_SECONDS)]
        return self._greet()

    def hello(self) -> list[Command]:
        """The caller was heard, or should have been by now: greet, if that is what was waited for."""
        return self._greet() if self.awaits_hello else []

    def _greet(self) -> list[Command]:
        self.awaits_hello = self.turns.waiting = False
        words = self.scene.settings.greeting
        assert words is not None, "only who has a greeting greets"
        within = GREETING_SECONDS if self.turns.held else None
        return [CancelTimer(HELLO), *self.speech.say(GREETING, words, then=self._greeted, within=within)]

    def _greeted(self) -> list[Command]:
        """The greeting was heard, or never will be: the caller has the word."""
        return [*self.turns.release(), *self.limits.listen()]

    def created(self, line: str | None) -> list[Command]:
        """A response began. A greeting that may be interrupted holds the caller's turns no longer."""
        return self.turns.release() if line == GREETING and self.scene.settings.interruptible else []

    def said(self, event: e.AgentSaid) -> bool:
        """Some words were said. Tell whether they are the greeting."""
        is_greeting = self.speech.line_of(event.response_id) == GREETING
        if is_greeting:
            self._said[event.response_id] = event.text
        return is_greeting

    def done(self, event: e.ResponseDone) -> list[Command]:
        """Compare what was said with the declared greeting, once it was said to its end."""
        text = self._said.pop(event.response_id, None)
        if text is None:
            return []
        declared = self.scene.settings.greeting
        private = {"declared": declared, "text": text}
        if event.status != "completed":
            return [Record("the greeting was broken off", {"status": event.status}, private)]
        alike = likeness(declared or "", text)
        self.confirmation.receipt = self.confirmation.receipt.with_greeting(alike)
        level = logging.WARNING if alike == "different" else logging.INFO
        return [Record("greeting", {"likeness": alike}, private, level)]
