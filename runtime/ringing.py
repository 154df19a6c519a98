"""Who is rung for a call on this machine, and the host and the service that it is made with."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from typing import Any, Protocol

from runtime.admission import Admission
from runtime.catalog import Catalog
from runtime.current import Current, now
from runtime.definition import AgentDefinition, Rule
from runtime.errors import SettingsError
from runtime.host import Host
from runtime.incoming import incoming_call
from runtime.realtime.live import LiveCall, LiveService
from runtime.realtime.model import Gates
from runtime.realtime.telephone import Telephone
from runtime.routing import Match, route
from runtime.runner import Line, Observer, Witness
from runtime.settings import DEFAULT_BASE_URL, Endpoint, Settings
from runtime.simulator.service import Service, SimulatedCall, serving
from runtime.simulator.webhook import incoming

Background = Sequence[Callable[[], Coroutine[Any, Any, None]]]

CALLERS = ("+15557654321", "+493012345678", "+447700900123")
"""Who rings; some rules turn some callers to other agents."""

_BEGINNINGS = ("+1555", "+49", "+44", "+33", "+81", "+61")  # of numbers that only a rule for all may answer
_TRIES = 200  # numbers below one beginning: other agents may answer many of them
_DIGITS = 11
_KEY = "key-of-the-simulator"


@dataclass(frozen=True, slots=True)
class Ringing:
    """A call that the routing gives to this agent and to no other."""

    agent: AgentDefinition
    called: str
    caller: str
    headers: tuple[tuple[str, str], ...] = ()


def ringing_for(
    catalog: Catalog, name: str | None, caller: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> Ringing:
    """Return a call to the named agent, or to front-desk, or to the first that can be rung. Raises `SettingsError`.

    `caller` rings, where it is given; `headers` are the call's own, and those that a rule asks for are added.
    """
    if name is not None:
        agent = catalog.agents[name]
        if not agent.answers:
            cure = 'Give it a rule, such as answers: ["+15550100042"], or name another agent.'
            raise SettingsError(f"'{name}'", "answers no number", cure)
        if ringing := _reaching(catalog, agent, caller, headers):
            return ringing
        cure = "See why with 'switchboard who-answers', or name another agent."
        why = "it is outside of its hours, or " if any(rule.opening.conditions for rule in agent.answers) else ""
        why += "its rules fit no such caller or header, or " if caller or headers else ""
        raise SettingsError(f"'{name}'", f"cannot be rung: {why}other agents take the calls that its rules fit", cure)
    for agent in sorted(catalog.agents.values(), key=lambda agent: agent.name != "front-desk"):
        if ringing := _reaching(catalog, agent, caller, headers):
            return ringing
    raise SettingsError("the catalog", "has no agent that answers a number", 'Give one a rule: answers: ["*"]')


def _reaching(
    catalog: Catalog, agent: AgentDefinition, caller: str, headers: tuple[tuple[str, str], ...]
) -> Ringing | None:
    """Return a call that reaches the agent, found by asking the routing; by its plainest rule where it can be."""
    for rule in sorted(agent.answers, key=lambda rule: rule.conditions):
        for ringing in _attempts(agent, rule, caller, headers):
            if _reaches(catalog, ringing):
                return ringing
    return None


def _attempts(
    agent: AgentDefinition, rule: Rule, caller: str, headers: tuple[tuple[str, str], ...]
) -> Iterator[Ringing]:
    known = {name.lower() for name, _ in headers}
    wanted = [(name, value.removesuffix("*") or "demo") for name, value in rule.headers if name.lower() not in known]
    callers = [number for pattern in rule.caller for number in islice(_numbers(pattern), 3)] or CALLERS
    for called, ringer in product(_numbers(rule.called), [caller] if caller else callers):
        yield Ringing(agent, called, ringer, (*headers, *wanted))


def _numbers(pattern: str) -> Iterator[str]:
    """Yield numbers that a pattern fits, spread over all that it fits."""
    if not pattern.endswith("*"):
        yield pattern
        return
    beginnings = _BEGINNINGS if pattern == "*" else (pattern.removesuffix("*"),)
    for number, beginning in product(range(_TRIES), beginnings):
        room = max(1, 1 + _DIGITS - len(beginning))
        if number < 10**room:
            yield f"{beginning}{number * 7919 % 10**room:0{room}}"


def _reaches(catalog: Catalog, ringing: Ringing) -> bool:
    told = incoming("rtc_demo", ringing.called, ringing.caller, created_at=0, extra_headers=ringing.headers)
    headers = [(header["name"], header["value"]) for header in told["data"]["sip_headers"]]
    found = route(catalog, incoming_call("rtc_demo", headers, datetime.now().astimezone()))
    return isinstance(found, Match) and found.agent is ringing.agent


class Hands(Protocol):
    """One call from its caller's side: what the caller does, and what of the agent is heard."""

    ended: asyncio.Event
    heard: int
    """How often the agent came to an end."""

    @property
    def quiet(self) -> bool:
        """Whether nothing is being said, or about to be."""

    @property
    def audible(self) -> bool:
        """Whether the agent is speaking."""

    @property
    def owes_answer(self) -> bool:
        """Whether a tool was called, and nothing was said since."""

    @property
    def session(self) -> Mapping[str, Any]:
        """The session as the service holds it."""

    async def says(self, text: str, /) -> None: ...
    async def presses(self, keys: str, /) -> None: ...
    async def stays_silent(self, seconds: float, /) -> None: ...
    def hangs_up(self) -> None: ...

    async def moved(self, until: float | None, /) -> None:
        """Wait until anything happens, at most until a time of the loop's clock."""


