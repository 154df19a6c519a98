from datetime import UTC, datetime

import pytest

from runtime.routing import Match, NoMatch, explain, route
from tests.house import catalog, incoming


def answering(name: str, rules: str) -> str:
    return f"name: {name}\nanswers: {rules}\ninstructions: x\n"


CATALOG = catalog(
    answering("exact", '["+15550100001"]'),
    answering("long", '["+1555010*"]'),
    answering("short", '["+1555*"]'),
    answering("vip", '[{called: "+15550100001", caller: "+1666*"}]'),
    answering("tenant", '[{called: ["+15550100001", "+1777"], headers: {X-Tenant: "ac*"}, caller: "+1999"}]'),
    answering("everything", '["*"]'),
    answering("silent", "[]"),
)


def taken_by(**call: object) -> str:
    found = route(CATALOG, incoming(**call))  # type: ignore[arg-type]
    return found.agent.name if isinstance(found, Match) else ""


@pytest.mark.parametrize(
    ("called", "agent"),
    [
        ("+15550100001", "exact"),
        ("+15550109999", "long"),
        ("+15559999999", "short"),
        ("+4930", "everything"),
        ("", "everything"),
    ],
)
def test_an_exact_number_beats_a_longer_beginning_beats_a_shorter_beats_all(called: str, agent: str) -> None:
    assert taken_by(called=called) == agent


def test_more_conditions_beat_fewer_at_the_same_called_number() -> None:
    assert taken_by(caller="+1666123") == "vip"
    assert taken_by(caller="+1999", headers={"x-tenant": "acme"}) == "tenant"
    assert taken_by(caller="+1999", headers={"x-tenant": "other"}) == "exact"
    assert taken_by(caller="") == "exact"


def test_an_agent_without_rules_takes_no_call() -> None:
    assert "silent" not in {taken_by(called=number) for number in ("+15550100001", "+1", "")}


def test_no_match_names_the_number() -> None:
    assert route(catalog(answering("one", '["+1555"]')), incoming(called="+1666")) == NoMatch("+1666")


def test_the_match_carries_the_rule_and_the_revision() -> None:
    found = route(CATALOG, incoming())
    assert isinstance(found, Match)
    assert (found.rule.called, found.rule.line, found.revision) == ("+15550100001", 2, "rev1")


def test_every_other_candidate_hears_why_it_lost() -> None:
    found, losses = explain(CATALOG, incoming(headers={"X-Tenant": "zeta"}, caller="+1999"))
    assert isinstance(found, Match)
    reasons = {loss.candidate.agent.name: loss.reason for loss in losses}
    assert reasons == {
        "vip": "the caller is not +1666*",
        "tenant": "the header x-tenant is not ac*",
        "long": "+15550100001 is more specific than +1555010*",
        "short": "+15550100001 is more specific than +1555*",
        "everything": "+15550100001 is more specific than *",
    }


# ── hours ─────────────────────────────────────────────────────────────────────────────────────────────────────

OFFICE = "hours: {office: {timezone: Europe/Berlin, weekly: {mon: ['09:00-17:00'], fri: ['09:00-17:00']}}}\n"
ROUND_THE_CLOCK = catalog(
    answering("day", '[{called: "+1555", hours: office}]') + OFFICE,
    answering("night", '[{called: "+1555", outside: office}]') + OFFICE,
    answering("vip", '[{called: "+1555", hours: office, caller: "+1666"}]') + OFFICE,
    answering("rest", '["+1555*"]'),
)
FRIDAY, SATURDAY = datetime(2026, 11, 27, 9, 0, tzinfo=UTC), datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "caller", "agent"),
    [(FRIDAY, "", "day"), (FRIDAY, "+1666", "vip"), (SATURDAY, "", "night"), (SATURDAY, "+1666", "night")],
)
def test_the_moment_at_which_a_call_comes_decides(at: datetime, caller: str, agent: str) -> None:
    found = route(ROUND_THE_CLOCK, incoming(called="+1555", caller=caller, at=at))
    assert isinstance(found, Match)
    assert found.agent.name == agent


def test_a_rule_with_hours_tells_them_and_why_it_lost() -> None:
    found, losses = explain(ROUND_THE_CLOCK, incoming(called="+1555", at=SATURDAY))
    assert isinstance(found, Match)
    assert str(found.rule) == "called +1555, outside office"
    assert {loss.candidate.agent.name: loss.reason for loss in losses} == {
        "vip": "the caller is not +1666",
        "day": "it is outside of the hours office: closed until Monday 09:00",
        "rest": "+1555 is more specific than +1555*",
    }
    _, losses = explain(ROUND_THE_CLOCK, incoming(called="+1555", at=FRIDAY))
    reasons = [loss.reason for loss in losses if loss.candidate.agent.name == "night"]
    assert reasons == ["it is within the hours office: open until 17:00"]


def test_nobody_answers_outside_of_hours_when_only_they_are_written() -> None:
    only = catalog(answering("day", '[{called: "+1555", hours: office}]') + OFFICE)
    assert route(only, incoming(called="+1555", at=SATURDAY)) == NoMatch("+1555")


def test_a_definition_knows_its_hours_by_name() -> None:
    hours = ROUND_THE_CLOCK.agents["day"].hours
    assert list(hours) == ["office"]
    assert hours["office"].is_open(FRIDAY)
