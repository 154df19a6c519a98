"""Which texts of today hang on what a recording does not hold, so that nobody can tell whether they are others. Pure.

A recording without speech holds no words and no numbers. Where a template looks at such, its text is made of stand-ins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runtime import events as e
from runtime import redaction
from runtime.definition import AgentDefinition
from runtime.errors import TemplateError, listing
from runtime.foreign import inner
from runtime.incoming import IncomingCall
from runtime.recorded import Recording
from runtime.template import template
from runtime.unreadable import Watch


def told(subjects: Sequence[str]) -> str:
    """Return the sentence about what cannot be told. `subjects` are such as `the greeting`, one at least."""
    return f"What was not recorded decides on {listing(subjects, 'and')}: whether that is otherwise now cannot be told."


def is_in(written: str, agent: AgentDefinition, call: IncomingCall) -> bool:
    """Tell whether a text of an agent looks at what was not recorded of a call."""
    return _watched(written, agent, call, {}, {})[1]


def may_be_made(agent: AgentDefinition, team: Mapping[str, AgentDefinition], call: IncomingCall) -> bool:
    """Tell whether a text of an agent's team that cannot be made looks at what was not recorded: then it may be."""
    return any(text is None for text in _looking(agent, team, call, {}))


def texts(recording: Recording, arrival: e.CallArrived) -> frozenset[str]:
    """Return the texts of today that would be others if what was not recorded were known, unreadable as it; `""` stands
    for one that cannot be made."""
    if recording.has_speech:
        return frozenset()
    team = {name: role.agent for name, role in arrival.roles.items()}
    looked_up = [inner(entry.event, "found") for entry in recording.entries if entry.type == "looked_up"]
    found = [
        text for known in ({}, *looked_up[:1]) for text in _looking(arrival.match.agent, team, arrival.call, known)
    ]
    return frozenset(redaction.text(text or "") for text in found)


def _looking(
    agent: AgentDefinition, team: Mapping[str, AgentDefinition], call: IncomingCall, found: Mapping[str, Any]
) -> Iterator[str | None]:
    """Yield each text of a team that looks at what was not recorded, as it is now; None for one that cannot be made."""
    defaults = (agent.data["lookup"] or {}).get("defaults", {})
    for member in {agent.name: agent, **team}.values():
        for written in (member.instructions.text, *_written_in(member.data)):
            text, looks = _watched(written, member, call, defaults, found)
            if looks:
                yield text


def _watched(
    written: str, agent: AgentDefinition, call: IncomingCall, defaults: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str | None, bool]:
    """Return a text of an agent, None where it cannot be made, and whether it looks at what was not recorded."""
    watch = Watch()
    numbers = {name: watch.over(getattr(call, name)) for name in ("called", "caller", "headers")}
    looked_up = {**defaults, **{name: watch.over(value) for name, value in found.items()}}
    try:
        text = template(written).render({**agent.names(call), **looked_up, "call": replace(call, **numbers)})
    except TemplateError:
        return None, watch.is_touched
    return text, watch.is_touched


def _written_in(data: Any) -> Iterator[str]:
    """Yield every text in an agent's data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping | list | tuple):
        for value in data.values() if isinstance(data, Mapping) else data:
            yield from _written_in(value)
