"""Servers of tools that speak the Model Context Protocol: connected when a catalog is loaded, never during a call.

Each distinct server has one connection for all agents and calls, kept by one task: the SDK's scopes must be left in
the task that entered them. A server that is away, or dies, is tried again with growing pauses. What is told of a server
never holds its headers.
"""

import asyncio
import json
import logging
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from mcp import ClientSession, MCPError

from agents import UserError
from runtime import threads
from runtime.catalog import Catalog
from runtime.context import CallContext
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.errors import SettingsError, ToolError
from runtime.realtime.tools import contained

logger = logging.getLogger(__name__)

READY_SECONDS = 5.0  # how long a host waits at its start for servers before it takes calls without them
ANSWER_SECONDS = 10.0  # for the handshake and for the list of tools; a program may import for seconds first
CALL_SECONDS = 660.0  # longer than the longest timeout_seconds, which ends a tool first
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 15.0  # how often a quiet server is asked for its tools: one that died, or has others, is noticed
CLOSE_SECONDS = 6.0  # a program has 2 s to leave by itself, 2 s after being told to, and is then ended
MAX_PAGES = 100

_INVALID_PARAMS = -32602  # JSON-RPC 2.0, section 5.1: the arguments are at fault, and the model can correct them
_PYTHONS = {"python": sys.executable, "python3": sys.executable}  # the host's own, with or without its environment

Secret = Callable[[str], str | None]
"""Returns the secret of a name, or None where it is not set."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What an agent's servers offer a call now: their tools, and the names of those that are away."""

    tools: tuple[ToolDefinition, ...] = ()
    away: tuple[str, ...] = ()


class _Offer(NamedTuple):
    """A tool as its server lists it; `fitted` is the name that the service takes."""

    name: str
    fitted: str
    description: str
    parameters: Mapping[str, Any]


_Offers = tuple[_Offer, ...] | None
"""What a server lists; None while it is away. The same tuple as long as the list is the same."""


@dataclass(slots=True)
class _Made:
    """The tools that were made for an agent, and of which lists."""

    lists: list[_Offers]
    tools: Tools


