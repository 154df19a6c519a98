"""Whether the agents, tools and destinations that scenarios name exist, and who takes a scenario's call. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from runtime.agreements import destinations
from runtime.catalog import Catalog
from runtime.company import Company
from runtime.definition import AgentDefinition
from runtime.document import Document, Path, dotted, each_of, value_at
from runtime.errors import CatalogError, Problem, did_you_mean, listing
from runtime.incoming import Headers, IncomingCall
from runtime.routing import Match, route
from runtime.scenarios import TRANSFER_FAILURES, Scenario, ScenarioFile

LOOKUP = "lookup"
"""Stands for an agent's lookup among a scenario's tools."""


def answering(scenario: Scenario, catalog: Catalog) -> AgentDefinition | None:
    """Return the agent that takes a scenario's call, or None when nobody does."""
    headers = Headers(scenario.headers)
    found = route(catalog, IncomingCall("rtc_test", scenario.called, scenario.caller, headers, scenario.at))
    return found.agent if isinstance(found, Match) else None


def team_of(scenario: Scenario, catalog: Catalog) -> tuple[AgentDefinition, ...]:
    """Return every agent that can speak in a scenario's call, who takes it first."""
    agent = answering(scenario, catalog)
    return tuple(catalog.team(agent).values()) if agent else ()


def problems(file: ScenarioFile, company: Company) -> list[Problem]:
    """Return a problem for each agent, tool or destination that a file's scenarios name and that is not there.

    Of a scenario with a reload that no host would take, its problems are told and nothing else. The company is sound
    at its beginning.
    """
    found: list[Problem] = []
    for index, scenario in enumerate(file.scenarios):
        reloads = list(company.reloads(scenario))
        if wrong := _wrong_reload(file.document, index, scenario, company, reloads):
            found += wrong
            continue
        catalogs = [company.catalog, *(after.catalog for _, after in reloads)]
        answers = [answering(scenario, each) for each in catalogs]
        teams = [each.team(agent) if agent else each.agents for each, agent in zip(catalogs, answers, strict=True)]
        team = tuple(dict.fromkeys(agent for each in teams for agent in each.values()))
        known = _Known.of(catalogs[0], team)
        for path, kind, name in _named(file.document.data[index]):
            found += known.problems(file.document, (index, *path), kind, name)
        found += _uncounted(file.document, index, scenario, answers)
        found += _unanswered(file.document, index, scenario, answers)
        if "tools_unavailable" in scenario.down and not known.served:
            cure = "Write tools_unavailable where an agent has mcp: tools."
            found.append(file.document.problem((index, "down"), f"no server of tools is known to {known.who}", cure))
    return found


def _unanswered(
    document: Document, index: int, scenario: Scenario, agents: Sequence[AgentDefinition | None]
) -> Iterator[Problem]:
    """Yield a problem for a call that nobody answers, unless that is what should happen."""
    wanted = {each.wanted for turn in scenario.turns for each in turn.expect if each.field == "ended_by"}
    if not any(agents) and "no_agent" not in wanted:
        message = "no agent answers this number at that time"
        cure = f"See why with 'switchboard who-answers {scenario.called}', or expect ended_by: no_agent."
        yield document.problem((index, "call", "called"), message, cure, severity="warning")


def _wrong_reload(
    document: Document, index: int, scenario: Scenario, company: Company, reloads: Iterable[tuple[int, Company]]
) -> list[Problem]:
    """Return the problems of the first reload that no host would take: of its names, its files, or between agents."""
    first = known = company.catalog.agents
    for number, after in reloads:
        path: Path = (index, "turns", number, "reload")
        saved = scenario.turns[number].saved
        if strange := [name for name in saved if name not in known]:
            return [
                document.problem(
                    (*path, name),
                    f"there is no agent '{name}'" + (" any more" if name in first else ""),
                    _cure(name, known) or "Remove it.",
                    key=True,
                )
                for name in strange
            ]
        try:
            known = after.catalog.agents
        except CatalogError:
            return [_at_reload(document, path, saved, each) for each in after.wrong]
    return []


