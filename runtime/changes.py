"""What changed for callers between two catalogs, as values: who is reached, what is said, what can be done.

Compares complete definitions: comments, the order of keys and defaults written out are no change. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from typing import Any

from runtime.built_in import name_of
from runtime.catalog import Catalog
from runtime.definition import AgentDefinition, Rule


class Risk(Enum):
    """How much a change means to callers, the gravest first. The value is a heading."""

    REACH = "Who is reached"
    WORDS = "What callers hear"
    ABILITIES = "What agents can do"
    LISTENING = "How agents listen"
    BACKGROUND = "Behind the scenes"


RISKS: Mapping[str, Risk] = {
    "answers": Risk.REACH,
    "hours": Risk.REACH,
    "on_failure": Risk.REACH,
    "greeting": Risk.WORDS,
    "instructions": Risk.WORDS,
    "instructions_file": Risk.WORDS,
    "variables": Risk.WORDS,
    "voice": Risk.WORDS,
    "speed": Risk.WORDS,
    "guardrails": Risk.WORDS,
    "limits": Risk.WORDS,
    "lookup": Risk.WORDS,
    "tools": Risk.ABILITIES,
    "handoffs": Risk.ABILITIES,
    "tool_choice": Risk.ABILITIES,
    "parallel_tool_calls": Risk.ABILITIES,
    "model": Risk.ABILITIES,
    "reasoning": Risk.ABILITIES,
    "max_output_tokens": Risk.ABILITIES,
    "turn_detection": Risk.LISTENING,
    "noise_reduction": Risk.LISTENING,
    "transcription": Risk.LISTENING,
    "audio": Risk.LISTENING,
    "truncation": Risk.BACKGROUND,
    "tracing": Risk.BACKGROUND,
    "description": Risk.BACKGROUND,
    "name": Risk.BACKGROUND,
}

Words = tuple[tuple[str, str], ...]
"""A word diff: pairs of `same`, `removed` or `added` and the text."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `words` is a word diff where text changed; otherwise the sentence says it all."""

    risk: Risk
    agent: str
    field: str
    sentence: str
    words: Words = ()


def compare(old: Catalog, new: Catalog) -> list[Change]:
    """Return what changed from one catalog to another, the gravest first, then by agent."""
    found = [*_reach(old, new), *_coming_and_going(old, new)]
    for name in sorted(old.agents.keys() & new.agents.keys()):
        found += fields(old.agents[name], new.agents[name])
    order = list(Risk)
    return sorted(found, key=lambda change: (order.index(change.risk), change.agent, change.field))


def fields(old: AgentDefinition, new: AgentDefinition) -> list[Change]:
    """Return the changed fields of one agent."""
    before, after = _data(old), _data(new)
    found: list[Change] = []
    for field in RISKS:
        one, other = before.get(field), after.get(field)
        if one == other or field == "answers":
            continue
        if field == "tools":
            found += _tools(new.name, one or [], other or [])
        elif field in ("greeting", "instructions"):
            found.append(_text(new.name, field, one, other))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            found += (
                Change(
                    RISKS[field], new.name, f"{field}.{key}", _sentence(f"{field}.{key}", one.get(key), other.get(key))
                )
                for key in sorted(one.keys() | other.keys())
                if one.get(key) != other.get(key)
            )
        else:
            found.append(Change(RISKS[field], new.name, field, _sentence(field, one, other)))
    return found


def changed_fields(old: AgentDefinition, new: AgentDefinition) -> list[str]:
    """Return the names of the fields that differ."""
    before, after = _data(old), _data(new)
    return [field for field in RISKS if before.get(field) != after.get(field)]


def _data(agent: AgentDefinition) -> dict[str, Any]:
    """Return an agent's data with its instructions read: where the text stands is no change for callers."""
    data = {key: value for key, value in agent.data.items() if key != "instructions_file"}
    return {**data, "instructions": agent.instructions.text}


