"""Scenario files beside their agents, and which scenarios a change can touch."""

import json
import os
import sys
from pathlib import Path

import pytest

from runtime import git
from runtime.errors import CatalogError, SettingsError
from runtime.repertoire import Due, Repertoire, catalog_at, check, open_repertoires
from tests.test_git import git as run_git

DESK = """name: desk
answers: ["+15550100001"]
instructions_file: texts/desk.md
handoffs: [{agent: billing, when: An invoice.}]
tools: [{use: hang_up}, {entrypoint: "mine.tables:find"}]
lookup: {entrypoint: "mine.guests:find", defaults: {guest: ""}}
guardrails: {rules: ["mine.manners:swears"], instead: Excuse me.}
"""
BILLING = "name: billing\ninstructions: Know invoices.\ntools: [{use: hang_up}]\n"
NIGHT = 'name: night\nanswers: ["*"]\ninstructions: Take messages.\n'
RINGS = '- scenario: {name}\n  call: {{called: "{number}"}}\n  turns: [{{expect: {{agent: {agent}}}}}]\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a catalog of three agents with a tool module that imports another, and work beside it."""
    files = {
        "agents/desk.yaml": DESK,
        "agents/billing.yaml": BILLING,
        "agents/night.yaml": NIGHT,
        "agents/texts/desk.md": "Be brief.",
        "agents/desk.scenarios.yaml": RINGS.format(name="by day", number="+15550100001", agent="desk"),
        "agents/more/night.scenarios.yaml": RINGS.format(name="by night", number="+15550100009", agent="night"),
        "mine/__init__.py": "",
        "mine/tables.py": "from mine import book\n\ndef find() -> str:\n    return book.NAME\n",
        "mine/book.py": "NAME = 'book'\n",
        "mine/guests.py": "",
        "mine/manners.py": "",
        "mine/other.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def opened(*paths: str) -> Repertoire:
    (found,) = open_repertoires([Path(path) for path in paths or ("agents",)], "")
    return found


def touched(*paths: str) -> list[str]:
    return [scenario.name for scenario in opened().touched_by([Path(path) for path in paths])]


def test_scenario_files_are_found_at_any_depth_and_are_no_agents(folder: Path) -> None:
    found = opened()
    assert [scenario.name for scenario in found.scenarios] == ["by day", "by night"]
    assert sorted(found.catalog.agents) == ["billing", "desk", "night"]
    assert found.problems == ()


def test_one_file_is_played_with_the_whole_catalog(folder: Path) -> None:
    found = opened("agents/more/night.scenarios.yaml")
    assert [scenario.name for scenario in found.scenarios] == ["by night"]
    assert len(found.catalog.agents) == 3


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("agents/desk.yaml", ["by day"]),
        ("agents/billing.yaml", ["by day"]),
        ("agents/texts/desk.md", ["by day"]),
        ("agents/desk.scenarios.yaml", ["by day"]),
        ("mine/tables.py", ["by day"]),
        ("mine/book.py", ["by day"]),
        ("mine/guests.py", ["by day"]),
        ("mine/manners.py", ["by day"]),
        ("mine/other.py", []),
        ("agents/night.yaml", ["by night"]),
        ("agents/_defaults.yaml", ["by day", "by night"]),
        ("README.md", []),
    ],
)
def test_a_change_touches_the_calls_that_come_out_of_the_file(folder: Path, path: str, names: list[str]) -> None:
    assert touched(path) == names


def test_a_change_touches_the_calls_in_which_its_agent_is_reloaded(folder: Path) -> None:
    saves = RINGS.format(name="by day", number="+15550100001", agent="desk").replace(
        "[{", "[{reload: {night: null}}, {"
    )
    (folder / "agents/desk.scenarios.yaml").write_text(saves, "utf-8")
    assert touched("agents/night.yaml") == ["by day", "by night"]


def test_a_change_touches_the_calls_in_which_a_reload_brings_its_file_in(folder: Path) -> None:
    rings = RINGS.format(name="by night", number="+15550100009", agent="night")
    brings = "{handoffs: [{agent: billing, when: x}], tools: [{entrypoint: 'mine.other:f'}, {use: hang_up}]}"
    saves = rings.replace("[{", f"[{{reload: {{night: {brings}}}}}, {{")
    (folder / "agents/more/night.scenarios.yaml").write_text(saves, "utf-8")
    assert touched("agents/billing.yaml") == ["by day", "by night"]
    assert touched("mine/other.py") == ["by night"]


