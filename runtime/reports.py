"""Problems and answers as text for people and programs. Pure: a function for each form."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from runtime.errors import Problem, errors
from runtime.routing import Loss, Match, NoMatch


def text(problems: Sequence[Problem], checked: int) -> str:
    """Return a line for each problem, and a last line that counts."""
    wrong = len(errors(problems))
    warnings = len(problems) - wrong
    counted = [count(wrong, "problem")] if wrong else []
    counted += [count(warnings, "warning")] if warnings else []
    summary = f"{count(checked, 'agent file')}: {' and '.join(counted) or 'no problems'}."
    return "".join(f"{line}\n" for line in [*map(str, problems), summary])


def as_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _json(problems: Sequence[Problem], checked: int) -> str:
    return as_json({"checked": checked, "problems": [asdict(problem) for problem in problems]}) + "\n"


def _github(problems: Sequence[Problem], checked: int) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a pull request."""
    return "".join(
        f"::{problem.severity} file={_escaped(problem.file, ':,')},line={problem.line},col={problem.column}"
        f"::{_escaped(problem.text)}\n"
        for problem in problems
    )


def _escaped(words: str, more: str = "") -> str:
    for sign in "%\r\n" + more:
        words = words.replace(sign, f"%{ord(sign):02X}")
    return words


REPORTERS: dict[str, Callable[[Sequence[Problem], int], str]] = {
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


def count(number: int, noun: str) -> str:
    """Return `"1 agent"` or `"3 agents"`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
