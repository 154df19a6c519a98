"""Scenario files: what is wrong with the bad ones, word for word, and what the good ones come to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime import schema as schemas
from runtime.cli import main
from runtime.scenarios import Canned, Deed, Expectation, Response, Scenario, ScenarioFile, Use, is_scenario_file, read
from tests.test_corpus import PYTHONS

DATA = Path(__file__).parent / "data" / "scenarios"
BAD = DATA / "bad"
FILES = sorted(BAD.glob("*.scenarios.yaml"))
GOOD = (DATA / "good" / "all.scenarios.yaml").read_bytes()
RINGS = '- scenario: rings\n  call: {called: "+15550100001"}\n  turns: [{expect: {agent: desk}}]\n'


def text_of(file: Path) -> Path:
    return file.with_name(file.name.replace(".scenarios.yaml", ".txt"))


def file_of(text: str, file: str = "desk.scenarios.yaml") -> ScenarioFile:
    made, problems = read(text.encode(), file)
    assert made is not None, problems
    return made


def scenario_of(text: str, file: str = "desk.scenarios.yaml") -> Scenario:
    (scenario,) = file_of(text, file).scenarios
    return scenario


# ── the bad ones ──────────────────────────────────────────────────────────────────────────────────────────────


def test_each_bad_file_has_its_text() -> None:
    assert len(FILES) >= 18
    assert sorted(map(text_of, FILES)) == sorted(BAD.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_check_prints_exactly_these_lines(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BAD)
    code = main(["check", file.name])
    printed = capsys.readouterr().out.splitlines(keepends=True)
    assert "".join(printed[:-1]) == text_of(file).read_text("utf-8")
    assert code == (0 if all(": warning: " in line for line in printed[:-1]) else 1)
    assert printed[-1].startswith("0 agent files and 1 scenario file: ")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_every_line_says_where_and_what_to_do_in_words_that_are_not_pythons(file: Path) -> None:
    for line in text_of(file).read_text("utf-8").splitlines():
        place, said = line.split(": ", 1)
        assert place.count(":") == 2
        assert ". " in said, f"no cure: {said}"
        assert not any(word in said for word in PYTHONS), said


def test_nothing_that_bytes_can_hold_raises() -> None:
    raws = [b"\xff", b"- [", b"- 1\n- null\n- []\n", b"[[[[", b"- {turns: [1, {caller: 1, model: 2}], call: 3}"]
    raws += [b"- {turns: [{model: {calls: {a: 1}}, expect: {calls: [[], null, {b: null}], tool: []}}], tools: [1]}"]
    raws += [b"- {turns: [{model: [null, {calls: {}}], expect: [], caller: []}], tools: {a: [1, {b: 1}]}, clock: 1}"]
    for raw in raws:
        made, problems = read(raw, "x.scenarios.yaml")
        assert made is None
        assert problems


# ── the good one ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_good_file_uses_every_field() -> None:
    used = {part for path in file_of(GOOD.decode()).document.places for part in path if isinstance(part, str)}
    assert set(_names(schemas.load("scenario").raw)) <= used


def _names(node: object) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_names, node))
    if not isinstance(node, dict):
        return set()
    fields = node["properties"] if isinstance(node.get("properties"), dict) else {}
    here = {name for name, field in fields.items() if not isinstance(field, dict) or "not" not in field}
    return here.union(*(_names(part) for key, part in node.items() if key not in ("default", "examples", "if")))


def test_every_field_of_the_schema_is_explained_with_an_example() -> None:
    def fields(node: object) -> list[tuple[str, dict[str, object]]]:
        if isinstance(node, list):
            return [found for part in node for found in fields(part)]
        if not isinstance(node, dict):
            return []
        here = [pair for pair in node.get("properties", {}).items() if "not" not in pair[1]]
        inner = [part for key, part in node.items() if key not in ("default", "examples")]
        return here + [found for part in inner for found in fields(part)]

    found = fields(schemas.load("scenario").raw)
    assert len(found) > 30
    assert [name for name, node in found if not node.get("description") or not node.get("examples")] == []


def test_a_file_becomes_values_with_the_places_of_what_is_expected() -> None:
    scenario = scenario_of(GOOD.decode())
    assert (scenario.name, scenario.caller, scenario.headers) == (
        "uses every field",
        "+493012345678",
        (("X-Tenant", "acme"),),
    )
    assert (scenario.runs, scenario.must_pass) == (3, 2)
    assert (scenario.clock - scenario.at).total_seconds() == 5
    assert scenario.canned == {
        "find_table": (Canned(True, {"available": True}, "", 0.5), Canned(True, None, "The book does not open."))
    }
    first, second, *_ = scenario.turns
    assert first.expect[:2] == (
        Expectation("agent", "desk", 17, 16),
        Expectation("greeting.contains", "Casa Nova", 18, 19),
    )
    assert {each.field for each in first.expect} >= {"receipt.instructions.contains", "receipt.tools", "within_ms"}
    assert second.deed == Deed("says", "A table for four?")
    assert second.model == (
        Response((), (Use("find_table", {"people": 4}), Use("find_table")), 33, 11),
        Response(("One moment.", "We have one."), (), 34, 11),
    )
    assert [each.wanted for each in second.expect if each.field == "says.contains"] == ["we have", "one"]
    assert scenario.turns[4].model[0].uses == (Use("hand_off_to_billing"),)
    assert scenario.turns[6].deed == Deed("says", "Yes", "yes.wav")
    assert scenario.turns[7].deed == Deed("connection", "lost")
    assert [turn.looks_back for turn in scenario.turns] == [True, *[False] * 10]
    assert [at for at, turn in enumerate(scenario.turns) if turn.cuts_in] == [4, 7]
    assert [at for at, turn in enumerate(scenario.turns) if turn.rings] == [10]
    saved = scenario.turns[9].saved
    assert saved["billing"] is None
    assert saved["desk"] is not None
    assert saved["desk"].data == {"greeting": "Closed today."}
    assert saved["desk"].place(("greeting",))[:2] == (52, 33)
    assert (scenario.rang_before, scenario.other_calls, scenario.taken) == (3, 20, {"find_table": 5})


def test_what_is_not_written_is_the_sample_call() -> None:
    scenario = scenario_of(RINGS)
    assert scenario.caller == "+15557654321"
    assert scenario.at == scenario.clock == datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
    assert (scenario.runs, scenario.must_pass) == (1, 1)


def test_words_alone_and_in_a_list_are_contained_and_have_their_own_places() -> None:
    written = RINGS.replace("{agent: desk}", "{greeting: Casa, says: [We have one, At eight]}")
    assert scenario_of(written).turns[0].expect == (
        Expectation("greeting.contains", "Casa", 3, 31),
        Expectation("says.contains", "We have one", 3, 44),
        Expectation("says.contains", "At eight", 3, 57),
    )


def test_a_number_may_be_withheld() -> None:
    assert scenario_of(RINGS.replace("}\n  turns", ", caller: null}\n  turns")).caller == ""


def test_the_clock_and_the_call_stand_for_each_other() -> None:
    moment = '"2026-12-24T11:00:00+01:00"'
    by_call = scenario_of(RINGS.replace("}\n  turns", f", at: {moment}}}\n  turns"))
    by_clock = scenario_of(f"{RINGS}  clock: {moment}\n")
    assert by_call.at == by_call.clock == by_clock.at == by_clock.clock
    assert str(by_call.at.tzinfo) == "UTC+01:00"


def test_all_of_several_runs_must_pass_where_nothing_else_is_written() -> None:
    assert scenario_of(f"{RINGS}  runs: 5\n").must_pass == 5


def test_a_scenario_that_expects_nothing_is_warned_of_and_can_be_played() -> None:
    text = RINGS.replace("[{expect: {agent: desk}}]", "[{caller: {says: Hello}}]")
    made, (problem,) = read(text.encode(), "desk.scenarios.yaml")
    assert made is not None
    assert problem.severity == "warning"


def test_words_alone_may_be_expected_of_a_model_that_is_not_scripted() -> None:
    text = RINGS.replace("[{expect: {agent: desk}}]", "[{caller: {says: Hello}, expect: {says: Good evening}}]")
    assert read(text.encode(), "desk.scenarios.yaml")[1] == []


def test_scenario_files_are_told_by_their_names() -> None:
    assert is_scenario_file("front-desk.scenarios.yaml")
    assert is_scenario_file("A.Scenarios.YML")
    assert not is_scenario_file("scenarios.yaml")
