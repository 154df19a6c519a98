"""One reader for the entries of `tools:` that are an agent's own: a Python function, or an address on the web.

Neither the SDK nor the HTTP client is imported before an entry needs it: that takes seconds, and a tenth of one.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runtime.definition import ToolDefinition
from runtime.hosts import Hosts
from runtime.settings import http_hosts, tool_packages, variable

if TYPE_CHECKING:
    from runtime.http_tools import HttpTools
    from runtime.modules import Imports


class Tools:
    """Reads tools as this machine's environment allows them. Raises `SettingsError` for an environment that is wrong.

    While `serving`, what calls would miss is a problem of the agent: a secret that is not set, a host that may not
    be called. `kept_open` belongs into the background of a host whose calls use the tools.
    """

    def __init__(self, *, serving: bool = False) -> None:
        self._packages = tool_packages()
        self._hosts = Hosts(http_hosts())
        self._serving = serving

    def read(self, written: Mapping[str, Any]) -> ToolDefinition:
        """Make a tool out of one complete entry with a name. Raises `EntrypointError`."""
        if "http" in written:
            return self._http.read(written)
        return self.imports.read_tool(written)

    def _function(self, written: Mapping[str, Any]) -> ToolDefinition:
        from runtime.realtime.tools import read_tool

        return read_tool(written, self._packages)

    async def kept_open(self) -> None:
        """Keep the connections of this event loop until cancelled, and close them then."""
        import asyncio

        try:
            await asyncio.Event().wait()
        finally:
            if "_http" in vars(self):
                await self._http.close()

    @cached_property
    def imports(self) -> "Imports":
        """What imports the modules of functions: it knows which imports have not ended."""
        from runtime.modules import Imports

        return Imports(self._function)

    @cached_property
    def _http(self) -> "HttpTools":
        from runtime.http_tools import HttpTools

        return HttpTools(self._hosts, variable, serving=self._serving)
