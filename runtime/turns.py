"""Who answers the caller's turns: the service by itself, nobody while a greeting must come first, or we. Pure."""

import logging
from dataclasses import dataclass
from enum import Enum

from runtime.commands import Command, Record, StartTimer
from runtime.confirmation import CONFIRM, CONFIRM_SECONDS, Confirmation
from runtime.scene import Scene
from runtime.speech import Speech


class AnsweredBy(Enum):
    """Who answers when the caller has finished a turn."""

    SERVICE = "service"
    NOBODY = "nobody"  # held: the greeting comes first
    ASKED = "asked"  # the service was asked to answer again and has not confirmed it
    US = "us"  # the service would not: each answer is asked for


@dataclass(slots=True)
class Turns:
    """One call's turns. A turn that comes while nobody answers is answered when somebody does again."""

    scene: Scene
    speech: Speech
    confirmation: Confirmation
    by: AnsweredBy = AnsweredBy.SERVICE
    waiting: bool = False

    @property
    def held(self) -> bool:
        """Whether nobody answers, so that the session must be told so."""
        return self.by is AnsweredBy.NOBODY

    @property
    def asked(self) -> bool:
        """Whether the service was asked to answer again and has not confirmed it."""
        return self.by is AnsweredBy.ASKED

    def ended(self) -> list[Command]:
        """The caller finished a turn."""
        self.waiting = self.held or self.asked
        return self.speech.answer() if self.by is AnsweredBy.US else []

    def added(self) -> list[Command]:
        """We added a turn in the caller's place. Whoever answers the others, this one's answer must be asked for."""
        if self.held or self.asked:
            self.waiting = True
            return []
        return self.speech.answer()

    def release(self) -> list[Command]:
        """Let turns be answered again, if they are held."""
        if not self.held:
            return []
        self.by = AnsweredBy.ASKED
        return [self.confirmation.release(), StartTimer(CONFIRM, CONFIRM_SECONDS)]

    def settle(self, *, by_service: bool) -> list[Command]:
        """The service answers by itself again, or will not. A turn that came before would never be answered.

        It may say so late: who went on answering then would answer each turn a second time.
        """
        declared = self.scene.settings.answers_turns
        by_service = by_service or not declared
        if not self.asked and not (self.by is AnsweredBy.US and by_service):
            return []
        self.by = AnsweredBy.SERVICE if by_service else AnsweredBy.US
        waiting, self.waiting = self.waiting, False
        return self.speech.answer() if waiting and declared else []

    def late(self) -> list[Command]:
        """The service was asked to answer again and has not confirmed it in time."""
        if not self.asked:
            return []
        record = Record("the service does not say that it answers turns again", level=logging.ERROR)
        return [record, *self.settle(by_service=False)]
