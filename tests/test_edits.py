"""Edits while calls come and go: whatever is done to a catalog's files, what callers get is whole and of one version.

Files, git, watcher, host and simulated calls are real. Nothing waits for time but the editor, who writes in steps.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import product, repeat
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, NamedTuple

import pytest

from runtime.catalog import Catalog, problems
from runtime.current import Status
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.draft import Draft, Source, draft
from runtime.errors import EntrypointError, errors
from runtime.files import SETTLED_SECONDS, Folder
from runtime.git import Reading, reader
from runtime.modules import Imports, ToolModules
from runtime.realtime.tools import read_tool
from runtime.reload import Drafts, Reader, Reloader, watch
from runtime.simulator import Script, SimulatedCall, ToolUse, Turn
from tests.house import MINIMAL, run
from tests.line import Line, line
from tests.test_git import git
from tests.test_reload import Watched, reload, voices

EDITS = 36  # in each seed; more of both find more
SEEDS = 2
BRANCHES = ("red", "blue")
EDITED = ("ash", "birch", "cedar")  # agents that are edited, the last of them never committed
STEADY = [f"steady{number}" for number in range(12)]  # agents that only a checkout touches, and that never are gone
STEP_SECONDS = 0.004  # between two writes of an editor that saves in steps

State = Mapping[str, bytes]
"""Every file as it stood at one moment, by its path in the repository."""


class Version(NamedTuple):
    """What a caller can tell an agent's versions by."""

    agent: str
    digest: str
    greeting: str
    instructions: str
    speed: float
    tools: tuple[str, ...]


def version(agent: AgentDefinition) -> Version:
    """Return the version that an agent is; its texts are templates without variables."""
    greeting = agent.greeting.text.render({}) if agent.greeting else ""
    tools = tuple(tool.description for tool in agent.tools)
    instructions = agent.instructions.render({})
    return Version(agent.name, agent.digest, greeting, instructions, float(agent.data["speed"]), tools)


