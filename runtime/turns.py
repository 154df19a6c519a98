"""Who answers the caller's turns: the service by itself, nobody while a greeting must come first, or we. Pure."""

from dataclasses import dataclass
from enum import Enum


class AnsweredBy(Enum):
    """Who answers when the caller has finished a turn."""

    SERVICE = "service"
    NOBODY = "nobody"  # held: the greeting comes first
    ASKED = "asked"  # the service was asked to answer again and has not confirmed it
    US = "us"  # the service would not: each answer is asked for


@dataclass(slots=True)
class Turns:
    """One call's turns. A turn that comes while nobody answers is answered when somebody does again."""

    by: AnsweredBy = AnsweredBy.SERVICE
    waiting: bool = False

    @property
    def held(self) -> bool:
        """Whether nobody answers, so that the session must be told so."""
        return self.by is AnsweredBy.NOBODY

    def ended(self) -> bool:
        """The caller finished a turn. Return whether we must ask for its answer now."""
        self.waiting = self.by in (AnsweredBy.NOBODY, AnsweredBy.ASKED)
        return self.by is AnsweredBy.US

    def release(self) -> bool:
        """Let turns be answered again. Return whether the service must be told."""
        if not self.held:
            return False
        self.by = AnsweredBy.ASKED
        return True

    def settle(self, *, by_service: bool) -> bool:
        """The service answers by itself again, or will not. Return whether a turn waits for its answer.

        It may say so late: who went on answering then would answer each turn a second time.
        """
        if self.by is not AnsweredBy.ASKED and not (self.by is AnsweredBy.US and by_service):
            return False
        self.by = AnsweredBy.SERVICE if by_service else AnsweredBy.US
        waiting, self.waiting = self.waiting, False
        return waiting
