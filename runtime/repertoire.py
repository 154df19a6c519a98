"""The scenario files of catalogs, checked beside their agents, and which of their scenarios a change can touch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from os.path import isfile  # which no word of a command is too long for
from pathlib import Path

from runtime import cast, files, git, scenarios
from runtime import catalog as catalogs
from runtime.abilities import ToolReader
from runtime.catalog import Catalog, demand_environment
from runtime.company import Company, company_of
from runtime.definition import AgentDefinition
from runtime.draft import Source, draft
from runtime.errors import CatalogError, Problem, SoundError, errors
from runtime.scenarios import Scenario, ScenarioFile


@dataclass(frozen=True, slots=True)
class Repertoire:
    """One catalog with scenario files: those that can be read, and every problem. Its agents' tools are not read."""

    folder: Path
    company: Company
    files: tuple[ScenarioFile, ...]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def catalog(self) -> Catalog:
        """The agents as they are at the beginning of each scenario."""
        return self.company.catalog

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios, file by file."""
        return tuple(scenario for file in self.files for scenario in file.scenarios)

    @property
    def folders(self) -> set[Path]:
        """The folders that a change can come from: the catalog's, and those of its tools' modules and programs."""
        code = (_code(agent, self.folder) for agent in self.catalog.agents.values())
        return {self.folder} | {file.parent for file in set().union(*code) if isfile(file)}

    def touched_by(self, changed: Iterable[Path], before: Catalog | None = None) -> tuple[Scenario, ...]:
        """Return the scenarios that changed files can touch, and those whose calls another agent took `before`."""
        paths = {path.resolve() for path in changed}
        behind = _Behind(self.folder)
        return tuple(
            scenario
            for scenario in self.scenarios
            if not paths.isdisjoint(behind.scenario(scenario, self.company.catalogs(scenario)))
            or (before and self._is_taken_otherwise(scenario, before))
        )

    def _is_taken_otherwise(self, scenario: Scenario, before: Catalog) -> bool:
        then, now = (cast.answering(scenario, catalog) for catalog in (before, self.catalog))
        return (then and then.name) != (now and now.name)


class Due:
    """The scenarios that are still to be played: all, or what a change touched and no round has played since."""

    def __init__(self, changed: Iterable[Path] | None = None, before: Mapping[Path, Catalog] | None = None) -> None:
        """Begin with all of them, or with those that files touch which `changed`; `before` is by catalogs' folders."""
        self._changed = None if changed is None else set(changed)
        self._before = before or {}

    def add(self, changed: Iterable[Path]) -> None:
        """Note files that changed. They count until a round was played, also where nothing can be played meanwhile."""
        if self._changed is not None:
            self._changed.update(changed)

    def among(self, opened: Iterable[Repertoire]) -> list[tuple[Repertoire, Scenario]]:
        """Return what is to be played of repertoires as they are now."""
        return [(each, scenario) for each in opened for scenario in self._of(each)]

    def _of(self, opened: Repertoire) -> tuple[Scenario, ...]:
        if self._changed is None:
            return opened.scenarios
        return opened.touched_by(self._changed, self._before.get(opened.folder))

    def played(self, opened: Iterable[Repertoire]) -> None:
        """Note that all of it was played; the next changes are told from these catalogs."""
        self._changed, self._before = set(), {each.folder: each.catalog for each in opened}


class _Behind:
    """Tells what a scenario's call comes out of; what is behind an agent is looked up once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared = {(folder / name).resolve() for name in files.DEFAULTS}
        self._known: dict[AgentDefinition, set[Path]] = {}

    def scenario(self, scenario: Scenario, catalogs: Sequence[Catalog]) -> set[Path]:
        """Return every file, and those that a module would be that is not there; links are followed."""
        reloaded = {name for turn in scenario.turns for name in turn.saved}
        agents = [agent for catalog in catalogs for agent in cast.team_of(scenario, catalog)]
        agents += [agent for catalog in catalogs for name, agent in catalog.agents.items() if name in reloaded]
        behind = [self._agent(agent) for agent in dict.fromkeys(agents)]
        file = Path(scenario.file)
        heard = {(file.parent / turn.deed.audio).resolve() for turn in scenario.turns if turn.deed and turn.deed.audio}
        return self._shared.union({file.resolve()}, heard, *behind)

    def _agent(self, agent: AgentDefinition) -> set[Path]:
        if agent not in self._known:
            texts = {Path(agent.file), *_instructions(agent, self._folder)}
            self._known[agent] = {path.resolve() for path in texts} | _code(agent, self._folder)
        return self._known[agent]


def _instructions(agent: AgentDefinition, folder: Path) -> set[Path]:
    """Return where an agent's instructions file may be: beside the agent's, or beside the defaults that name it."""
    relative = agent.data.get("instructions_file")
    return {Path(agent.file).parent / relative, folder / relative} if relative else set()


def _code(agent: AgentDefinition, folder: Path) -> set[Path]:
    """Return the files of an agent's tools: Python modules, and what is named in the commands of its servers."""
    from runtime.modules import files_behind  # brings threads and asyncio, which no check needs

    commands = [entry["mcp"].get("command", ()) for entry in agent.data["tools"] if "mcp" in entry]
    words = {word for command in commands for word in command if "\0" not in word}
    behind_m = {name for command in commands for option, name in pairwise(command) if option == "-m"}
    run = {name for name in behind_m if name.replace(".", "").isidentifier()}
    modules = {*_modules(agent), *run, *(f"{name}.__main__" for name in run)}
    return files_behind(modules, files.import_folders([folder]), map(Path, words))


