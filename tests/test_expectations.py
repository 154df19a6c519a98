"""What was expected beside what happened: each field's differences in plain words."""

from dataclasses import replace
from typing import Any

import pytest

from runtime import schema as schemas
from runtime.expectations import (
    Moment,
    Played,
    PlayedTurn,
    Question,
    Received,
    Said,
    Used,
    Verdict,
    compare,
    questions,
)
from runtime.outcome import Outcome
from runtime.receipt import Row
from runtime.scenarios import ENDED_BY, Deed, Expectation, Response, Scenario, Use
from runtime.session import GREETING
from tests.test_scenarios import RINGS, scenario_of

ROWS = (Row("voice", "marin", "cedar"), Row("tools", ["a", "b"], ["a", "b"]), Row("tracing", None, None))
TURN = PlayedTurn(
    agent="desk",
    said=(Said("Casa Nova, hello.", GREETING), Said("We have  one,\nat “eight”.")),
    used=(Used("find", '{"people": 4, "day": "2026-11-27", "sure": true}', "{}"),),
    milliseconds=1234.4,
    received=Received(ROWS, "near", "Today is Friday."),
)
PLAYED = Played((TURN,))
NOTHING = "the caller says nothing"
ENDED = Played((replace(TURN, outcome="silent", reason=NOTHING),), outcome="silent", reason=NOTHING)


def expecting(*expectations: tuple[str, Any]) -> Scenario:
    scenario = scenario_of(RINGS)
    expect = tuple(Expectation(name, wanted, 7, 9) for name, wanted in expectations)
    return replace(scenario, turns=(replace(scenario.turns[0], expect=expect),))


def told(name: str, wanted: Any, played: Played = PLAYED) -> tuple[str, str] | None:
    """Return what was expected and what came instead, or None when all is as it should be."""
    found = compare(expecting((name, wanted)), played)
    return (found[0].expected, found[0].instead) if found else None


def test_every_outcome_is_an_end_that_a_scenario_can_expect() -> None:
    turns = schemas.load("scenario").raw["items"]["properties"]["turns"]
    words = turns["items"]["properties"]["expect"]["properties"]["ended_by"]["enum"]
    assert set(ENDED_BY) == set(Outcome)
    assert set(ENDED_BY.values()) == set(words)


@pytest.mark.parametrize(
    ("outcome", "ended_by"),
    [("gone", "caller"), ("transferred", "transfer"), ("nobody_spoke", "silence"), ("too_long", "duration"),
     ("quota", "service"), ("connection_lost", "service"), ("stale", "host"), ("tools_unavailable", "tools")],
)  # fmt: skip
def test_who_or_what_ended_a_call(outcome: str, ended_by: str) -> None:
    assert told("ended_by", ended_by, Played((replace(TURN, outcome=outcome),), outcome=outcome)) is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("agent", "desk"),
        ("greeting.contains", "casa nova"),
        ("greeting.matches", "^casa nova, (hello|hi)"),
        ("says.contains", 'one, at "eight"'),
        ("says.matches", "one, at .eight"),
        ("says.absent", "nine"),
        ("calls", Use("find")),
        ("calls", Use("find", {"people": 4})),
        ("calls", Use("find", {"people": 4.0, "sure": True})),
        ("not_called", "book"),
        ("within_ms", 1235),
        ("receipt.voice", "cedar"),
        ("receipt.agrees", False),
        ("receipt.greeting", "near"),
        ("receipt.tools", "b"),
        ("receipt.tracing", None),
        ("receipt.instructions.contains", "friday"),
    ],
)
def test_what_is_as_expected_makes_no_difference(name: str, wanted: Any) -> None:
    assert told(name, wanted) is None