def test_what_only_a_reload_brings_can_be_named_and_counted(folder: Path) -> None:
    brings = "{tools: [{entrypoint: 'mine.other:f', name: extra}], limits: {calls_per_caller_per_hour: 3}}"
    saves = RINGS.format(name="by night", number="+15550100009", agent="night") + "  before: {calls: 3}\n"
    names = f"{{reload: {{night: {brings}}}}}, {{expect: {{not_called: extra, agent: night}}}}"
    (folder / "agents/more/night.scenarios.yaml").write_text(saves.replace("{expect: {agent: night}}", names), "utf-8")
    assert opened().problems == ()


@pytest.mark.parametrize(
    ("entry", "uncounted"),
    [
        ("mcp: {command: [serve]}", ["find", "forecast"]),
        ("mcp: {command: [serve]}, max_parallel: 2", ["find"]),
        ("mcp: {command: [serve]}, max_parallel: 2, only: [rain]", ["find", "forecast"]),
    ],
)
def test_places_can_be_taken_of_tools_that_have_some_also_on_a_server(
    folder: Path, entry: str, uncounted: list[str]
) -> None:
    (folder / "agents/night.yaml").write_text(
        f"{NIGHT}tools: [{{entrypoint: 'mine.tables:find'}}, {{{entry}}}]\n", "utf-8"
    )
    takes = RINGS.format(name="takes", number="+15550100009", agent="night")
    takes += "  meanwhile: {tools: {find: 3, forecast: 3}}\n"
    (folder / "agents/more/night.scenarios.yaml").write_text(takes, "utf-8")
    assert [problem.field.rpartition(".")[2] for problem in opened().problems] == uncounted


def test_what_only_an_environment_has_is_there_for_check(folder: Path) -> None:
    rings = RINGS.format(name="by night", number="+15550100009", agent="night") + "  before: {calls: 3}\n"
    (folder / "agents/more/night.scenarios.yaml").write_text(rings, "utf-8")
    (problem,) = check([Path("agents")], None)[0]
    assert problem.message == "night takes any number of them"
    production = "environments: {production: {limits: {calls_per_caller_per_hour: 3}}}\n"
    (folder / "agents/night.yaml").write_text(NIGHT + production, "utf-8")
    assert check([Path("agents")], None) == ([], 2)


def test_what_can_hardly_be_meant_is_warned_of_and_played(folder: Path) -> None:
    odd = RINGS.format(name="odd", number="+15550100001", agent="desk")
    odd += "  tools:\n    lookup: [{result: {gest: Anna}}, {result: {guest: Anna}}, {error: down}, {result: null}]\n"
    nobody = RINGS.format(name="nobody", number="+15550100009", agent="night").replace(
        "[{", "[{reload: {night: null}}, {"
    )
    (folder / "agents/desk.scenarios.yaml").write_text(odd, "utf-8")
    (folder / "agents/more/night.scenarios.yaml").write_text(nobody, "utf-8")
    (folder / "agents/night.yaml").write_text(NIGHT.replace('"*"', '"+44*"'), "utf-8")
    found = opened()
    assert [str(problem) for problem in found.problems] == [
        "agents/desk.scenarios.yaml:5:24: warning: [1].tools.lookup[1].result.gest: the lookup has no such field among "
        "its defaults. Did you mean 'guest'?",
        "agents/more/night.scenarios.yaml:2:18: warning: [1].call.called: no agent answers this number at that time. "
        "See why with 'switchboard who-answers +15550100009', or expect ended_by: no_agent.",
    ]
    assert len(found.scenarios) == 2


def test_a_lookup_finds_fields_by_their_names(folder: Path) -> None:
    odd = RINGS.format(name="odd", number="+15550100001", agent="desk") + "  tools: {lookup: {result: [{guest: A}]}}\n"
    (folder / "agents/desk.scenarios.yaml").write_text(odd, "utf-8")
    (problem,) = opened().problems
    assert str(problem).startswith(
        "agents/desk.scenarios.yaml:4:28: [1].tools.lookup.result: a lookup finds fields by their"
    )
    assert "one for each call begins with '- result:'" in problem.cure


