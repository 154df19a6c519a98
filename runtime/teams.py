"""What must hold between agents that hand over to each other: who is there, the way out, one voice. Pure.

A team is an agent with all that can come after it in one call. What one file can get wrong about handoffs by itself
is in `runtime.agreements`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from runtime.conflicts import Conflict, Handing, Handoff, Site, Standing
from runtime.document import Document, dotted
from runtime.errors import Problem, did_you_mean, listing

_EXITS = ("hang_up", "transfer")  # our own tools that end a call for its agents

_SETTLED = ("voice", "model", "tracing")
"""What the service settles with the accept: a model never changes, a voice and a trace not once they are in use
(protocol 2.4)."""

_WAY_OUT = "Give one of them '- use: hang_up' or '- use: transfer' in 'tools:', or a handoff out of the circle."

_SHOWN = 8  # agents that a sentence names


def handing_of(document: Document, data: Mapping[str, Any]) -> Handing:
    """Return how one agent stands to others, out of its complete data or the sound part of it."""
    found = []
    for index, written in enumerate(data.get("handoffs", ())):
        path = ("handoffs", index, "agent")
        place = document.written_at(path)
        found.append(Handoff(written["agent"], dotted(path), place.file, place.line, place.column))
    is_known = "tools" in data and "handoffs" in data
    has_exit = not is_known or any(tool.get("use") in _EXITS for tool in data["tools"])
    return Handing(tuple(found), has_exit, {field: data[field] for field in _SETTLED if field in data})


def misfits(standings: Iterable[Standing], *, whole: bool = True, unserved: Collection[str] = ()) -> list[Conflict]:
    """Return what does not hold between agents and those that they hand over to.

    Whoever looks at single files of a catalog (`whole` is false) cannot tell which agents there are. `unserved` are
    the names of agents that have a file, and problems that keep them from being served.
    """
    ordered = sorted(standings, key=lambda standing: standing.file)
    handing = [standing for standing in ordered if standing.handing.handoffs]
    if not handing:
        return []
    by_name: dict[str, Standing] = {}
    for standing in ordered:
        if standing.name is None:
            whole = False  # a file that cannot be read may be the one that is missing, and is a problem of its own
        else:
            by_name.setdefault(standing.name, standing)
    strangers = _strangers(handing, by_name, unserved) if whole else ()
    return [*strangers, *_circles(by_name), *_differences(handing, by_name)]


def reached(start: str, handoffs: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the names that can be reached by handoffs, the start first, each once and the nearest before others."""
    found = {start: None}
    waiting = [start]
    for name in waiting:
        news = [other for other in handoffs(name) if other not in found]
        waiting += dict.fromkeys(news)
        found |= dict.fromkeys(news)
    return list(found)


def _strangers(
    handing: Sequence[Standing], by_name: Mapping[str, Standing], unserved: Collection[str]
) -> Iterator[Conflict]:
    nearest = cache(lambda name: did_you_mean(name, by_name))  # ten thousand agents may inherit one mistake
    for standing in handing:
        for handoff in standing.handing.handoffs:
            if handoff.agent in by_name:
                continue
            if handoff.agent in unserved:
                message, cure = f"the agent '{handoff.agent}' has problems of its own", "Correct its file first."
            else:
                message, cure = f"there is no agent '{handoff.agent}'", nearest(handoff.agent)
            cure = cure or _others(by_name, standing.name)
            yield Conflict((Site(standing.file, handoff.problem(message, cure)),), is_bearable=True)


def _others(names: Collection[str], own: str | None) -> str:
    if len(names) > _SHOWN:
        return f"There are {len(names) - 1:,} others."
    others = sorted(name for name in names if name != own)
    if not others:
        return "There is no other agent to hand over to."
    return f"There {'is' if len(others) == 1 else 'are'} {listing(others, 'and')}."


