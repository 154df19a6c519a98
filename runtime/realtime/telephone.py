"""The phone service of one project: its Calls API, and the sideband of each call. Decides nothing."""

from runtime.realtime import sideband
from runtime.realtime.control import CallControl


class Telephone(CallControl):
    """Where the calls of a host come from and are steered."""

    def __init__(self, api_key: str, base_url: str, websocket_base_url: str) -> None:
        super().__init__(api_key, base_url)
        self._url, self._key = websocket_base_url, api_key

    async def open(self, call_id: str, again: bool) -> sideband.Sideband:
        """Open the sideband of an accepted call, or of one that lost it. Raises `SidebandError`."""
        return await sideband.attach(self._url, self._key, call_id, again=again)
