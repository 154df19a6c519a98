"""The Calls API: accept, reject, hang up. The `openai` client with our own rules for trying again.

The client's own retries stay off: they send no idempotency key, and a second accept, or a webhook that hangs for
ten minutes, costs a call (protocol 1.5, traps 10 and 11).
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import openai
from openai import AsyncOpenAI

from runtime.errors import CallControlError
from runtime.session import leave_out

TIMEOUT_SECONDS = 3.0  # protocol trap 11: 3 to 5 s
TRY_AGAIN_SECONDS = 3.0  # a caller who has heard it ring for longer hangs up, or the carrier does
_PAUSE_SECONDS = 0.2
_DECIDED = "decision_already_made"
_GONE = {"call_id_not_found", _DECIDED}
_GATEWAYS = {502, 504}  # who gave up waiting for an answer may have passed the request on


class Taken(NamedTuple):
    """An accept that was taken: the parameters that were left out, and whether the service said so itself."""

    dropped: tuple[str, ...]
    certain: bool


class CallControl:
    """The verbs of the Calls API for one project."""

    def __init__(self, api_key: str, base_url: str, try_again_seconds: float = TRY_AGAIN_SECONDS) -> None:
        self._try_again_seconds = try_again_seconds
        # Where nothing is encrypted, certificates need not be read: that takes longer than a whole call in a rehearsal.
        plain = openai.DefaultAsyncHttpxClient(verify=False) if base_url.startswith("http://") else None
        self._client = AsyncOpenAI(
            api_key=api_key, base_url=base_url, max_retries=0, timeout=TIMEOUT_SECONDS, http_client=plain
        )

    async def accept(self, call_id: str, session: Mapping[str, Any]) -> Taken:
        """Accept a call.

        Connection errors and 5xx are tried again within 3 seconds, a 400 that names an unknown parameter without
        it. Where an answer was lost the accept may have been taken, so that a refusal or silence afterwards counts
        as accepted, though not for certain. Raises `CallControlError`; see `is_gone`.
        """
        dropped: tuple[str, ...] = ()
        perhaps_taken = tried = False
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._try_again_seconds
        while True:
            try:
                await self._post(call_id, "accept", session)
            except CallControlError as error:
                parameter = _unknown_parameter(error)
                if parameter is not None and parameter not in dropped:
                    dropped, session = (*dropped, parameter), leave_out(session, parameter)
                    continue
                refused = error.status is not None and error.status < 500
                perhaps_taken = perhaps_taken or error.sent or (tried and error.code == _DECIDED)
                tried = True
                if refused or now() + _PAUSE_SECONDS > give_up_at:
                    if perhaps_taken:
                        return Taken(dropped, certain=False)
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return Taken(dropped, certain=True)

    async def reject(self, call_id: str, status: int) -> None:
        """Reject a call with a SIP status code. Raises `CallControlError`."""
        await self._post(call_id, "reject", {"status_code": status})

    async def refer(self, call_id: str, to: str) -> None:
        """Ask the carrier to put the caller through to a tel or SIP address. Raises `CallControlError`.

        Never tried again: a lost answer may hide a transfer that is under way, and a second one would ring twice.
        """
        await self._post(call_id, "refer", {"target_uri": to})

    async def hang_up(self, call_id: str) -> None:
        """End a call. One that is over already is fine, so that it can be tried again as often as need be.

        Raises `CallControlError` when the service did not take it within 3 seconds.
        """
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._try_again_seconds
        while True:
            try:
                return await self._post(call_id, "hangup", None)
            except CallControlError as error:
                if is_gone(error):
                    return None
                refused = error.status is not None and error.status < 500
                if refused or now() + _PAUSE_SECONDS > give_up_at:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _post(self, call_id: str, verb: str, body: Mapping[str, Any] | None) -> None:
        """Post one request. The id is escaped: it came with a webhook and must not choose the path."""
        path = f"/realtime/calls/{quote(call_id, safe='')}/{verb}"
        try:
            # The low-level call of the client: its typed methods transform the whole session, field by field.
            await self._client.post(path, body=body, cast_to=type(None))
        except openai.APIStatusError as error:
            raise _refusal(error) from error
        except (ValueError, TypeError) as error:  # a key that is no header, a session that is no JSON
            raise CallControlError(f"it cannot be made ({type(error).__name__})", 400, "bad_request") from error
        except openai.APIConnectionError as error:
            cause = error.__cause__
            sent = not isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
            raise CallControlError(f"the service cannot be reached ({cause or error})", sent=sent) from error


def is_gone(error: CallControlError) -> bool:
    """Tell whether the service knows no such call, by code and by status (protocol 1.5)."""
    return error.status == 404 or error.code in _GONE


def cause_of(error: CallControlError) -> str:
    """Return the cause of `on_failure` that an accept failed for, or `""` when the service refused the session."""
    if error.status == 429 or error.code == "insufficient_quota":
        return "quota"
    return "model_unreachable" if error.status is None or error.status >= 500 else ""


def why_not_referred(error: CallControlError) -> str:
    """Return why a transfer failed as a sentence's end, for the model: busy, refused, no answer, or not possible."""
    if error.status is None:
        return "it was not confirmed, since the service did not answer"
    return _REFER_REFUSALS.get(error.status, "the carrier cannot put the call through at the moment")


_REFER_REFUSALS = {
    400: "the carrier does not take this address",
    403: "the carrier refused it",
    404: "there is no such number",
    408: "nobody answered",
    480: "nobody answered",
    486: "the line is busy",
}


def _refusal(error: openai.APIStatusError) -> CallControlError:
    body = error.body if isinstance(error.body, dict) else {}
    message = str(body.get("message") or error.message)
    request = f" (request {error.request_id})" if error.request_id else ""
    perhaps_taken = error.status_code in _GATEWAYS
    return CallControlError(message + request, error.status_code, error.code, error.param, perhaps_taken)


def _unknown_parameter(error: CallControlError) -> str | None:
    """Return the parameter that a 400 calls unknown: `Unknown parameter: 'session.…'.`"""
    if error.status != 400:
        return None
    named = re.search(r"Unknown parameter: '([\w.\[\]]+)'", error.message)
    if named is None and error.code != "unknown_parameter":
        return None
    return named.group(1) if named else error.param
