"""What must agree between the fields of one agent, beyond what its schema can say. Pure.

What must agree between agents is in `runtime.conflicts` and `runtime.teams`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from runtime.document import Document
from runtime.errors import Problem, did_you_mean, listing


def disagreements(document: Document, data: Mapping[str, Any]) -> list[Problem]:
    """Return what does not fit together in one agent's complete data; only its sound fields are looked at."""
    return [
        *_handoffs(document, data),
        *_fallbacks(document, data),
        *_durations(document, data),
        *_silences(document, data),
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
