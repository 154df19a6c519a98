"""Problems and answers as text for people and programs. Pure: a function for each form."""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from runtime.catalog import Catalog
from runtime.changes import Change, Risk, changed_fields
from runtime.doctor import Mark, Step, exit_code
from runtime.document import Document, Place, dotted
from runtime.errors import Problem, count, errors, some
from runtime.layers import origins
from runtime.routing import Loss, Match, NoMatch
from runtime.sip_codes import Code


def text(problems: Sequence[Problem], checked: int, scenario_files: int = 0) -> str:
    """Return a line for each problem, and a last line that counts, agent files first."""
    wrong = len(errors(problems))
    warnings = len(problems) - wrong
    counted = [count(wrong, "problem")] if wrong else []
    counted += [count(warnings, "warning")] if warnings else []
    files = count(checked, "agent file")
    files += f" and {count(scenario_files, 'scenario file')}" if scenario_files else ""
    summary = f"{files}: {' and '.join(counted) or 'no problems'}."
    return "".join(f"{line}\n" for line in [*map(str, problems), summary])


def as_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _json(problems: Sequence[Problem], checked: int, scenario_files: int = 0) -> str:
    checked += scenario_files
    return as_json({"checked": checked, "problems": [problem.as_data() for problem in problems]}) + "\n"


def _github(problems: Sequence[Problem], checked: int, scenario_files: int = 0) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a pull request."""
    return "".join(
        f"::{problem.severity} file={escaped(problem.file, ':,')}"
        f"{f',line={problem.line},col={problem.column}' if problem.line else ''}::{escaped(problem.text)}\n"
        for problem in problems
    )


def escaped(words: str, more: str = "") -> str:
    """Return words fit for a workflow command; `more` are signs that mean something where they go."""
    for sign in "%\r\n" + more:
        words = words.replace(sign, f"%{ord(sign):02X}")
    return words


REPORTERS: dict[str, Callable[[Sequence[Problem], int, int], str]] = {
    "text": text,
    "json": _json,
    "github": _github,
}


def answer(found: Match | NoMatch, losses: Sequence[Loss], called: str) -> str:
    """Return which agent takes a call, and why each other candidate does not."""
    if isinstance(found, Match):
        lines = [f"{found.agent.name} answers, by {found.agent.file}:{found.rule.line} ({found.rule})"]
    else:
        lines = [f"nobody answers {called or 'a call without a called number'}"]
    for loss in losses:
        rule, agent = loss.candidate
        lines.append(f"  not {agent.name} ({agent.file}:{rule.line}, {rule}): {loss.reason}")
    return "\n".join(lines)


_SHOWN = 50  # characters of a value: the place behind it stays on the screen


def why(document: Document, data: Mapping[str, Any]) -> str:
    """Return each value of an agent's complete data in a line, with where it was written; `schema` for its defaults."""
    rows = [
        (dotted(path), _beginning(json.dumps(value, ensure_ascii=False)), _place(place, document.file))
        for path, value, place in origins(document, data)
    ]
    fields, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "".join(f"{field:{fields}}  {value:{values}}  {place}\n" for field, value, place in rows)


