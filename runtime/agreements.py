"""What must agree between the fields of one agent, beyond what its schema can say. Pure.

What must agree between agents is in `runtime.conflicts` and `runtime.teams`.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime.document import Document, Path
from runtime.errors import Problem, did_you_mean, listing
from runtime.hours import MINUTES, read_range, write_range, zones


def disagreements(document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """Return what does not fit together in one agent's complete data; only its sound fields are looked at."""
    return [
        *_handoffs(document, data),
        *_doubles(document, data),
        *_fallbacks(document, data),
        *_durations(document, data),
        *_silences(document, data),
        *_hours(document, data),
        *_openings(document, data),
    ]


def destinations(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the transfer destinations of an agent's complete data, by name."""
    return {
        place["name"]: place
        for tool in data.get("tools", ())
        if tool.get("use") == "transfer"
        for place in tool["destinations"]
    }


def _handoffs(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, handoff in enumerate(data.get("handoffs", ())):
        path, name = ("handoffs", index, "agent"), handoff["agent"]
        line = document.place(path).line
        if name == data.get("name"):
            message, cure = f"'{name}' hands the caller over to itself", "Remove it, or name another agent."
            yield document.problem(path, message, cure)
        elif name in first:
            message = f"a handoff to '{name}' already stands in line {first[name]}"
            yield document.problem(path, message, "Remove one of them, and say all of it in one 'when'.")
        first.setdefault(name, line)


def _doubles(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    """Two destinations, or two fields of a message, of one name: the first would be lost without a word."""
    first: dict[str, int] = {}
    for index, tool in enumerate(data.get("tools", ())):
        key = {"transfer": "destinations", "take_message": "fields"}.get(tool.get("use", ""))
        first = first if key == "destinations" else {}
        for number, entry in enumerate(tool[key] if key else ()):
            path: Path = ("tools", index, str(key), number, "name")
            line = first.setdefault(entry["name"], document.place(path).line)
            if line != document.place(path).line:
                message = f"'{entry['name']}' already stands in line {line}"
                yield document.problem(path, message, "Give one of them another name.")


def _fallbacks(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    if "tools" not in data:
        return
    known = destinations(data)
    for cause, action in data.get("on_failure", {}).items():
        name = action.get("transfer")
        if name is not None and name not in known:
            there = f"There {'is' if len(known) == 1 else 'are'} {listing(sorted(known), 'and')}." if known else ""
            cure = did_you_mean(name, known) or there or "Add it to 'tools:' with 'use: transfer'."
            yield document.problem(("on_failure", cause, "transfer"), f"there is no destination '{name}'", cure)


def _durations(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    duration = data.get("limits", {}).get("duration", {})
    path = ("limits", "duration", "warn_seconds")
    if duration and path in document.places and duration["warn_seconds"] >= duration["seconds"]:
        message = f"the warning comes {duration['warn_seconds']:g} s before the end of {duration['seconds']:g} s"
        yield document.problem(path, message, "Write less than 'seconds', or 0 for no warning.")


def _silences(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    """Two clocks that both speak into the silence: the service's own and ours."""
    path = ("turn_detection", "idle_timeout_ms")
    silence = data.get("limits", {}).get("silence")
    idle = (data.get("turn_detection") or {}).get("idle_timeout_ms")
    if idle is not None and silence is not None and path in document.places:
        message = "the service speaks into the silence, and limits.silence does too"
        cure = "Remove it, or write limits: {silence: null}."
        yield document.problem(path, message, cure, severity="warning")


def _hours(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    """Hours that no clock or calendar can show."""
    for name, written in data.get("hours", {}).items():
        path: Path = ("hours", name)
        if written["timezone"] not in zones():
            cure = _nearest_zone(written["timezone"])
            yield document.problem((*path, "timezone"), f"there is no time zone '{written['timezone']}'", cure)
        for day, times in written["weekly"].items():
            yield from _ranges(document, (*path, "weekly", day), times)
        for index, day in enumerate(written.get("holidays", ())):
            yield from _date(document, (*path, "holidays", index), day)
        for day, times in written.get("exceptions", {}).items():
            yield from _date(document, (*path, "exceptions", day), day, key=True)
            yield from _ranges(document, (*path, "exceptions", day), times)


def _nearest_zone(name: str) -> str:
    named = "Write a name such as Europe/Berlin or America/New_York."
    if re.search(r"[+-][0-9]", name):  # the nearest name would be another hour, and an offset knows no summer
        return named
    city = re.sub(r"\W+", "_", name.rpartition("/")[2].strip()).lower()
    cities = [zone for zone in sorted(zones()) if zone.rpartition("/")[2].lower() == city]
    return f"Did you mean '{cities[0]}'?" if cities else did_you_mean(name, sorted(zones())) or named


def _date(document: Document, path: Path, day: str, *, key: bool = False) -> Iterator[Problem]:
    last = monthrange(int(day[:4]), int(day[5:7]))[1]
    if int(day[8:]) > last:
        cure = f"The last day of that month is {day[:8]}{last}."
        yield document.problem(path, f"there is no day {day}", cure, key=key)


def _ranges(document: Document, path: Path, times: Sequence[str]) -> Iterator[Problem]:
    """The ranges of one day. Those of two days may overlap at midnight: a night's end and the next day's beginning."""
    for index, text in enumerate(times):
        start, end = read_range(text)
        if start == end:
            cure = "Write 00:00-24:00 for the whole day, or [] for a closed one."
            yield document.problem((*path, index), f"'{text}' ends when it begins", cure)
        for earlier in times[:index]:
            begin, stop = read_range(earlier)
            if max(start, begin) < min(end, stop):
                both = min(start, begin), max(end, stop)
                joined = f"Write one range, {write_range(both)}" if both[1] - both[0] < MINUTES else "Remove one"
                cure = f"{joined}, or let one end before the other begins."
                yield document.problem((*path, index), f"'{text}' overlaps '{earlier}'", cure)
                break


def _openings(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules and transfer destinations that name hours which are not there, or can never hold."""
    if "hours" not in data:
        return
    known = sorted(data["hours"])
    there = f"There {'is' if len(known) == 1 else 'are'} {listing(known, 'and')}." if known else ""
    for path, written in _with_hours(data):
        for key in ("hours", "outside"):
            name = written.get(key)
            if name is not None and name not in known:
                cure = did_you_mean(name, known) or there or "Write them below 'hours:'."
                yield document.problem((*path, key), f"there are no hours '{name}'", cure)
        if "outside" in written and written.get("hours") == written["outside"]:
            yield document.problem(
                (*path, "outside"), "'hours' names the same, so it never holds", "Remove one of them."
            )


def _with_hours(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield what may have hours as a condition, with its path."""
    for index, rule in enumerate(data.get("answers", ())):
        if isinstance(rule, Mapping):
            yield ("answers", index), rule
    for index, tool in enumerate(data.get("tools", ())):
        if tool.get("use") == "transfer":
            for number, place in enumerate(tool["destinations"]):
                yield ("tools", index, "destinations", number), place
