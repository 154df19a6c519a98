"""A line on which things go wrong on purpose, so that a rehearsal can play what an agent declares for it.

Breaks what passes between host and service, whichever service it is; decides nothing about the call.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from runtime.errors import CallControlError, SidebandError
from runtime.runner import Line, Wire
from runtime.scenarios import TRANSFER_FAILURES

ON_PURPOSE = "the scenario says so"
_CODES = {"model_unreachable": "server_error", "quota": "insufficient_quota"}
SPEECHLESS = frozenset(_CODES)
"""Causes with which no response says a word."""


class FaultyLine:
    """A line with faults, over the line that it is given.

    `down` names causes of `on_failure`: with `attach_failed` no sideband opens, with `model_unreachable` or `quota`
    no response succeeds. `transfers` says of the first, second … transfer why it fails; the last goes on.
    """

    def __init__(self, down: Collection[str] = (), transfers: Sequence[str] = ()) -> None:
        self._down = down
        self._transfers = list(transfers)
        self._opened: Wire | None = None
        self._is_lost_for_good = False

    def over(self, line: Line) -> "FaultyLine":
        """Take the line whose calls are to suffer, and return this one in its place."""
        self._line = line
        self.accept, self.reject, self.hang_up, self.close = line.accept, line.reject, line.hang_up, line.close
        return self

    async def lose(self, *, for_good: bool) -> bool:
        """Break off the sideband that is open, and tell whether one was. Lost for good, it does not open again."""
        self._is_lost_for_good = for_good
        wire, self._opened = self._opened, None
        if wire is not None:
            await wire.close()
        return wire is not None

    async def refer(self, call_id: str, to: str) -> None:
        """Relay a transfer, or refuse it. Raises `CallControlError`."""
        if not self._transfers:
            return await self._line.refer(call_id, to)
        fails = self._transfers.pop(0) if len(self._transfers) > 1 else self._transfers[0]
        if (status := TRANSFER_FAILURES.get(fails)) is not None:
            raise CallControlError(ON_PURPOSE, status)
        return None  # it is taken, and never leaves

    async def open(self, call_id: str, again: bool) -> Wire:
        """Open the sideband of a call. Raises `SidebandError`."""
        self._is_lost_for_good &= again  # another call has a connection of its own
        if self._is_lost_for_good:
            raise SidebandError("the connection is lost for good")
        if "attach_failed" in self._down:
            raise SidebandError(ON_PURPOSE)
        self._opened = wire = await self._line.open(call_id, again)
        code = next((code for cause, code in _CODES.items() if cause in self._down), None)
        return wire if code is None else _Speechless(wire, code)


class _Speechless:
    """A sideband over which every response fails before a word of it."""

    def __init__(self, wire: Wire, code: str) -> None:
        self._wire = wire
        self._code = code
        self.send, self.close = wire.send, wire.close

    @property
    def close_code(self) -> int:
        return self._wire.close_code

    @property
    def close_reason(self) -> str:
        return self._wire.close_reason

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what is left when no response says or does anything."""
        async for message in self._wire.messages():
            event = json.loads(message)
            if event["type"] == "response.created":
                await self._wire.send({"type": "response.cancel"})
                yield message
                yield json.dumps({**event, "type": "response.done", "response": self._failed(event["response"])})
            elif not event["type"].startswith(("response.", "output_audio_buffer.")):
                yield message

    def _failed(self, response: Mapping[str, Any]) -> dict[str, Any]:
        details = {"type": "failed", "error": {"type": "server_error", "code": self._code}}
        return {**response, "status": "failed", "status_details": details, "output": []}