class Author:
    """Edits a catalog in a repository, well and badly, and knows every version that stood there complete."""

    TOOL = "edited_tool.py"

    def __init__(self, repository: Path, seed: int) -> None:
        self.repository = repository
        self.folder = repository / "agents"
        self.stood: set[Version] = set()
        self.recent: set[Version] = set()
        self.gone: set[str] = set()
        self.committed: Mapping[str, set[Version]] = {}
        self._chance = Random(seed)
        self._texts = 0
        self._drafts: dict[Any, Draft] = {}
        self._begin()

    def _begin(self) -> None:
        """Commit a good catalog on each branch, every file of it different from the other's."""
        committed: dict[str, set[Version]] = {}
        self.folder.mkdir()
        git(self.repository, "init", "-q", "-b", BRANCHES[0])
        for branch in BRANCHES:
            for path in ("agents/ash.yaml", "agents/birch.yaml", "agents/birch.md", "agents/_defaults.yaml", self.TOOL):
                (self.repository / path).write_text(self._good(path))
            for name in STEADY:
                (self.folder / f"{name}.yaml").write_text(self._good(f"agents/{name}.yaml"))
            if branch != BRANCHES[0]:
                git(self.repository, "checkout", "-q", "-b", branch)
            git(self.repository, "add", "-A")
            git(self.repository, "commit", "-qm", branch)
            revision = git(self.repository, "rev-parse", "HEAD")[:12]
            committed[revision] = self._note(self.state())
        self.committed = committed

    # ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _good(self, path: str) -> str:
        """Return a new text for a file. Its last part can be cut off and leave a text that is well, but not whole."""
        self._texts += 1
        number, name = self._texts, Path(path).stem
        if path.endswith(".md"):
            return f"You are {name} in version {number}. " + "Be brief, and be kind to whoever calls. " * 3
        if path == self.TOOL:
            return _tool(f"half {number}") + "\n\n" + _tool(f"whole {number}")
        if name == "_defaults":
            return f"speed: 1.{number:03}\n# the house's values, of version {number}\n"
        extra = "" if name in STEADY else f"variables: {{version: {number}}}\n"
        instructions = (
            "instructions_file: birch.md\n"
            if name == "birch"
            else f"instructions: You are {name} in version {number}.\n"
        )
        tools = "tools: [{entrypoint: 'edited_tool:answer'}]\n"
        return (
            f"name: {name}\nanswers: ['{self._number(name)}']\n{tools}{extra}"
            f"greeting: This is {name} in version {number}.\n{instructions}# the end of version {number}\n"
        )

    def _number(self, name: str) -> str:
        may_tie = self.committed and name not in STEADY  # two agents want one number then
        return number_of("ash" if may_tie and self._chance.random() < 0.1 else name)

    def _bad(self, path: str) -> str:
        text = self._good(path)
        if path.endswith(".py"):
            return self._chance.choice(["raise SystemExit(3)\n", "def answer(\n", "import nothing_such\n"]) + text
        if path.endswith(".md"):
            return "{{ nobody }}"
        return self._chance.choice([text[: self._chance.randrange(1, 12)], text + "voice: nobody\n", "x: [\n" + text])

    # ── edits: each runs in a thread, and notes what stood ────────────────────────────────────────────────────

    def edit(self) -> None:
        """Make the next edit."""
        chance = self._chance
        kinds = [self._save] * 4 + [self._save_in_steps] * 4 + [self._replace] * 3
        kinds += [self._break] * 2 + [self._delete, self._rename] + [self._check_out] * 3
        before = self.state()
        path = chance.choice(
            ["agents/ash.yaml", "agents/birch.yaml", "agents/birch.md", "agents/cedar.yaml"] * 2
            + ["agents/_defaults.yaml", self.TOOL, self.TOOL]
        )
        chance.choice(kinds)(path, before)

    def _save(self, path: str, before: State) -> None:
        (self.repository / path).write_text(self._good(path))
        self._note(self.state())

    def _break(self, path: str, before: State) -> None:
        (self.repository / path).write_text(self._bad(path))
        self._note(self.state())

    def _save_in_steps(self, path: str, before: State) -> None:
        """Write as some editors do: what is on the disk meanwhile may well be a valid text."""
        text = self._good(path).encode()
        cuts = sorted(self._chance.sample(range(len(text) // 2, len(text)), 2))
        if path == self.TOOL:
            cuts = [text.index(b"\n\n\n") + 1] * 2
        began = time.monotonic()
        with (self.repository / path).open("wb", buffering=0) as file:
            for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
                file.write(text[start:end])
                time.sleep(STEP_SECONDS)
        if stalled(time.monotonic() - began):
            for cut in cuts:
                self._note({**before, path: text[:cut]})
        self._note(self.state())

    def _replace(self, path: str, before: State) -> None:
        beside = self.repository / path
        beside = beside.with_name(f".{beside.name}.swp")
        beside.write_text(self._good(path))
        beside.rename(self.repository / path)
        self._note(self.state())

    def _delete(self, path: str, before: State) -> None:
        (self.repository / path).unlink(missing_ok=True)
        self._note(self.state())

    def _rename(self, path: str, before: State) -> None:
        if (self.folder / "ash.yaml").exists():
            (self.folder / "ash.yaml").rename(self.folder / "cedar.yaml")
        self._note(self.state())

    def _check_out(self, path: str, before: State) -> None:
        """Go to another branch, and throw away what is not of it."""
        git(self.repository, "checkout", "-qf", self._chance.choice(BRANCHES))
        after = self.state()
        changed = [self.repository / path for path in after if after[path] != before.get(path)]
        times = sorted(file.stat().st_mtime for file in changed)
        if times and stalled(times[-1] - times[0]):
            self._note_mixtures(before, after)
        self._note(after)
        git(self.repository, "clean", "-fdq")
        self._note(self.state())

    # ── what stands ───────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> State:
        """Return the files as they are."""
        files = [*self.folder.glob("[!.]*"), *self.repository.glob(self.TOOL)]
        return {file.relative_to(self.repository).as_posix(): file.read_bytes() for file in files}

    def drafts(self, state: State) -> list[Draft]:
        """Return a fresh draft of each agent in a state, however it came about."""
        return [self._draft(state, path) for path in sorted(state) if is_agent(path)]

    def _draft(self, state: State, path: str) -> Draft:
        parts = (path, *(state.get(part) for part in (path, "agents/birch.md", "agents/_defaults.yaml", self.TOOL)))
        if parts not in self._drafts:

            def tool(written: Mapping[str, Any]) -> ToolDefinition:
                return _made(state.get(self.TOOL, b"raise ImportError"), written)

            self._drafts[parts] = draft(self._source(state, path), tool)
        return self._drafts[parts]

    def _source(self, state: State, path: str) -> Source:
        def sibling(relative: str) -> bytes:
            try:
                return state[f"agents/{relative}"]
            except KeyError:
                raise FileNotFoundError(relative) from None

        shared = "agents/_defaults.yaml"
        defaults = None if path == shared or shared not in state else self._source(state, shared)
        return Source((self.repository / path).as_posix(), state[path], sibling, defaults=defaults)

    def _note(self, state: State) -> set[Version]:
        found = {version(made.definition) for made in self.drafts(state) if made.definition}
        self.stood |= found
        self.recent |= found
        self.gone |= {name for name in EDITED if f"agents/{name}.yaml" not in state}
        return found

    def quiet(self) -> None:
        """Forget what is recent: since this moment nothing has been edited."""
        self.recent, self.gone = set(), set()

    def _note_mixtures(self, before: State, after: State) -> None:
        """Note what stood while a checkout was held up half-way: of each file, the one before or the one after."""
        parts = [
            ["agents/birch.md"],
            ["agents/_defaults.yaml"],
            [self.TOOL],
            [path for path in after if is_agent(path)],
        ]
        for chosen in product((before, after), repeat=len(parts)):
            mixed = {
                path: state[path] for state, part in zip(chosen, parts, strict=True) for path in part if path in state
            }
            self._note(mixed)


def is_agent(path: str) -> bool:
    return path.endswith(".yaml") and not path.endswith("_defaults.yaml")


def stalled(seconds: float) -> bool:
    """Tell whether the machine held up an edit for so long that nobody can know it was not over."""
    return seconds > SETTLED_SECONDS - 0.01  # a file's time comes in ticks of a few ms


def number_of(name: str) -> str:
    """Return the number that an agent answers."""
    return f"+1555{[*EDITED, *STEADY].index(name):07}"


def _tool(words: str) -> str:
    return f'def answer() -> str:\n    """Return {words}."""\n    return "{words}"\n'


def _made(raw: bytes, written: Mapping[str, Any]) -> ToolDefinition:
    names: dict[str, Any] = {}
    try:
        exec(raw, names)
        description = str(names["answer"].__doc__)
    except BaseException as error:
        raise EntrypointError("it breaks", "Mend it.") from error
    return ToolDefinition(written["name"], description, {}, written)


# ── the line ──────────────────────────────────────────────────────────────────────────────────────────────────


class Live(Watched):
    """The live catalog, which remembers all that it ever held."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self.held: list[tuple[Catalog, Status]] = []
        self.reloads = 0

    def swap(self, catalog: Catalog, status: Status) -> None:
        self.held.append((catalog, status))
        self.reloads += 1
        super().swap(catalog, status)

    def stay(self, status: Status) -> None:
        self.reloads += 1
        super().stay(status)

    async def settled(self) -> None:
        """Wait for a reload that began after this was called, and has ended."""
        enough = self.reloads + 2  # one may have been under way
        await self.until(lambda: self.reloads >= enough)


class Desk(NamedTuple):
    """A watched catalog that is served on a line."""

    live: Live
    reloader: Reloader
    line: Line


def reloader(
    folder: Path, read: Reader | None = None, modules: ToolModules | None = None, *, strict: bool = False
) -> Reloader:
    """Load a catalog's folder as `switchboard serve` does."""
    modules, read = modules or tool_modules(folder), read or reader(folder, None)
    made = Reloader(Live(Catalog({})), read, Drafts(modules.imports.read_tool), modules, strict=strict)
    made.start()
    return made


def tool_modules(folder: Path) -> ToolModules:
    return ToolModules([str(folder.parent)], Imports(read_tool))


@asynccontextmanager
async def desk(folder: Path, look_again_seconds: float = 0.1) -> AsyncIterator[Desk]:
    """Serve a catalog's folder as `switchboard serve --watch` does."""
    modules = tool_modules(folder)
    made = reloader(folder, modules=modules)
    assert isinstance(made.current, Live)
    async with line(current=made.current) as served:
        watching = asyncio.create_task(watch(made, folder, modules, look_again_seconds))
        try:
            yield Desk(made.current, made, served)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder for a catalog and its tools, on the path; modules named `edited_…` are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("edited_")]:
        del sys.modules[name]


# ── whatever happens ──────────────────────────────────────────────────────────────────────────────────────────

USES = Turn("Which one are you?", (ToolUse("answer"), "That one."))
CALLER = Script((USES, USES, USES), rest=0.05, patience=2)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_every_call_runs_one_whole_version_and_the_live_catalog_ends_as_the_folder_stands(
    repository: Path, seed: int
) -> None:
    """Good and bad saves, in steps, by rename, of tools and shared files, deletes and checkouts, while calls go on."""
    author, chance = Author(repository, seed), Random(seed)

    async def work() -> None:
        async with desk(author.folder) as at:
            calls: list[SimulatedCall] = []
            good = agents_by_file(at.live.get())

            async def ring(name: str) -> None:
                calls.append(await at.line.ring(script=CALLER, called=number_of(name)))

            for _ in range(EDITS):
                others: list[Coroutine[Any, Any, Any]] = [ring(chance.choice(EDITED)), ring(chance.choice(STEADY))]
                if chance.random() < 0.5:  # as SIGHUP would, just then
                    others.append(at.reloader.reload())
                await asyncio.gather(asyncio.to_thread(author.edit), *others)
                if chance.random() < 0.4:
                    await at.live.settled()
                    good = check_settled(author, at.live, good)
            await at.live.settled()
            check_settled(author, at.live, good)
            await at.line.quiet()
            check_catalogs(author, at.live.held)
            check_calls(author, at.line, calls)

    run(work(), 60)


def agents_by_file(catalog: Catalog) -> dict[str, Version]:
    return {agent.file: version(agent) for agent in catalog.agents.values()}


def check_settled(author: Author, live: Live, good: Mapping[str, Version]) -> dict[str, Version]:
    """Compare what is live with a fresh load of the folder; `good` is what was live when it was quiet before."""
    fresh = {made.file: made for made in author.drafts(author.state())}
    served = agents_by_file(live.get())
    broken = {problem.file for problem in errors(live.status.problems)}
    assert bool(broken) == bool(errors(problems(list(fresh.values())))), live.status
    assert served.keys() <= fresh.keys(), "a file that is gone takes its agent with it"
    for file, made in fresh.items():
        if made.definition and file not in broken:
            assert served.get(file) == version(made.definition)
        elif file in served:
            assert served[file] in author.recent | {good.get(file)}, "nothing older than the last good version"
        else:
            assert file not in good or Path(file).stem in author.gone, "the last good version stays"
    author.quiet()
    return served


def check_catalogs(author: Author, held: Sequence[tuple[Catalog, Status]]) -> None:
    for catalog, status in held:
        versions = set(agents_by_file(catalog).values())
        assert versions <= author.stood, "every version that was live stood in the folder, whole"
        assert {one.agent for one in versions} >= set(STEADY), "nobody vanishes who was never gone"
        called = [str(rule.called) for agent in catalog.agents.values() for rule in agent.answers]
        assert len(called) == len(set(called)), "no two agents want one call"
        if catalog.revision in author.committed and not status.older:
            committed = {(one.agent, one.digest) for one in author.committed[catalog.revision]}
            assert {(one.agent, one.digest) for one in versions} == committed, "a commit's name is its content"


def check_calls(author: Author, served: Line, calls: list[SimulatedCall]) -> None:
    heard: set[Version] = set()
    for call in calls:
        records = [record for call_id, record in served.records if call_id == call.call_id]
        told = {record.what: {**record.fields, **record.private} for record in records}
        results = {record.private["result"] for record in records if record.what == "tool finished"}
        if "matched" not in told:
            assert call.called not in map(number_of, STEADY)
            continue
        matched, ended, session = told["matched"], told["ended"], call.peer.session
        assert (ended["outcome"], ended["greeting"]) == ("caller_hung_up", "exact"), told
        assert (ended["revision"], ended["digest"]) == (matched["revision"], matched["digest"])
        tools = tuple(tool["description"] for tool in session["tools"])
        speed = session["audio"]["output"]["speed"]
        ran = Version(
            matched["agent"], matched["digest"], told["greeting"]["text"], session["instructions"], speed, tools
        )
        assert ran in author.stood
        assert [f"Return {result[1:-1]}." for result in results] == list(tools), "one tool, of one version throughout"
        heard.add(ran)
    assert len(heard) > EDITS / 4, "calls came and went"


# ── one by one ────────────────────────────────────────────────────────────────────────────────────────────────

OTHER = MINIMAL.replace("desk", "other").replace("+15550100001", "+15550100002")
TOOL = "tools: [{entrypoint: 'edited_tool:answer'}]\n"


@pytest.fixture
def folder(repository: Path) -> Path:
    """Return a catalog's folder with two agents."""
    agents = repository / "agents"
    agents.mkdir()
    (agents / "desk.yaml").write_text(MINIMAL)
    (agents / "other.yaml").write_text(OTHER)
    return agents


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody whom rights bind: root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65534)
    except PermissionError:
        pytest.skip("root may not become anybody else here")
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public(folder: Path) -> Iterator[Path]:
    """Return a catalog's folder that everybody can reach; pytest's own folders are private."""
    with TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        agents = shutil.copytree(folder, Path(path) / "agents")
        agents.chmod(0o755)
        with nobody():
            if not os.access(agents, os.R_OK | os.X_OK, effective_ids=True):
                pytest.skip("nobody else can reach temporary files here")
        yield agents


def test_a_file_without_read_permission_keeps_its_last_good_version_and_others_go_on(public: Path) -> None:
    made = reloader(public)
    (public / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    (public / "desk.yaml").chmod(0)
    (public / "other.yaml").write_text(OTHER + "voice: sage\n")
    with nobody():
        status = reload(made)
    assert status.older == ("desk",)
    assert ["it cannot be read (permission denied)" in str(problem) for problem in status.problems] == [True]
    assert voices(made) == {"desk": "marin", "other": "sage"}
    (public / "desk.yaml").chmod(0o644)
    with nobody():
        assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "cedar", "other": "sage"}


@pytest.mark.parametrize("rights", [0o000, 0o444], ids=["closed", "listed only"])
def test_a_folder_that_cannot_be_read_keeps_its_agents(public: Path, rights: int) -> None:
    deep = public / "deep" / "deeper"
    deep.mkdir(parents=True)
    (public / "other.yaml").rename(deep / "other.yaml")
    made, strict = reloader(public), reloader(public, strict=True)
    deep.parent.chmod(rights)
    (public / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    with nobody():
        status = reload(made)
        assert reload(strict).result == "refused"
    assert status.result == "partly"
    assert all(problem.file.startswith((public / "deep").as_posix()) for problem in status.problems)
    assert voices(made) == {"desk": "cedar", "other": "marin"}
    deep.parent.chmod(0o755)
    (deep / "other.yaml").unlink()
    with nobody():
        assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "cedar"}


def test_a_watched_folder_that_vanishes_is_served_until_it_returns_and_is_watched_again(folder: Path) -> None:
    away = folder.parent / "away"

    async def work() -> None:
        async with desk(folder) as at:
            await asyncio.to_thread(folder.rename, away)
            await at.live.until(lambda: at.live.status.result == "refused")
            await (await at.line.ring(script=Script(patience=0))).ended.wait()
            (away / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
            await asyncio.to_thread(away.rename, folder)
            await at.live.until(lambda: voices(at.reloader)["desk"] == "cedar")
            (folder / "desk.yaml").write_text(MINIMAL + "voice: sage\n")
            await at.live.until(lambda: voices(at.reloader)["desk"] == "sage")
            assert [fields["outcome"] for fields in at.line.told("ended")] == ["caller_hung_up"]

    run(work())


def test_a_folder_with_links_that_lead_in_circles_is_watched(folder: Path) -> None:
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "one.yaml").symlink_to(folder / "two.yaml")
    (folder / "two.yaml").symlink_to(folder / "one.yaml")

    async def work() -> None:
        async with desk(folder) as at:
            (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
            await at.live.until(lambda: voices(at.reloader)["desk"] == "cedar")
            broken = {Path(problem.file).name for problem in at.live.status.problems}
            assert broken == {"one.yaml", "two.yaml"}

    run(work())


def test_two_hundred_saves_in_a_second_are_few_reloads_and_the_last_is_live(folder: Path) -> None:
    async def work() -> None:
        async with desk(folder, look_again_seconds=10) as at:
            for number in range(200):
                (folder / "desk.yaml").write_text(MINIMAL + f"speed: 1.{number:03}\n")
                await asyncio.sleep(STEP_SECONDS)  # the pace of the saves
                if number % 50 == 0:
                    await at.line.ring(script=Script(patience=0))
            await at.live.until(lambda: at.live.get().agents["desk"].data["speed"] == 1.199)
            assert at.live.reloads < 20
            await at.line.quiet()
            assert [fields["outcome"] for fields in at.line.told("ended")] == ["caller_hung_up"] * 4

    run(work())


def test_a_tool_module_that_takes_long_to_import_delays_no_call(folder: Path) -> None:
    module, gate = folder.parent / "edited_tool.py", folder.parent / "gate"
    module.write_text(_tool("one"))
    (folder / "desk.yaml").write_text(MINIMAL + "greeting: Hello.\n" + TOOL)
    (folder / "other.yaml").write_text(OTHER + "greeting: Hello.\n")
    os.mkfifo(gate)

    async def work() -> None:
        async with desk(folder) as at:
            module.write_text(f"with open({str(gate)!r}) as gate:\n    gate.read()\n{_tool('two')}")
            opened = await asyncio.to_thread(gate.open, "w")  # which waits until the import does
            await (await at.line.ring(script=Script((USES,)))).ended.wait()
            await (await at.line.ring(script=Script(), called="+15550100002")).ended.wait()
            assert [fields["agent"] for fields in at.line.told("matched")] == ["desk", "other"]
            assert [fields["result"] for fields in at.line.told("tool finished")] == ['"one"']
            opened.close()
            await at.live.until(lambda: version(at.live.get().agents["desk"]).tools == ("Return two.",))

    run(work())


def test_what_is_saved_while_it_is_read_is_not_mixed_with_what_was_read(folder: Path) -> None:
    text = MINIMAL.replace("instructions: Be brief.", "instructions_file: desk.md")

    def save(voice: str) -> None:
        (folder / "desk.md").write_text(f"You have the voice {voice}.")
        (folder / "desk.yaml").write_text(f"{text}voice: {voice}\n")

    save("cedar")
    read, edits = reader(folder, None), list[str]()

    def read_slowly(revision: str | None) -> Reading:
        found = read(revision)
        if edits:
            save(edits.pop(0))
        return found

    made = reloader(folder, read_slowly)
    edits += ["sage", "coral"]
    assert reload(made).result == "loaded"
    assert isinstance(made.current, Live)
    heard = [version(catalog.agents["desk"]).instructions for catalog, _ in made.current.held]
    assert heard == ["You have the voice cedar.", "You have the voice coral."]
    assert voices(made)["desk"] == "coral"


def test_a_folder_that_changes_at_every_look_is_refused_until_it_is_quiet(folder: Path) -> None:
    read, speeds = reader(folder, None), list[int]()

    def read_after_a_save(revision: str | None) -> Reading:
        if speeds:
            (folder / "desk.yaml").write_text(MINIMAL + f"speed: 1.{speeds.pop()}\n")
        return read(revision)

    made = reloader(folder, read_after_a_save)
    speeds += range(1000, 1100)
    status = reload(made)
    assert (status.result, len(voices(made))) == ("refused", 2)
    assert "changes all the time while it is read" in str(status.problems[0])
    assert len(speeds) > 50, "not for ever"
    speeds.clear()
    assert reload(made).result == "loaded"


class Writer:
    """Somebody who writes to a file in a thread, a line at a time, and notes the longest pause that there was."""

    def __init__(self, file: Path, lines: Iterable[str]) -> None:
        self.longest = 0.0
        self._file, self._lines = file, lines
        self._began, self._enough = Event(), Event()
        self._thread = Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        self._began.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _write(self) -> None:
        with self._file.open("a", buffering=1) as file:
            last = time.monotonic()
            for line in self._lines:
                file.write(line)
                self._began.set()
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
                time.sleep(STEP_SECONDS)
                if self._enough.is_set():
                    return


def test_a_file_is_read_when_nobody_writes_to_it_any_more(folder: Path) -> None:
    """Each of the writes takes less than the time after which a file counts as written, all of them take longer."""
    lines = [f"# {number}\n" for number in range(20)]
    with Writer(folder / "desk.yaml", lines) as writer:
        (desk, _) = Folder(folder).sources()
    assert desk.raw.decode() == MINIMAL + "".join(lines) or stalled(writer.longest)


def test_a_file_that_is_written_to_without_end_holds_up_no_other(folder: Path) -> None:
    made = reloader(folder)
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    with Writer(folder / "desk.yaml", repeat("# and on\n")) as writer:
        status = reload(made)
    if not stalled(writer.longest):
        assert status.older == ("desk",)
        assert "somebody writes to it without end). Save it once" in str(status.problems[0])
        assert voices(made) == {"desk": "marin", "other": "cedar"}


# ── tools that are edited ─────────────────────────────────────────────────────────────────────────────────────


def says(made: Reloader) -> tuple[str, ...]:
    return version(made.current.get().agents["desk"]).tools


def test_a_module_that_is_saved_while_it_is_imported_is_imported_again(folder: Path) -> None:
    made = reloader(folder)
    module = folder.parent / "edited_tool.py"
    module.write_text(f"import pathlib\npathlib.Path(__file__).write_text({_tool('two')!r})\n{_tool('one')}")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    assert reload(made).result == "loaded"
    assert says(made) == ("Return two.",)


@pytest.mark.parametrize("first", [None, "def (", "raise SystemExit(3)", "import edited_words"])
def test_a_tool_that_was_never_well_is_tried_again_when_its_module_changes(folder: Path, first: str | None) -> None:
    made = reloader(folder)
    module = folder.parent / "edited_tool.py"
    if first is not None:
        module.write_text(first)
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    assert reload(made).older == ("desk",)
    assert reload(made).older == ("desk",)
    module.write_text(_tool("one"))
    assert reload(made).result == "loaded"
    assert says(made) == ("Return one.",)


def test_a_tool_is_tried_again_when_a_module_that_it_imports_is_mended(folder: Path) -> None:
    made = reloader(folder)
    (folder.parent / "edited_tool.py").write_text("from edited_words import answer\n")
    (folder.parent / "edited_words.py").write_text("def (")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    assert reload(made).older == ("desk",)
    (folder.parent / "edited_words.py").write_text(_tool("one"))
    assert reload(made).result == "loaded"
    assert says(made) == ("Return one.",)