def _sentence(field: str, old: Any, new: Any) -> str:
    if old is None:
        return f"{field} is now {_shown(new)}; it was off"
    if new is None:
        return f"{field} is off now; it was {_shown(old)}"
    return f"{field} is now {_shown(new)}; it was {_shown(old)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(inner)}" for key, inner in value.items()) or "empty"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "empty"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _text(agent: str, field: str, old: Any, new: Any) -> Change:
    before, after = (value.get("text", "") if isinstance(value, Mapping) else value or "" for value in (old, new))
    if before.split() == after.split():
        return Change(RISKS[field], agent, field, f"{field}: when it may be interrupted, or who speaks first, changed")
    verb = "is new" if not before else "is gone" if not after else "says other words"
    return Change(RISKS[field], agent, field, f"{field} {verb}", word_diff(before, after))


def word_diff(old: str, new: str) -> Words:
    """Return the difference of two texts word by word."""
    before, after = (re.findall(r"\s*\S+", text) for text in (old, new))
    diff: list[tuple[str, str]] = []
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            diff.append(("same", "".join(before[start:end])))
            continue
        diff += [("removed", "".join(before[start:end]))] if end > start else []
        diff += [("added", "".join(after[new_start:new_end]))] if new_end > new_start else []
    return tuple(diff)


def _tools(agent: str, old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> Iterator[Change]:
    before, after = ({_tool_name(tool): tool for tool in tools} for tools in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            sentence = f"cannot use {name} any more"
        elif name not in before:
            sentence = f"can use {name} now ({_kind(after[name])})"
        elif before[name] != after[name]:
            keys = sorted(
                k for k in before[name].keys() | after[name].keys() if before[name].get(k) != after[name].get(k)
            )
            told = "; ".join(_sentence(key, before[name].get(key), after[name].get(key)) for key in keys)
            sentence = f"the tool {name} changed: {told}"
        else:
            continue
        yield Change(Risk.ABILITIES, agent, f"tools.{name}", sentence)


def _tool_name(tool: Mapping[str, Any]) -> str:
    return name_of(tool) or f"the tools of {_kind(tool)}"


def _kind(tool: Mapping[str, Any]) -> str:
    """Say where a tool comes from: its function, its address, its server, or that it is one of ours."""
    if "http" in tool:
        return f"{tool['http']['method']} {tool['http']['url']}"
    if "mcp" in tool:
        return str(tool["mcp"].get("url") or " ".join(tool["mcp"].get("command", ())))
    return str(tool.get("entrypoint", "one of ours"))


def _coming_and_going(old: Catalog, new: Catalog) -> Iterator[Change]:
    for name in sorted(new.agents.keys() - old.agents.keys()):
        yield Change(Risk.REACH, name, "name", "is new")
    for name in sorted(old.agents.keys() - new.agents.keys()):
        yield Change(Risk.REACH, name, "name", "is gone")


def _reach(old: Catalog, new: Catalog) -> Iterator[Change]:
    """Yield who answers other calls than before: for each called number, and for each rule with conditions."""
    before, after = (list(_rules(catalog)) for catalog in (old, new))
    for number in sorted({rule.called for rule, _ in (*before, *after)}):
        one, other = (_plain_winner(catalog, number) for catalog in (old, new))
        if one != other:
            sentence = f"calls to {number} reach {other or 'nobody'} now; it was {one or 'nobody'}"
            yield Change(Risk.REACH, other or one or "", f"answers {number}", sentence)
    conditional = ({(str(rule), name) for rule, name in rules if rule.conditions} for rules in (before, after))
    one_set, other_set = conditional
    for rule, name in sorted(other_set - one_set):
        yield Change(Risk.REACH, name, f"answers {rule}", f"takes calls with {rule} now")
    for rule, name in sorted(one_set - other_set):
        yield Change(Risk.REACH, name, f"answers {rule}", f"takes no calls with {rule} any more")


def _rules(catalog: Catalog) -> Iterable[tuple[Rule, str]]:
    return ((rule, agent.name) for agent in catalog.agents.values() for rule in agent.answers)


def _plain_winner(catalog: Catalog, pattern: str) -> str | None:
    """Return who answers a number, or every number with a beginning, when no condition decides."""
    number = pattern.removesuffix("*")
    for rule, agent in catalog.candidates(number):
        whole = not pattern.endswith("*") or rule.called.endswith("*")
        if not rule.conditions and whole and len(rule.called) <= len(pattern):
            return agent.name
    return None
