"""Who is one too many, for a host, an agent and a caller."""

from typing import Any

from runtime.admission import HOUR_SECONDS, Admission
from runtime.conduct import Duration, Limits

CALLER = "+15557654321"


def limits(**more: Any) -> Limits:
    return Limits(Duration(1800, 60), None, 30, 100, **more)


def test_a_host_takes_no_more_calls_than_it_may() -> None:
    admission = Admission(max_calls=2)
    told = [admission.admit(f"rtc_{number}", "desk", CALLER, limits(), 0) for number in range(3)]
    assert told == ["", "", "the host has 2 calls"]
    admission.leave("rtc_0")
    assert admission.admit("rtc_3", "desk", CALLER, limits(), 0) == ""


def test_an_agent_takes_no_more_calls_than_it_may_and_leaves_others_alone() -> None:
    admission, one = Admission(), limits(concurrent_calls=1)
    assert admission.admit("rtc_1", "desk", CALLER, one, 0) == ""
    assert admission.admit("rtc_2", "desk", CALLER, one, 0) == "desk has 1 call"
    assert admission.admit("rtc_3", "clinic", CALLER, one, 0) == ""
    admission.leave("rtc_1")
    assert admission.admit("rtc_4", "desk", CALLER, one, 0) == ""


def test_a_caller_rings_no_more_often_within_an_hour_than_allowed() -> None:
    admission, twice = Admission(), limits(calls_per_caller_per_hour=2)
    for at in (0.0, 10.0):
        assert admission.admit(f"rtc_{at}", "desk", CALLER, twice, at) == ""
        admission.leave(f"rtc_{at}")
    assert "rang 2 times" in admission.admit("rtc_3", "desk", CALLER, twice, 20)
    assert admission.admit("rtc_4", "desk", "+15550000000", twice, 20) == ""
    assert admission.admit("rtc_5", "clinic", CALLER, twice, 20) == ""
    assert admission.admit("rtc_6", "desk", CALLER, twice, HOUR_SECONDS + 1) == ""


def test_callers_without_a_number_are_not_counted_as_one() -> None:
    admission, once = Admission(), limits(calls_per_caller_per_hour=1)
    assert [admission.admit(f"rtc_{n}", "desk", "", once, 0) for n in range(3)] == ["", "", ""]


def test_a_refused_call_takes_no_place_and_leaves_none() -> None:
    admission, once = Admission(max_calls=1), limits(calls_per_caller_per_hour=1)
    admission.admit("rtc_1", "desk", "+15550000000", once, 0)
    assert admission.admit("rtc_2", "desk", CALLER, once, 0)
    admission.leave("rtc_2")
    admission.leave("rtc_1")
    assert admission.admit("rtc_3", "desk", CALLER, once, 0) == ""


def test_who_has_not_rung_for_an_hour_is_forgotten() -> None:
    admission, often = Admission(), limits(calls_per_caller_per_hour=5)
    for number in range(10_001):
        admission.admit(f"rtc_{number}", "desk", f"+1555{number}", often, 0)
    admission.admit("rtc_later", "desk", CALLER, often, HOUR_SECONDS + 1)
    assert len(admission._rang) == 1


def test_a_busy_hour_is_not_looked_through_for_each_call() -> None:
    admission, often = Admission(), limits(calls_per_caller_per_hour=5)
    for number in range(12_000):
        admission.admit(f"rtc_{number}", "desk", f"+1555{number}", often, 0)
    before = admission._rang
    admission.admit("rtc_later", "desk", CALLER, often, HOUR_SECONDS - 1)
    assert admission._rang is before, "all of them rang within the hour, and were just looked at"