def _circles(by_name: Mapping[str, Standing]) -> Iterator[Conflict]:
    """Yield a conflict for each set of agents that hand over to each other only, and of which none ends a call."""
    edges = {
        name: [handoff.agent for handoff in standing.handing.handoffs if handoff.agent in by_name]
        for name, standing in by_name.items()
        if standing.handing.handoffs
    }
    for names in _connected(edges):
        team = [by_name[name] for name in sorted(names, key=lambda name: by_name[name].file)]
        if not any(_leaves(standing, names) for standing in team):
            way = " → ".join(_shortened(_round_trip(min(names), edges)))
            message, cure = f"no agent of this circle can end the call: {way}", _WAY_OUT
            sites = (Site(standing.file, _inside(standing, names).problem(message, cure)) for standing in team)
            yield Conflict(tuple(sites), is_bearable=True)


def _leaves(standing: Standing, team: Collection[str]) -> bool:
    """Tell whether a call can leave a team by one of its agents; an unknown agent is meant to be a way out."""
    return standing.handing.has_exit or any(handoff.agent not in team for handoff in standing.handing.handoffs)


def _inside(standing: Standing, team: Collection[str]) -> Handoff:
    return next(handoff for handoff in standing.handing.handoffs if handoff.agent in team)


def _connected(edges: Mapping[str, Sequence[str]]) -> Iterator[set[str]]:
    """Yield each set of two agents or more that can all be reached from each other (Tarjan's algorithm).

    Without recursion: an author's chain of a thousand handoffs must not end a program.
    """
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: dict[str, None] = {}
    for root in edges:
        walk = [] if root in order else [(root, iter(edges[root]))]
        while walk:
            name, others = walk[-1]
            if name not in order:
                order[name] = low[name] = len(order)
                stack[name] = None
            for other in others:
                if other not in order:
                    walk.append((other, iter(edges.get(other, ()))))
                    break
                if other in stack:
                    low[name] = min(low[name], order[other])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == order[name]:
                    found = [stack.popitem()[0]]
                    while found[-1] != name:
                        found.append(stack.popitem()[0])
                    if len(found) > 1:
                        yield set(found)


def _round_trip(start: str, edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the shortest way from an agent back to it."""
    before: dict[str, str] = {}
    waiting = [start]
    for name in waiting:
        for other in edges.get(name, ()):
            if other == start:
                way = [start, name]
                while way[-1] != start:
                    way.append(before[way[-1]])
                return way[::-1]
            if other not in before:
                before[other] = name
                waiting.append(other)
    raise AssertionError(f"{start} is in no circle")


def _shortened(way: Sequence[str]) -> Sequence[str]:
    return way if len(way) <= _SHOWN else [*way[: _SHOWN - 2], f"{len(way) - _SHOWN + 1:,} more", way[-1]]


def _differences(handing: Sequence[Standing], by_name: Mapping[str, Standing]) -> Iterator[Conflict]:
    """Yield a warning for each handoff between agents that differ in what cannot change within a call."""
    for standing in handing:
        for handoff in standing.handing.handoffs:
            other = by_name.get(handoff.agent)
            if other is not None:
                problems = _differing(standing.name or standing.file, standing.handing.settled, handoff, other)
                yield from (Conflict((Site(standing.file, problem),)) for problem in problems)


def _differing(name: str, ours: Mapping[str, Any], handoff: Handoff, other: Standing) -> Iterator[Problem]:
    for field, theirs in other.handing.settled.items():
        if field in ours and ours[field] != theirs:
            both = _both(field, handoff.agent, theirs, name, ours[field])
            message = f"{both}, and a call keeps the {field} that it began with"
            yield handoff.problem(message, f"Give both the same {field}.", severity="warning")


def _both(field: str, one: str, theirs: Any, other: str, ours: Any) -> str:
    if field == "tracing":
        return f"'{one}' is traced otherwise than '{other}'"
    theirs, ours = (value["id"] if isinstance(value, Mapping) else value for value in (theirs, ours))
    return f"'{one}' has the {field} {theirs} and '{other}' {ours}"