Call = SimulatedCall | LiveCall

Heard = Callable[[str, Mapping[str, Any]], None]
"""Told of each `server_event` and `client_event`, and of what the caller says: `turn`."""


@dataclass(frozen=True, slots=True)
class Loopback:
    """A host on loopback with the service that carries its calls: the simulator, or `live` the real one."""

    host: Host
    webhook: str
    secret: str
    service: Service
    live: LiveService | None = None

    def new_call(self, called: str, caller: str, heard: Heard) -> Call:
        """Return a caller who dials, and let somebody hear this call."""
        carrier = self.live or self.service
        made = carrier.new_call(called=called, caller=caller)
        carrier.observe(lambda call, what, fields: heard(what, fields) if call is made else None)
        return made

    async def ring(self, call: Call, headers: Sequence[tuple[str, str]] = (), at: int | None = None) -> None:
        """Let a call ring at the host. It comes now, or came `at` a Unix time."""
        if isinstance(call, SimulatedCall):
            await self.service.ring(call, self.webhook, self.secret, extra_headers=headers, at=at)
            return
        created_at = int(time.time()) if at is None else at
        told = incoming(call.call_id, call.called, call.caller, created_at=created_at, extra_headers=headers)
        await self.service.deliver(told, self.webhook, self.secret, webhook_id=f"wh_{call.call_id}")


@asynccontextmanager
async def loopback(
    catalog: Catalog,
    observer: Observer,
    background: Background = (),
    *,
    live: Endpoint | None = None,
    clock: Callable[[], datetime] = now,
    admission: Admission | None = None,
    gates: Gates | None = None,
    witness: Witness | None = None,
    through: Callable[[Line], Line] = lambda line: line,
    **service: Any,
) -> AsyncIterator[Loopback]:
    """Serve the catalog for the block, to a simulator, or to the real service at an endpoint.

    `clock`, `admission`, `gates` and `witness` are the host's, and its calls pass `through` what is given. `service`
    are the simulator's own settings.
    """
    secret = f"whsec_{secrets.token_hex(16)}"
    async with AsyncExitStack() as opened:
        simulator = Service(api_key=_KEY, **service)
        opened.push_async_callback(simulator.aclose)
        address, calls = DEFAULT_BASE_URL, None
        if live is not None:
            calls = LiveService(live.base_url, live.api_key)
        else:
            address = f"{await opened.enter_async_context(serving(simulator.app))}/v1"
        settings = Settings(_KEY, (secret,), address, address.replace("http", "ws", 1))
        line = through(calls or Telephone(_KEY, settings.base_url, settings.websocket_base_url))
        host = Host(
            Current(catalog),
            settings,
            (observer,),
            background=background,
            clock=clock,
            admission=admission,
            gates=gates,
            witness=witness,
            line=line,
        )
        url = await opened.enter_async_context(serving(host.app))
        yield Loopback(host, f"{url}/openai/webhook", secret, simulator, calls)
