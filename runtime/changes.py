"""What changed for callers between two catalogs, as values: who is reached, what is said, what can be done.

Compares complete definitions: comments, the order of keys and defaults written out are no change. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import SequenceMatcher
from enum import Enum
from typing import Any, NamedTuple

from runtime.agreements import destinations
from runtime.built_in import name_of
from runtime.catalog import Catalog
from runtime.definition import AgentDefinition, Rule
from runtime.hours import WEEKDAYS, Hours, Range, weekday, write_range
from runtime.lines import LINES


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
        elif field == "handoffs":
            found += _handoffs(new.name, one or [], other or [])
        elif field == "hours":
            found += _hours(old, new)
        elif field in ("greeting", "instructions"):
            found.append(_text(new.name, field, one, other))
        else:
            found += (_change(new.name, leaf) for leaf in _leaves(one, other, (field,)))
    return [*found, *_destinations(new.name, destinations(before), destinations(after))]


def changed_fields(old: AgentDefinition, new: AgentDefinition) -> list[str]:
    """Return the names of the fields that differ."""
    before, after = _data(old), _data(new)
    return [field for field in RISKS if before.get(field) != after.get(field)]


def _data(agent: AgentDefinition) -> dict[str, Any]:
    """Return an agent's data with its instructions read: where the text stands is no change for callers."""
    data = {key: value for key, value in agent.data.items() if key != "instructions_file"}
    return {**data, "instructions": agent.instructions.text}


class _Leaf(NamedTuple):
    """One difference inside a field: where, and both values; `_MISSING` where one is not written."""

    path: tuple[str, ...]
    old: Any
    new: Any

    @property
    def field(self) -> str:
        return ".".join(self.path)


_MISSING: Any = object()
_TOLD_APART = ("on_failure",)  # a cause has one thing to do, and its kind may change
_KEYS = ("name", "agent")  # by which entries of a list are the same one


