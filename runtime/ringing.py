"""Who is rung for a call on this machine, and the host and the simulator that it is made with."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from typing import Any

from runtime.catalog import Catalog
from runtime.current import Current
from runtime.definition import AgentDefinition, Rule
from runtime.errors import SettingsError
from runtime.host import Host
from runtime.incoming import incoming_call
from runtime.routing import Match, route
from runtime.runner import Observer
from runtime.settings import Settings
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


def ringing_for(catalog: Catalog, name: str | None) -> Ringing:
    """Return a call to the named agent, or to front-desk, or to the first that can be rung. Raises `SettingsError`."""
    if name is not None:
        agent = catalog.agents[name]
        if not agent.answers:
            cure = 'Give it a rule, such as answers: ["+15550100042"], or name another agent.'
            raise SettingsError(f"'{name}'", "answers no number", cure)
        if ringing := _reaching(catalog, agent):
            return ringing
        cure = "See why with 'switchboard who-answers', or name another agent."
        why = "it is outside of its hours, or " if any(rule.opening.conditions for rule in agent.answers) else ""
        raise SettingsError(f"'{name}'", f"cannot be rung: {why}other agents take the calls that its rules fit", cure)
    for agent in sorted(catalog.agents.values(), key=lambda agent: agent.name != "front-desk"):
        if ringing := _reaching(catalog, agent):
            return ringing
    raise SettingsError("the catalog", "has no agent that answers a number", 'Give one a rule: answers: ["*"]')


def _reaching(catalog: Catalog, agent: AgentDefinition) -> Ringing | None:
    """Return a call that reaches the agent, found by asking the routing; by its plainest rule where it can be."""
    for rule in sorted(agent.answers, key=lambda rule: rule.conditions):
        for ringing in _attempts(agent, rule):
            if _reaches(catalog, ringing):
                return ringing
    return None


def _attempts(agent: AgentDefinition, rule: Rule) -> Iterator[Ringing]:
    headers = tuple((name, value.removesuffix("*") or "demo") for name, value in rule.headers)
    callers = [number for pattern in rule.caller for number in islice(_numbers(pattern), 3)] or CALLERS
    for called, caller in product(_numbers(rule.called), callers):
        yield Ringing(agent, called, caller, headers)


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


@dataclass(frozen=True, slots=True)
class Loopback:
    """A host and a simulator on loopback."""

    service: Service
    webhook: str
    secret: str

    async def ring(self, call: SimulatedCall, headers: Sequence[tuple[str, str]] = ()) -> int:
        """Let a call ring at the host, and return the status that its webhook got."""
        return await self.service.ring(call, self.webhook, self.secret, extra_headers=headers)


@asynccontextmanager
async def loopback(
    catalog: Catalog, observer: Observer, background: Background = (), **service: Any
) -> AsyncIterator[Loopback]:
    """Serve the catalog to a simulator, for the block. `service` are the simulator's own settings."""
    secret = f"whsec_{secrets.token_hex(16)}"
    simulator = Service(api_key=_KEY, **service)
    async with serving(simulator.app) as address:
        settings = Settings(_KEY, (secret,), f"{address}/v1", f"{address.replace('http', 'ws')}/v1")
        host = Host(Current(catalog), settings, observers=(observer,), background=background)
        async with serving(host.app) as url:
            yield Loopback(simulator, f"{url}/openai/webhook", secret)
