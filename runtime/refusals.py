"""What the service refused of all that we sent, and what is done about it. Pure.

The session update that an attached call waits for is the call's own (`runtime.call`); any other comes here.
"""

import logging
from dataclasses import dataclass

from runtime import events as e
from runtime.commands import Command, Record
from runtime.confirmation import BUSY, EXPIRED, HARMLESS, Confirmation, told
from runtime.speech import Speech
from runtime.turns import Turns


@dataclass(slots=True)
class Refusals:
    """One call's refusals. `expired`: the service ends the call by itself now."""

    speech: Speech
    confirmation: Confirmation
    turns: Turns
    expired: bool = False

    def take(self, event: e.ServiceRefused) -> list[Command]:
        """The service refused something."""
        if event.code == BUSY:
            record = Record("a response was active already; asked again later", level=logging.DEBUG)
            return [record, *self.speech.responses.refused(event.event_id, event.message)]
        if event.code == EXPIRED:
            self.expired = True
            return [Record("the service's limit of 60 minutes is reached", told(event))]
        if event.code in HARMLESS:
            return [Record("the service refused a late event", told(event), level=logging.DEBUG)]
        if self.confirmation.is_answered_by(event, waiting=self.turns.asked):
            return self._update_refused(event)
        fields = {"code": event.code, "parameter": event.parameter}
        return [Record("the service refused an event", fields, {"said": event.message}, logging.WARNING)]

    def _update_refused(self, event: e.ServiceRefused) -> list[Command]:
        if record := self.confirmation.leave_out(event):
            held, asked = self.turns.held, self.turns.asked
            return [*record, self.confirmation.release() if asked else self.confirmation.update(held=held)]
        failed = Record("the service refused a session update", told(event), level=logging.ERROR)
        return [failed, *self.turns.settle(by_service=False)]
