"""The sideband: the WebSocket over which an accepted call is steered. Carries events, decides nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from runtime.errors import SidebandError

OPEN_SECONDS = 5.0
NOT_YET_SECONDS = 4.0  # right after accept the service may not know the call for a moment (protocol 2.1)
LOST_SECONDS = 2.0  # a caller waits in silence while a lost sideband is attached again
MAX_MESSAGE_BYTES = 8 * 1024 * 1024  # the SDK's own limit (protocol 3.4)
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)


class Sideband:
    """One open socket of one call. Made by `attach`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.close_code = 1006
        self.close_reason = ""

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send one client event. On a socket that is closed nothing happens: the reader learns of it."""
        try:
            await self._connection.send(json.dumps(event, ensure_ascii=False))
        except ConnectionClosed:
            return

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield the service's messages until the socket closes, with or without a close frame."""
        try:
            while True:
                yield await self._connection.recv()
        except ConnectionClosed as closed:
            frame = closed.rcvd
            self.close_code = frame.code if frame else 1006
            self.close_reason = frame.reason if frame else ""

    async def close(self) -> None:
        """Close the socket."""
        await self._connection.close()


async def attach(base_url: str, api_key: str, call_id: str, *, again: bool = False) -> Sideband:
    """Open the sideband of an accepted call. Raises `SidebandError`; its status 404: no such call.

    A 404 right after accept is tried again for some seconds. When attaching `again` it is believed at once: that
    is how a call's end is told from a lost socket (protocol 2.7).
    """
    url = f"{base_url}/realtime?call_id={quote(call_id, safe='')}"
    now = asyncio.get_running_loop().time
    give_up_at = now() + (LOST_SECONDS if again else NOT_YET_SECONDS)
    for attempt in range(1_000):
        try:
            return Sideband(await open_socket(url, api_key))
        except SidebandError as error:
            pause = _PAUSES_SECONDS[min(attempt, len(_PAUSES_SECONDS) - 1)]
            final = error.status is not None and (again or error.status != 404) and error.status < 500
            if final or now() + pause > give_up_at:
                raise
            await asyncio.sleep(pause)
    raise AssertionError("unreachable: the loop ends by its time limit")


@cache
def _proxy(base_url: str) -> str | None:
    """Return the machine's proxy for an address. Asked once: for each call it would take a tenth of a millisecond."""
    return get_proxy(parse_uri(base_url))


async def open_socket(url: str, api_key: str) -> ClientConnection:
    """Open a socket of the service. Raises `SidebandError`."""
    try:
        return await connect(
            url,
            additional_headers={"Authorization": f"Bearer {api_key}"},
            user_agent_header="switchboard",
            compression=None,  # of 30 kB for a live call, compression would take 64 more
            open_timeout=OPEN_SECONDS,
            close_timeout=1.0,
            max_size=MAX_MESSAGE_BYTES,
            proxy=_proxy(url.partition("?")[0]),
        )
    except InvalidStatus as error:
        raise SidebandError("the service refused the socket", error.response.status_code) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise SidebandError(f"the service cannot be reached ({error or type(error).__name__})") from error
