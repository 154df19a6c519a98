"""Many drafts to one immutable catalog, or to problems; and the rules that hold between files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from runtime.abilities import ToolReader
from runtime.conflicts import Conflict, conflicts
from runtime.definition import AgentDefinition, Rule
from runtime.draft import Draft, Source, draft, in_every_environment
from runtime.errors import CatalogError, Problem, SettingsError, did_you_mean, errors, listing, some
from runtime.teams import misfits, reached


class Candidate(NamedTuple):
    """A rule with the agent that it belongs to."""

    rule: Rule
    agent: AgentDefinition


@dataclass(frozen=True, slots=True)
class Catalog:
    """All agents, by name, at one revision. Immutable: a reload makes another."""

    agents: Mapping[str, AgentDefinition]
    revision: str = ""
    _by_called: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)

    def candidates(self, number: str) -> Iterator[Candidate]:
        """Yield the rules whose called number fits, the most specific first.

        Exact, then the longer beginning before the shorter, then `*`; at equal called number more conditions
        first.
        """
        beginnings = (number[:length] + "*" for length in range(len(number), 0, -1))
        for pattern in (number, *beginnings, "*"):
            yield from self._by_called.get(pattern, ())

    def team(self, agent: AgentDefinition) -> Mapping[str, AgentDefinition]:
        """Return every agent that a call of this one can be handed over to, itself first, by name.

        One that a live agent still names after its file is gone is not there: say so to the model that asks for it.
        """

        def handoffs(name: str) -> Iterator[str]:
            found = agent if name == agent.name else self.agents[name]
            return (handoff["agent"] for handoff in found.data["handoffs"] if handoff["agent"] in self.agents)

        names = reached(agent.name, handoffs)
        return {name: agent if name == agent.name else self.agents[name] for name in names}


def build(sources: Iterable[Source], read_tool: ToolReader | None, revision: str = "") -> Catalog:
    """Return the catalog of the sources. Raises `CatalogError` with every problem of every file."""
    return sound([draft(source, read_tool) for source in sources], revision)


def sound(drafts: Sequence[Draft], revision: str = "") -> Catalog:
    """Return the catalog of drafts without errors. Raises `CatalogError` with every problem of every file."""
    found = problems(drafts)
    if errors(found):
        raise CatalogError(found)
    return assemble((made.definition for made in drafts if made.definition), revision)


def assemble(definitions: Iterable[AgentDefinition], revision: str = "") -> Catalog:
    """Return a catalog of definitions that are known to have no problems between them."""
    agents = {definition.name: definition for definition in definitions}
    by_called: dict[str, list[Candidate]] = {}
    for agent in agents.values():
        for rule in agent.answers:
            by_called.setdefault(rule.called, []).append(Candidate(rule, agent))
    for candidates in by_called.values():
        candidates.sort(key=lambda candidate: -candidate.rule.conditions)
    return Catalog(agents, revision, {pattern: tuple(found) for pattern, found in by_called.items()})


def problems(drafts: Sequence[Draft], *, whole: bool = True) -> list[Problem]:
    """Return all problems of all drafts, and those between them, sorted by file and line.

    `whole` is false where the drafts are some of a catalog's files: nobody knows then which agents there are.
    """
    found = between(drafts, whole=whole)
    return sorted({*told(drafts), *(conflict.problem_at(conflict.files[-1]) for conflict in found)})


def between(drafts: Iterable[Draft], *, whole: bool = True, unserved: Collection[str] = ()) -> list[Conflict]:
    """Return what cannot stand beside each other, and what does not hold in a team. See `runtime.teams.misfits`."""
    standings = [made.standing for made in drafts]
    return [*conflicts(standings), *misfits(standings, whole=whole, unserved=unserved)]


def told(drafts: Sequence[Draft]) -> set[Problem]:
    """Return the drafts' own problems. One in a file that agents share names them, unless it is about all of them."""
    about: dict[Problem, list[str]] = {}
    for made in drafts:
        for problem in dict.fromkeys(made.problems):
            about.setdefault(problem, []).append("" if problem.file == made.file else made.name or made.file)
    return {
        problem if "" in names or len(names) == len(drafts) else _with(problem, f"for {some(sorted(names))}")
        for problem, names in about.items()
    }


def _with(problem: Problem, words: str) -> Problem:
    return replace(problem, message=f"{problem.message} ({words})")


def check(
    sources: Iterable[Source], read_tool: ToolReader | None, chosen: str = "", *, whole: bool = True
) -> list[Problem]:
    """Return every problem in every environment, each once; one that the base does not have says where it stands.

    A chosen environment that no file names is warned of: other commands would refuse it. `whole` is false for some
    files of a catalog, as in `problems`.
    """
    drafts = [in_every_environment(source, read_tool) for source in sources]
    base = problems([made[""] for made in drafts], whole=whole)
    elsewhere: dict[Problem, list[str]] = {}
    for environment in sorted(set().union(*drafts) - {""}):
        for problem in problems([made.get(environment, made[""]) for made in drafts], whole=whole):
            elsewhere.setdefault(problem, []).append(environment)
    news = elsewhere.keys() - set(base)
    told = [_with(problem, f"in the {_environments(elsewhere[problem])}") for problem in news]
    try:
        demand_environment(chosen, [made[""] for made in drafts])
    except SettingsError as unknown:
        told.append(Problem(unknown.name, 0, 0, "", unknown.message, unknown.cure, "warning"))
    return sorted([*base, *told])


def _environments(names: Sequence[str]) -> str:
    return f"environment{'' if len(names) == 1 else 's'} {some(names)}"


def demand_environment(environment: str, drafts: Sequence[Draft]) -> None:
    """Raise `SettingsError` for an environment that no file names; `""` is none and always there."""
    known = sorted({name for made in drafts for name in made.environments or ()})
    if not environment or environment in known or any(made.environments is None for made in drafts):
        return  # a file that cannot be read may name it, and is a problem of its own
    there = f"There {'is only' if len(known) == 1 else 'are'} {some(known)}." if known else "No file names one."
    cure = did_you_mean(environment, known) or there
    raise SettingsError(f"'{environment}'", "is no environment of this catalog", cure)


def unknown_agent(name: str, catalog: Catalog) -> SettingsError:
    """Return the error for a name that no agent has: with the nearest name, or all when they are few."""
    known = sorted(catalog.agents)
    there = f"There are {listing(known, 'and')}." if 1 < len(known) < 12 else f"There are {len(known):,} others."
    if len(known) < 2:
        there = f"There is only {known[0]}." if known else "The catalog has no agent at all."
    return SettingsError("", f"There is no agent '{name}'", did_you_mean(name, known) or there)
