"""The tools of a rehearsal: some give what the scenario says, and whatever else runs for real takes real time.

Decides nothing about the call; what a tool gives reaches the model as any result does.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runtime.cast import LOOKUP
from runtime.catalog import Catalog, assemble
from runtime.context import CallContext
from runtime.definition import Abilities, AgentDefinition, ToolDefinition
from runtime.errors import ToolError
from runtime.scenarios import Canned, Scenario
from runtime.simulator.clock import waiting_for_real

_NOWHERE = ["a-server-of-tools-that-is-down"]

Invoke = Callable[[CallContext, str], Awaitable[str]]
"""What a `ToolDefinition` is run by."""


def recast(catalogs: Sequence[Catalog], scenario: Scenario, *, is_scripted: bool) -> list[Catalog]:
    """Return catalogs with tools that give what the scenario says; whatever else runs for real takes real time.

    A tool that no agent declares comes from a server: agents with servers get it, and these are not asked then, nor
    where a scripted scenario has nothing to do with them.
    """
    cans = {name: _Can(given) for name, given in scenario.canned.items()}
    return [_recast(catalog, scenario, cans, is_scripted=is_scripted) for catalog in catalogs]


def _recast(catalog: Catalog, scenario: Scenario, cans: "Mapping[str, _Can]", *, is_scripted: bool) -> Catalog:
    known = {tool.name for agent in catalog.agents.values() for tool in agent.tools} | {LOOKUP}
    from_servers = {name: can for name, can in cans.items() if name not in known}
    needs_servers = not from_servers and (not is_scripted or not _named(scenario) <= known)

    def tool(tool: ToolDefinition) -> ToolDefinition:
        return _played(tool, cans.get(tool.name))

    def equipped(agent: AgentDefinition) -> AgentDefinition:
        abilities = agent.abilities
        offered = from_servers.items() if abilities.servers else ()
        tools = (*map(tool, abilities.tools), *(_offered(name, can, abilities.servers) for name, can in offered))
        lookup = abilities.lookup and _played(abilities.lookup, cans.get(LOOKUP))
        rules = tuple(_played(rule, None) for rule in abilities.rules)
        servers = abilities.servers if needs_servers else ()
        if "tools_unavailable" in scenario.down:
            servers = tuple({**server, "mcp": {"command": _NOWHERE}} for server in abilities.servers)
        return replace(agent, abilities=Abilities(tools, servers, lookup, rules))

    return assemble(map(equipped, catalog.agents.values()), catalog.revision)


def _named(scenario: Scenario) -> set[str]:
    """Return the tools that a scenario's model uses or should have, and what no agent declares where one is away."""
    used = {use.tool for turn in scenario.turns for response in turn.model for use in response.uses}
    expected = [each for turn in scenario.turns for each in turn.expect]
    listed = {each.wanted for each in expected if each.field == "receipt.tools"}
    away = {"" for each in expected if (each.field, each.wanted) == ("ended_by", "tools")}
    return used | listed | away


def _played(tool: ToolDefinition, can: "_Can | None") -> ToolDefinition:
    """Return a tool that gives what it is told to, or runs for real."""
    real = tool.invoke
    if real is None:
        return tool

    async def for_real(context: CallContext, arguments: str) -> str:
        with waiting_for_real():
            text: str = await real(context, arguments)
        return text

    return replace(tool, invoke=can.invoking(for_real) if can else for_real)


def _offered(name: str, can: "_Can", servers: Sequence[Mapping[str, Any]]) -> ToolDefinition:
    """Return a tool that only its server knows, with whatever arguments, and with what its entry says of it."""
    entry = next((server for server in servers if name in server.get("only", ())), servers[0])

    async def nowhere(context: CallContext, arguments: str) -> str:
        raise ToolError(f"The scenario says nothing that {name} gives.")

    return ToolDefinition(name, "", {"type": "object"}, {**entry, "name": name}, can.invoking(nowhere))


class _Can:
    """What one tool gives, use by use, over all agents of a call."""

    def __init__(self, given: Sequence[Canned]) -> None:
        self._given = deque(given)

    def invoking(self, real: Invoke) -> Invoke:
        """Return what takes the place of a tool's own way to its result."""

        async def invoke(context: CallContext, arguments: str) -> str:
            given = self._given.popleft() if len(self._given) > 1 else self._given[0]
            await asyncio.sleep(given.delay)
            if given.error:
                raise ToolError(given.error)
            return json.dumps(given.result, ensure_ascii=False) if given.given else await real(context, arguments)

        return invoke
