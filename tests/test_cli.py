"""The command's verbs, run as `main([...])`: what they print, and the codes they exit with. Starts no server."""

import base64
import json
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import document, schema
from runtime.cli import main

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
    monkeypatch.delenv("SWITCHBOARD_CALLED_HEADER", raising=False)
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


def test_a_missing_path_exits_with_2_and_a_sentence(capsys: Capture) -> None:
    assert main(["check", "agnets"]) == 2
    said = capsys.readouterr().err
    assert said == "switchboard: agnets is no file or folder. Name the folder that holds the agents.\n"


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


def test_show_knows_the_nearest_name(capsys: Capture) -> None:
    assert main(["show", "dekk"]) == 2
    assert "There is no agent 'dekk'. Did you mean 'desk'?" in capsys.readouterr().err


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


def test_nobody_answers_and_the_code_is_1(capsys: Capture) -> None:
    assert main(["who-answers", "--called", "+4930123456"]) == 1
    assert capsys.readouterr().out == "nobody answers +4930123456\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--called", "reception"], "--called is no phone number: 'reception'."),
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
    assert "between 0 and 3600 seconds" in capsys.readouterr().err
