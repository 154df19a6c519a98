"""The command's verbs, run as `main([...])`: what they print, and the codes they exit with. Starts no server."""

import base64
import importlib.metadata
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runtime import document, schema
from runtime.cli import main
from tests.test_git import git

TOOLS = Path(__file__).parent / "data" / "tools"
DESK = """\
name: desk
answers: ["+15550100001"]
instructions: You answer the telephone of {{ agent.name }}.
greeting: Good evening.
"""
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder that holds a catalog of one agent, with the corpus' tools in reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(TOOLS), *sys.path])
    for name in ("SWITCHBOARD_CALLED_HEADER", "SWITCHBOARD_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    write("agents/desk.yaml", DESK)
    return tmp_path / "agents"


def write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["serve", "--help"], ["who-answers", "--help"]])
def test_help_is_given_and_exits_with_0(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    assert "usage: switchboard" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["chek"], ["check", "--formt", "json"], ["check", "--format", "xml"], ["show"]])
def test_words_that_are_not_understood_exit_with_2_and_name_the_help(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("switchboard: ")
    assert "--help" in said


@pytest.mark.parametrize(
    ("option", "written", "said"),
    [
        ("--port", "abc", "is not a number from 0 to 65535"),
        ("--drain-seconds", "abc", "is not between 0 and 3600 seconds"),
        ("--every", "0", "is less than a second, which leaves no time for calls"),
        ("--max-calls", "abc", "is not a whole number from 1 to 999999999"),
        ("--max-calls", "0", "is not a whole number from 1 to 999999999"),
        ("--max-calls", "9" * 5000, "is not a whole number from 1 to 999999999"),
    ],
    ids=range(6),
)
def test_a_number_that_is_none_is_told_in_our_own_words(option: str, written: str, said: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", option, written])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(f"switchboard: {option} {said}: '{written}'.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek"], "There is no command 'chek'. Did you mean 'check'?"),
        (["check", "--format", "jsn"], "--format is not one of github, json and text: 'jsn'. Did you mean 'json'?"),
        (["check", "--formt", "json"], "This is not understood: --formt"),
        (["check", "--environment"], "There is no --environment here: check looks at every environment."),
        (["check", "--environment=a"], "There is no --environment here: check looks at every environment."),
    ],
)
def test_a_word_that_is_none_is_answered_with_the_nearest(words: list[str], said: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert capsys.readouterr().err.splitlines()[0] == f"switchboard: {said}"


def test_without_a_command_the_first_ones_are_named(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("switchboard: Say what to do, for example:\n  switchboard demo ")
    assert "  switchboard check " in said


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"switchboard {importlib.metadata.version('switchboard')}\n"


COMMAND = [sys.executable, "-m", "runtime"]
ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["check"], ["check", "--format", "json"], ["show", "front-desk"], ["--version"]])
def test_a_full_disk_is_told_in_a_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "switchboard: The output cannot be written (No space left on device)."
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


@pytest.mark.slow
def test_a_reader_who_leaves_is_no_error_to_tell() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "show", "front-desk"]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 1)


@pytest.mark.slow
def test_a_command_without_output_works(tmp_path: Path) -> None:
    command = f"{sys.executable} -m runtime check --no-tools >&- 2>&-"
    assert subprocess.run(command, cwd=ROOT, shell=True, check=False).returncode == 0


@pytest.mark.slow
def test_an_interrupt_while_the_command_is_still_loading_is_quiet(tmp_path: Path) -> None:
    write("interrupted/yaml.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = "import sys; from runtime.__main__ import main; sys.path.insert(0, 'interrupted'); sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "check"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 130)


