"""What became of the model's responses: what they cost, which failed, and which never came. Pure.

A model that never answers is no conversation. What is done about that is decided in `runtime.call`.
"""

import logging
from dataclasses import dataclass, field

from runtime import events as e
from runtime.commands import Command, Record
from runtime.scene import Scene
from runtime.session import GREETING, is_models_own
from runtime.speech import Speech
from runtime.wishes import GiveUp, Wish

_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_QUOTA = {"insufficient_quota", "rate_limit_exceeded"}


@dataclass(slots=True)
class Answers:
    """One call's answers. `usage` counts their tokens."""

    scene: Scene
    speech: Speech
    usage: dict[str, int] = field(default_factory=dict)
    _last_failure: str = ""

    def done(self, event: e.ResponseDone) -> list[Command | Wish]:
        """A response was generated to its end, or failed; one that the service began by itself is asked for again."""
        for key in _TOKENS:
            amount = event.usage.get(key)
            if isinstance(amount, int):
                self.usage[key] = self.usage.get(key, 0) + amount
        commands: list[Command | Wish] = []
        failed = event.status == "failed"
        if failed:
            self._last_failure = event.reason or "failed"
            commands.append(Record("a response failed", {"reason": event.reason}, level=logging.WARNING))
        commands += self.speech.responses.done(event.response_id, event.line, failed=failed)
        if failed and event.line is None and not self.scene.ending:  # the service's own answer to the caller
            commands += self.speech.answer()
        unheard = event.status == "incomplete" and event.response_id in self.speech.playing  # cut short, and played on
        if event.status != "completed" and not unheard and not (failed and event.line == GREETING):
            commands += self.speech.over(event.response_id)  # nothing more of it will be played
        commands += self._tell_lost()
        return commands

    def late(self) -> list[Command | Wish]:
        """What the queue of responses waited for did not happen in time."""
        return [*self.speech.responses.waited(), *self._tell_lost()]

    def _tell_lost(self) -> list[Command | Wish]:
        """Tell loudly of responses that were asked for in vain."""
        commands: list[Command | Wish] = []
        lost, self.speech.responses.lost = self.speech.responses.lost, []
        for line in lost:
            commands.append(Record("the service never gave a response", {"line": line}, level=logging.ERROR))
            commands += self.speech.follow(line)
            unanswered = is_models_own(line) or (line == GREETING and self._last_failure)
            if not self.scene.ending and unanswered:
                cause = "quota" if self._last_failure in _QUOTA else "model_unreachable"
                commands.append(GiveUp(cause, "the model does not answer"))
        return commands
