"""How one agent behaves in one call: its limits, lines, destinations and fallbacks, every line rendered. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.definition import AgentDefinition
from runtime.hours import ALWAYS, Opening, opening
from runtime.lines import rendered


@dataclass(frozen=True, slots=True)
class Duration:
    """The longest call, in seconds. Without a line the agent finds its own words."""

    seconds: float
    warn_seconds: float
    warning: str | None = None
    farewell: str | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """What is said when the caller says nothing for so many seconds, line by line; None: in the agent's own words."""

    after_seconds: float
    lines: tuple[str | None, ...] = (None,)
    farewell: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how silent and how many. The same for a whole call, whoever it is handed to."""

    duration: Duration
    silence: Silence | None
    first_words_seconds: float
    tool_calls: int
    concurrent_calls: int | None = None
    calls_per_caller_per_hour: int | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a caller can be put through to: `to` is a tel or SIP address."""

    name: str
    to: str
    when: str
    confirm_seconds: float
    announce: str | None = None
    if_it_fails: str | None = None
    opening: Opening = ALWAYS


@dataclass(frozen=True, slots=True)
class Conduct:
    """How an agent behaves in a call. `tools` are the entries of `tools:` by the tool's name, lines rendered."""

    limits: Limits
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    on_failure: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    never_say: tuple[str, ...] = ()
    instead: str | None = None
    guarded: bool = False


def conduct_for(agent: AgentDefinition, names: Mapping[str, Any]) -> Conduct:
    """Return how an agent behaves, its lines rendered for these names. Raises `TemplateError`."""
    data = agent.data
    tools = {tool.name: rendered(tool.written, names) for tool in agent.tools}
    guard = rendered(data["guardrails"], names) or {}
    return Conduct(
        limits=limits_of(rendered(data["limits"], names)),
        tools=tools,
        destinations={
            place["name"]: _destination(place, tool["confirm_seconds"], agent)
            for tool in tools.values()
            if tool.get("use") == "transfer"
            for place in tool["destinations"]
        },
        on_failure=rendered(data["on_failure"], names),
        never_say=tuple(guard.get("never_say", ())),
        instead=guard.get("instead"),
        guarded=bool(guard),
    )


def _destination(place: Mapping[str, Any], confirm_seconds: float, agent: AgentDefinition) -> Destination:
    plain = {key: value for key, value in place.items() if key not in ("hours", "outside")}
    return Destination(**plain, confirm_seconds=confirm_seconds, opening=opening(place, agent.hours))


def limits_of(data: Mapping[str, Any]) -> Limits:
    """Return the limits of an agent's complete data."""
    silence = data["silence"]
    if silence is not None:
        lines = tuple(silence.get("lines", (None,)))
        silence = Silence(silence["after_seconds"], lines, silence.get("farewell"))
    return Limits(**{**data, "duration": Duration(**data["duration"]), "silence": silence})
