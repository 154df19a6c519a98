"""`switchboard test` as its authors run it: in processes on all cores, stopped in the middle, watching, since a change.

Each runs as a process of its own: it imports the SDK in another one, which takes seconds.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from runtime.players import Part, play
from runtime.repertoire import open_repertoires
from tests.test_git import git

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DESK = """name: desk
answers: ["+15550100001"]
greeting: Casa Nova, hello.
instructions: Be brief.
tools: [{entrypoint: "counting:count"}]
"""
COUNTS = '''
import os


def count(then: str) -> str:
    """Count."""
    if then == "exit":
        os._exit(3)
    return then
'''
NIGHT = 'name: night\nanswers: ["+15550100002"]\ngreeting: Good night.\ninstructions: Be brief.\n'
USES = """- scenario: {name}
  call: {{called: "+15550100001"}}
  turns:
    - caller: {{says: Count.}}
      model: [{{calls: {{tool: count, arguments: {{then: {then}}}}}}}, {{says: "{says}"}}]
      expect: {{says: done}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/desk.yaml").write_text(DESK, "utf-8")
    (tmp_path / "counting.py").write_text(COUNTS, "utf-8")
    write(tmp_path, counts={})
    return tmp_path


def write(folder: Path, **scenarios: dict[str, str]) -> None:
    texts = [USES.format(**{"name": name, "then": "on", "says": "done"} | more) for name, more in scenarios.items()]
    (folder / "agents/desk.scenarios.yaml").write_text("".join(texts), "utf-8")


@contextmanager
def command(folder: Path, *words: str, verb: str = "test", **variables: str) -> "Iterator[subprocess.Popen[str]]":
    """Run the command, and end it and all that it began with the block."""
    executable = Path(sys.executable).with_name("switchboard")
    process = subprocess.Popen(
        [executable, verb, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.PIPE, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def switchboard(folder: Path, *words: str, typed: str = "", **more: str) -> tuple[int, str, str]:
    """Run the command to its end and return its exit code, what it printed, and its errors."""
    with command(folder, *words, **more) as process:
        out, err = process.communicate(typed, timeout=60)
    return process.returncode, out, err


def test_scenarios_are_played_and_told_in_their_order(folder: Path) -> None:
    write(folder, passes={}, fails={"says": "lost"})
    code, out, err = switchboard(folder)
    assert (code, err) == (1, "")
    assert out.startswith("FAILED fails (agents/desk.scenarios.yaml:7)\n    agent  Casa Nova, hello.\n")
    assert (
        "  agents/desk.scenarios.yaml:12:22: says.contains\n    - the agent says “done”\n    + it was “lost”\n" in out
    )
    assert "\n2 scenarios: 1 passed, 1 failed, in " in out


def test_a_reload_is_played_and_one_whose_tool_is_not_there_fails_alone(folder: Path) -> None:
    saves = """- scenario: saves
  call: {called: "+15550100001"}
  turns:
    - reload: {desk: {greeting: Bella Nova.}}
    - caller: {rings_again: true}
      expect: {greeting: {contains: Bella, absent: Casa}}
"""
    broken = saves.replace("saves", "breaks").replace("greeting: Bella Nova.", "tools: [{entrypoint: 'counting:no'}]")
    (folder / "agents/desk.scenarios.yaml").write_text(saves + broken, "utf-8")
    code, out, _ = switchboard(folder)
    assert code == 1
    assert "\n2 scenarios: 1 passed, 1 failed, in " in out
    assert "It cannot be reloaded so: agents/desk.scenarios.yaml:10:44: tools[1].entrypoint: " in out


def test_one_that_ends_its_process_fails_alone(folder: Path) -> None:
    write(folder, **{f"passes {number}": {} for number in range(20)}, breaks={"then": "exit"}, fails={"says": "lost"})
    code, out, _ = switchboard(folder, "agents/desk.scenarios.yaml", "--format", "json")
    told = {each["scenario"]: each for each in json.loads(out)["scenarios"]}
    assert (code, len(told)) == (1, 22)
    assert [name for name, each in told.items() if each["result"] == "failed"] == ["breaks", "fails"]
    assert told["breaks"]["runs"][0]["broken"].startswith("The process that played it has ended.")
    assert told["fails"]["runs"][0]["broken"] is None


def test_what_a_tool_prints_stays_out_of_the_report(folder: Path) -> None:
    prints = "print('from Python')\n    os.system('echo from a process')\n    if then"
    (folder / "counting.py").write_text(COUNTS.replace("if then", prints), "utf-8")
    code, out, err = switchboard(folder, "--format", "json")
    assert (code, json.loads(out)["passed"]) == (0, 1)
    assert sorted(err.splitlines()) == ["from Python", "from a process"]


@pytest.mark.parametrize("name", ["calendar.py", "yaml.py", "random.py", "runtime/__init__.py"])
def test_a_file_of_a_name_that_we_need_ourselves_is_in_nobody_s_way(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("raise SystemExit(9)\n", "utf-8")
    code, out, err = switchboard(folder)
    assert (code, err) == (0, ""), out


def test_an_expression_that_tries_for_ever_is_told_with_its_place(folder: Path) -> None:
    write(folder, endless={"says": "a" * 40 + "!"}, passes={})
    file = folder / "agents/desk.scenarios.yaml"
    file.write_text(file.read_text("utf-8").replace("{says: done}", "{says: {matches: '(a+)+$'}}", 1), "utf-8")
    code, out, _ = switchboard(folder)
    assert code == 1
    assert "agents/desk.scenarios.yaml:6:32: An expression below matches: takes too long to compare. " in out
    assert "2 scenarios: 1 passed, 1 failed" in out


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("seconds", [0.6, 1.2, 1.8])
def test_an_interruption_while_it_begins_is_quiet(folder: Path, seconds: float) -> None:
    with command(folder) as process:
        assert process.stdout
        select.select([process.stdout], [], [], seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode in (0, 130), err) == (True, "")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind_whichever_way_it_ends(folder: Path, how: signal.Signals, tmp_path: Path) -> None:
    hangs = "import pathlib; pathlib.Path('began').touch()\n    while True: pass\n    if then"
    (folder / "counting.py").write_text(COUNTS.replace("if then", hangs, 1), "utf-8")
    (tmp_path / "t").mkdir()
    with command(folder, TMPDIR=str(tmp_path / "t")) as process:
        until = time.monotonic() + 40
        while not (folder / "began").exists():
            assert time.monotonic() < until
        os.kill(process.pid, how)
        code = process.wait(20)
        assert code == (-9 if how == signal.SIGKILL else 130)
        while is_alive(process.pid):
            assert time.monotonic() < until, "a process was left behind"
        assert not list((tmp_path / "t").glob("switchboard-test-*"))


def test_a_scenario_file_elsewhere_is_played_with_the_agents_here(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "kept" / "mine.scenarios.yaml"
    elsewhere.parent.mkdir()
    (folder / "agents/desk.scenarios.yaml").rename(elsewhere)
    assert switchboard(folder, str(elsewhere))[1].startswith("1 scenario: 1 passed")
    assert switchboard(folder, "counting.py") == (2, "", "switchboard: counting.py is no scenario file. "
                                                  "Their names end in .scenarios.yaml.\n")  # fmt: skip


def test_whatever_keeps_one_from_being_played_keeps_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    (opened,) = open_repertoires([Path("agents")], "")
    (scenario,) = opened.scenarios
    played = play([Part(Path("gone"), "", scenario), Part(Path("agents"), "", scenario)])
    told = sorted(result.runs[0].broken for result in played)
    assert told == ["", "It could not be played: gone is no file or folder. Name the folder that holds the agents."]


def test_a_tool_that_cannot_be_imported_is_told_as_check_does(folder: Path) -> None:
    (folder / "counting.py").unlink()
    code, out, err = switchboard(folder)
    assert (code, err) == (1, "")
    assert out.startswith("agents/desk.yaml:5:22: tools[1].entrypoint: there is no module 'counting'.")
    assert "\n0 scenarios: 0 passed, 1 problem in the files; stopped before 1 more, in " in out


def test_only_what_a_change_touches_is_played(folder: Path) -> None:
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    assert switchboard(folder, "--changed", "main")[1].startswith("0 scenarios: 0 passed, in ")
    (folder / "counting.py").write_text(f"{COUNTS}\n", "utf-8")
    assert switchboard(folder, "--changed", "main")[1].startswith("1 scenario: 1 passed")
    assert switchboard(folder, "--changed", "other")[0] == 2


def read_until(process: "subprocess.Popen[str]", wanted: str, seconds: float = 40) -> str:
    """Read what a process prints until it has printed this."""
    assert process.stdout
    os.set_blocking(process.stdout.fileno(), False)
    printed, until = "", time.monotonic() + seconds
    while wanted not in printed:
        assert time.monotonic() < until, f"it never printed {wanted!r}: {printed}"
        if select.select([process.stdout], [], [], 0.5)[0]:
            printed += process.stdout.read() or ""
    return printed


def test_it_plays_what_a_saved_file_touches_until_it_is_interrupted(folder: Path) -> None:
    with command(folder, "--watch") as process:
        read_until(process, "1 scenario: 1 passed")
        assert process.stderr
        assert process.stderr.readline() == "Watching; Ctrl-C ends this.\n"
        (folder / "counting.py").write_text(COUNTS.replace("return then", "return 'off'"), "utf-8")
        read_until(process, "1 scenario: 1 passed")
        write(folder, counts={"says": "lost"})
        assert "FAILED counts" in read_until(process, "1 scenario: 0 passed, 1 failed")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130


@pytest.fixture
def night(folder: Path) -> Path:
    """Return the file of another agent, which uses no tool and has a scenario of its own."""
    file = folder / "agents/night.yaml"
    file.write_text(NIGHT, "utf-8")
    scenario = '- scenario: greets\n  call: {called: "+15550100002"}\n  turns: [{expect: {greeting: Good night}}]\n'
    (folder / "agents/night.scenarios.yaml").write_text(scenario, "utf-8")
    return file


def test_a_tool_that_is_mended_lets_everything_be_played_that_it_kept(folder: Path, night: Path) -> None:
    (folder / "counting.py").write_text("def (", "utf-8")
    with command(folder, "--watch") as process:
        assert "breaks when it is imported" in read_until(process, "1 problem in the files")
        (folder / "counting.py").write_text(COUNTS, "utf-8")
        read_until(process, "2 scenarios: 2 passed")


def test_what_was_saved_while_a_file_was_broken_is_played_when_it_is_mended(folder: Path, night: Path) -> None:
    with command(folder, "--watch") as process:
        read_until(process, "2 scenarios: 2 passed")
        (folder / "agents/desk.yaml").write_text("name: desk\n", "utf-8")
        read_until(process, "1 problem in the files")
        night.write_text(NIGHT.replace("Good night", "Hello"), "utf-8")
        read_until(process, "1 problem in the files")
        (folder / "agents/desk.yaml").write_text(DESK, "utf-8")
        assert "FAILED greets" in read_until(process, "2 scenarios: 1 passed, 1 failed")


def test_an_interruption_ends_it_with_what_was_played_so_far(folder: Path) -> None:
    (folder / "counting.py").write_text(
        COUNTS.replace("import os", "import os, pathlib, time").replace(
            'if then == "exit"', 'pathlib.Path("began").touch(); time.sleep(0.2)\n    if then == "exit"'
        ),
        "utf-8",
    )
    write(folder, **{f"scenario {number}": {} for number in range(400)})
    with command(folder) as process:
        until = time.monotonic() + 40
        while not (folder / "began").exists():
            assert time.monotonic() < until
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "stopped before " in out
    assert err == ""


# ── the real service, whose place the simulator takes ─────────────────────────────────────────────────────────

LIVE = """- scenario: is heard
  call: {called: "+15550100001"}
  turns:
    - expect: {agent: desk, greeting: "Casa Nova, hello.", receipt: {agrees: true, greeting: exact}}
    - caller: {says: Hello?}
      model: {says: The scenario's own line is not asked for.}
      expect: {says: I see, within_ms: 5000, judge: was polite}
    - caller: {hangs_up: true}
      expect: {ended_by: caller}
"""


@pytest.fixture(scope="module")
def service() -> Iterator[dict[str, str]]:
    """Serve the simulator in a process of its own, and yield the variables that lead to it."""
    program = [sys.executable, "-m", "runtime.simulator", "--api-key", "sk-live"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout
        url = simulator.stdout.readline().split()[-1]
        yield {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-live"}
        simulator.terminate()


def test_the_real_service_plays_the_same_files(folder: Path, service: dict[str, str]) -> None:
    (folder / "agents/desk.scenarios.yaml").write_text(LIVE.replace(", judge: was polite", ""), "utf-8")
    code, out, err = switchboard(folder, "--live", **service)
    assert (code, err) == (0, "Holding 1 call with the real service, in real time …\n"), out
    assert out.startswith("1 scenario: 1 passed")
    (folder / "agents/desk.scenarios.yaml").write_text(LIVE, "utf-8")
    code, out, _ = switchboard(folder, "--live", **service)
    assert code == 0
    assert "? there is no judging model here" in out
    assert "1 scenario: 0 passed, 1 skipped" in out


def test_a_key_that_the_service_does_not_know_fails_each_scenario_with_the_reason(
    folder: Path, service: dict[str, str]
) -> None:
    (folder / "agents/desk.scenarios.yaml").write_text(LIVE, "utf-8")
    code, out, _ = switchboard(folder, "--live", **{**service, "OPENAI_API_KEY": "sk-other"})
    assert code == 1
    assert "+ nobody has: it ended by the service (401: it does not know the key)" in out


def test_what_cannot_be_played_live_is_told_at_once(folder: Path) -> None:
    missing = switchboard(folder, "--live", OPENAI_API_KEY="")
    assert (missing[0], missing[1]) == (2, "")
    assert missing[2].startswith("switchboard: OPENAI_API_KEY is not set. ")
    assert switchboard(folder, "--live", "--watch", OPENAI_API_KEY="sk-1")[0] == 2
    assert switchboard(folder, "desk", "--live", "--model", "x", verb="call", OPENAI_API_KEY="sk-1")[0] == 2


def test_a_person_calls_the_real_service_and_keeps_the_conversation(folder: Path, service: dict[str, str]) -> None:
    file = folder / "agents/kept.scenarios.yaml"
    words = ("desk", "--live", "--save", str(file))
    code, out, _ = switchboard(folder, *words, verb="call", typed="A table, please.\n", **service)
    assert code == 0, out
    assert out.startswith("A call to the real service: it takes tokens of your project.\n")
    for shown in ("“Casa Nova, hello.” (exact)", "“A table, please.”", "“I see.”", "caller_hung_up"):
        assert shown in out
    assert "model:\n      says: I see." in file.read_text("utf-8")
    assert switchboard(folder, str(file))[0] == 0


# ── the agents that come with us ──────────────────────────────────────────────────────────────────────────────


def test_the_shipped_agents_pass_their_forty_scenarios() -> None:
    code, out, _ = switchboard(ROOT, "agents", "samples/pizzeria", "--format", "json")
    told = json.loads(out)
    assert (code, told["failed"], told["skipped"]) == (0, 0, 0), out
    assert told["passed"] >= 40
