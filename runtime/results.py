"""What became of scenarios: a verdict for each, and all of them as text, JUnit XML, JSON or workflow commands. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from runtime.errors import Problem, count, errors
from runtime.expectations import Difference, Moment, Played, how_it_ended
from runtime.reports import Shade, as_json, escaped
from runtime.scenarios import Scenario

Judgment = Literal["passed", "failed", "skipped", "flaky"]


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario, played once: what happened, and what went otherwise than expected. `seconds` are of real time.

    `broken` says why it could not be played at all.
    """

    played: Played | None
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0
    broken: str = ""

    @property
    def failures(self) -> tuple[Difference, ...]:
        """The differences that are no skipped expectations."""
        return tuple(each for each in self.differences if not each.is_skipped)

    @property
    def judgment(self) -> Judgment:
        """Whether the run passed."""
        if self.broken or self.failures:
            return "failed"
        return "skipped" if self.differences else "passed"


@dataclass(frozen=True, slots=True)
class Result:
    """A scenario with all its runs."""

    scenario: Scenario
    runs: tuple[Run, ...]

    @property
    def judgment(self) -> Judgment:
        """Whether enough of the runs passed. One of which an expectation was skipped is never a pass."""
        counted = Counter(run.judgment for run in self.runs)
        if counted["passed"] + counted["skipped"] < self.scenario.must_pass:
            return "failed"
        if counted["passed"] < self.scenario.must_pass:
            return "skipped"
        return "flaky" if counted["failed"] else "skipped" if counted["skipped"] else "passed"

    @property
    def seconds(self) -> float:
        """Seconds of real time for all runs."""
        return sum(run.seconds for run in self.runs)

    @property
    def telling(self) -> Run:
        """The run to show: the first that did not pass, the failed before the skipped."""
        order = ("failed", "skipped", "passed")
        return min(self.runs, key=lambda run: order.index(run.judgment))


@dataclass(frozen=True, slots=True)
class Report:
    """What `switchboard test` came to: the results in their files' order, and problems that kept scenarios from being
    played. `planned` is how many there were to play; fewer were played when somebody stopped it."""

    results: tuple[Result, ...]
    problems: tuple[Problem, ...] = ()
    planned: int = 0
    seconds: float = 0.0

    @property
    def counted(self) -> dict[str, int]:
        """How many scenarios passed, failed, were skipped and are flaky."""
        found = Counter(result.judgment for result in self.results)
        return {name: found[name] for name in ("passed", "failed", "skipped", "flaky")}

    @property
    def is_well(self) -> bool:
        """Whether nothing failed and every file could be read."""
        return not self.counted["failed"] and not any(problem.severity == "error" for problem in self.problems)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────

_COLORS = {"failed": "red", "flaky": "yellow", "skipped": "yellow"}
_LONGEST = 300  # characters of a tool's result: what it is about stands at its beginning


def _text(report: Report, shade: Shade) -> str:
    parts = [f"{problem}\n" for problem in report.problems]
    parts += [told(result, shade) for result in report.results if result.judgment != "passed"]
    return "\n".join([*parts, summary(report, shade)])


def told(result: Result, shade: Shade) -> str:
    """Return what became of one scenario in lines: the conversation as it went, what was expected in its place."""
    scenario, run, judgment = result.scenario, result.telling, result.judgment
    failed = sum(one.judgment == "failed" for one in result.runs)
    runs = f", {failed} of {len(result.runs)} runs failed" if len(result.runs) > 1 else ""
    place = f"{scenario.file}:{scenario.line}"
    lines = [f"{shade(judgment.upper(), _COLORS.get(judgment, 'green'))} {scenario.name} ({place}{runs})"]
    if run.broken:
        lines.append(f"    {run.broken}")
    return "".join(f"{line}\n" for line in [*lines, *_conversation(run, shade)])


def _conversation(run: Run, shade: Shade) -> Iterator[str]:
    if run.played is None:
        return
    yield from map(_moment, run.played.opening.moments)
    for at, turn in enumerate(run.played.turns):
        yield from map(_moment, turn.moments)
        for each in (each for each in run.differences if each.turn == at):
            sign, color = ("?", "yellow") if each.is_skipped else ("-", "red")
            yield f"  {each.file}:{each.line}:{each.column}: {each.field}"
            yield shade(f"    {sign} {each.expected}", color)
            yield shade(
                f"    {'?' if each.is_skipped else '+'} {each.instead}", "yellow" if each.is_skipped else "green"
            )
    if run.failures and not run.played.outcome:
        yield f"    {'call':6} {how_it_ended(run.played.outcome, run.played.reason)}"


def _moment(moment: Moment) -> str:
    what = " ".join(moment.what.split())
    what = what if moment.who in ("caller", "agent") or len(what) <= _LONGEST else f"{what[: _LONGEST - 1]}…"
    return f"    {moment.who:6} {what}"