@pytest.mark.slow
def test_an_interrupt_while_a_module_is_imported_is_obeyed() -> None:
    waiting = "import os, signal, threading\nos.kill(os.getpid(), signal.SIGINT)\nthreading.Event().wait()\n"
    write("waiting.py", waiting)
    write("agents/desk.yaml", DESK + 'tools:\n  - entrypoint: "waiting:f"\n')
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*COMMAND, "check"], capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("", "Checking 1 agent file …\n", 130)


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_counts_what_it_checked(capsys: Capture) -> None:
    assert main(["check"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "1 agent file: no problems.\n"
    assert printed.err == "Checking 1 agent file …\n"


def test_check_prints_every_problem_of_every_file_and_exits_with_1(capsys: Capture) -> None:
    write("agents/night.yaml", "name: night\ninstructions: Be kind.\nvoice: marine\nspeed: 2\nmodel: gpt-realtime\n")
    assert main(["check"]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"agents/night.yaml:{n}" for n in ("3:8", "4:8", "5:8")]
    assert last == "2 agent files: 2 problems and 1 warning."


def test_warnings_alone_exit_with_0(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "model: gpt-realtime\n")
    assert main(["check"]) == 0
    assert capsys.readouterr().out.endswith("1 agent file: 1 warning.\n")


def test_check_takes_single_files_and_several_folders(capsys: Capture) -> None:
    write("more/night.yml", "name: night\ninstructions: Be kind.\n")
    assert main(["check", "agents/desk.yaml", "more"]) == 0
    assert capsys.readouterr().out == "2 agent files: no problems.\n"


def test_files_and_folders_that_begin_with_an_underscore_or_a_dot_are_no_agents(capsys: Capture) -> None:
    for name in ("_draft.yaml", ".hidden.yaml", "_drafts/a.yaml", ".git/a.yaml"):
        write(f"agents/{name}", "voice: marine\n")
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "1 agent file: no problems.\n"


def test_defaults_that_no_agent_inherits_are_warned_of(capsys: Capture) -> None:
    for name in ("_defaults.yaml", "_defaults.yml", "deep/deeper/_defaults.yml", "_drafts/_defaults.yaml"):
        write(f"agents/{name}", "voice: sage\n")
    write("agents/deep/night.yaml", "name: night\ninstructions: x\n")
    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "agents/_defaults.yml: warning: it is ignored: _defaults.yaml stands beside it. Keep one of the two.",
        "agents/deep/deeper/_defaults.yml: warning: it is ignored: defaults are read only in the catalog's top folder. "
        "Write what it says in agents/_defaults.yaml, or delete it.",
        "2 agent files: 2 warnings.",
    ]


def test_a_missing_path_exits_with_2_and_a_sentence(capsys: Capture) -> None:
    assert main(["check", "agnets"]) == 2
    said = capsys.readouterr().err
    assert said == (
        "switchboard: agnets is no file or folder. Name the folder that holds the agents: switchboard check FOLDER.\n"
    )


@pytest.mark.parametrize("words", [["show", "desk"], ["who-answers", "--called", "+15550100001"], ["demo"], ["diff"]])
def test_a_missing_catalog_says_which_option_names_it(words: list[str], capsys: Capture) -> None:
    Path("agents/desk.yaml").unlink()
    Path("agents").rmdir()
    assert main(words) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "switchboard: agents is no file or folder. Name the folder that holds the agents with --agents."


NO_AGENT = (
    "agents: there is no agent file in this folder. Agent files end in .yaml or .yml, and neither they nor their "
    "folders begin with _ or a dot."
)


def test_a_folder_without_an_agent_file_is_a_problem(capsys: Capture) -> None:
    Path("agents/desk.yaml").rename("agents/_desk.yaml")
    assert main(["check"]) == 1
    assert capsys.readouterr().out == f"{NO_AGENT}\n0 agent files: 1 problem.\n"
    assert main(["check", "--format", "json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)["problems"]
    assert (told["file"], told["line"], told["column"]) == ("agents", None, None)
    assert main(["check", "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=agents::there is no agent file in this folder. ")


def test_each_folder_must_hold_an_agent_file(capsys: Capture) -> None:
    Path("more").mkdir()
    assert main(["check", ".", "more"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("more: there is no agent file in this folder.")
    assert printed.endswith("1 agent file: 1 problem.\n")


@pytest.mark.parametrize("words", [["show", "desk"], ["who-answers", "--called", "+15550100001"], ["demo"]])
def test_no_verb_works_with_a_folder_without_an_agent_file(words: list[str], capsys: Capture) -> None:
    Path("agents/desk.yaml").unlink()
    assert main(words) == 1
    assert capsys.readouterr().err.splitlines()[-1] == NO_AGENT


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_a_problem(capsys: Capture) -> None:
    write("agents/more/night.yaml", "name: night\ninstructions: x\n")
    Path("agents/more").chmod(0)
    try:
        assert main(["check"]) == 1
    finally:
        Path("agents/more").chmod(0o755)
    assert "agents/more: it cannot be read (permission denied)." in capsys.readouterr().out


def test_a_name_that_is_not_utf_8_is_printed_with_escapes(capsys: Capture) -> None:
    name = os.fsdecode(b"agents/b\xff.yaml")
    write(name, "name: x\n")
    assert main(["check"]) == 1
    assert capsys.readouterr().out.startswith("agents/b\\udcff.yaml:1:1: 'instructions' is missing.")
    assert main(["check", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["file"] == name


def test_check_speaks_json(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "voice: marine\n")
    assert main(["check", "--format", "json"]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["checked"] == 1
    (problem,) = told["problems"]
    assert problem["cure"] == "Did you mean 'marin'?"
    assert {"file", "line", "column", "field", "message", "cure", "severity"} == problem.keys()
    assert printed.err == ""


def test_check_speaks_githubs_workflow_commands(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "voice: 'a%b'\nmodel: gpt-realtime\n")
    assert main(["check", "--format", "github"]) == 1
    voice, model = capsys.readouterr().out.splitlines()
    assert voice.startswith("::error file=agents/desk.yaml,line=5,col=8::voice: 'a%25b' is not one of ")
    assert model.startswith("::warning file=agents/desk.yaml,line=6,col=8::")


def test_check_without_tools_imports_no_code_of_users(capsys: Capture) -> None:
    write("tools_of_users.py", "raise SystemExit('imported')\n")
    write("agents/desk.yaml", DESK + 'tools:\n  - entrypoint: "tools_of_users:f"\n')
    assert main(["check", "--no-tools"]) == 0
    assert "tools_of_users" not in sys.modules
    assert main(["check"]) == 1
    assert "(SystemExit: imported)" in capsys.readouterr().out


def test_tools_are_found_beside_the_folder_that_holds_the_catalog(capsys: Capture) -> None:
    write("place/its_tools.py", "def f(n: int) -> int:\n    return n\n")
    write("place/agents/desk.yaml", DESK + 'tools:\n  - entrypoint: "its_tools:f"\n')
    assert main(["check", "place/agents"]) == 0
    assert capsys.readouterr().out == "1 agent file: no problems.\n"


# ── show ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_show_prints_checks_again_and_is_complete(capsys: Capture) -> None:
    write("agents/texts/desk.md", "Be kind.\n\nBe brief.\n")
    write("agents/desk.yaml", 'name: desk\ninstructions_file: texts/desk.md\nanswers: ["+15550100001"]\n')
    assert main(["show", "desk"]) == 0
    read, problems = document.read(capsys.readouterr().out.encode(), "shown.yaml")
    assert read is not None, problems
    agent = schema.load("agent")
    assert agent.check(read) == []
    assert agent.fill(read.data) == read.data
    assert read.data["instructions"] == "Be kind.\n\nBe brief.\n"


def nulls(value: object, path: str = "") -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, path)


def test_what_the_service_is_told_has_no_null_but_turn_detection_and_no_format(capsys: Capture) -> None:
    more = "turn_detection: null\nnoise_reduction: null\ntranscription: null\ntracing: null\n"
    write("agents/desk.yaml", DESK + more + 'tools:\n  - entrypoint: "corpus_tools.good:remember"\n')
    assert main(["show", "desk", "--accept"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(nulls(told)) == [".audio.input.turn_detection"]
    assert "format" not in told["audio"]["input"]
    assert "format" not in told["audio"]["output"]
    assert told["instructions"] == "You answer the telephone of desk."
    assert [tool["name"] for tool in told["tools"]] == ["remember"]


def test_show_writes_the_greeting_and_the_names_of_tools_out(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + 'tools:\n  - entrypoint: "corpus_tools.good:remember"\n')
    assert main(["show", "desk"]) == 0
    read, problems = document.read(capsys.readouterr().out.encode(), "shown.yaml")
    assert read is not None, problems
    assert schema.load("agent").check(read) == []
    assert read.data["greeting"] == {"text": "Good evening.", "interruptible": True, "wait_for_caller": False}
    assert [tool["name"] for tool in read.data["tools"]] == ["remember"]


def test_show_quotes_numbers_and_their_beginnings(capsys: Capture) -> None:
    write("agents/desk.yaml", 'name: desk\ninstructions: x\nanswers: ["+15550100001", "+1555020*", "*"]\n')
    assert main(["show", "desk"]) == 0
    shown = capsys.readouterr().out
    for written in ("+15550100001", "+1555020*", "*"):
        assert f'- "{written}"\n' in shown


def test_show_knows_the_nearest_name(capsys: Capture) -> None:
    assert main(["show", "dekk"]) == 2
    assert capsys.readouterr().err == "switchboard: There is no agent 'dekk'. Did you mean 'desk'?\n"
    assert main(["demo", "dekk"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "switchboard: There is no agent 'dekk'. Did you mean 'desk'?"


def test_show_tells_the_problems_of_a_broken_agent(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "speed: 9\n")
    assert main(["show", "desk"]) == 1
    assert capsys.readouterr().err == "agents/desk.yaml:5:8: speed: 9 is too large. Write at most 1.5.\n"


def test_show_works_for_a_good_agent_beside_a_broken_one(capsys: Capture) -> None:
    write("agents/broken.yaml", "name: [\n")
    assert main(["show", "desk"]) == 0
    assert capsys.readouterr().out.startswith("name: desk\n")


# ── who-answers ───────────────────────────────────────────────────────────────────────────────────────────────


def two_more_agents() -> None:
    write("agents/all.yaml", 'name: all\ninstructions: Be kind.\nanswers: ["*"]\n')
    more = "answers:\n  - called: '+15550100001'\n    headers: {X-Tenant: acme}\n"
    write("agents/tenant.yaml", f"name: tenant\ninstructions: Be kind.\n{more}")


def test_who_answers_names_the_winner_and_why_the_others_lost(capsys: Capture) -> None:
    two_more_agents()
    assert main(["who-answers", "--called", "+15550100001"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "desk answers, by agents/desk.yaml:2 (called +15550100001)",
        "  not tenant (agents/tenant.yaml:4, called +15550100001, header x-tenant: acme): there is no header x-tenant",
        "  not all (agents/all.yaml:3, called *): +15550100001 is more specific than *",
    ]


def test_a_header_decides(capsys: Capture) -> None:
    two_more_agents()
    assert main(["who-answers", "--called", "+15550100001", "--header", "X-Tenant=acme"]) == 0
    assert capsys.readouterr().out.startswith("tenant answers, by agents/tenant.yaml:4")


def test_the_called_number_of_the_command_counts_before_any_header(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHBOARD_CALLED_HEADER", "X-Called")
    headers = ["--header", "Diversion=<sip:+4930123456@x>", "--header", "X-Called=<sip:+4930123456@x>"]
    assert main(["who-answers", "--called", "+1 555 010-0001", *headers]) == 0
    assert capsys.readouterr().out.startswith("desk answers, by agents/desk.yaml:2")


def an_office_and_a_night_desk() -> None:
    office = "hours: {office: {timezone: Europe/Berlin, weekly: {mon: ['09:00-17:00']}}}\n"
    for name, when in (("day", "hours: office"), ("night", "outside: office")):
        rule = f"answers: [{{called: '+15550100009', {when}}}]\n"
        write(f"agents/{name}.yaml", f"name: {name}\ninstructions: Be kind.\n{rule}{office}")


@pytest.mark.parametrize("at", ["2026-11-30T10:00+01:00", "2026-11-30 09:00Z", "2026-11-30T04:00:00-05:00"])
def test_the_moment_of_the_command_decides_and_hours_are_explained(at: str, capsys: Capture) -> None:
    an_office_and_a_night_desk()
    assert main(["who-answers", "--called", "+15550100009", "--at", at]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "day answers, by agents/day.yaml:3 (called +15550100009, hours office)",
        "  not night (agents/night.yaml:3, called +15550100009, outside office): "
        "it is within the hours office: open until 17:00",
    ]


@pytest.mark.parametrize(("zone", "agent"), [("Europe/Berlin", "day"), ("Asia/Tokyo", "night")])
def test_a_moment_without_a_zone_is_in_the_hosts(
    zone: str, agent: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_office_and_a_night_desk()
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert main(["who-answers", "--called", "+15550100009", "--at", "2026-11-30T10:00"]) == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert capsys.readouterr().out.startswith(f"{agent} answers")


def test_without_a_moment_it_is_now(capsys: Capture) -> None:
    yesterday, today, tomorrow = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-1, 0, 1))
    days = ", ".join(f"'{day}': ['00:00-24:00']" for day in (yesterday, today, tomorrow))
    hours = f"hours: {{now: {{timezone: UTC, weekly: {{}}, exceptions: {{{days}}}}}}}\n"
    rule = "answers: [{called: '+15550100009', hours: now}]\n"
    write("agents/day.yaml", f"name: day\ninstructions: Be kind.\n{rule}{hours}")
    assert main(["who-answers", "--called", "+15550100009"]) == 0
    assert main(["who-answers", "--called", "+15550100009", "--at", "2001-01-01T12:00Z"]) == 1


@pytest.mark.parametrize("at", ["noon", "", "2026-12-24", "2026-02-30T10:00", "18:30", "0001-01-01T00:00", "20261224"])
def test_a_moment_that_is_none_exits_with_2_and_says_what_to_write(at: str, capsys: Capture) -> None:
    assert main(["who-answers", "--called", "+15550100001", "--at", at]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"switchboard: --at is no date and time: '{at}'. Write the date and the time, such as")


def test_nobody_answers_and_the_code_is_1(capsys: Capture) -> None:
    assert main(["who-answers", "--called", "+4930123456"]) == 1
    assert capsys.readouterr().out == "nobody answers +4930123456\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--called", "reception"], "--called is no phone number: 'reception'."),
        (["--called", "abc", "--header", "X-Tenant=acme"], "--called is no phone number: 'abc'."),
        (["--called", ""], "--called is no phone number: ''."),
        (["--called", "+15550100001", "--caller", "abc"], "--caller is no phone number: 'abc'."),
        (
            ["--called", "00 1 555 0100001"],
            "--called is written with 00 and not with a plus: '00 1 555 0100001'. Write \"+15550100001\".",
        ),
        (["--called", "030123456"], "--called is written without its country code: '030123456'."),
        (["--called", "+15550100001", "--header", "X-Tenant"], "--header is not NAME=VALUE: 'X-Tenant'."),
        (["--called", "+15550100001", "--agents", "nowhere"], "nowhere is no file or folder."),
    ],
)
def test_wrong_values_exit_with_2_and_say_what_to_write(words: list[str], said: str, capsys: Capture) -> None:
    assert main(["who-answers", *words]) == 2
    assert capsys.readouterr().err.startswith(f"switchboard: {said}")


# ── serve ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set what a host needs, and give logging back as it was."""
    for name in ("OPENAI_BASE_URL", "OPENAI_WEBSOCKET_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_WEBHOOK_SECRET"])
def test_serve_refuses_without_a_variable_and_names_it(
    name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith(f"switchboard: {name} is not set. ")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("secret", "said"),
    [(f'"{SECRET}"', "is written with quotes around it. Remove the quotes."), (SECRET[:-3], "is not complete")],
)
def test_serve_refuses_a_secret_that_cannot_be_one_without_showing_it(
    secret: str, said: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", secret)
    assert main(["serve"]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert secret.strip('"') not in printed


@pytest.mark.usefixtures("environment")
def test_serve_refuses_an_address_that_is_none(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "api.openai.com")
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("switchboard: OPENAI_BASE_URL is not an address")


@pytest.mark.usefixtures("environment")
def test_serve_refuses_a_catalog_with_problems_and_prints_them(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "speed: 9\n")
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "agents/desk.yaml:5:8: speed: 9 is too large. Write at most 1.5.\n"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("more", [[], ["--watch"]])
def test_serve_refuses_a_folder_without_an_agent_file(more: list[str], capsys: Capture) -> None:
    Path("agents/desk.yaml").unlink()
    assert main(["serve", *more]) == 1
    assert capsys.readouterr().err == f"{NO_AGENT}\n"


@pytest.mark.usefixtures("environment")
def test_serve_says_how_to_name_another_folder(capsys: Capture) -> None:
    assert main(["serve", "agnets"]) == 2
    said = "switchboard: agnets is no folder. Name the folder that holds the agents: switchboard serve FOLDER.\n"
    assert capsys.readouterr().err == said


@pytest.mark.usefixtures("environment")
def test_reload_refuses_a_secret_that_cannot_be_one(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", "whsec_")
    assert main(["reload"]) == 2
    assert capsys.readouterr().err.startswith("switchboard: OPENAI_WEBHOOK_SECRET is not complete")


@pytest.mark.usefixtures("environment")
def test_serve_says_when_its_port_is_taken(capsys: Capture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"switchboard: 127.0.0.1:{port} cannot be listened on (Address already in use). ")


@pytest.mark.parametrize("seconds", ["-1", "3601"])
def test_serve_bounds_the_time_to_drain(seconds: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", "--drain-seconds", seconds])
    assert left.value.code == 2
    assert "--drain-seconds is not between 0 and 3600 seconds" in capsys.readouterr().err


# ── test, whose players have a file of their own ──────────────────────────────────────────────────────────────


def test_a_catalog_with_problems_is_told_in_every_format(capsys: Capture) -> None:
    write("agents/desk.yaml", DESK + "voice: marine\n")
    told = {}
    for form in ("text", "json", "junit", "github"):
        assert main(["test", "--format", form]) == 1
        told[form], err = capsys.readouterr()
        assert err == ""
    assert told["text"].startswith("agents/desk.yaml:5:8: voice: 'marine' is not one of ")
    assert "\n0 scenarios: 0 passed, 1 problem in the files, in 0." in told["text"]
    assert json.loads(told["json"])["problems"][0]["field"] == "voice"
    assert ElementTree.fromstring(told["junit"]).findall("./testsuite[@name='problems']/testcase/error")
    assert told["github"].startswith("::error file=agents/desk.yaml,line=5::voice: 'marine' is not one of ")


@pytest.mark.parametrize("more", [[], ["agents"], ["--changed", "HEAD"], ["--watch"], ["--format", "json"]])
def test_without_scenario_files_it_says_what_to_do(more: list[str], capsys: Capture) -> None:
    said = "switchboard: agents holds no scenario file. Write one beside an agent: its name ends in .scenarios.yaml.\n"
    assert main(["test", *more]) == 2
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("revision", ["HEAD", ""])
def test_a_revision_to_compare_with_needs_a_repository_that_has_it(
    revision: str, catalog: Path, capsys: Capture
) -> None:
    write(
        "agents/desk.scenarios.yaml",
        '- scenario: x\n  call: {called: "+15550100001"}\n  turns: [{expect: {agent: desk}}]\n',
    )
    assert main(["test", "--changed", revision]) == 2
    assert capsys.readouterr() == ("", "switchboard: agents is in no git repository. A revision needs one.\n")
    git(catalog, "init", "-q")
    assert main(["test", "--changed", revision]) == 2
    said = f"switchboard: '{revision}' is no commit, tag or branch of this repository.\n"
    assert capsys.readouterr() == ("", said)
    assert main(["test", "elsewhere", "--changed", revision]) == 2
    assert capsys.readouterr().err.startswith("switchboard: elsewhere is no file or folder. ")


@pytest.mark.parametrize(
    "words",
    [["agents"], ["--watch"], ["--changed", "HEAD"], ["--model", "x"], ["--live"], ["--format", "text"]],
    ids=lambda words: words[0],
)
def test_what_does_nothing_for_a_recorded_call_is_refused(words: list[str], capsys: Capture) -> None:
    assert main(["test", *words, "--from", "call.jsonl"]) == 2
    said = f"switchboard: {words[0]} does nothing with --from. It prints a recorded call, and plays nothing.\n"
    assert capsys.readouterr() == ("", said)


def test_a_recording_that_is_none_is_told(capsys: Capture) -> None:
    cure = "Name one that 'switchboard serve --record' wrote."
    for written, named in (("call.jsonl", "call.jsonl"), ("", "''")):
        assert main(["test", "--from", written]) == 2
        assert capsys.readouterr() == ("", f"switchboard: {named} is no file. {cure}\n")


# ── families and environments ─────────────────────────────────────────────────────────────────────────────────

STAGED = DESK + 'environments:\n  staging:\n    answers: ["+15550100901"]\n    voice: sage\n'


def test_an_environment_answers_other_numbers_from_the_same_file(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("agents/desk.yaml", STAGED)
    assert main(["who-answers", "--called", "+15550100901"]) == 1
    assert main(["who-answers", "--called", "+15550100901", "--environment", "staging"]) == 0
    monkeypatch.setenv("SWITCHBOARD_ENVIRONMENT", "staging")
    assert main(["who-answers", "--called", "+15550100901"]) == 0
    assert capsys.readouterr().out.endswith("desk answers, by agents/desk.yaml:7 (called +15550100901)\n")
    assert main(["who-answers", "--called", "+15550100001"]) == 1
    assert main(["show", "desk"]) == 0
    shown = capsys.readouterr().out
    assert "voice: sage\n" in shown
    assert "environments" not in shown


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "words", [["serve"], ["show", "desk"], ["who-answers", "--called", "+1555"], ["demo"], ["diff"]]
)
def test_an_environment_that_no_file_names_exits_with_2_and_the_nearest(
    words: list[str], capsys: Capture, catalog: Path
) -> None:
    write("agents/desk.yaml", STAGED)
    subprocess.run(["git", "init", "-q"], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert main([*words, "--environment", "stagin"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "switchboard: 'stagin' is no environment of this catalog. Did you mean 'staging'?"


def test_check_looks_at_every_environment_whatever_is_chosen(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_ENVIRONMENT", "test")
    write("agents/night.yaml", "name: night\ninstructions: x\nenvironments: {test: {}}\n")
    write("agents/desk.yaml", STAGED.replace("voice: sage", "greeting: '{{ nobody }}'"))
    assert main(["check"]) == 1
    (line, _) = capsys.readouterr().out.splitlines()
    assert line.startswith("agents/desk.yaml:8:19: greeting: ")
    assert "(in the environment staging)" in line


def test_check_warns_of_a_chosen_environment_that_no_file_names(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHBOARD_ENVIRONMENT", "stagin")
    write("agents/desk.yaml", STAGED)
    assert main(["check"]) == 0
    warning, _ = capsys.readouterr().out.splitlines()
    assert warning == "'stagin': warning: is no environment of this catalog. Did you mean 'staging'?"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("words", [["show", "desk"], ["who-answers", "--called", "+15550100001"]])
def test_a_problem_in_an_environment_that_does_not_run_stops_nothing(words: list[str], capsys: Capture) -> None:
    write("agents/desk.yaml", STAGED.replace("voice: sage", "voice: marine"))
    assert main(words) == 0
    assert main([*words, "--environment", "staging"]) == 1
    assert capsys.readouterr().err.startswith("agents/desk.yaml:8:12: environments.staging.voice: 'marine' is not ")


def test_why_tells_where_each_value_comes_from(capsys: Capture) -> None:
    write(
        "agents/_defaults.yaml", "speed: 1.1\ntracing: {metadata: {family: x}}\nenvironments: {staging: {speed: 1}}\n"
    )
    write("agents/desk.yaml", STAGED)
    assert main(["show", "desk", "--why", "--environment", "staging"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {path: (value, place) for path, value, place in (re.split(r"  +", line) for line in lines)}
    assert lines[0].startswith("name ")
    assert told["answers[1]"] == ('"+15550100901"', "agents/desk.yaml:7 (staging)")
    assert told["voice"] == ('"sage"', "agents/desk.yaml:8 (staging)")
    assert told["greeting"] == ('"Good evening."', "agents/desk.yaml:4")
    assert told["speed"] == ("1", "agents/_defaults.yaml:3 (staging)")
    assert told["tracing.metadata.family"] == ('"x"', "agents/_defaults.yaml:2")
    assert told["tracing.group_id"] == ('"{{ call.id }}"', "schema")
    assert len({line.index(told[line.split()[0]][1]) for line in lines}) == 1, "places stand below each other"


def test_a_followed_branch_is_not_looked_at_without_a_pause(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--follow", "main", "--every", "0"])
    assert stopped.value.code == 2
    assert "less than a second" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("option", ["--follow", "--revision"])
def test_an_empty_name_is_a_branch_that_is_not_there(option: str, catalog: Path, capsys: Capture) -> None:
    other = {"--follow": "--revision", "--revision": "--follow"}[option]
    git(catalog, "init", "-q")
    assert main(["serve", option, ""]) == 2
    assert capsys.readouterr().err == "switchboard: '' is no commit, tag or branch of this repository.\n"
    assert main(["serve", option, "", other, "main"]) == 2
    assert capsys.readouterr().err.startswith("switchboard: --revision cannot be used with --follow.")
    assert main(["serve", option, "", "--watch"]) == 2
    assert capsys.readouterr().err.startswith("switchboard: --watch cannot be used with --revision or --follow.")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("words", [["--every", "5"], ["--fetch", "origin"]])
def test_what_only_a_followed_branch_needs_is_refused_without_one(words: list[str], capsys: Capture) -> None:
    assert main(["serve", *words]) == 2
    said = f"switchboard: {words[0]} does nothing without --follow. Name the branch: --follow main.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("verb", ["check", "reload", "status", "diff", "who-answers"])
def test_a_verb_whose_exit_code_answers_says_each_in_its_help(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert re.search(r"Exit code: 0 .* 1 .* 2 .*\.", " ".join(capsys.readouterr().out.split()))


def test_status_without_a_host_exits_with_2(capsys: Capture) -> None:
    assert main(["status", "--url", "http://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err.startswith("switchboard: http://127.0.0.1:9 is no running host")
