"""Edits while calls come and go: whatever is done to a catalog's files, what callers get is whole and of one version.

Files, git, watcher, host and simulated calls are real. Nothing waits for time but the editor, who writes in steps.
"""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import NamedTuple

import pytest

from runtime.catalog import Catalog
from runtime.current import Status
from runtime.definition import AgentDefinition
from runtime.files import SETTLED_SECONDS, Folder
from runtime.git import Reading, reader
from runtime.modules import Imports, ToolModules
from runtime.realtime.tools import read_tool
from runtime.reload import Drafts, Reader, Reloader, watch
from runtime.simulator import Script, ToolUse, Turn
from tests.house import MINIMAL, run
from tests.line import Line, line
from tests.test_reload import Watched, reload, voices

STEP_SECONDS = 0.004  # between two writes of an editor that saves in steps


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


def stalled(seconds: float) -> bool:
    """Tell whether the machine held up an edit for so long that nobody can know it was not over."""
    return seconds > SETTLED_SECONDS - 0.01  # a file's time comes in ticks of a few ms


def _tool(words: str) -> str:
    return f'def answer() -> str:\n    """Return {words}."""\n    return "{words}"\n'


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


USES = Turn("Which one are you?", (ToolUse("answer"), "That one."))


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


def test_a_file_is_read_when_nobody_writes_to_it_any_more(folder: Path) -> None:
    """Each of the writes takes less than the time after which a file counts as written, all of them take longer."""
    pieces = [f"# {number}\n" for number in range(20)]
    gaps = [0.0]

    def write() -> None:
        with (folder / "desk.yaml").open("a", buffering=1) as file:
            began.set()
            for piece in pieces:
                at = time.monotonic()
                time.sleep(STEP_SECONDS)
                file.write(piece)
                gaps.append(time.monotonic() - at)

    began = Event()
    writing = Thread(target=write)
    (folder / "desk.yaml").write_text(MINIMAL)
    writing.start()
    began.wait()
    (desk, _) = Folder(folder).sources()
    writing.join()
    assert desk.raw.decode() == MINIMAL + "".join(pieces) or stalled(max(gaps))


def test_a_file_that_is_written_to_without_end_holds_up_no_other(folder: Path) -> None:
    made = reloader(folder)
    began, enough = Event(), Event()

    def write() -> None:
        with (folder / "desk.yaml").open("a", buffering=1) as file:
            while not enough.is_set():
                file.write("# and on\n")
                began.set()

    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    writing = Thread(target=write)
    writing.start()
    began.wait()
    status = reload(made)
    enough.set()
    writing.join()
    assert status.older == ("desk",)
    assert "somebody writes to it without end" in str(status.problems[0])
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
