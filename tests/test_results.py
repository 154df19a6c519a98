"""Verdicts over runs, and reports for people and programs."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from runtime.errors import Problem
from runtime.expectations import Difference, Moment, Played, PlayedTurn
from runtime.results import FORMATS, Report, Result, Run, summary, told
from tests.test_scenarios import RINGS, scenario_of

SCENARIO = scenario_of(RINGS)
MISSED = Difference("desk.scenarios.yaml", 3, 9, 0, "agent", "desk has the caller", "nobody has")
UNJUDGED = replace(MISSED, field="judge", is_skipped=True)
TALK = Played((PlayedTurn(moments=(Moment("agent", "Hello\x07."), Moment("result", "x" * 400))),))

PASSED, FAILED, SKIPPED = (Run(TALK, differences, 0.25) for differences in ((), (MISSED,), (UNJUDGED,)))
PROBLEM = Problem("agents/x.scenarios.yaml", 3, 5, "turns", "is empty", "Write one.")


def plain(words: str, _: str) -> str:
    return words


def result(*runs: Run, must_pass: int | None = None) -> Result:
    wanted = len(runs) if must_pass is None else must_pass
    return Result(replace(SCENARIO, runs=len(runs), must_pass=wanted), runs)


@pytest.mark.parametrize(
    ("made", "judgment"),
    [
        (result(PASSED), "passed"),
        (result(FAILED), "failed"),
        (result(SKIPPED), "skipped"),
        (result(Run(None, broken="It has ended.")), "failed"),
        (result(PASSED, FAILED, must_pass=1), "flaky"),
        (result(PASSED, FAILED), "failed"),
        (result(PASSED, SKIPPED), "skipped"),
        (result(PASSED, SKIPPED, must_pass=1), "skipped"),
        (result(FAILED, SKIPPED, must_pass=1), "skipped"),
        (result(PASSED, FAILED, SKIPPED, must_pass=2), "skipped"),
    ],
)
def test_enough_runs_must_pass_and_a_skipped_one_is_no_pass(made: Result, judgment: str) -> None:
    assert made.judgment == judgment


def test_the_run_that_is_shown_is_one_that_did_not_pass() -> None:
    assert result(PASSED, SKIPPED, FAILED, must_pass=1).telling is FAILED
    assert result(PASSED, SKIPPED, must_pass=1).telling is SKIPPED


def test_a_failure_is_told_in_its_place_in_the_conversation() -> None:
    lines = told(result(PASSED, FAILED, must_pass=1), plain).splitlines()
    assert lines[0] == "FLAKY rings (desk.scenarios.yaml:1, 1 of 2 runs failed)"
    assert lines[2].startswith("    result xxx")
    assert lines[2].endswith("…")
    assert lines[3:6] == [
        "  desk.scenarios.yaml:3:9: agent",
        "    - desk has the caller",
        "    + nobody has",
    ]
    assert lines[6] == "    call   it went on to the scenario's end"


def test_a_scenario_that_could_not_be_played_says_why() -> None:
    assert told(result(Run(None, broken="It has ended.")), plain).splitlines()[1] == "    It has ended."


REPORT = Report(
    (result(PASSED), result(FAILED), result(SKIPPED), result(PASSED, FAILED, must_pass=1)), (PROBLEM,), 6, 1.5
)


def test_the_summary_counts_and_says_what_was_not_played() -> None:
    assert summary(REPORT, plain) == (
        "4 scenarios: 1 passed, 1 failed, 1 skipped, 1 flaky, 1 problem in the files; stopped before 2 more, "
        "in 1.5 s.\n"
    )
    assert summary(Report((), planned=0), plain) == "0 scenarios: 0 passed, in 0.0 s.\n"


@pytest.mark.parametrize(
    ("report", "is_well"),
    [
        (Report((result(PASSED), result(SKIPPED), result(PASSED, FAILED, must_pass=1))), True),
        (Report((result(FAILED),)), False),
        (Report((result(PASSED),), (PROBLEM,)), False),
    ],
)
def test_all_is_well_where_nothing_failed(report: Report, is_well: bool) -> None:
    assert report.is_well is is_well


def test_text_tells_what_did_not_pass_after_the_problems() -> None:
    text = FORMATS["text"](REPORT, plain)
    assert text.startswith(f"{PROBLEM}\n\nFAILED rings")
    assert "SKIPPED rings" in text
    assert "    ? nobody has\n" in text
    assert "PASSED" not in text


def test_json_holds_every_run_with_its_conversation() -> None:
    data = json.loads(FORMATS["json"](REPORT, plain))
    assert (data["passed"], data["failed"], data["skipped"], data["flaky"], data["planned"]) == (1, 1, 1, 1, 6)
    failed = data["scenarios"][1]["runs"][0]
    assert failed["differences"] == [
        {
            "file": "desk.scenarios.yaml", "line": 3, "column": 9, "turn": 1, "field": "agent",
            "expected": "desk has the caller", "instead": "nobody has", "skipped": False,
        }
    ]  # fmt: skip
    assert failed["conversation"][0] == {"who": "agent", "what": "Hello\x07."}


def test_junit_is_xml_that_counts() -> None:
    suites = ElementTree.fromstring(FORMATS["junit"](REPORT, plain))
    assert [suites.get(name) for name in ("tests", "failures", "skipped", "errors")] == ["4", "1", "1", "1"]
    cases = suites.findall("./testsuite[@name='desk.scenarios.yaml']/testcase")
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["skipped"], ["system-out"]]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "desk has the caller; instead, nobody has"
    assert "\ufffd" in (failure.text or ""), "a sign that XML cannot hold is replaced"
    assert suites.findall("./testsuite[@name='problems']/testcase/error")


def test_github_gets_a_command_for_each_difference() -> None:
    assert FORMATS["github"](REPORT, plain).splitlines() == [
        "::error file=agents/x.scenarios.yaml,line=3::turns: is empty. Write one.",
        "::error file=desk.scenarios.yaml,line=3,col=9::rings: agent: desk has the caller; instead, nobody has",
        "::warning file=desk.scenarios.yaml,line=3,col=9::rings: judge: desk has the caller; "
        "skipped, because nobody has",
        "::warning file=desk.scenarios.yaml,line=3,col=9::rings: agent: desk has the caller; instead, nobody has",
    ]


def test_a_warning_is_no_error_of_junit_s() -> None:
    warned = replace(REPORT, problems=(replace(PROBLEM, severity="warning"),))
    suites = ElementTree.fromstring(FORMATS["junit"](warned, plain))
    assert suites.attrib["errors"] == "0"
    assert "problems" not in [suite.attrib["name"] for suite in suites]
