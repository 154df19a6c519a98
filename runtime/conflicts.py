"""What cannot stand beside each other in one catalog: equal names, and rules that tie. Pure.

What must hold between agents that hand over to each other is in `runtime.teams`, in the same words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

from runtime.definition import Rule
from runtime.errors import Problem


class Handoff(NamedTuple):
    """One agent that a file hands over to, and where that is written: in the file, or in one that it inherits."""

    agent: str
    field: str
    file: str
    line: int
    column: int

    def problem(self, message: str, cure: str, **more: Any) -> Problem:
        """Return a problem at this place."""
        return Problem(self.file, self.line, self.column, self.field, message, cure, **more)


@dataclass(frozen=True, slots=True)
class Handing:
    """To whom an agent hands over, and what matters to those that hand over to it.

    `has_exit`: it can end the call or put the caller through; also when its file does not let us know. `settled` is
    what the service lets nobody change within a call, by field.
    """

    handoffs: tuple[Handoff, ...] = ()
    has_exit: bool = True
    settled: Mapping[str, Any] = field(default_factory=dict)


ALONE = Handing()


class Standing(NamedTuple):
    """What of one agent file can conflict with others: its name and where that stands, its rules, its handoffs."""

    file: str
    name: str | None
    name_at: tuple[int, int]
    rules: Sequence[Rule]
    handing: Handing


class Site(NamedTuple):
    """One side of a conflict: whose it is, and the conflict as a problem at its door, which names the others."""

    file: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Conflict:
    """One file or several, by path, that cannot all be served as they are; or with a warning only.

    `is_bearable`: an agent that is live already goes on with it, and callers meet no other agent than before.
    """

    sites: tuple[Site, ...]
    is_bearable: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in order."""
        return tuple(site.file for site in self.sites)

    @property
    def is_error(self) -> bool:
        """Whether the files cannot all be served."""
        return self.sites[0].problem.severity == "error"

    def problem_at(self, file: str) -> Problem:
        """Return the conflict as a problem of one of its files, which names the others."""
        return next(site.problem for site in self.sites if site.file == file)


def conflicts(standings: Iterable[Standing]) -> list[Conflict]:
    """Return every conflict about names and rules."""
    known = sorted(standings, key=lambda standing: standing.file)
    return [*_same_names(known), *_ties(known)]


Place = tuple[str, int, int]

_THERE = "\0"  # stands in a message for the other file's place, and in no author's text


def _between(one: Place, other: Place, field: str, message: str, cure: str) -> Conflict:
    """Return a conflict of two places, each by file, line and column; `_THERE` in a message is the other."""
    told = (
        Site(here[0], Problem(*here, field, message.replace(_THERE, f"{there[0]}:{there[1]}"), cure))
        for here, there in ((one, other), (other, one))
    )
    return Conflict(tuple(told))


def _same_names(standings: Sequence[Standing]) -> Iterator[Conflict]:
    first: dict[str, Standing] = {}
    for standing in standings:
        if standing.name is None:
            continue
        other = first.setdefault(standing.name, standing)
        if other is not standing:
            one, two = ((each.file, *each.name_at) for each in (other, standing))
            message = f"'{standing.name}' is also the name of {_THERE}"
            yield _between(one, two, "name", message, "Give each agent a name of its own.")


class _Claim(NamedTuple):
    rule: Rule
    file: str

    @property
    def place(self) -> Place:
        return self.rule.file or self.file, self.rule.line, self.rule.column


def _ties(standings: Sequence[Standing]) -> Iterator[Conflict]:
    """Yield a conflict for each pair of rules of two agents that could both take the same call."""
    groups: dict[tuple[str, int], list[_Claim]] = {}
    for standing in standings:
        for rule in standing.rules:
            groups.setdefault((rule.called, rule.conditions), []).append(_Claim(rule, standing.file))
    for group in groups.values():
        for pair in _overlapping(group):
            one, other = sorted(pair, key=lambda claim: claim.place)
            cure = "Remove one of the two, or give one of them one more condition."
            message = f"{other.rule} is answered by {_THERE} too, equally well"
            yield _between(one.place, other.place, "answers", message, cure)


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
    if not one.opening.meets(other.opening):
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