@pytest.mark.parametrize(
    ("name", "wanted", "expected", "instead"),
    [
        ("agent", "billing", "billing has the caller", "desk has the caller"),
        ("greeting.contains", "Vecchia", "the greeting says “Vecchia”", "it was “Casa Nova, hello.”"),
        ("says.absent", "eight", "the agent says nothing of “eight”",
         "it was “Casa Nova, hello. We have one, at “eight”.”"),
        ("calls", Use("book"), "book is called", "only find was called"),
        (
            "calls",
            Use("find", {"people": 5}),
            "find is called with people: 5",
            "it was called with people: 4, day: 2026-11-27, sure: true",
        ),
        ("calls", Use("find", {"sure": 1}), "find is called with sure: 1",
         "it was called with people: 4, day: 2026-11-27, sure: true"),
        ("not_called", "find", "find is not called", "it was called with people: 4, day: 2026-11-27, sure: true"),
        ("handoff", "billing", "the caller is handed over to billing", "the caller was handed over to nobody"),
        ("transfer", "kitchen", "the caller is put through to kitchen", "the caller was put through to nobody"),
        ("ended_by", "agent", "the call has ended, by the agent", "it had not ended"),
        ("within_ms", 1000, "the agent is heard within 1000 ms", "it took 1,234 ms"),
        ("receipt.voice", "marin", "the voice is marin", "it is cedar"),
        ("receipt.agrees", True, "the service confirmed all as declared", "voice is cedar, declared marin"),
        ("receipt.greeting", "exact", "the greeting is exact, compared with the file", "it is near"),
        ("receipt.tools", "c", "the model has the tool c", "it has a, b"),
        ("receipt.tracing", "auto", "the tracing is auto", "it is off"),
        (
            "receipt.instructions.contains", "Monday", "the instructions say “Monday”", "it was “Today is Friday.”",
        ),
    ],
)  # fmt: skip
def test_a_difference_says_what_was_expected_and_what_came(name: str, wanted: Any, expected: str, instead: str) -> None:
    assert told(name, wanted) == (expected, instead)


def test_a_difference_has_the_place_of_its_expectation() -> None:
    (found,) = compare(expecting(("agent", "billing")), PLAYED)
    assert (found.file, found.line, found.column, found.turn, found.field) == ("desk.scenarios.yaml", 7, 9, 0, "agent")


def test_how_a_call_ended_is_told_with_its_reason() -> None:
    assert told("ended_by", "caller", ENDED) == (
        "the call has ended, by the caller",
        "it ended by silence (the caller says nothing)",
    )


def test_a_tool_that_is_expected_twice_is_called_twice() -> None:
    wish = ("calls", Use("find", {"people": 4}))
    (found,) = compare(expecting(wish, wish), PLAYED)
    assert (found.expected, found.instead) == (
        "find is called with people: 4, beside the others",
        "it was called only once",
    )
    both = Played((replace(TURN, used=TURN.used * 2),))
    assert compare(expecting(wish, wish), both) == []


def test_each_expected_call_has_a_call_of_its_own_whatever_their_order() -> None:
    four, any_number = ("calls", Use("find", {"people": 4})), ("calls", Use("find"))
    assert len(compare(expecting(four, any_number), PLAYED)) == 1
    other = Used("find", '{"people": 2}')
    for used in ((*TURN.used, other), (other, *TURN.used)):
        for wishes in ((four, any_number), (any_number, four)):
            assert compare(expecting(*wishes), Played((replace(TURN, used=used),))) == []


def test_nothing_said_and_nothing_confirmed_are_told_as_that() -> None:
    nothing = Played((PlayedTurn(),))
    assert told("says.contains", "x", nothing) == ("the agent says “x”", "it said nothing")
    assert told("greeting.contains", "x", nothing) == ("the greeting says “x”", "no greeting was said")
    assert told("receipt.voice", "marin", nothing) == ("the voice is marin", "the service confirmed nothing")
    assert told("within_ms", 5, nothing) == ("the agent is heard within 5 ms", "it was not heard")
    assert told("calls", Use("find"), nothing) == ("find is called", "no tool was called")


def test_arguments_that_are_no_json_are_told_as_they_were_written() -> None:
    broken = Played((replace(TURN, used=(Used("find", "{people"),)),))
    assert told("calls", Use("find", {"people": 4}), broken) == (
        "find is called with people: 4",
        "it was called with {people",
    )