def _at_reload(document: Document, path: Path, saved: Mapping[str, Document | None], problem: Problem) -> Problem:
    """Return a problem that a reload brings about, where it is saved, or at the reload where it stands elsewhere."""
    begins = {edit.place(())[:2]: name for name, edit in saved.items() if edit}
    here = [place for place in begins if problem.file == document.file and place <= (problem.line, problem.column)]
    if here:
        return replace(problem, field=f"{dotted((*path, begins[max(here)]))}.{problem.field}")
    where = f" ({problem.file}:{problem.line})" if problem.line else f" ({problem.file})"
    return document.problem(path, f"{problem.message}{where}", problem.cure, key=True)


def _uncounted(
    document: Document, index: int, scenario: Scenario, agents: Sequence[AgentDefinition | None]
) -> Iterator[Problem]:
    """Yield a problem for calls that are counted nowhere, so that to have more of them changes nothing.

    `agents` take the scenario's call at its beginning and after its reloads.
    """
    there = [agent for agent in agents if agent]
    for counted, path, limit in (
        (scenario.rang_before, (index, "before", "calls"), "calls_per_caller_per_hour"),
        (scenario.other_calls, (index, "meanwhile", "calls"), "concurrent_calls"),
    ):
        if counted and not there:
            message = "nobody answers, so that nothing is counted"
            yield document.problem(path, message, "Remove it, or correct called:.", key=True)
        elif counted and not any(limit in agent.data["limits"] for agent in there):
            cure = f"Write {limit} below limits: in {there[0].file}, or remove it here."
            yield document.problem(path, f"{there[0].name} takes any number of them", cure, key=True)


class _Known(NamedTuple):
    """The names that there are. `counted` says of each tool whether it has a limit of how often it runs at once;
    `served` are the entries of servers, which have tools that nobody knows yet, and `found` the fields of lookups, None
    where there is none."""

    agents: frozenset[str]
    own: frozenset[str]
    counted: Mapping[str, bool]
    served: tuple[Mapping[str, Any], ...]
    transfers: frozenset[str]
    destinations: frozenset[str]
    found: frozenset[str] | None
    who: str

    @classmethod
    def of(cls, catalog: Catalog, team: tuple[AgentDefinition, ...]) -> "_Known":
        tools = [tool for agent in team for tool in agent.tools]
        lookups = [agent.data["lookup"] for agent in team if agent.data["lookup"]]
        return cls(
            frozenset(catalog.agents),
            frozenset(tool.name for tool in tools if tool.use),
            {tool.name: tool.max_parallel is not None for tool in tools},
            tuple(server for agent in team for server in agent.abilities.servers),
            frozenset(tool.name for tool in tools if tool.use == "transfer"),
            frozenset(name for agent in team for name in destinations(agent.data)),
            frozenset(name for each in lookups for name in each["defaults"]) if lookups else None,
            _listed(list(dict.fromkeys(agent.name for agent in team))),
        )

    def problems(self, document: Document, path: Path, kind: str, name: str) -> Iterator[Problem]:
        if kind == "agent" and name not in self.agents:
            yield document.problem(path, f"there is no agent '{name}'", _cure(name, self.agents))
        elif kind == "destination" and name not in self.destinations:
            message = f"{self.who} can put nobody through to '{name}'"
            yield document.problem(path, message, _cure(name, self.destinations) or "Name a transfer's destination.")
        elif kind == "aimed":
            if name not in self.destinations and (cure := did_you_mean(name, self.destinations)):
                yield document.problem(path, f"there is no destination '{name}'", cure, severity="warning")
        elif kind == "canned" and name == LOOKUP and self.found is not None:
            yield from _not_found(document, path, self.found)
        elif kind in ("tool", "canned", "taken"):
            is_key = kind != "tool"
            if not self.served and name not in self.counted:
                also = [LOOKUP] if kind == "canned" and self.found is not None else []
                cure = _cure(name, [*self.counted, *also]) or "Name one of the agent's tools."
                yield document.problem(path, f"'{name}' is no tool of {self.who}", cure, key=is_key)
            elif kind == "taken" and not self._is_counted(name):
                cure = "Remove it here." if name in self.own else "Write max_parallel: beside it, or remove it here."
                yield document.problem(path, f"'{name}' may run any number of times at once", cure, key=True)
            elif kind == "canned" and name in self.transfers:
                yield from _failed_transfers(document, path)
            elif kind == "canned" and name in self.own:
                message = f"'{name}' is carried out by the call, and gives nothing of its own"
                yield document.problem(path, message, "Remove it.", key=True)

    def _is_counted(self, tool: str) -> bool:
        """Tell whether the places of a tool can be taken; where only a server knows it, of one that may have it."""
        if tool in self.counted:
            return self.counted[tool]
        return any("max_parallel" in server and tool in server.get("only", (tool,)) for server in self.served)