def test_a_destination_that_is_misspelt_is_warned_of(folder: Path) -> None:
    transfers = "tools: [{use: transfer, destinations: [{name: kitchen, to: 'tel:+15550123456', when: x}]}]\n"
    (folder / "agents/night.yaml").write_text(NIGHT + transfers, "utf-8")
    puts = RINGS.format(name="puts", number="+15550100009", agent="night")
    for name in ("kitchn", "tel:+15550911911"):
        puts += f"    - model: {{calls: {{tool: transfer, arguments: {{destination: '{name}'}}}}}}\n"
    puts = puts.replace("turns: [{expect: {agent: night}}]\n", "turns:\n    - expect: {agent: night}\n")
    (folder / "agents/more/night.scenarios.yaml").write_text(puts, "utf-8")
    (problem,) = opened().problems
    assert (problem.message, problem.cure) == ("there is no destination 'kitchn'", "Did you mean 'kitchen'?")


def test_what_a_reload_would_do_to_others_is_told_at_the_reload(folder: Path) -> None:
    rings = RINGS.format(name="by day", number="+15550100001", agent="desk")
    takes = rings.replace("[{", "[{reload: {billing: null}}, {") + rings.replace("by day", "again").replace(
        "[{", '[{reload: {night: {answers: ["+15550100001"]}}}, {'
    )
    (folder / "agents/desk.scenarios.yaml").write_text(takes, "utf-8")
    found = opened()
    assert [str(problem) for problem in found.problems] == [
        "agents/desk.scenarios.yaml:3:12: [1].turns[1].reload: there is no agent 'billing' (agents/desk.yaml:4). "
        "There is night.",
        "agents/desk.scenarios.yaml:6:39: [2].turns[1].reload.night.answers: called +15550100001 is answered by "
        "agents/desk.yaml:2 too, equally well. Remove one of the two, or give one of them one more condition.",
    ]
    assert [scenario.name for scenario in found.scenarios] == ["by night"]


@pytest.mark.parametrize("gone", ["mine/tables.py", "mine/book.py", "mine/guests.py", "mine"])
def test_a_module_that_is_gone_touches_the_calls_that_it_would_be_used_in(folder: Path, gone: str) -> None:
    paths = [path for path in (folder / "mine").iterdir() if path.is_relative_to(folder / gone)]
    for path in paths:
        path.unlink()
    assert touched(*map(str, paths)) == ["by day"]
    assert all(watched.is_dir() for watched in opened().folders)


def test_a_module_that_hides_another_touches_its_calls(folder: Path) -> None:
    assert touched("mine/tables/__init__.py") == ["by day"]
    assert touched("mine/tables/other.py") == touched("mine.py") == []


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        (["python", "-m", "mine.other"], ["mine/other.py", "mine/__init__.py"]),
        (["uv", "run", "python", "-m", "served"], ["served/__main__.py", "served/__init__.py", "served/words.py"]),
        (["python3", "-u", "served/words.py"], ["served/words.py", "served/beside.py"]),
        (["node", "served/server.js", "--quick"], ["served/server.js"]),
        (["./served/start"], ["served/start"]),
    ],
)
def test_a_program_that_serves_tools_is_behind_the_agents_that_start_it(
    folder: Path, command: list[str], paths: list[str]
) -> None:
    (folder / "served").mkdir()
    written = {
        "__main__.py": "from .words import x",
        "words.py": "import beside",
        "beside.py": "",
        "start": "",
        "server.js": "",
    }
    for name, text in written.items():
        (folder / "served" / name).write_text(text, "utf-8")
    (folder / "agents/night.yaml").write_text(f"{NIGHT}tools: [{{mcp: {{command: {json.dumps(command)}}}}}]\n", "utf-8")
    assert [path for path in paths if "by night" not in touched(path)] == []
    assert touched("mine/absent.py", "served/absent.py", "served/absent.js") == []
    assert (folder / paths[0]).parent in opened().folders


def test_a_program_elsewhere_on_the_machine_is_behind_nothing(folder: Path) -> None:
    words = [sys.executable, "-c", "x" * 5000, "\0", ".", "-m", "\0", "-m", "/etc/hosts"]
    (folder / "agents/night.yaml").write_text(f"{NIGHT}tools: [{{mcp: {{command: {json.dumps(words)}}}}}]\n", "utf-8")
    assert touched("/etc/hosts", sys.executable) == []
    assert opened().folders == {Path("agents"), folder / "mine"}