@pytest.mark.parametrize("wanted", [("agent", "desk"), ("greeting.contains", "Casa"), ("receipt.agrees", True)])
def test_a_turn_that_was_never_played_fails_whatever_it_expects(wanted: tuple[str, Any]) -> None:
    turn = replace(expecting(wanted).turns[0], deed=Deed("says", "A table?"))
    scenario = replace(expecting(wanted), turns=(turn,))
    agrees = Received((Row("voice", "marin", "marin"),), "exact", "")
    over = replace(TURN, agent="desk", reached=False, received=agrees)
    told = [each.field for each in compare(scenario, Played((over,), outcome="agent_hung_up"))]
    assert told == ["caller"]


@pytest.mark.parametrize(
    ("deed", "model", "fields"),
    [
        (None, (), []),
        (Deed("silent", 60), (), []),
        (Deed("hangs_up", True), (), []),
        (Deed("says", "A table?"), (), ["caller"]),
        (Deed("keys", "1"), (), ["caller"]),
        (None, (Response(("Booked.",), (), 9, 9),), ["caller"]),
    ],
)
def test_only_a_turn_that_does_nothing_but_judge_the_end_need_not_be_played(
    deed: Deed | None, model: tuple[Response, ...], fields: list[str]
) -> None:
    judges = expecting(("ended_by", "agent"))
    scenario = replace(judges, turns=(replace(judges.turns[0], deed=deed, model=model),))
    ended = Played((replace(TURN, reached=False, outcome="agent_hung_up"),), outcome="agent_hung_up")
    assert [each.field for each in compare(scenario, ended)] == fields


def test_a_caller_who_hangs_up_after_the_end_is_told_where_nothing_judges_the_end() -> None:
    hangs_up = expecting(("agent", "desk"))
    scenario = replace(hangs_up, turns=(replace(hangs_up.turns[0], deed=Deed("hangs_up", True)),))
    ended = Played((replace(TURN, agent="desk", reached=False),), outcome="agent_hung_up")
    assert [each.field for each in compare(scenario, ended)] == ["caller"]


def test_nothing_holds_in_a_turn_that_was_never_reached() -> None:
    over = Played((replace(PlayedTurn(), reached=False, outcome="agent_hung_up"),), outcome="agent_hung_up")
    assert told("says.absent", "x", over) == (
        "the turn is played",
        "the call was over before this turn: it ended by the agent",
    )
    assert told("ended_by", "agent", over) is None


# ── judges ────────────────────────────────────────────────────────────────────────────────────────────────────

JUDGED = expecting(("judge", "was polite"), ("says.judge", "names a time"))
TALK = Played(
    (replace(TURN, moments=(Moment("caller", "At eight?"), Moment("tool", "find"), Moment("agent", "Yes."))),)
)


def test_a_judge_is_asked_with_the_conversation_and_told_what_the_statement_is_about() -> None:
    conversation = "caller: At eight?\ntool: find\nagent: Yes."
    said = "Casa Nova, hello. We have  one,\nat “eight”."
    assert questions(JUDGED, TALK) == [
        Question(0, "was polite", conversation),
        Question(0, "names a time", f"{conversation}\n\nJudge nothing but these words of the agent: {said}"),
    ]


@pytest.mark.parametrize("field", ["judge", "says.judge", "greeting.judge", "receipt.instructions.judge"])
def test_whatever_is_for_a_judge_is_skipped_without_one_and_asked_with_one(field: str) -> None:
    scenario = expecting((field, "sings an aria"))
    (question,) = questions(scenario, PLAYED)
    (skipped,) = compare(scenario, PLAYED)
    assert skipped.is_skipped
    assert compare(scenario, PLAYED, {question: Verdict(False, "it does not")})[0].instead.endswith("it does not")
    about = {"greeting.judge": "Casa Nova, hello.", "receipt.instructions.judge": "Today is Friday."}
    assert about.get(field, "") in question.conversation


def test_a_verdict_decides_and_without_one_the_expectation_is_skipped() -> None:
    first, second = questions(JUDGED, TALK)
    found = compare(JUDGED, TALK, {first: Verdict(False, "it was rude"), second: Verdict(None, "the judge timed out")})
    assert [(each.instead, each.is_skipped) for each in found] == [
        ("the judge does not: it was rude", False),
        ("the judge timed out", True),
    ]
    assert [each.is_skipped for each in compare(JUDGED, TALK)] == [True, True]
    assert compare(JUDGED, TALK, {first: Verdict(True), second: Verdict(True)}) == []
