"""Who an agent is in one call: its session settings and its conduct, and those of everyone it can hand over to. Pure.

The first agent's voice, model and tracing hold for the whole call: the service cannot change them (protocol 2.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runtime.conduct import Conduct, conduct_for
from runtime.definition import AgentDefinition
from runtime.incoming import IncomingCall
from runtime.session import SessionSettings, settings_for


@dataclass(frozen=True, slots=True)
class Role:
    """One agent in one call."""

    agent: AgentDefinition
    settings: SessionSettings
    conduct: Conduct


Roles = Mapping[str, Role]
"""The roles of a call by the agents' names; the first is who takes it."""


def roles_for(
    agent: AgentDefinition,
    call: IncomingCall,
    team: Mapping[str, AgentDefinition] | None = None,
    found: Mapping[str, Any] | None = None,
) -> Roles:
    """Return the roles of an agent and its team in a call. Raises `TemplateError`.

    `found` is what the first agent's lookup found: variables for every template of the call.
    """
    looked_up = {**(agent.data["lookup"] or {}).get("defaults", {}), **(found or {})}
    first = _role(agent, call, looked_up)
    others = [member for name, member in (team or {}).items() if name != agent.name]
    return {agent.name: first} | {other.name: _after(first, _role(other, call, looked_up)) for other in others}


def _role(agent: AgentDefinition, call: IncomingCall, found: Mapping[str, Any]) -> Role:
    names = {**agent.names(call), **found}
    return Role(agent, settings_for(agent, call, names), conduct_for(agent, names))


def _after(first: Role, other: Role) -> Role:
    """Return the role of an agent that takes over: what the service cannot change is the first one's."""
    fixed = first.settings.session
    session = {**other.settings.session, "model": fixed["model"]}
    session["audio"] = {**session["audio"], "output": fixed["audio"]["output"]}
    session.pop("tracing", None)
    if "tracing" in fixed:
        session["tracing"] = fixed["tracing"]
    settings = replace(other.settings, session=session, tracing_is_late=first.settings.tracing_is_late)
    return replace(other, settings=settings)