class McpServers:
    """The servers of a catalog's agents. Belongs to the host; all its methods are for the host's event loop."""

    def __init__(
        self,
        secret: Secret,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self._secret = secret
        self._first_pause = first_pause_seconds
        self._look_again = look_again_seconds
        self._servers: dict[str, _Server] = {}
        self._wanted: frozenset[str] = frozenset()
        self._calls: dict[str, set[str]] = {}
        self._made: WeakKeyDictionary[AgentDefinition, _Made] = WeakKeyDictionary()
        self._tasks: dict[_Server, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()
        self._closed = False

    def follow(self, catalog: Catalog) -> None:
        """Connect to the servers of a catalog, and leave those that neither it nor a live call uses."""
        if self._closed:
            return
        entries = [entry for agent in catalog.agents.values() for entry in agent.abilities.servers]
        self._wanted = frozenset(_key(entry) for entry in entries)
        for entry in entries:
            self._server(entry)
        self._leave_unused()

    async def tried(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every server is there or was found away, for so many seconds at most; and tell which are away."""
        try:
            async with asyncio.timeout(seconds):
                while not all(server.tried for server in self._servers.values()):
                    await self.moved()
        except TimeoutError:
            for server in self._servers.values():
                server.tell_if_late()

    async def moved(self) -> None:
        """Wait until a server comes, goes, or lists other tools."""
        await self._moved.wait()

    def tools_of(self, agent: AgentDefinition, call_id: str) -> Tools:
        """Return what the agent's servers offer a call that begins. They stay until the call is forgotten.

        A tool whose name another tool of the agent has already is left out, and that is told, once for each list.
        """
        servers = [(entry, self._server(entry)) for entry in agent.abilities.servers]
        if not servers:
            return Tools()
        self._calls.setdefault(call_id, set()).update(server.key for _, server in servers)
        lists = [server.offers for _, server in servers]
        made = self._made.get(agent)
        if made is None or any(old is not new for old, new in zip(made.lists, lists, strict=True)):
            made = self._made[agent] = _Made(lists, _tools(agent, servers))
        return made.tools

    def forget(self, call_id: str) -> None:
        """Take note that a call has ended."""
        if self._calls.pop(call_id, None):
            self._leave_unused()

    def as_data(self) -> list[dict[str, Any]]:
        """Return each server's name, whether it is connected, its tools and why it is away, for JSON."""
        return [server.as_data() for server in self._servers.values()]

    async def close(self) -> None:
        """Leave all servers, end the programs that were started for them, and connect to none any more."""
        self._closed = True
        self._wanted, self._calls = frozenset(), {}
        self._leave_unused()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=CLOSE_SECONDS)

    def _server(self, entry: Mapping[str, Any]) -> "_Server":
        """Return the server of an entry of `tools:`. One that is not known yet begins to connect."""
        key = _key(entry)
        server = self._servers.get(key)
        if server is None:
            server = _Server(key, self._secret, self._tell_moved, self._first_pause, self._look_again)
            self._servers[key] = server
            task = self._tasks[server] = asyncio.create_task(server.run(), name=f"tools of {server.name}")
            task.add_done_callback(lambda _: self._tasks.pop(server))
        return server

    def _leave_unused(self) -> None:
        used = self._wanted.union(*self._calls.values())
        for key in [key for key in self._servers if key not in used]:
            server = self._servers.pop(key)
            if task := self._tasks.get(server):
                task.cancel()

    def _tell_moved(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def _key(entry: Mapping[str, Any]) -> str:
    """Return what makes a server the same for several agents: all of `mcp:`, and nothing beside it."""
    return json.dumps(entry["mcp"], sort_keys=True)


def _tools(agent: AgentDefinition, servers: "Sequence[tuple[Mapping[str, Any], _Server]]") -> Tools:
    tools: list[ToolDefinition] = []
    taken = {tool.name for tool in agent.tools}
    for entry, server in servers:
        fields = {"agent": agent.name, "server": server.name}
        offers = server.offers or ()
        missing = set(entry.get("only", ())) - {offer.name for offer in offers}
        if missing and server.offers is not None:
            logger.warning("a server does not have the tools that an agent names", extra={**fields, "only": [*missing]})
        for offer in offers:
            if "only" in entry and offer.name not in entry["only"]:
                continue
            if offer.fitted in taken:  # two of a name, and the service refuses the call
                logger.error("a tool of a server is left out: its name is taken", extra={**fields, "tool": offer.name})
                continue
            taken.add(offer.fitted)
            tools.append(server.tool(offer, entry))
    return Tools(tuple(tools), tuple(server.name for _, server in servers if server.offers is None))


class _Server:
    """One server, and the connection to it while there is one."""

    def __init__(
        self, key: str, secret: Secret, moved: Callable[[], None], first_pause: float, look_again: float
    ) -> None:
        self.key = key
        self.offers: _Offers = None
        self.tried = False
        self._mcp: Mapping[str, Any] = json.loads(key)
        self.name = _shown(self._mcp)
        self._secret = secret
        self._tell_moved = moved
        self._first_pause = self._pause = first_pause
        self._look_again = look_again
        self._look = asyncio.Event()
        self._session: ClientSession | None = None
        self._running = 0
        self._why_away = ""

    def as_data(self) -> dict[str, Any]:
        """Return the server's state for JSON."""
        state = {"name": self.name, "connected": self.offers is not None}
        return {**state, "tools": [offer.name for offer in self.offers or ()], "reason": self._why_away}

    def tell_if_late(self) -> None:
        """Tell of a server that has not answered yet, without giving it up."""
        if not self.tried:
            self._is_away("it has not answered yet")

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                async with self._connection() as connection:
                    await self._stay(connection)
            except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:
                # The SDK, its transports and a foreign server raise many kinds; and a scope inside the SDK that is
                # cancelled passes for this task's own end.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                reason = _reason(error)
            self._is_away(reason)
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    async def _stay(self, connection: MCPServerStdio | MCPServerStreamableHttp) -> None:
        """List the tools again and again; raise when the server does not answer any more."""
        self._has_come(connection, await self._listed(connection))
        while True:
            await self._until_next_look()
            self._has_come(connection, await self._listed(connection))
            self._pause = self._first_pause  # only one that stays is tried again at once when it goes

    async def _listed(self, connection: MCPServerStdio | MCPServerStreamableHttp) -> tuple[_Offer, ...]:
        self._look.clear()
        with threads.elsewhere():
            tools = await connection.list_tools()
        made = [MCPUtil.to_function_tool(tool, connection, False) for tool in tools]
        return tuple(_Offer(one.name, _fitted(one.name), one.description, one.params_json_schema) for one in made)

    async def _until_next_look(self) -> None:
        """Wait until it is time, or a tool broke. A server that is busy with a tool may be slow and is let alone."""
        while True:
            try:
                async with asyncio.timeout(self._look_again):
                    await self._look.wait()
                return
            except TimeoutError:
                if not self._running:
                    return

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[MCPServerStdio | MCPServerStreamableHttp]:
        connection = self._made()
        try:
            with threads.elsewhere():
                await connection.connect()  # type: ignore[no-untyped-call]
            yield connection
        finally:
            self._session = None
            with threads.elsewhere():
                await connection.cleanup()  # type: ignore[no-untyped-call]

    def _made(self) -> MCPServerStdio | MCPServerStreamableHttp:
        if "url" in self._mcp:
            headers = {name: self._header(name, value) for name, value in self._mcp.get("headers", {}).items()}
            return MCPServerStreamableHttp(
                {"url": self._mcp["url"], "headers": headers, "sse_read_timeout": CALL_SECONDS},
                name=self.name,
                client_session_timeout_seconds=ANSWER_SECONDS,
                max_list_pages=MAX_PAGES,
            )
        program, *arguments = self._mcp["command"]
        return MCPServerStdio(
            {"command": _PYTHONS.get(program, program), "args": arguments},
            name=self.name,
            client_session_timeout_seconds=ANSWER_SECONDS,
            max_list_pages=MAX_PAGES,
        )

    def _header(self, name: str, value: str | Mapping[str, str]) -> str:
        """Return a header's value. Raises `SettingsError`, which never shows it."""
        if isinstance(value, str):
            source, text = name, value
        else:
            source, text = value["env"], self._secret(value["env"]) or ""
            if not text:
                raise SettingsError(source, "is not set", "Set it in the environment of the host, and start it again.")
        if not (text.isascii() and text.isprintable()):
            raise SettingsError(source, "holds a character that no header can carry", "Copy it again, whole and alone.")
        return text

    # ── coming and going ──────────────────────────────────────────────────────────────────────────────────

    def _has_come(self, connection: MCPServerStdio | MCPServerStreamableHttp, offers: tuple[_Offer, ...]) -> None:
        self._session, self.tried, self._why_away = connection.session, True, ""
        if offers != self.offers:
            self.offers = offers
            fields = {"server": self.name, "tools": [offer.name for offer in offers]}
            logger.info("a server of tools is there", extra=fields)
            self._tell_moved()

    def _is_away(self, reason: str) -> None:
        news = not self.tried or self.offers is not None or reason != self._why_away
        self.offers, self.tried, self._why_away = None, True, reason
        if news:
            logger.warning("a server of tools is away", extra={"server": self.name, "reason": reason})
            self._tell_moved()

    # ── its tools ─────────────────────────────────────────────────────────────────────────────────────────

    def tool(self, offer: _Offer, entry: Mapping[str, Any]) -> ToolDefinition:
        """Return one of its tools, as an agent that names the server in an entry of `tools:` has it."""

        async def invoke(context: CallContext, arguments: str) -> str:
            """Call the tool with the model's arguments, and return what it said as text."""
            return await self._call(offer.name, arguments)

        written = {**entry, "name": offer.fitted}
        return ToolDefinition(offer.fitted, offer.description, offer.parameters, written, invoke)

    async def _call(self, name: str, arguments: str) -> str:
        """Call a tool. Raises `ToolError` with the server's words for the model, `ConnectionError` without any."""
        values = _arguments(arguments)
        session = self._session
        if session is None:
            raise ConnectionError("the server is away")
        self._running += 1
        try:
            # The session, and not the SDK's `call_tool` over it: that one sends one request at a time over HTTP, so
            # that every call of this host would wait for the slowest tool of any other.
            with threads.elsewhere():
                result = await contained(session.call_tool(name, values, read_timeout_seconds=CALL_SECONDS))
        except MCPError as error:
            if error.code == _INVALID_PARAMS:
                raise ToolError(f"The arguments do not fit. {error.message}") from error
            self._look.set()
            raise ConnectionError("the server did not answer") from error
        except ToolError:
            self._look.set()
            raise
        except Exception as error:
            self._look.set()
            raise ConnectionError("the connection broke") from error
        finally:
            self._running -= 1
        said = _said(result.content, result.structured_content)
        if result.is_error:
            raise ToolError(said or "The tool failed.")
        return said


def _arguments(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise ToolError("The arguments are no JSON.") from error
    if not isinstance(values, dict):
        raise ToolError("The arguments are no JSON object.")
    return values


def _said(content: Iterable[Any], structured: Any) -> str:
    """Return a result as text. What is no text, such as an image, is of no use on the telephone and only named."""
    parts: list[str] = []
    for item in content:
        match item.type:
            case "text":
                parts.append(item.text)
            case "resource" if hasattr(item.resource, "text"):
                parts.append(item.resource.text)
            case "resource_link":
                parts.append(f"{item.name}: {item.uri}")
            case kind:
                parts.append(f"(There is also something that cannot be told: {kind}.)")
    if not parts and structured is not None:
        return json.dumps(structured, ensure_ascii=False)
    return "\n".join(parts)


def _fitted(name: str) -> str:
    """Return a tool's name with the signs and the length that the service takes."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _shown(mcp: Mapping[str, Any]) -> str:
    """Return a server's name for people: its command, or its address without what may be secret in it."""
    if "url" not in mcp:
        return shlex.join(mcp["command"])
    return str(re.split("[?#]", mcp["url"])[0])


def _reason(error: BaseException) -> str:
    """Say why a server is away, with nothing of what was sent to it."""
    match error:
        case BaseExceptionGroup():
            return _reason(error.exceptions[0])
        case SettingsError():
            return str(error)
        case UserError():  # the SDK's own, which names the server first and holds no header
            return str(error).rpartition("': ")[2][:200]
        case MCPError():
            return error.message[:200]
        case FileNotFoundError() | PermissionError():
            return f"its program cannot be started ({error.strerror})"
        case asyncio.CancelledError():
            return "the connection broke"
        case _:
            return type(error).__name__
