"""Whether what a scenario file says fits together, which its schema cannot tell. Pure.

Knows neither agents nor tools: whether those that a scenario names exist is told by `runtime.cast`.
"""

import re
import warnings
from calendar import monthrange
from collections.abc import Iterator, Mapping
from typing import Any

from runtime import document as documents
from runtime.document import Document, Path, each_of, value_at
from runtime.errors import Problem, did_you_mean


def problems(document: Document) -> list[Problem]:
    """Return what does not fit together; whatever is not of the schema's kind is passed over."""
    found: list[Problem] = []
    names: dict[str, int] = {}
    for index, written in enumerate(document.data):
        if isinstance(written, dict):
            found += _repeated(document, (index, "scenario"), written.get("scenario"), names)
            found += _runs(document, index, written)
            found += _moments(document, index, written)
            found += _rings_already(document, index, written)
            found += _after_the_end(document, index, written)
            found += _uncounted(document, index, written)
            found += _uses(document, index, written)
            found += _canned(document, index, written)
    found += _expressions(document)
    return found


def doubts(document: Document) -> list[Problem]:
    """Return what can never come about, or never fail, in scenarios that are otherwise well."""
    found: list[Problem] = []
    for index, written in enumerate(document.data):
        found += _too_early(document, index, written)
        if not any("expect" in turn for _, turn in _turns(written)):
            message = "nothing is expected here, so that it fails only when something breaks"
            cure = "Write what should happen, such as expect: {agent: front-desk}, in its turns."
            found.append(document.problem((index, "scenario"), message, cure, key=True, severity="warning"))
    return found