def test_a_link_to_a_module_is_followed(folder: Path) -> None:
    (folder / "shared.py").write_text("", "utf-8")
    (folder / "mine/book.py").unlink()
    (folder / "mine/book.py").symlink_to("../shared.py")
    assert touched("shared.py") == ["by day"]


def test_a_call_that_another_agent_took_before_is_touched(folder: Path) -> None:
    run_git(folder, "init", "-q", "-b", "main")
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-qm", "Begin")
    (folder / "agents/desk.yaml").write_text(DESK.replace("+15550100001", "+15550100003"), "utf-8")
    (folder / "agents/new.scenarios.yaml").write_text(
        RINGS.format(name="new", number="+15550100005", agent="night"), "utf-8"
    )
    repository = git.around(Path("agents"))
    assert repository is not None
    changed = repository.changed_since("HEAD")
    assert changed == {folder / "agents/desk.yaml", folder / "agents/new.scenarios.yaml"}
    before = catalog_at(Path("agents"), "HEAD", "")
    assert [scenario.name for scenario in opened().touched_by(changed, before)] == ["by day", "new"]
    with pytest.raises(SettingsError, match="no commit"):
        repository.changed_since("nothing")


def names(due: Due, *found: Repertoire) -> list[str]:
    return [scenario.name for _, scenario in due.among(found)]


def test_all_is_due_until_it_was_played(folder: Path) -> None:
    found, due = opened(), Due()
    due.add([Path("agents/night.yaml")])
    assert names(due, found) == ["by day", "by night"]
    due.played([found])
    assert names(due, found) == []


def test_what_changed_is_due_until_it_was_played(folder: Path) -> None:
    found, due = opened(), Due()
    due.played([found])
    due.add([Path("agents/desk.yaml")])
    due.add([Path("README.md")])
    assert names(due, found) == ["by day"]
    due.add([Path("agents/night.yaml")])
    assert names(due, found) == ["by day", "by night"]
    due.played([found])
    assert names(due, found) == []
    assert names(Due([Path("agents/night.yaml")]), found) == ["by night"]


def test_a_call_that_another_agent_took_when_it_was_last_played_is_due(folder: Path) -> None:
    due = Due()
    due.played([opened()])
    (folder / "agents/desk.yaml").write_text(DESK.replace("+15550100001", "+15550100003"), "utf-8")
    found = opened()
    assert names(due, found) == ["by day"]
    due.played([found])
    assert names(due, found) == []


def test_a_file_with_a_problem_is_told_and_not_played(folder: Path) -> None:
    (folder / "agents/desk.scenarios.yaml").write_text(RINGS.format(name="x", number="+1", agent="dsk"), "utf-8")
    found = opened()
    assert [scenario.name for scenario in found.scenarios] == ["by night"]
    assert [problem.message for problem in found.problems] == [
        "'+1' is not a phone number such as \"+15550100001\"",
    ]


def test_a_scenario_file_that_cannot_be_read_is_told_with_its_cure(folder: Path) -> None:
    (folder / "agents/loop.scenarios.yaml").symlink_to("loop.scenarios.yaml")
    (folder / "agents/none.scenarios.yaml").symlink_to("gone.yaml")
    os.mkfifo(folder / "agents/pipe.scenarios.yaml")
    told = {
        "loop": "it is a link that leads to itself). Link to the file that is meant, or delete it.",
        "none": "it is a link to nothing: gone.yaml). Make that file, or delete the link.",
        "pipe": "not a plain file). Put a plain file in its place, or delete it.",
    }
    expected = [f"agents/{name}.scenarios.yaml: it cannot be read ({what}" for name, what in told.items()]
    assert [str(problem) for problem in opened().problems] == expected
    assert [str(problem) for problem in check([Path("agents")], None)[0]] == expected


def test_a_catalog_with_problems_plays_nothing(folder: Path) -> None:
    (folder / "agents/desk.yaml").write_text("name: desk\n", "utf-8")
    with pytest.raises(CatalogError, match="instructions"):
        open_repertoires([Path("agents")], "")
    assert check([Path("agents")], None) == ([], 2), "check tells of the agent itself, and looks for no names then"
