"""Reloading: what is live after an edit, and what stays. Files are real, time is not waited for."""

import asyncio
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import CallContext, reports
from runtime.catalog import Catalog
from runtime.current import Current, Status
from runtime.definition import ToolDefinition
from runtime.errors import CatalogError
from runtime.files import Folder
from runtime.git import reader
from runtime.modules import IMPORT_SECONDS, Imports, ToolModules
from runtime.realtime.tools import read_tool
from runtime.reload import Drafts, Reloader, follow, watch
from tests.house import MINIMAL, run

OTHER = MINIMAL.replace("desk", "other").replace("+15550100001", "+15550100002")
TOOL = 'tools: [{entrypoint: "reloaded_tool:answer"}]\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a catalog's folder with two agents, and a folder for tool modules beside it on the path."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "desk.yaml").write_text(MINIMAL)
    (agents / "other.yaml").write_text(OTHER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield agents
    for name in [name for name in sys.modules if name.startswith("reloaded_")]:
        del sys.modules[name]


class Watched(Current):
    """A holder that remembers each swap and lets a test wait for the next reload's end."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self.swapped: list[int] = []
        self._ended = asyncio.Event()

    def swap(self, catalog: Catalog, status: Status) -> None:
        super().swap(catalog, status)
        self.swapped.append(len(catalog.agents))
        self._ended.set()

    def stay(self, status: Status) -> None:
        super().stay(status)
        self._ended.set()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something holds; the suite's own limit ends a wait that is in vain."""
        while not met():
            self._ended.clear()
            await self._ended.wait()


def reloader(
    folder: Path,
    *,
    strict: bool = False,
    revision: str | None = None,
    environment: str = "",
    import_seconds: float = IMPORT_SECONDS,
) -> Reloader:
    imports = Imports(read_tool, import_seconds)
    modules = ToolModules([str(folder.parent)], imports)
    read, drafts = reader(folder, revision), Drafts(imports.read_tool, environment)
    made = Reloader(Watched(Catalog({})), read, drafts, modules, strict=strict)
    made.start()
    return made


def voices(made: Reloader) -> dict[str, str]:
    return {name: str(agent.data["voice"]) for name, agent in made.current.get().agents.items()}


def reload(made: Reloader, revision: str | None = None) -> Status:
    return run(made.reload(revision))


def test_a_saved_file_is_live_for_the_next_call(folder: Path) -> None:
    made = reloader(folder)
    before = made.current.get()
    (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    status = reload(made)
    assert (status.result, status.problems) == ("loaded", ())
    assert voices(made) == {"desk": "cedar", "other": "marin"}
    assert before.agents["desk"].data["voice"] == "marin", "a call keeps what it began with"
    assert before.agents["other"] is made.current.get().agents["other"], "what did not change is not made again"


def test_a_file_with_problems_keeps_its_last_good_version_and_others_go_on(folder: Path) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    status = reload(made)
    assert (status.result, status.older) == ("partly", ("desk",))
    assert voices(made) == {"desk": "marin", "other": "cedar"}
    (folder / "desk.yaml").write_text(MINIMAL + "voice: sage\n")
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "sage", "other": "cedar"}


def test_in_production_a_bad_catalog_is_refused_as_a_whole(folder: Path) -> None:
    made = reloader(folder, strict=True)
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    status = reload(made)
    assert status.result == "refused"
    assert "nobody" in str(status.problems[0])
    assert voices(made) == {"desk": "marin", "other": "marin"}
    assert made.current.status is status


def test_in_production_an_emptied_catalog_is_refused(folder: Path) -> None:
    made = reloader(folder, strict=True)
    for file in folder.iterdir():
        file.unlink()
    status = reload(made)
    assert (status.result, [str(problem) for problem in status.problems]) == (
        "refused",
        ["the catalog: it has no agent left. Agent files end in .yaml."],
    )
    assert status.as_data()["problems"][0]["line"] is None
    assert len(made.current.get().agents) == 2


def test_a_tie_is_laid_at_the_door_of_the_file_that_changed_last(folder: Path) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").write_text(MINIMAL.replace("100001", "100002"))
    status = reload(made)
    assert [Path(problem.file).name for problem in status.problems] == ["desk.yaml"]
    assert status.older == ("desk",)
    assert str(made.current.get().agents["desk"].answers[0].called) == "+15550100001"


def test_a_deleted_file_removes_its_agent_and_a_new_one_adds_one(folder: Path) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").rename(folder / "renamed.yaml")
    (folder / "other.yaml").unlink()
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "marin"}