def summary(report: Report, shade: Shade) -> str:
    """Return the last line: how many scenarios passed, failed, were skipped and are flaky."""
    numbers = [f"{number} {name}" for name, number in report.counted.items() if number or name == "passed"]
    color = "green" if report.is_well else "red"
    wrong = sum(problem.severity == "error" for problem in report.problems)
    problems = f", {count(wrong, 'problem')} in the files" if wrong else ""
    stopped = f"; stopped before {report.planned - len(report.results)} more" if _is_stopped(report) else ""
    told = f"{count(len(report.results), 'scenario')}: {', '.join(numbers)}{problems}{stopped}"
    return shade(f"{told}, in {report.seconds:.1f} s.", color) + "\n"


def _is_stopped(report: Report) -> bool:
    return len(report.results) < report.planned


# ── for programs ──────────────────────────────────────────────────────────────────────────────────────────────


def _json(report: Report, _: Shade) -> str:
    data = {
        **report.counted,
        "planned": report.planned,
        "seconds": round(report.seconds, 3),
        "problems": [problem.as_data() for problem in report.problems],
        "scenarios": [_as_data(result) for result in report.results],
    }
    return as_json(data) + "\n"


def _as_data(result: Result) -> dict[str, Any]:
    scenario = result.scenario
    return {
        "scenario": scenario.name,
        "file": scenario.file,
        "line": scenario.line,
        "result": result.judgment,
        "seconds": round(result.seconds, 3),
        "runs": [
            {
                "result": run.judgment,
                "broken": run.broken or None,
                "differences": [
                    {
                        "file": each.file,
                        "line": each.line,
                        "column": each.column,
                        "turn": each.turn + 1,
                        "field": each.field,
                        "expected": each.expected,
                        "instead": each.instead,
                        "skipped": each.is_skipped,
                    }
                    for each in run.differences
                ],
                "conversation": [{"who": moment.who, "what": moment.what} for moment in _moments(run)],
            }
            for run in result.runs
        ],
    }


def _moments(run: Run) -> list[Moment]:
    turns = (run.played.opening, *run.played.turns) if run.played else ()
    return [moment for turn in turns for moment in turn.moments]


def _junit(report: Report, _: Shade) -> str:
    """Return JUnit's XML, as most systems that build things read it: a suite for each file."""
    by_file: dict[str, list[Result]] = {}
    for result in report.results:
        by_file.setdefault(result.scenario.file, []).append(result)
    problems = errors(report.problems)
    wrong = str(len(problems))
    suites = ElementTree.Element("testsuites", {**_numbers(report.results), "errors": wrong})
    for file, results in by_file.items():
        suite = ElementTree.SubElement(suites, "testsuite", {"name": file, **_numbers(results)})
        for result in results:
            _case(suite, result)
    if problems:
        suite = ElementTree.SubElement(suites, "testsuite", {"name": "problems", "tests": wrong, "errors": wrong})
        for problem in problems:
            case = ElementTree.SubElement(suite, "testcase", {"name": _clean(problem.text), "file": problem.file})
            ElementTree.SubElement(case, "error", {"message": _clean(str(problem))})
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suites, encoding="unicode")}\n'


def _numbers(results: Sequence[Result]) -> dict[str, str]:
    found = Counter(result.judgment for result in results)
    seconds = sum(result.seconds for result in results)
    numbers = {"tests": len(results), "failures": found["failed"], "skipped": found["skipped"]}
    return {name: str(number) for name, number in numbers.items()} | {"time": f"{seconds:.3f}"}


def _case(suite: ElementTree.Element, result: Result) -> None:
    scenario, run = result.scenario, result.telling
    about = {"name": scenario.name, "classname": scenario.file, "file": scenario.file, "line": str(scenario.line)}
    case = ElementTree.SubElement(suite, "testcase", {**about, "time": f"{result.seconds:.3f}"})
    text = _clean(told(result, lambda words, _: words))
    first = next(iter((*run.failures, *run.differences)), None)
    message = _clean(f"{first.expected}; instead, {first.instead}" if first else run.broken)
    match result.judgment:
        case "failed":
            ElementTree.SubElement(case, "failure", {"message": message}).text = text
        case "skipped":
            ElementTree.SubElement(case, "skipped", {"message": message})
        case "flaky":
            ElementTree.SubElement(case, "system-out").text = text


def _clean(words: str) -> str:
    """Return words without the signs that XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", words)


def _github(report: Report, _: Shade) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = [
        f"::{problem.severity} file={escaped(problem.file, ':,')},line={problem.line or 1}::{escaped(problem.text)}"
        for problem in report.problems
    ]
    for result in report.results:
        level = {"failed": "error", "skipped": "warning", "flaky": "warning"}.get(result.judgment)
        scenario, run = result.scenario, result.telling
        if level and run.broken:
            place = f"file={escaped(scenario.file, ':,')},line={scenario.line}"
            lines.append(f"::{level} {place}::{escaped(f'{scenario.name}: {run.broken}')}")
        for each in run.differences if level else ():
            then = "skipped, because" if each.is_skipped else "instead,"
            words = f"{scenario.name}: {each.field}: {each.expected}; {then} {each.instead}"
            place = f"file={escaped(each.file, ':,')},line={each.line},col={each.column}"
            lines.append(f"::{level} {place}::{escaped(words)}")
    return "".join(f"{line}\n" for line in lines)


FORMATS: dict[str, Callable[[Report, Shade], str]] = {
    "text": _text,
    "junit": _junit,
    "json": _json,
    "github": _github,
}