def _beginning(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _place(place: Place | None, file: str) -> str:
    if place is None:
        return "schema"
    return f"{place.file or file}:{place.line}" + (f" ({place.environment})" if place.environment else "")


def reloaded(before: Catalog, after: Catalog) -> str:
    """Return a reload in a line: what was added, changed (which fields) or removed. `""` when nothing of it was."""
    old, new = before.agents, after.agents
    other = [name for name in sorted(old.keys() & new.keys()) if old[name] is not new[name]]
    changed = {name: fields for name in other if (fields := changed_fields(old[name], new[name]))}
    same = [name for name in other if name not in changed and old[name].digest == new[name].digest]
    parts = [
        *_told("added", sorted(new.keys() - old.keys())),
        *_changed(changed),
        *_told("removed", sorted(old.keys() - new.keys())),
        *_told("imported tools afresh for", [name for name in same if new[name].tools]),
    ]
    return f"reloaded: {'; '.join(parts)}" if parts else ""


_FEW = 3  # agents, whose fields fit in a line


def _told(verb: str, names: Sequence[str]) -> list[str]:
    return [f"{verb} {_agents(names)}"] if names else []


def _agents(names: Sequence[str]) -> str:
    return some(names) if len(names) <= _FEW else f"{count(len(names), 'agent')} ({some(names)})"


def _changed(changed: Mapping[str, Sequence[str]]) -> list[str]:
    if len(changed) <= _FEW:
        return _told("changed", [f"{name} ({', '.join(fields)})" for name, fields in changed.items()])
    fields = dict.fromkeys(field for fields in changed.values() for field in fields)
    return [f"{told} in {some(list(fields))}" for told in _told("changed", list(changed))]


_MANY = 10  # problems: more would push out of sight what the terminal showed before


def few(problems: Iterable[Problem]) -> list[str]:
    """Return problems in the form of `check`, a sentence that stands at many places once, and not more than ten."""
    same: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        field = re.sub(r"[0-9]+", "", problem.field)  # the same tool may be another agent's second
        same.setdefault((field, problem.message, problem.cure), []).append(problem)
    groups = list(same.values())
    lines = [f"{group[0]}{_places(group)}" for group in groups[:_MANY]]
    rest = sum(map(len, groups[_MANY:]))
    return [*lines, f"and {rest:,} more, which 'switchboard status' prints"] if rest else lines


def _places(same: Sequence[Problem]) -> str:
    places = some([f"{problem.file}:{problem.line}" if problem.line else problem.file for problem in same])
    return f" (in {len(same):,} places: {places})" if len(same) > 1 else ""


def live(told: Mapping[str, Any], agents: int, *, again: bool) -> str:
    """Return a reload's end, as data, in a line: what stays live. `again`: before it, something was wrong."""
    older = told["older"]
    if told["result"] == "refused":
        what = "refused, and all stays as it was"
    elif told["result"] == "partly" and older:
        what = f"{_agents(older)} {'stays' if len(older) == 1 else 'stay'} at the last good version"
    elif told["result"] == "partly":
        what = "what has problems is not served"
    else:
        what = "all is well again" if again else "nothing changes for callers"
    return f"{what}; {count(agents, 'agent')} live"


def status(told: Mapping[str, Any]) -> str:
    """Return a reload's status, as data, in lines: revision, how it went, since when, and its problems."""
    wanted = f" (wanted: {told['wanted']})" if told["wanted"] != told["revision"] else ""
    when = f"live since {told['live_since']}; last looked {told['looked_at']}"
    lines = [f"revision {told['revision']}{wanted}, {told['result']}; {when}"]
    lines += [problem["text"] for problem in told["problems"]]
    lines += [f"{agent} stays at its last good version" for agent in told["older"]]
    return "\n".join(lines)


Shade = Callable[[str, str], str]
"""Puts text into a color."""


def _diff_text(found: Sequence[Change], shade: Shade) -> str:
    marks = {"same": ("", "", "dim"), "removed": ("[-", "-]", "red"), "added": ("{+", "+}", "green")}

    def words(change: Change) -> str:
        told = "".join(
            space + shade(f"{marks[kind][0]}{text}{marks[kind][1]}", marks[kind][2])
            for kind, space, text in _spaced(change)
        )
        return "\n      " + told.strip().replace("\n", "\n      ") if told else ""

    return _grouped(
        found,
        lambda risk: shade(risk.value, "bold"),
        lambda change: f"  {change.agent}: {change.sentence}{words(change)}",
    )


def _diff_markdown(found: Sequence[Change], _: Shade) -> str:
    marks = {"same": "", "removed": "~~", "added": "**"}

    def words(change: Change) -> str:
        told = "".join(f"{space}{marks[kind]}{text}{marks[kind]}" for kind, space, text in _spaced(change))
        return "\n  > " + told.strip().replace("\n", "\n  > ") if told else ""

    return _grouped(
        found,
        lambda risk: f"### {risk.value}\n",
        lambda change: f"- `{change.agent}`: {change.sentence}{words(change)}",
    )


def _spaced(change: Change) -> Iterator[tuple[str, str, str]]:
    """Yield the pieces of a word diff with the space before each apart, so that marks hug the words."""
    for kind, text in change.words:
        bare = text.lstrip()
        yield kind, text[: len(text) - len(bare)], bare


def _grouped(found: Sequence[Change], heading: Callable[[Risk], str], line: Callable[[Change], str]) -> str:
    parts = []
    for risk in Risk:
        if told := [line(change) for change in found if change.risk is risk]:
            parts.append("\n".join([heading(risk), *told]))
    return ("\n\n".join(parts) or "Nothing changed for callers.") + "\n"


def _diff_json(found: Sequence[Change], _: Shade) -> str:
    return as_json([{**asdict(change), "risk": change.risk.name.lower()} for change in found]) + "\n"


DIFFS: dict[str, Callable[[Sequence[Change], Shade], str]] = {
    "text": _diff_text,
    "markdown": _diff_markdown,
    "json": _diff_json,
}


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────────────

_MARKS = {Mark.FINE: ("✓", "green"), Mark.WARNING: ("!", "yellow"), Mark.FAILED: ("✗", "red")}
_NAMED = 15  # columns for a mark and a step's name: the longest is 'transcription'
_LISTED = 12  # lines of a step's list that a terminal shows


def step(told: Step, shade: Shade, columns: int) -> str:
    """Return one step of `doctor` in lines: its mark, what was seen, and below what that means and what to do."""
    sign, color = _MARKS[told.mark]
    rest = told.lines[_LISTED:]
    more = [f"… and {len(rest):,} more"] if rest else []
    paragraphs = [told.saw, *told.lines[:_LISTED], *more, told.means, f"→ {told.do}" if told.do else ""]
    first, *others = [line for text in paragraphs if text for line in _within(text, columns - _NAMED - 1)]
    lines = [f"{shade(sign, color)} {told.name:<{_NAMED - 2}} {first}"]
    return "".join(f"{line}\n" for line in [*lines, *(f"{'':{_NAMED}} {line}" for line in others)])


def _within(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, max(20, columns), break_long_words=False, break_on_hyphens=False)


def findings(steps: Sequence[Step], shade: Shade) -> str:
    """Return the last line of `doctor`: what stands between a caller and the agents."""
    failed, warned = (sum(one.mark is mark for one in steps) for mark in (Mark.FAILED, Mark.WARNING))
    warnings = f" {count(warned, 'warning')} to read." if warned else ""
    if failed:
        verb = "stands" if failed == 1 else "stand"
        return shade(f"{count(failed, 'failed step')} {verb} between a caller and the agents.{warnings}", "red") + "\n"
    return shade(f"Nothing was found that keeps a call from its agent.{warnings}", "green") + "\n"


def steps_as_json(steps: Sequence[Step]) -> str:
    """Return the steps of `doctor` for a program."""
    return as_json({"failed": exit_code(steps) != 0, "steps": [asdict(one) for one in steps]}) + "\n"


def code(explained: Code, shade: Shade, columns: int) -> str:
    """Return what a carrier's code means, in lines: its causes, the likeliest first, each with what to look at."""
    lines = [shade(f"{explained.number} {explained.name}", "bold"), ""]
    for number, cause in enumerate(explained.causes, 1):
        lines += [f"{'' if at else f'{number}.':<3}{line}" for at, line in enumerate(_within(cause.what, columns - 3))]
        lines += [f"   {line}" for line in _within(f"→ {cause.look}", columns - 3)]
    return "".join(f"{line}\n" for line in lines)


def code_as_json(explained: Code) -> str:
    """Return what a carrier's code means for a program."""
    return as_json(asdict(explained)) + "\n"
