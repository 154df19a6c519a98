"""Words that must never be said, found in what an agent is saying, and stopped. Pure.

It judges what the model says by itself; the lines of the file are the author's own.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from runtime import events as e
from runtime.commands import CheckWords, Command, Record, Send
from runtime.scene import Scene
from runtime.session import is_models_own
from runtime.speech import Speech

SLACK = 40  # characters that may stand between the words of a phrase beside those that are written
CHECK_EVERY = 80  # characters between two questions to the rules: about five seconds of speech


@dataclass(slots=True)
class Guard:
    """One call's guardrails: what each response says so far, and which were stopped."""

    scene: Scene
    speech: Speech
    _saying: dict[str, str] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)

    def saying(self, event: e.AgentSaying) -> list[Command]:
        """Some words more are said."""
        before = self._saying.get(event.response_id, "")
        text = self._saying[event.response_id] = before + event.text
        asked = len(before) // CHECK_EVERY < len(text) // CHECK_EVERY
        return self._judge(event.response_id, text, is_whole=False, ask=asked, new=len(before))

    def said(self, event: e.AgentSaid) -> list[Command]:
        """The words of a response are whole."""
        self._saying.pop(event.response_id, None)
        return self._judge(event.response_id, event.text, is_whole=True, ask=True)

    def refused(self, event: e.WordsRefused) -> list[Command]:
        """A rule says that the words of a response must not be said."""
        return [] if self.scene.ending else self._stop(event.response_id, event.rule, "")

    def done(self, response_id: str) -> None:
        """A response is over: no more words of it come."""
        self._saying.pop(response_id, None)

    def _judge(self, response_id: str, text: str, *, is_whole: bool, ask: bool, new: int = 0) -> list[Command]:
        """Compare what the model says by itself with what it must never say; `new` is where its latest words begin."""
        conduct, line = self.scene.conduct, self.speech.line_of(response_id)
        if not conduct.guarded or self.scene.ending or not is_models_own(line):
            return []
        if found := forbidden(text, conduct.never_say, is_whole=is_whole, new=new):
            return self._stop(response_id, "never_say", found)
        return [CheckWords(response_id, text)] if ask and self.scene.role.agent.abilities.rules else []

    def _stop(self, response_id: str, rule: str, words: str) -> list[Command]:
        """Stop a response, also what is buffered of it (trap 20), and say something else instead."""
        if response_id in self._stopped:
            return []
        self._stopped.add(response_id)
        record = Record("stopped what must not be said", {"rule": rule}, {"words": words}, logging.WARNING)
        cancel: list[Command] = [Send({"type": "response.cancel", "response_id": response_id})]
        cancel = cancel if self.speech.responses.active == response_id else []
        clear: list[Command] = [Send({"type": "output_audio_buffer.clear"})]
        clear = [] if self.speech.was_heard(response_id) else clear  # it would silence another one
        return [record, *cancel, *clear, *self.speech.say("instead", self.scene.conduct.instead, "instead")]


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    spaced = (r"\W+".join(map(re.escape, re.findall(r"\w+", word))) or re.escape(word) for word in words)
    return re.compile(rf"(?<!\w)(?:{'|'.join(spaced) or '(?!)'})(?!\w)", re.IGNORECASE)


def forbidden(text: str, never_say: Iterable[str], *, is_whole: bool, new: int = 0) -> str | None:
    """Return the first words of a text that must never be said, as they stand there, or None.

    Whole words only: at the end of a text that is not `is_whole`, more letters may come. Before `new` nothing was
    found, so that only what can reach into the new words is looked at again.
    """
    words = tuple(never_say)
    reach = max(map(len, words), default=0) + SLACK
    for found in _pattern(words).finditer(text, max(0, new - reach)):
        if is_whole or found.end() < len(text):
            return found.group()
    return None