def _too_early(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each turn that expects the caller to have ended the call and comes before they do."""
    for turns in _calls(written):
        goes = next((number for number, turn in turns if _does(turn, "hangs_up")), None)
        for number, turn in turns:
            if goes is not None and number >= goes:
                break
            if turn.get("expect", {}).get("ended_by") == "caller":
                own = "in a turn of its own" if {"connection", "reload"} & turn.keys() else "in this turn"
                message, cure = "the caller never hangs up", f"Write caller: {{hangs_up: true}} {own}."
                if goes is not None:
                    line = document.place((index, "turns", goes, "caller")).line
                    message, cure = f"the caller hangs up later, in line {line}", "Write it there."
                yield document.problem((index, "turns", number, "expect", "ended_by"), message, cure)


def _repeated(document: Document, path: Path, name: Any, names: dict[str, int]) -> Iterator[Problem]:
    if isinstance(name, str):
        line = document.place(path).line
        if name in names:
            message = f"a scenario '{name}' already stands in line {names[name]}"
            yield document.problem(path, message, "Give one of them another name.")
        names.setdefault(name, line)


def _runs(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    runs, wanted = written.get("runs", 1), written.get("must_pass", 1)
    if isinstance(runs, int) and isinstance(wanted, int) and runs >= 1 and wanted > runs:
        message = f"{wanted} runs must pass, and there {'is' if runs == 1 else 'are'} {runs}"
        yield document.problem((index, "must_pass"), message, f"Write runs: {wanted}, or a smaller number here.")


_MOMENT = re.compile(
    r"(?P<date>(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d))T(?P<time>(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d))?)"
    r"(Z|(?P<zone>[+-](?P<zone_hours>\d\d):(?P<zone_minutes>\d\d)))",
    re.ASCII,
)
_YEARS = range(2000, 2200)  # those that the schema's pattern takes


def _impossible(moment: re.Match[str]) -> tuple[str, str] | None:
    """Return what there is not in a moment of the right form, and the cure."""
    number = {name: int(digits or 0) for name, digits in moment.groupdict().items() if name not in _WORDS}
    if number["year"] not in _YEARS:
        return f"the year {moment['year']} is out of reach", f"Write one from {_YEARS[0]} to {_YEARS[-1]}."
    if not 1 <= number["month"] <= 12:
        return f"there is no month {moment['month']}", "Write one from 01 to 12."
    last = monthrange(number["year"], number["month"])[1]
    if not 1 <= number["day"] <= last:
        return f"there is no day {moment['date']}", f"The last day of that month is {moment['date'][:8]}{last}."
    if number["hour"] > 23 or number["minute"] > 59 or number["second"] > 59:
        return f"there is no time {moment['time']}", "Write one from 00:00 to 23:59."
    if number["zone_hours"] > 14 or number["zone_minutes"] > 59:
        return f"there is no zone {moment['zone']}", "Write one from -12:00 to +14:00, or Z for UTC."
    return None


_WORDS = ("date", "time", "zone")


def _moments(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    call = written.get("call")
    inner = call.get("at") if isinstance(call, dict) else None
    for path, value in (((index, "call", "at"), inner), ((index, "clock"), written.get("clock"))):
        if isinstance(value, str) and (moment := _MOMENT.fullmatch(value)) and (wrong := _impossible(moment)):
            yield document.problem(path, *wrong)


def _after_the_end(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for what happens behind an end that is well: of the call, or of its connection."""
    for turns in _calls(written):
        over, lost = 0, 0
        for number, turn in turns:
            if lost and "connection" in turn:
                message = f"the connection is lost for good in line {lost}"
                yield document.problem((index, "turns", number, "connection"), message, "Remove it.", key=True)
            if turn.get("connection") == "lost_for_good":
                lost = document.place((index, "turns", number, "connection")).line
            follows = next((key for key in ("caller", "connection", "model") if key in turn), None)
            if over and follows:
                message = f"nothing can follow here: the caller hangs up in line {over}"
                cure = "Remove it and what comes after it, or hang up later."
                yield document.problem((index, "turns", number, follows), message, cure, key=True)
                break
            if _does(turn, "hangs_up"):
                over = document.place((index, "turns", number, "caller")).line
                if "model" in turn:
                    message = "nobody hears it: the caller hangs up in this turn"
                    cure = "Write it in the turn before."
                    yield document.problem((index, "turns", number, "model"), message, cure, key=True)


def _rings_already(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    first = next(_turns(written), None)
    if first and first[0] == 0 and _does(first[1], "rings_again"):
        message, cure = "the caller rings for the first time here", "Remove it: a scenario begins with the call."
        yield document.problem((index, "turns", 0, "caller", "rings_again"), message, cure, key=True)


def _uncounted(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for earlier calls of a caller whom nobody can tell from others."""
    call, before = written.get("call"), written.get("before")
    if isinstance(before, dict) and "calls" in before and isinstance(call, dict) and call.get("caller", "") is None:
        message = "the calls of a withheld number are not counted"
        yield document.problem((index, "before", "calls"), message, "Write a number in caller:.", key=True)


def _turns(written: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    turns = written.get("turns")
    yield from (
        (at, turn) for at, turn in enumerate(turns if isinstance(turns, list) else ()) if isinstance(turn, dict)
    )


def _calls(written: Mapping[str, Any]) -> list[list[tuple[int, Mapping[str, Any]]]]:
    """Return the turns with their numbers, call by call."""
    calls: list[list[tuple[int, Mapping[str, Any]]]] = [[]]
    for number, turn in _turns(written):
        if _does(turn, "rings_again"):
            calls.append([])
        calls[-1].append((number, turn))
    return calls


def _does(turn: Mapping[str, Any], deed: str) -> bool:
    return bool(turn.get("caller") == {deed: True})


_USE = {"tool", "arguments"}
_TOOL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_SPOKEN_USE = re.compile(rf"({_TOOL.pattern})\((.*)\)", re.DOTALL)


def _uses(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each use of a tool that is not written as one, where it can be told which is meant."""
    for number, turn in _turns(written):
        here: Path = (index, "turns", number)
        for path, step in [*each_of(turn.get("model"), (*here, "model")), ((*here, "expect"), turn.get("expect"))]:
            if isinstance(step, dict):
                yield from _uses_in(document, path, step)


def _uses_in(document: Document, path: Path, step: Mapping[str, Any]) -> Iterator[Problem]:
    message, calls = "is not how a tool and its arguments are written", step.get("calls")
    if outside := {name: step[name] for name in ("tool", "arguments") if name in step}:
        meant = _meant(outside if "tool" in outside else {"tool": calls, **outside}, whole=True)
        if meant is not None:
            yield document.problem(path, message, f"Write calls: {meant}.")
        return
    if not isinstance(calls, list):
        if (meant := _meant(calls)) is not None:
            yield document.problem((*path, "calls"), message, f"Write calls: {meant}.")
        return
    for at, call in enumerate(calls):
        before = calls[at - 1] if at and isinstance(calls[at - 1], str) else ""
        if (meant := _meant(call, before)) is not None:
            yield document.problem((*path, "calls", at), message, f"Write {meant}.")


def _meant(call: Any, before: str = "", *, whole: bool = False) -> str | None:
    """Return what an author means who writes the use of a tool otherwise than it is written, or None.

    `before` is a tool's name that stands before it in a list; `whole` tells that it is well, and stands elsewhere.
    """
    if isinstance(call, str) and (spoken := _SPOKEN_USE.fullmatch(call)):
        return f"{{tool: {spoken[1]}, arguments: {{…}}}}" if spoken[2].strip() else spoken[1]
    if not isinstance(call, dict):
        return None
    strange = {name: value for name, value in call.items() if name not in _USE}
    tool, arguments = call.get("tool"), call.get("arguments", {})
    if not isinstance(arguments, dict) or any(did_you_mean(name, _USE) for name in strange):
        return None  # the schema knows better
    if isinstance(tool, str) and (strange or whole):
        return _shown(_use(tool, {**arguments, **strange}))
    if "tool" in call or not strange:
        return None
    if all(_TOOL.fullmatch(name) and isinstance(value, dict | None) for name, value in strange.items()):
        uses = [_use(name, {**arguments, **(value or {})}) for name, value in strange.items()]
        return _shown(uses if len(uses) > 1 else uses[0])
    name = next(iter(strange.values()))
    if arguments and len(strange) == 1 and isinstance(name, str) and _TOOL.fullmatch(name):
        return _shown(_use(name, arguments))
    return f"{_shown(_use(before, {**arguments, **strange}))} instead of both" if before else None


def _use(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments} if arguments else {"tool": tool}


def _shown(meant: Any) -> str:
    shown = documents.in_line(meant)
    return shown if len(shown) <= 160 else "{tool: NAME, arguments: {…}}"


_GIVEN = ("result", "error", "delay")


def _canned(document: Document, index: int, written: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each tool whose result is written without the field for it."""
    tools = written.get("tools")
    for tool, given in tools.items() if isinstance(tools, dict) else ():
        for path, each in each_of(given, (index, "tools", tool)):
            if isinstance(each, dict) and each and not any(did_you_mean(name, _GIVEN) for name in each):
                cure = f"Write {documents.in_line({'result': each})}."
                yield document.problem(path, "does not say whether this is a result, an error or a delay", cure)


def _expressions(document: Document) -> Iterator[Problem]:
    for path, place in document.places.items():
        if "expect" in path and "matches" in path[-2:] and isinstance(value := value_at(document.data, path), str):
            try:
                with warnings.catch_warnings(action="error"):  # of what will mean something else one day
                    re.compile(value)
            except (re.error, RecursionError, OverflowError, Warning):
                cure = "Correct it, put a backslash before signs that mean themselves, or write contains:."
                yield Problem(
                    document.file, place.line, place.column, documents.dotted(path),
                    "is no regular expression that can be read", cure,
                )  # fmt: skip
