"""What cannot stand beside each other in one catalog: equal names, and rules that tie. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from runtime.definition import Rule
from runtime.errors import Problem

_THERE = "\0"  # stands in a message for the other file's place, and in no author's text


class Standing(NamedTuple):
    """What of one agent file can conflict with another: its name and where that stands, and its rules."""

    file: str
    name: str | None
    name_at: tuple[int, int]
    rules: Sequence[Rule]


class Site(NamedTuple):
    """One side of a conflict."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two files that cannot both be served. `one` is the earlier by path; `problem_at` lays it at either door."""

    one: Site
    other: Site
    field: str
    message: str
    cure: str

    @property
    def files(self) -> tuple[str, str]:
        """The two files, in order."""
        return self.one.file, self.other.file

    def problem_at(self, file: str) -> Problem:
        """Return the conflict as a problem of one of its files, which names the other."""
        here, there = (self.one, self.other) if file == self.one.file else (self.other, self.one)
        message = self.message.replace(_THERE, f"{there.file}:{there.line}")
        return Problem(here.file, here.line, here.column, self.field, message, self.cure)


def conflicts(standings: Iterable[Standing]) -> list[Conflict]:
    """Return every conflict between agents."""
    known = sorted(standings, key=lambda standing: standing.file)
    return [*_same_names(known), *_ties(known)]


def _same_names(standings: Sequence[Standing]) -> Iterator[Conflict]:
    first: dict[str, Standing] = {}
    for standing in standings:
        if standing.name is None:
            continue
        other = first.setdefault(standing.name, standing)
        if other is not standing:
            one, two = (Site(each.file, *each.name_at) for each in (other, standing))
            message = f"'{standing.name}' is also the name of {_THERE}"
            yield Conflict(one, two, "name", message, "Give each agent a name of its own.")


class _Claim(NamedTuple):
    rule: Rule
    file: str

    @property
    def site(self) -> Site:
        return Site(self.file, self.rule.line, self.rule.column)


def _ties(standings: Sequence[Standing]) -> Iterator[Conflict]:
    """Yield a conflict for each pair of rules of two agents that could both take the same call."""
    groups: dict[tuple[str, int], list[_Claim]] = {}
    for standing in standings:
        for rule in standing.rules:
            groups.setdefault((rule.called, rule.conditions), []).append(_Claim(rule, standing.file))
    for group in groups.values():
        for pair in _overlapping(group):
            one, other = sorted(pair, key=lambda claim: claim.site)
            cure = "Remove one of the two, or give one of them one more condition."
            message = f"{other.rule} is answered by {_THERE} too, equally well"
            yield Conflict(one.site, other.site, "answers", message, cure)


def _overlapping(group: list[_Claim]) -> Iterator[tuple[_Claim, _Claim]]:
    """Yield the pairs of a group that one call could meet. A thousand tenants on one number stay cheap:
    rules that want different exact values of a header that all of them name cannot meet."""
    if len(group) < 2:
        return
    shared = set.intersection(*({name for name, _ in claim.rule.headers} for claim in group))
    for name in sorted(shared):
        parts: dict[str, list[_Claim]] = {}
        for claim in group:
            parts.setdefault(dict(claim.rule.headers)[name], []).append(claim)
        if len(parts) > 1 and not any(value.endswith("*") for value in parts):
            for part in parts.values():
                yield from _overlapping(part)
            return
    for one, other in combinations(group, 2):
        if one.file != other.file and _could_meet(one.rule, other.rule):
            yield one, other


def _could_meet(one: Rule, other: Rule) -> bool:
    if one.caller and other.caller and not any(_patterns_meet(a, b) for a in one.caller for b in other.caller):
        return False
    headers = dict(other.headers)
    return all(_patterns_meet(value, headers[name]) for name, value in one.headers if name in headers)


def _patterns_meet(one: str, other: str) -> bool:
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    if one.endswith("*"):
        return other.startswith(one[:-1])
    if other.endswith("*"):
        return one.startswith(other[:-1])
    return one == other