def test_unchanged_content_is_no_reload(folder: Path) -> None:
    made = reloader(folder)
    before = made.current.get()
    (folder / "desk.yaml").write_text(MINIMAL)
    assert reload(made).result == "unchanged"
    assert made.current.get() is before


def test_a_changed_instructions_file_changes_its_agent(folder: Path) -> None:
    (folder / "desk.txt").write_text("One.")
    (folder / "desk.yaml").write_text(MINIMAL.replace("instructions: Be brief.", "instructions_file: desk.txt"))
    made = reloader(folder)
    (folder / "desk.txt").write_text("Two.")
    assert reload(made).result == "loaded"
    assert made.current.get().agents["desk"].instructions.text == "Two."
    (folder / "desk.txt").unlink()
    assert reload(made).older == ("desk",)


def test_a_folder_that_vanishes_leaves_everything_live_until_it_returns(folder: Path) -> None:
    made = reloader(folder)
    away = folder.rename(folder.parent / "away")
    assert reload(made).result == "refused"
    assert voices(made) == {"desk": "marin", "other": "marin"}
    (away / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    away.rename(folder)
    assert reload(made).result == "loaded"
    assert voices(made)["desk"] == "cedar"


def test_a_file_that_cannot_be_read_keeps_its_last_good_version(folder: Path) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").unlink()
    (folder / "desk.yaml").symlink_to(folder / "desk.yaml")
    status = reload(made)
    assert status.older == ("desk",)
    assert "cannot be read" in status.problems[0].message


def test_a_pipe_in_the_catalog_is_not_waited_for(folder: Path) -> None:
    made = reloader(folder)
    os.mkfifo(folder / "pipe.yaml")
    status = reload(made)
    assert "not a plain file" in status.problems[0].message
    assert voices(made) == {"desk": "marin", "other": "marin"}


def test_a_comment_is_a_reload_that_tells_of_no_tools(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").write_text("# hello\n" + MINIMAL)
    with caplog.at_level("INFO"):
        assert reload(made).result == "loaded"
    assert "reloaded" not in caplog.text


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Return what gives the lines that were logged since it was last asked."""

    def lines() -> list[str]:
        said = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
        caplog.clear()
        return said

    with caplog.at_level("INFO", "runtime.reload"):
        yield lines


Told = Callable[[], list[str]]
WRONG = "desk.yaml:4:8: voice: 'nobody' is not one of"


def keep_up(made: Reloader) -> Status:
    return run(made.keep_up())


def test_a_reload_is_told_in_a_line_or_two(folder: Path, told: Told) -> None:
    made = reloader(folder)
    assert told() == [], "a good start is told by the command"
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    keep_up(made)
    changed, wrong, stays = told()
    assert changed == "INFO reloaded: changed other (voice)"
    assert wrong.startswith("ERROR ")
    assert WRONG in wrong
    assert stays == "WARNING desk stays at the last good version; 2 agents live"


def test_a_module_that_breaks_for_nine_agents_is_told_once(folder: Path, told: Told) -> None:
    write_tool(folder, "one")
    for number in range(9):
        text = MINIMAL.replace("desk", f"a{number}").replace("+15550100001", f"+1777{number:04}")
        (folder / f"a{number}.yaml").write_text(text + TOOL)
    made = reloader(folder)
    write_tool(folder, "two", before="raise ValueError('no table')")
    keep_up(made)
    wrong, stay = told()
    assert "'reloaded_tool' breaks when it is imported (ValueError: no table)" in wrong
    assert "(in 9 places: " in wrong
    assert stay == "WARNING 9 agents (a0, a1 and 7 others) stay at the last good version; 11 agents live"


def test_what_is_still_wrong_is_not_told_again_when_another_file_is_saved(folder: Path, told: Told) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    keep_up(made)
    told()
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    keep_up(made)
    assert told() == ["INFO reloaded: changed other (voice)"]
    keep_up(made)
    assert told() == []
    (folder / "desk.yaml").write_text(MINIMAL + "voice: somebody\n")
    keep_up(made)
    assert len(told()) == 2, "another problem is told"


@pytest.mark.parametrize("strict", [True, False])
def test_who_asks_for_a_reload_is_told_all_of_it_each_time(folder: Path, told: Told, strict: bool) -> None:
    made = reloader(folder, strict=strict)
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    reload(made)
    first = told()
    reload(made)
    assert told() == first
    assert WRONG in first[0]
    assert first[1].startswith("ERROR refused" if strict else "WARNING desk stays")


def test_who_asks_for_nothing_new_is_told_so(folder: Path, told: Told) -> None:
    made = reloader(folder)
    reload(made)
    assert told() == ["INFO nothing changes for callers; 2 agents live"]


def test_when_the_last_problem_is_gone_that_is_told(folder: Path, told: Told) -> None:
    made = reloader(folder)
    (folder / "desk.yaml").write_text(MINIMAL.replace("100001", "100002"))
    keep_up(made)
    told()
    (folder / "desk.yaml").write_text(MINIMAL)
    keep_up(made)
    assert told() == ["INFO all is well again; 2 agents live"]
    away = folder.rename(folder.parent / "away")
    keep_up(made)
    gone, stays = told()
    assert "is no file or folder" in gone
    assert stays == "ERROR refused, and all stays as it was; 2 agents live"
    keep_up(made)
    assert told() == []
    away.rename(folder)
    keep_up(made)
    assert told() == ["INFO all is well again; 2 agents live"]


def test_the_status_says_since_when_and_when_it_last_looked(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = reloader(folder)
    first = made.current.status
    caplog.set_level("INFO", "runtime.reload")
    status = reload(made)
    assert status.live_since == first.live_since
    assert status.looked_at > first.looked_at
    data = status.as_data()
    said = reports.status(data).splitlines()[0]
    assert said.endswith(f", unchanged; live since {data['live_since']}; last looked {data['looked_at']}")
    (record,) = caplog.records
    assert {key: data[key] for key in ("revision", "result", "live_since", "looked_at")}.items() <= vars(record).items()
    (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    assert reload(made).live_since > status.live_since


def test_a_host_that_watches_starts_with_the_agents_that_are_well(folder: Path, told: Told) -> None:
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    with pytest.raises(CatalogError, match="nobody"):
        reloader(folder, strict=True)
    made = reloader(folder)
    assert voices(made) == {"other": "marin"}
    assert made.current.status.result == "partly"
    wrong, stays = told()
    assert WRONG in wrong
    assert stays == "WARNING what has problems is not served; 1 agent live"
    (folder / "desk.yaml").write_text(MINIMAL)
    keep_up(made)
    assert told() == ["INFO reloaded: added desk", "INFO all is well again; 2 agents live"]


def test_a_host_that_watches_does_not_start_when_no_agent_is_well(folder: Path) -> None:
    (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
    (folder / "other.yaml").write_text("name: [")
    with pytest.raises(CatalogError) as refused:
        reloader(folder)
    assert len(refused.value.problems) == 2


def test_a_branch_that_cannot_be_fetched_is_told_once_and_so_is_its_return(folder: Path, told: Told) -> None:
    from tests.test_git import commit, git

    git(folder, "init", "-q", "-b", "main")
    head = commit(folder)
    made = reloader(folder, strict=True, revision="main")
    first = made.current.status
    answers = iter(["no network", "no network", "", ""])

    async def work() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def fetch() -> str:
            answer = next(answers, None)
            if answer is None:
                loop.call_soon_threadsafe(done.set)
            return answer or ""

        following = asyncio.create_task(follow(made, "main", 0.01, fetch))
        await done.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    run(work())
    assert told() == ["WARNING the branch could not be fetched", "INFO the branch is fetched again"]
    status = made.current.status
    assert (status.wanted, status.live_since) == (head, first.live_since)
    assert status.looked_at > first.looked_at


def test_a_branch_that_does_not_move_leaves_alone_what_was_gone_back_to(folder: Path) -> None:
    from tests.test_git import commit, git

    git(folder, "init", "-q", "-b", "main")
    first = commit(folder)
    (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
    commit(folder)
    made = reloader(folder, strict=True, revision="main")

    async def work() -> None:
        looked = asyncio.Semaphore(0)

        def fetch() -> str:
            looked.release()
            return ""

        following = asyncio.create_task(follow(made, "main", 0.01, fetch))
        await looked.acquire()
        assert (await made.reload(first)).revision == first
        for _ in range(3):
            await looked.acquire()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    run(work())
    assert made.current.get().revision == first


def test_a_loop_of_folders_is_walked_once(folder: Path) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    assert len(Folder(folder).sources()) == 2


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────


def says(made: Reloader) -> str:
    (tool,) = made.current.get().agents["desk"].tools
    return answer(tool)


def answer(tool: ToolDefinition) -> str:
    assert tool.invoke is not None
    return str(run(tool.invoke(CallContext("", "", "", ""), "{}")))


def write_tool(folder: Path, word: str, before: str = "") -> None:
    (folder.parent / "reloaded_tool.py").write_text(f"{before}\ndef answer() -> str:\n    return {word!r}\n")


def test_a_changed_tool_is_imported_afresh_and_old_calls_keep_the_old_one(folder: Path) -> None:
    write_tool(folder, "one")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    made = reloader(folder)
    old = made.current.get().agents["desk"].tools[0]
    write_tool(folder, "two")
    assert reload(made).result == "loaded"
    assert says(made) == '"two"'
    assert answer(old) == '"one"'


@pytest.mark.parametrize(
    ("tool", "words", "imports"),
    [
        ("reloaded_tool", "reloaded_words", "from reloaded_words import WORD"),
        ("reloaded_box.tool", "reloaded_box.words", "from .words import WORD"),
    ],
)
def test_a_module_that_a_tool_imports_is_read_afresh_too(folder: Path, tool: str, words: str, imports: str) -> None:
    at = {name: folder.parent / f"{name.replace('.', '/')}.py" for name in (tool, words)}
    at[words].parent.mkdir(exist_ok=True)
    at[words].write_text("WORD = 'one'\n")
    at[tool].write_text(f"{imports}\n\ndef answer() -> str:\n    return WORD\n")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL.replace("reloaded_tool", tool))
    made = reloader(folder)
    at[words].write_text("WORD = 'two'\n")
    reload(made)
    assert says(made) == '"two"'


@pytest.mark.parametrize(
    "broken",
    ["raise SystemExit(3)", "raise ValueError('x')", "raise KeyboardInterrupt", "def (", "import nothing_such"],
)
def test_a_tool_that_breaks_on_import_is_a_problem_and_the_last_good_one_stays(folder: Path, broken: str) -> None:
    write_tool(folder, "one")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    made = reloader(folder)
    write_tool(folder, "two", before=broken)
    status = reload(made)
    assert status.older == ("desk",)
    assert says(made) == '"one"'
    assert reload(made).older == ("desk",)
    write_tool(folder, "three")
    assert reload(made).result == "loaded"
    assert says(made) == '"three"'


def test_a_module_that_was_missing_is_found_when_it_comes(folder: Path) -> None:
    write_tool(folder, "one")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    made = reloader(folder)
    write_tool(folder, "two", before="import reloaded_extra")
    assert reload(made).older == ("desk",)
    (folder.parent / "reloaded_extra.py").write_text("")
    assert reload(made).result == "loaded"
    assert says(made) == '"two"'


WAITING = "from reloaded_gate import GATE\nGATE.wait()"


@pytest.fixture
def gate(folder: Path) -> Iterator[threading.Event]:
    """Return what a module that is `WAITING` waits for."""
    (folder.parent / "reloaded_gate.py").write_text("import threading\n\nGATE = threading.Event()\n")
    gate: threading.Event = importlib.import_module("reloaded_gate").GATE
    yield gate
    gate.set()


async def until_none_is_older(made: Reloader) -> None:
    while (await made.reload()).older:
        pass


def test_an_import_that_does_not_end_keeps_the_last_good_tool_and_no_other_agent(
    folder: Path, gate: threading.Event
) -> None:
    write_tool(folder, "one")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    made = reloader(folder, import_seconds=1)
    write_tool(folder, "two", before=WAITING)
    (folder / "other.yaml").write_text(OTHER + "voice: cedar\n")
    status = reload(made)
    assert status.older == ("desk",)
    (problem,) = status.problems
    said = (
        "tools[1].entrypoint: the module 'reloaded_tool' is still being imported after 1 s. Show this to its engineer"
    )
    assert problem.text.startswith(said)
    assert says(made) == '"one"'
    assert voices(made)["other"] == "cedar"
    (folder / "other.yaml").write_text(OTHER + "voice: sage\n")
    assert reload(made).older == ("desk",)
    assert voices(made)["other"] == "sage"
    gate.set()
    run(until_none_is_older(made))
    assert says(made) == '"two"'


def test_an_import_that_does_not_end_and_then_changes_is_imported_afresh(folder: Path, gate: threading.Event) -> None:
    write_tool(folder, "one")
    (folder / "desk.yaml").write_text(MINIMAL + TOOL)
    made = reloader(folder, import_seconds=1)
    write_tool(folder, "two", before=WAITING)
    assert reload(made).older == ("desk",)
    write_tool(folder, "three")
    gate.set()
    run(until_none_is_older(made))
    assert says(made) == '"three"'


# ── watching and following ────────────────────────────────────────────────────────────────────────────────────


async def until(made: Reloader, agent: str, voice: str) -> None:
    assert isinstance(made.current, Watched)
    await made.current.until(lambda: voices(made).get(agent) == voice)


def test_a_watched_folder_is_live_after_a_save_however_the_editor_saves(folder: Path) -> None:
    made = reloader(folder)
    modules = ToolModules([str(folder.parent)], Imports(read_tool))

    async def work() -> None:
        watching = asyncio.create_task(watch(made, folder, modules, 0.1))
        (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
        await until(made, "desk", "cedar")
        (folder / ".desk.yaml.swp").write_text("nonsense: [")
        (folder / "desk.yaml~").write_text("nonsense: [")
        (folder / "4913").write_text(MINIMAL + "voice: sage\n")
        (folder / "4913").rename(folder / "desk.yaml")
        await until(made, "desk", "sage")
        assert made.current.status.problems == ()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(work())


def test_forty_files_at_once_are_one_reload(folder: Path) -> None:
    made = reloader(folder)
    assert isinstance(made.current, Watched)
    swapped = made.current.swapped

    async def work() -> None:
        watching = asyncio.create_task(watch(made, folder, ToolModules([], Imports(read_tool)), 0.1))
        (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
        await until(made, "desk", "cedar")
        swapped.clear()
        for number in range(40):
            text = MINIMAL.replace("desk", f"a{number}").replace("+15550100001", f"+1777{number:04}")
            (folder / f"a{number}.yaml").write_text(text)
        await until(made, "a39", "marin")
        assert swapped == [42]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(work())


def test_a_followed_branch_moves_to_each_good_commit_and_stays_at_the_last(folder: Path) -> None:
    from tests.test_git import commit, git

    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    made = reloader(folder, strict=True, revision="main")

    async def work() -> None:
        following = asyncio.create_task(follow(made, "main", 0.01, None))
        (folder / "desk.yaml").write_text(MINIMAL + "voice: cedar\n")
        good = commit(folder)
        await until(made, "desk", "cedar")
        (folder / "desk.yaml").write_text(MINIMAL + "voice: nobody\n")
        bad = commit(folder)
        assert isinstance(made.current, Watched)
        await made.current.until(lambda: made.current.status.result == "refused")
        assert (made.current.status.revision, made.current.status.wanted) == (good, bad)
        assert made.current.get().revision == good
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        status = await made.reload("HEAD~2")
        assert status.result == "loaded"
        assert voices(made)["desk"] == "marin"

    run(work())


# ── families and environments ─────────────────────────────────────────────────────────────────────────────────


def test_changed_defaults_change_every_agent_that_inherits_them(folder: Path) -> None:
    (folder / "_defaults.yaml").write_text("voice: cedar\n")
    (folder / "other.yaml").write_text(OTHER + "voice: sage\n")
    made = reloader(folder)
    assert voices(made) == {"desk": "cedar", "other": "sage"}
    (folder / "_defaults.yaml").write_text("voice: ash\n")
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "ash", "other": "sage"}
    (folder / "_defaults.yaml").unlink()
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "marin", "other": "sage"}


@pytest.mark.parametrize("broken", ["voice: [", "voice: nobody\n", "greeting: '{{ nobody }}'\n", "name: family\n"])
def test_broken_defaults_keep_the_last_good_version_of_every_agent(folder: Path, broken: str) -> None:
    (folder / "_defaults.yaml").write_text("voice: cedar\n")
    made = reloader(folder)
    (folder / "_defaults.yaml").write_text(broken)
    (folder / "desk.yaml").write_text(MINIMAL + "speed: 1.1\n")
    status = reload(made)
    assert (status.result, status.older) == ("partly", ("desk", "other"))
    assert {Path(problem.file).name for problem in status.problems} == {"_defaults.yaml"}
    assert voices(made) == {"desk": "cedar", "other": "cedar"}
    (folder / "_defaults.yaml").write_text("voice: ash\n")
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "ash", "other": "ash"}


def test_an_inherited_instructions_file_that_changes_changes_its_agents(folder: Path) -> None:
    (folder / "family.md").write_text("One.")
    (folder / "_defaults.yaml").write_text("instructions_file: family.md\n")
    (folder / "desk.yaml").write_text("name: desk\n")
    made = reloader(folder)
    (folder / "family.md").write_text("Two.")
    assert reload(made).result == "loaded"
    assert made.current.get().agents["desk"].instructions.text == "Two."
    assert made.current.get().agents["other"].instructions.text == "Be brief."


def test_a_host_stays_in_its_environment_and_refuses_a_catalog_that_lost_it(folder: Path) -> None:
    staging = "environments: {staging: {voice: cedar}}\n"
    (folder / "_defaults.yaml").write_text(staging)
    made = reloader(folder, environment="staging")
    assert voices(made) == {"desk": "cedar", "other": "cedar"}
    (folder / "desk.yaml").write_text(MINIMAL + "environments: {staging: {voice: ash}}\n")
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "ash", "other": "cedar"}
    (folder / "desk.yaml").write_text(MINIMAL)
    (folder / "_defaults.yaml").write_text("speed: 1\n")
    status = reload(made)
    assert status.result == "refused"
    assert "'staging': is no environment" in str(status.problems[0])
    assert voices(made) == {"desk": "ash", "other": "cedar"}
    (folder / "_defaults.yaml").write_text(staging)
    assert reload(made).result == "loaded"
    assert voices(made) == {"desk": "cedar", "other": "cedar"}