def _not_found(document: Document, path: Path, fields: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for each result of a lookup that is no mapping, and for fields in it that nobody looks at."""
    for place, each in each_of(value_at(document.data, path), path):
        result, here = each.get("result"), (*place, "result")
        if not isinstance(result, dict | None):
            cure = "Write its fields, such as result: {guest: Rivera}; one for each call begins with '- result:'."
            yield document.problem(here, "a lookup finds fields by their names", cure)
        for name in result if isinstance(result, dict) else ():
            if name not in fields:
                message, cure = "the lookup has no such field among its defaults", _cure(name, fields) or "Remove it."
                yield document.problem((*here, name), message, cure, key=True, severity="warning")


def _failed_transfers(document: Document, path: Path) -> Iterator[Problem]:
    """Yield a problem for each thing below a transfer's name that is no way in which it fails."""
    for place, each in each_of(value_at(document.data, path), path):
        for field in each:
            here: Path = (*place, field)
            if field != "error":
                message = f"a transfer gives no {field}: it reaches somebody, or fails"
                yield document.problem(here, message, "Write error: and why, such as busy.", key=True)
            elif each[field] not in TRANSFER_FAILURES:
                cure = did_you_mean(each[field], TRANSFER_FAILURES) or "Write one of them."
                message = f"'{each[field]}' is not one of {listing(list(TRANSFER_FAILURES))}"
                yield document.problem(here, message, cure)


def _cure(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    there = f"There {'is only' if len(names) == 1 else 'are'} {_listed(names)}." if 0 < len(names) < 12 else ""
    return did_you_mean(name, names) or there


def _listed(names: list[str]) -> str:
    return listing(names, "and") if 0 < len(names) < 12 else "these agents"


_Mention = Iterator[tuple[Path, str, str]]
"""What is named: its path in the scenario, its name, and before it whether it is an agent, a destination, a tool, one
that is canned or one whose places are taken. What is aimed at may be a destination."""


def _named(scenario: Mapping[str, Any]) -> _Mention:
    yield from ((("tools", name), "canned", name) for name in scenario.get("tools", {}))
    taken = scenario.get("meanwhile", {}).get("tools", {})
    yield from ((("meanwhile", "tools", name), "taken", name) for name in taken)
    for number, turn in enumerate(scenario["turns"]):
        for here, response in each_of(turn.get("model", []), ("turns", number, "model")):
            yield from _calls((*here, "calls"), response.get("calls", []))
            if "hands_off" in response:
                yield (*here, "hands_off"), "agent", response["hands_off"]
        yield from _expected(("turns", number, "expect"), turn.get("expect", {}))


def _expected(path: Path, expect: Mapping[str, Any]) -> _Mention:
    for field in ("agent", "handoff"):
        if field in expect:
            yield (*path, field), "agent", expect[field]
    if "transfer" in expect:
        yield (*path, "transfer"), "destination", expect["transfer"]
    yield from _calls((*path, "calls"), expect.get("calls", []))
    yield from _calls((*path, "not_called"), expect.get("not_called", []))
    receipt = expect.get("receipt", {})
    yield from _calls((*path, "receipt", "tools"), receipt.get("tools", []))


def _calls(path: Path, written: Any) -> _Mention:
    for here, entry in each_of(written, path):
        yield (here, "tool", entry) if isinstance(entry, str) else ((*here, "tool"), "tool", entry["tool"])
        arguments = {} if isinstance(entry, str) else entry.get("arguments", {})
        if isinstance(aim := arguments.get("destination"), str):
            yield (*here, "arguments", "destination"), "aimed", aim