def _leaves(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[_Leaf]:
    """Yield the differences of two values, as deep inside as both are mappings, or lists of entries with names."""
    one, other = _keyed(old), _keyed(new)
    if one is None or other is None or path[:-1] == _TOLD_APART:
        if old != new:
            yield _Leaf(path, old, new)
        return
    for key in sorted(one.keys() | other.keys()):
        yield from _leaves(one.get(key, _MISSING), other.get(key, _MISSING), (*path, key))


def _keyed(value: Any) -> Mapping[str, Any] | None:
    """Return a mapping, or a list of mappings by what names each of them; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        for key in _KEYS:
            if all(key in entry for entry in value):
                return {str(entry[key]): entry for entry in value}
    return None


def _change(agent: str, leaf: _Leaf, about: str = "") -> Change:
    """Return a difference as a change; lines and what the model reads as word diffs. `about` begins its sentence."""
    risk = _risk(leaf.path)
    if _is_text(leaf):
        before, after = (_joined(value) for value in (leaf.old, leaf.new))
        return Change(
            risk, agent, leaf.field, f"{about or leaf.field} {_verb(before, after)}", word_diff(before, after)
        )
    return Change(risk, agent, leaf.field, _sentence(about or leaf.field, leaf.old, leaf.new))


def _risk(path: tuple[str, ...]) -> Risk:
    if path[-1] in LINES and path[0] in ("tools", "handoffs", "limits"):
        return Risk.WORDS
    if path[0] == "limits":
        return _LIMITS.get(path[-1], Risk.WORDS)
    return RISKS[path[0]]


_LIMITS = {
    "concurrent_calls": Risk.REACH,
    "calls_per_caller_per_hour": Risk.REACH,
    "tool_calls": Risk.ABILITIES,
}


def _is_text(leaf: _Leaf) -> bool:
    of_words = leaf.path[-1] in LINES or leaf.path[-1] in ("when", "description")
    return (
        of_words
        and len(leaf.path) > 1
        and all(isinstance(value, str | list) or value is _MISSING for value in (leaf.old, leaf.new))
    )


def _joined(value: Any) -> str:
    return "" if value is _MISSING else "\n".join(value) if isinstance(value, list) else str(value)


def _verb(before: str, after: str) -> str:
    return "is new" if not before else "is gone" if not after else "says other words"


def _sentence(field: str, old: Any, new: Any) -> str:
    if _is_words(old) and _is_words(new):
        gone, news = ([word for word in one if word not in other] for one, other in ((old, new), (new, old)))
        told = [f"has {', '.join(news)} now"] if news else []
        told += [f"has {', '.join(gone)} no more"] if gone else []
        return f"{field} {' and '.join(told) or 'is in another order'}"
    if new is None or new is _MISSING:
        return f"{field} is {'off now' if new is None else 'not set any more'}; it was {_shown(old)}"
    return f"{field} is now {_shown(new)}; it was {_shown(old)}"


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def _shown(value: Any) -> str:
    if value is None or value is _MISSING:
        return "off" if value is None else "not set"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(inner)}" for key, inner in value.items()) or "empty"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "empty"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _text(agent: str, field: str, old: Any, new: Any) -> Change:
    before, after = (value.get("text", "") if isinstance(value, Mapping) else value or "" for value in (old, new))
    if before.split() == after.split():
        return Change(RISKS[field], agent, field, f"{field}: when it may be interrupted, or who speaks first, changed")
    return Change(RISKS[field], agent, field, f"{field} {_verb(before, after)}", word_diff(before, after))


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
    """Yield what changed about tools; to whom callers are put through is told by `_destinations`."""
    before, after = ({_tool_name(tool): tool for tool in tools} for tools in (old, new))
    for name in sorted(before.keys() | after.keys()):
        field = f"tools.{name}"
        if name not in after:
            yield Change(Risk.ABILITIES, agent, field, f"cannot use {name} any more")
        elif name not in before:
            kind = "" if "mcp" in after[name] else f" ({_kind(after[name])})"
            yield Change(Risk.ABILITIES, agent, field, f"can use {name} now{kind}")
        elif before[name] != after[name]:
            yield from _tool(agent, name, before[name], after[name])


def _tool(agent: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield what changed about one tool: each text by itself, everything else in one sentence."""
    found = [leaf for leaf in _leaves(old, new, ("tools", name)) if leaf.path[2:3] != ("destinations",)]
    texts = [leaf for leaf in found if _is_text(leaf)]
    yield from (_change(agent, leaf, f"the tool {name}: {'.'.join(leaf.path[2:])}") for leaf in texts)
    told = [_sentence(".".join(leaf.path[2:]), leaf.old, leaf.new) for leaf in found if leaf not in texts]
    if told:
        yield Change(Risk.ABILITIES, agent, f"tools.{name}", f"the tool {name} changed: {'; '.join(told)}")


def _destinations(
    agent: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[Change]:
    """Yield to whom callers are put through now, when, and with which words."""
    for name in sorted(before.keys() | after.keys()):
        field, one, other = f"tools.transfer.{name}", before.get(name), after.get(name)
        if one is None and other is not None:
            yield Change(Risk.REACH, agent, field, f"can put callers through to {name} now ({other['to']})")
        elif other is None and one is not None:
            yield Change(Risk.REACH, agent, field, f"cannot put callers through to {name} any more ({one['to']})")
        for leaf in _leaves(one, other, ("tools", "transfer", name)) if one and other else ():
            if leaf.path[-1] == "to":
                sentence = f"puts callers for {name} through to {leaf.new} now; it was {leaf.old}"
                yield Change(Risk.REACH, agent, field, sentence)
            else:
                change = _change(agent, leaf, f"the destination {name}: {leaf.path[-1]}")
                yield replace(change, risk=change.risk if _is_text(leaf) else Risk.REACH)


def _handoffs(agent: str, old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> Iterator[Change]:
    before, after = ({handoff["agent"]: handoff for handoff in handoffs} for handoffs in (old, new))
    for name in sorted(before.keys() | after.keys()):
        field = f"handoffs.{name}"
        if name not in after:
            yield Change(Risk.ABILITIES, agent, field, f"hands no caller over to {name} any more")
        elif name not in before:
            when = word_diff("", after[name]["when"])
            yield Change(Risk.ABILITIES, agent, field, f"hands callers over to {name} now", when)
        else:
            leaves = _leaves(before[name], after[name], ("handoffs", name))
            yield from (_change(agent, leaf, f"the handoff to {name}: {leaf.path[-1]}") for leaf in leaves)


def _tool_name(tool: Mapping[str, Any]) -> str:
    return name_of(tool) or f"the tools of {_kind(tool)}"


def _kind(tool: Mapping[str, Any]) -> str:
    """Say where a tool comes from: its function, its address, its server, or that it is one of ours."""
    if "http" in tool:
        return f"{tool['http']['method']} {tool['http']['url']}"
    if "mcp" in tool:
        return str(tool["mcp"].get("url") or " ".join(tool["mcp"].get("command", ())))
    return str(tool.get("entrypoint", "one of ours"))


def _hours(old: AgentDefinition, new: AgentDefinition) -> Iterator[Change]:
    """Yield in a sentence each what is open at other times than before, and which hours came and went."""
    for name in sorted(old.hours.keys() | new.hours.keys()):
        before, after = old.hours.get(name), new.hours.get(name)
        if before is None or after is None:
            told = [f"the hours {name} are {'new' if before is None else 'gone'}"]
        else:
            told = [f"the hours {name}: {what}" for what in _times(before, after)]
        yield from (Change(Risk.REACH, new.name, f"hours.{name}", sentence) for sentence in told)


def _times(old: Hours, new: Hours) -> Iterator[str]:
    if old.timezone != new.timezone:
        yield f"the time zone is now {new.timezone}; it was {old.timezone}"
    for day, one, other in zip(WEEKDAYS.values(), old.weekly, new.weekly, strict=True):
        if one != other:
            yield f"{day} is now {_open(other)}; it was {_open(one)}"
    for special in sorted(old.special_days | new.special_days):
        now, was = _special(new, special), _special(old, special)
        if now != was:
            yield f"{special} is now {now}; it was {was}"


def _special(hours: Hours, day: date) -> str:
    if day in hours.special_days:
        return _open(hours.ranges(day))
    return f"as every {weekday(day)}"


def _open(ranges: Iterable[Range]) -> str:
    return " and ".join(map(write_range, ranges)) or "closed"


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
