"""Problems and reloads as text: a line or two, however much there is to tell."""

from dataclasses import replace
from typing import Any

import pytest

from runtime import reports
from runtime.catalog import Catalog
from runtime.errors import Problem
from tests.house import MINIMAL, catalog


def agents(*names: str, more: str = "") -> Catalog:
    texts = (MINIMAL.replace("desk", name).replace("+15550100001", f"+1777{n:04}") for n, name in enumerate(names))
    return catalog(*(text + more for text in texts))


def test_a_reload_of_few_agents_names_them_and_their_changed_fields() -> None:
    before, after = agents("desk", "gone"), agents("desk", "new", more="voice: cedar\nspeed: 1.1\n")
    assert reports.reloaded(before, after) == "reloaded: added new; changed desk (voice, speed); removed gone"


def test_a_reload_of_many_agents_is_one_line_too() -> None:
    names = [f"a{number:02}" for number in range(40)]
    told = reports.reloaded(agents(*names), agents(*names, "b", more="voice: cedar\n"))
    assert told == "reloaded: added b; changed 40 agents (a00, a01 and 38 others) in voice"
    assert reports.reloaded(agents(), agents(*names)) == "reloaded: added 40 agents (a00, a01 and 38 others)"


def test_a_reload_that_callers_do_not_notice_is_no_line() -> None:
    assert reports.reloaded(agents("desk"), agents("desk", more="# hello\n")) == ""


def problem(file: str, field: str = "voice", message: str = "it is wrong") -> Problem:
    return Problem(f"agents/{file}.yaml", 3, 8, field, message, "Mend it.")


def test_the_same_sentence_is_told_once_with_its_places() -> None:
    found = [problem(file, f"tools[{n}].entrypoint", "'x' breaks") for n, file in enumerate("abcdefghi")]
    (told,) = reports.few(found)
    assert told.startswith("agents/a.yaml:3:8: tools[0].entrypoint: 'x' breaks. Mend it.")
    assert told.endswith(" (in 9 places: agents/a.yaml:3, agents/b.yaml:3 and 7 others)")


def test_a_place_that_is_no_line_is_told_without_one() -> None:
    found = [replace(problem(file, ""), line=0, column=0) for file in "ab"]
    assert reports.few(found)[0].endswith(" (in 2 places: agents/a.yaml and agents/b.yaml)")


def test_different_problems_are_told_one_by_one_and_the_rest_counted() -> None:
    found = [problem("a", message=f"it is {number}") for number in range(40)] + [problem("a", "name", "it is 1")]
    told = reports.few(found)
    assert told[:2] == [str(found[0]), str(found[1])]
    assert told[10:] == ["and 31 more, which 'switchboard status' prints"]


@pytest.mark.parametrize(
    ("result", "older", "again", "said"),
    [
        ("refused", [], False, "refused, and all stays as it was; 1,000 agents live"),
        ("partly", ["a"], False, "a stays at the last good version; 1,000 agents live"),
        ("partly", ["a", "b"], False, "a and b stay at the last good version; 1,000 agents live"),
        ("partly", [], False, "what has problems is not served; 1,000 agents live"),
        ("loaded", [], True, "all is well again; 1,000 agents live"),
        ("unchanged", [], False, "nothing changes for callers; 1,000 agents live"),
    ],
)
def test_what_stays_live_is_one_line(result: str, older: list[str], again: bool, said: str) -> None:
    told: dict[str, Any] = {"result": result, "older": older}
    assert reports.live(told, 1000, again=again) == said
