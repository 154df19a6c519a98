"""Rehearsals with the real service: one call's real settings, conversation and tools, in a session without a telephone.

The runner and the call are those of the host. The caller writes, or is a recording; time is real, and costs money.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from runtime import events as e
from runtime import keypad
from runtime.call import Outcome, State
from runtime.catalog import Catalog
from runtime.commands import Record
from runtime.definition import AgentDefinition
from runtime.errors import LiveError, TemplateError
from runtime.incoming import IncomingCall
from runtime.realtime.live import LiveLine
from runtime.realtime.mcp import McpServers
from runtime.receipt import Receipt
from runtime.roles import roles_for
from runtime.routing import NoMatch, route
from runtime.runner import Observer, Runner
from runtime.settings import Endpoint, live_endpoint, variable
from runtime.sound import SAMPLES_A_SECOND, samples

PATIENCE_SECONDS = 30.0  # without a sign of the service while an answer is due, or a tool runs
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Used:
    """A tool that the model used: arguments as it wrote them, and the result, None when none came in this turn."""

    tool: str
    arguments: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """What followed one deed of the caller, until the agent was done.

    `milliseconds` is the time from the caller's last word to its first, None when it said none. `agent` has the caller
    at the end; `outcome` is `""` while the call goes on. Not `finished`: it was still to say or do something, and
    nothing came.
    """

    agent: str
    said: tuple[str, ...] = ()
    used: tuple[Used, ...] = ()
    handoffs: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    milliseconds: float | None = None
    outcome: str = ""
    finished: bool = True
    receipt: Receipt = field(default_factory=Receipt)


class LiveCall:
    """One call in progress. Made by `ring`; `close` it whatever happens."""

    def __init__(self, endpoint: Endpoint, observers: tuple[Observer, ...] = ()) -> None:
        self.reason = ""
        self._endpoint = endpoint
        self._observers = observers
        self._servers = McpServers(variable)
        self._line = LiveLine(endpoint.base_url, endpoint.api_key)
        self._runner = Runner(self._line, self._line.open, (self._observe,))
        self._task: asyncio.Task[Outcome] | None = None
        self._stands = asyncio.Event()
        self._agent = ""
        self._deed_at = 0.0
        self._records: list[tuple[float, Record]] = []

    @classmethod
    async def ring(
        cls, endpoint: Endpoint, catalog: Catalog, call: IncomingCall, observers: tuple[Observer, ...] = ()
    ) -> "LiveCall":
        """Open a session for the agent that answers a call. Raises `LiveError` when the service does not take it."""
        made = cls(endpoint, observers)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(made.close)
            await made._begin(catalog, call)
            opened.pop_all()
        return made

    async def _begin(self, catalog: Catalog, call: IncomingCall) -> None:
        match = route(catalog, call)
        if isinstance(match, NoMatch):
            raise LiveError(f"no agent answers {match.called or 'a call without a called number'}")
        team = await self._equipped(catalog, match.agent, call.id)
        match = replace(match, agent=team[match.agent.name])
        try:
            arrival = e.CallArrived(call, match, roles_for(match.agent, call, team))
        except TemplateError as error:
            raise LiveError(f"a template of {match.agent.name} failed: {error}", error.cure) from error
        tools = [tool for agent in team.values() for tool in agent.tools]
        self._line.await_caller = {tool.name for tool in tools if tool.use in ("keypad", "wait")}
        self._agent = match.agent.name
        self._deed_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._runner.run(arrival), name=f"live call {call.id}")
        self._task.add_done_callback(lambda done: self._stands.set())
        await self._stands.wait()
        if self._runner.call.state is State.ENDED:
            cure = f"What it is told: switchboard show {match.agent.name} --accept"
            raise LiveError(f"the service did not take the session ({self.reason or self.outcome})", cure)

    async def _equipped(self, catalog: Catalog, agent: AgentDefinition, call_id: str) -> dict[str, AgentDefinition]:
        """Return the agents of the call, with the tools that their servers offer."""
        team = dict(catalog.team(agent))
        if any(member.abilities.servers for member in team.values()):
            self._servers.follow(catalog)
            await self._servers.tried()
        return {name: one.with_tools(self._servers.tools_of(one, call_id).tools) for name, one in team.items()}

    # ── the caller ────────────────────────────────────────────────────────────────────────────────────────

    async def greeted(self) -> LiveTurn:
        """Wait for the greeting: what happened before the caller did anything."""
        return await self._played()

    async def say(self, text: str) -> LiveTurn:
        """Let the caller say something, in writing."""
        return await self._after(self._line.say(text))

    async def play(self, recording: bytes, file: str) -> LiveTurn:
        """Let the caller be heard with the contents of a WAV file. Raises `LiveError` for one of another form."""
        sound = samples(recording, file)
        return await self._after(self._line.play(sound), len(sound) / 2 / SAMPLES_A_SECOND)

    async def press(self, keys: str) -> LiveTurn:
        """Let the caller press keys."""

        async def work() -> None:
            self._line.press(keys)
            await asyncio.sleep(keypad.GATHER_SECONDS)  # keys that no tool waits for are told together

        return await self._after(work())

    async def stay_silent(self, seconds: float) -> LiveTurn:
        """Let the caller say nothing for a while, in real seconds."""
        return await self._after(asyncio.sleep(seconds))

    async def close(self) -> Outcome:
        """Hang up for the caller, if the call is not over, and release everything. Return how the call ended."""
        await self._line.leave()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._servers.close()
        return Outcome(self.outcome or Outcome.FAILED)

    @property
    def outcome(self) -> str:
        """How the call ended, `""` while it goes on. A session that the service broke off was not hung up."""
        ended = self._runner.call.outcome
        if ended is Outcome.CALLER_HUNG_UP and self._line.ended_by == "service":
            return Outcome.CONNECTION_LOST.value
        return ended.value if ended else ""

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────

    def _observe(self, runner: Runner, record: Record) -> None:
        self._records.append((asyncio.get_running_loop().time(), record))
        if record.what in ("hanging up", "ended"):
            lost = f"the service closed it: {self._line.close_code} {self._line.close_reason}".strip()
            told = record.fields.get("reason") or (lost if self._line.ended_by == "service" else "")
            self.reason = self.reason or str(told)
        if runner.call.state is State.ACTIVE:
            self._stands.set()
        for observer in self._observers:
            observer(runner, record)

    async def _after(self, deed: Awaitable[None], takes_seconds: float = 0.0) -> LiveTurn:
        self._records.clear()
        self._deed_at = asyncio.get_running_loop().time() + takes_seconds
        await deed
        return await self._played()

    async def _played(self) -> LiveTurn:
        finished = await self._line.settled(PATIENCE_SECONDS)
        if self._line.over and self._task is not None:
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        handoffs = tuple(str(each.fields["agent"]) for each in self._told("handed off"))
        self._agent = handoffs[-1] if handoffs else self._agent
        audible = [at for at, record in self._records if record.what == "audible"]
        return LiveTurn(
            agent=self._agent,
            said=tuple(str(each.private["text"]) for each in self._told("agent said", "greeting")),
            used=self._used(),
            handoffs=handoffs,
            transfers=tuple(str(each.fields["destination"]) for each in self._told("transferring")),
            milliseconds=1000 * (audible[0] - self._deed_at) if audible else None,
            outcome=self.outcome,
            finished=finished,
            receipt=self._runner.call.receipt,
        )

    def _told(self, *kinds: str) -> list[Record]:
        return [record for _, record in self._records if record.what in kinds]

    def _used(self) -> tuple[Used, ...]:
        """Return the tools of this turn. A tool that is called twice gets its results in their order."""
        used: list[Used] = []
        for record in self._told("tool called", "tool finished"):
            name = str(record.fields["tool"])
            if record.what == "tool called":
                used.append(Used(name, str(record.private["arguments"])))
                continue
            places = [place for place, one in enumerate(used) if one.tool == name and one.result is None]
            if places:
                used[places[0]] = replace(used[places[0]], result=str(record.private["result"]))
        return tuple(used)


class Live:
    """The real service, for rehearsals. Made by `live_for`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def ring(self, catalog: Catalog, call: IncomingCall, observers: tuple[Observer, ...] = ()) -> LiveCall:
        """Open a session for the agent that answers a call. Raises `LiveError` when the service does not take it."""
        return await LiveCall.ring(self._endpoint, catalog, call, observers)


def live_for(environment: Mapping[str, str] | None = None) -> Live:
    """Return what `--live` plays with; without `environment`, out of the process's. Raises `SettingsError`."""
    return Live(live_endpoint() if environment is None else live_endpoint(environment))