def _modules(agent: AgentDefinition) -> set[str]:
    entries = [*agent.data["tools"], agent.data["lookup"] or {}]
    written = [entry["entrypoint"] for entry in entries if "entrypoint" in entry]
    written += (agent.data["guardrails"] or {}).get("rules", ())
    return {entrypoint.partition(":")[0] for entrypoint in written}


def open_repertoires(paths: Sequence[Path], environment: str) -> list[Repertoire]:
    """Return the catalogs of folders and scenario files with what is to be played of them.

    Raises `CatalogError` for a catalog with problems, and `SettingsError` for an environment that is not there.
    """
    return [_opened(folder, found, environment) for folder, found in _by_catalog(paths).items()]


def _by_catalog(paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the scenario files of paths by their catalog's folder."""
    found: dict[Path, list[Path]] = {}
    for path in paths:
        folder = path if path.is_dir() else files.catalog_of(path)
        known = found.setdefault(folder, [])
        known += [file for file in files.scenario_files([path]) if file not in known]
    return found


def _opened(folder: Path, found: Sequence[Path], environment: str) -> Repertoire:
    sources = files.sources([folder])
    if problems := files.without_agents([folder], sources):
        raise CatalogError(problems)
    company = _company(sources, environment)
    read, problems = read_all(found)
    for file in read:
        problems += [*cast.problems(file, company), *_unheard(file, folder)]
    wrong = {problem.file for problem in errors(problems)}
    playable = tuple(file for file in read if file.file not in wrong)
    return Repertoire(folder, company, playable, tuple(sorted(problems)))


def _company(sources: Sequence[Source], environment: str, read_tool: ToolReader | None = None) -> Company:
    """Return a company that is sound at its beginning; `read_tool` is for its reloads. Raises `CatalogError`."""
    company = replace(company_of(sources, None, environment), read_tool=read_tool)
    demand_environment(environment, company.drafts)
    _ = company.catalog  # raises what is wrong with it
    return company


def catalog_at(folder: Path, revision: str, environment: str) -> Catalog:
    """Return the sound agents of a catalog as they were at a revision. Raises `SettingsError` for none."""
    drafts = [draft(source, None, environment) for source in git.reader(folder, revision)(None).sources]
    return catalogs.assemble(made.definition for made in drafts if made.definition)


def read_all(paths: Iterable[Path]) -> tuple[list[ScenarioFile], list[Problem]]:
    """Return the scenario files that can be read, and every problem of all."""
    read, problems = [], []
    for path in paths:
        try:
            file, found = scenarios.read(files.settled(path)[1], path.as_posix())
        except OSError as error:
            why, cure = files.why_unreadable(path, error)
            file, found = None, [Problem(path.as_posix(), 0, 0, "", f"it cannot be read ({why})", cure)]
        read += [file] if file else []
        problems += found
    return read, problems


def check(paths: Sequence[Path], read_tool: ToolReader | None) -> tuple[list[Problem], int]:
    """Return the problems of all scenario files of folders and files, and how many files there are.

    What they name is looked for only where the catalog itself is sound; what only an environment has is there too.
    `read_tool` reads the tools of what they save.
    """
    problems, counted = [], 0
    for folder, found in _by_catalog([path for path in paths if path.is_dir() or files.scenario_files([path])]).items():
        counted += len(found)
        read, wrong = read_all(found)
        problems += wrong + [problem for file in read for problem in _unheard(file, folder)]
        if read:
            problems += _misnamed(read, files.sources([folder]), read_tool)
    return problems, counted


def _misnamed(read: Sequence[ScenarioFile], sources: Sequence[Source], read_tool: ToolReader | None) -> list[Problem]:
    """Return the problems of what scenarios name that are there in every environment, where the agents are sound."""
    company = _sound(sources, "", read_tool)
    if company is None:
        return []
    found = [problem for file in read for problem in cast.problems(file, company)]
    environments = set().union(*(made.environments or () for made in company.drafts)) if found else ()
    for environment in sorted(environments):
        if other := _sound(sources, environment, read_tool):
            elsewhere = {problem for file in read for problem in cast.problems(file, other)}
            found = [problem for problem in found if problem in elsewhere]
    return found


def _unheard(file: ScenarioFile, folder: Path) -> Iterator[Problem]:
    """Yield a problem for each file that a caller is to be heard with and cannot."""
    for index, scenario in enumerate(file.scenarios):
        for number, turn in enumerate(scenario.turns):
            if turn.deed is not None and turn.deed.audio and (wrong := _no_words(file, turn.deed.audio, folder)):
                yield file.document.problem((index, "turns", number, "caller", "audio"), *wrong)


def _no_words(file: ScenarioFile, relative: str, folder: Path) -> tuple[str, str] | None:
    """Return why a caller's words cannot be read, and the cure, or None."""
    from runtime.sound import samples  # which most scenarios do not need

    path = (Path(file.file).parent / relative).resolve()
    if Path(relative).is_absolute() or not path.is_relative_to(folder.resolve()):
        return f"'{relative}' is outside the catalog", "Write a path relative to this file, to one in the catalog."
    try:
        samples(path.read_bytes(), relative)
    except OSError as error:
        if path.exists():
            why, cure = files.why_unreadable(path, error)
            return f"'{relative}' cannot be read ({why})", cure
        return f"there is no file '{relative}'", "The path is relative to this file."
    except SoundError as error:
        return error.message, error.cure
    return None


def _sound(sources: Sequence[Source], environment: str, read_tool: ToolReader | None) -> Company | None:
    try:
        return _company(sources, environment, read_tool)
    except CatalogError:
        return None
