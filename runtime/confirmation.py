"""What we have told the service about a session, and what it has confirmed: updates, refusals, the receipt. Pure."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import events as e
from runtime.commands import Command, Record, Send
from runtime.receipt import Receipt, compare
from runtime.scene import Scene

CONFIRM = "confirm"
CONFIRM_SECONDS = 5.0  # the SDK for JavaScript waits as long for session.updated (protocol 3.1)

BUSY = "conversation_already_has_active_response"
EXPIRED = "session_expired"
HARMLESS = {"response_cancel_not_active", "item_not_found", "input_audio_buffer_commit_empty"}


@dataclass(slots=True)
class Confirmation:
    """One session's settings on their way: every update is numbered, so that a refusal finds it."""

    scene: Scene
    receipt: Receipt = field(default_factory=Receipt)
    _updates: int = 0
    _refused: list[str] = field(default_factory=list)

    def update(self, *, held: bool) -> Command:
        """Tell the whole session, as far as it may change."""
        return self._send(self.scene.settings.update(held=held, without=self._refused, first=self._updates == 0))

    def release(self) -> Command:
        """Tell that the caller's turns are answered again."""
        return self._send(self.scene.settings.release(self._refused))

    def _send(self, session: Mapping[str, Any]) -> Command:
        self._updates += 1
        return Send({"type": "session.update", "event_id": f"update_{self._updates}", "session": session})

    def is_answered_by(self, refused: e.ServiceRefused, *, waiting: bool) -> bool:
        """Tell whether an error can be the answer to our latest update: some errors name no event (protocol 2.4)."""
        if refused.code in HARMLESS or refused.code in (BUSY, EXPIRED) or not self._updates:
            return False
        return refused.event_id == f"update_{self._updates}" or (refused.event_id is None and waiting)

    def leave_out(self, refused: e.ServiceRefused) -> list[Command]:
        """Leave out from now on the parameter that was refused, once for each; [] when nothing helps."""
        parameter = "session.audio.output.voice" if refused.code == "cannot_update_voice" else refused.parameter
        if not parameter or parameter in self._refused:
            return []
        self._refused.append(parameter)
        return [Record("the service refused a setting; sent again without it", told(refused), level=logging.ERROR)]

    def confirmed(self, session: Mapping[str, Any], *, held: bool) -> list[Command]:
        """Compare the session that the service holds with what the agent declares, and tell each difference."""
        self.receipt = self.receipt.with_rows(compare(self.scene.settings.declared(held=held), session))
        message = "the service holds a setting otherwise than declared"
        return [Record(message, *row.told(), level=logging.WARNING) for row in self.receipt.differences]


def told(refused: e.ServiceRefused) -> dict[str, Any]:
    """Return a refusal as fields for the log."""
    return {"code": refused.code, "parameter": refused.parameter, "said": refused.message}
