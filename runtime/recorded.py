"""Recordings: one call's events in both directions, as lines of JSON. Their words, reading and writing them. Pure.

The first line is the head: `recording` (the format's version), `call_id`, `agent`, `revision`, `digest`,
`environment`, `called`, `caller`, and `speech`, whether words and numbers are whole or made unreadable. Each other
line holds `at`, seconds since the webhook; `direction`, `in` and `out` for the sideband's events, `http` for the
webhook, the Calls API and the socket itself, and `host` for what happened or was decided in the host; and `event`,
whose `type` is the service's own for the sideband, and else one of those below.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from runtime import commands as c
from runtime import events as e
from runtime import redaction
from runtime.errors import SettingsError
from runtime.roles import Role, Roles

VERSION = 1

WEBHOOK, ENDED, STOPPED, CUT_OFF = "webhook", "ended", "words_stopped", "cut_off"

_HAPPENED: dict[type[e.Event], str] = {
    e.Accepted: "http", e.AcceptFailed: "http", e.Attached: "http", e.AttachFailed: "http", e.SidebandClosed: "http",
    e.HungUp: "http", e.Referred: "http", e.ReferFailed: "http",
    e.LookedUp: "host", e.TimerFired: "host", e.HandedOff: "host", e.ToolFinished: "host", e.WordsRefused: "host",
    e.DrainEnded: "host", e.HostStopped: "host", e.Failed: "host",
}  # fmt: skip
_WANTED: dict[type[c.Command], str] = {
    c.Accept: "http", c.Reject: "http", c.Attach: "http", c.Refer: "http", c.HangUp: "http",
    c.RunTool: "host", c.LookUp: "host",
}  # fmt: skip


def _name(kind: type[Any]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_HEADER = re.compile(r"headers\W{1,6}(?:get\W{1,4})?([A-Za-z][\w-]*)")  # as templates name one

_KINDS: dict[str, type[Any]] = {_name(kind): kind for kind in _HAPPENED}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a recording. `at` is in seconds since the webhook."""

    at: float
    direction: str
    event: Mapping[str, Any]

    @property
    def type(self) -> str:
        """The event's type, or `""`."""
        return str(self.event.get("type", ""))

    def line(self) -> str:
        """Return the entry as a line of the file."""
        return _line({"at": round(self.at, 6), "direction": self.direction, "event": self.event})


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded call. It has at least one entry, the webhook."""

    file: str
    head: Mapping[str, Any]
    entries: tuple[Entry, ...]

    @property
    def has_speech(self) -> bool:
        """Whether words and numbers are whole."""
        return bool(self.head["speech"])

    @property
    def is_whole(self) -> bool:
        """Whether the file goes on to the call's end."""
        return self.entries[-1].type == ENDED

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.entries[-1].at

    @property
    def webhook(self) -> Mapping[str, Any]:
        """The event of the webhook's delivery: `headers`, `started_at`, and why it was turned away, if it was."""
        return self.entries[0].event


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────


def head(arrival: e.CallArrived | e.CallTurnedAway, environment: str, *, speech: bool) -> dict[str, Any]:
    """Return the first line of a call's recording, as data."""
    shown = str if speech else redaction.text
    taken = arrival.match if isinstance(arrival, e.CallArrived) else None
    return {
        "recording": VERSION,
        "speech": speech,
        "call_id": arrival.call.id,
        "agent": taken.agent.name if taken else None,
        "revision": taken.revision if taken else None,
        "digest": taken.agent.digest if taken else None,
        "environment": environment,
        "called": shown(arrival.call.called),
        "caller": shown(arrival.call.caller),
    }


def head_line(data: Mapping[str, Any]) -> str:
    """Return the first line of the file."""
    return _line(data)


def declared_by(roles: Roles) -> frozenset[str]:
    """Return the author's own words that a recording may hold: names of agents, tools and rules, keys, headers."""
    return frozenset(word for role in roles.values() for word in _declared_by(role))


def _declared_by(role: Role) -> Iterator[str]:
    agent, tracing = role.agent, role.settings.session.get("tracing")
    yield agent.name
    yield from redaction.declared_in(role.settings.session["tools"])
    yield from (str(rule.written["entrypoint"]) for rule in agent.abilities.rules)
    yield from _keys((agent.data["lookup"] or {}).get("defaults"))
    yield from _keys(tracing)
    yield from (name for rule in agent.answers for name, _ in rule.headers)
    templates = f"{agent.instructions.text} {agent.data}"
    yield from (found.lower() for found in _HEADER.findall(templates))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def entries_of(event: e.Event, done: Sequence[c.Command], at: float) -> Iterator[Entry]:
    """Yield what is recorded of an event, unless it is the service's own, and of the commands that followed."""
    if isinstance(event, e.CallArrived | e.CallTurnedAway):
        yield Entry(at, "http", _webhook(event))
    elif type(event) in _HAPPENED:
        yield Entry(at, _HAPPENED[type(event)], _as_data(event))
    for command in done:
        if isinstance(command, c.Send):
            yield Entry(at, "out", command.event)
        elif type(command) in _WANTED:
            yield Entry(at, _WANTED[type(command)], _as_data(command))
        elif isinstance(command, c.Record):
            yield from _told(event, command, at)


def _as_data(value: Any) -> dict[str, Any]:
    return {"type": _name(type(value))} | {field.name: getattr(value, field.name) for field in fields(value)}


def _webhook(arrival: e.CallArrived | e.CallTurnedAway) -> dict[str, Any]:
    call = arrival.call
    told: dict[str, Any] = {"type": WEBHOOK, "started_at": call.started_at.isoformat(), "headers": dict(call.headers)}
    if isinstance(arrival, e.CallTurnedAway):
        told["turned_away"] = {
            "outcome": str(arrival.outcome),
            "status": arrival.status,
            "why": arrival.reason,
        }
    elif arrival.unable:
        told["unable"] = arrival.unable
    return told


def _told(event: e.Event, record: c.Record, at: float) -> Iterator[Entry]:
    """Yield what must be known of a record: how the call ended, and that words were stopped that nobody can read."""
    if record.what == "ended":
        kept = {key: record.fields[key] for key in ("outcome", "seconds", "reason") if key in record.fields}
        yield Entry(at, "host", {"type": ENDED, **kept})
    elif record.fields.get("rule") == "never_say" and isinstance(event, e.AgentSaying | e.AgentSaid):
        yield Entry(at, "host", {"type": STOPPED, "response_id": event.response_id})


def service_entry(message: str | bytes, at: float) -> Entry:
    """Return a message of the service's as an entry; of one that cannot be read, its length."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        data = None
    return Entry(at, "in", data if isinstance(data, dict) else {"type": "unreadable", "characters": len(message)})


def redacted(entry: Entry, declared: frozenset[str]) -> Entry:
    """Return an entry without anything that people said, and without their numbers."""
    return Entry(entry.at, entry.direction, redaction.event(entry.event, declared))


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain) + "\n"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

_RECORD_AGAIN = "Is it a file that 'switchboard serve --record' wrote? Parts of it may be lost."


def read(text: str, file: str) -> Recording:
    """Return the recording that a file's text holds. Raises `SettingsError`, with the line of what is wrong.

    A last line that breaks off, as on a full disk, is left out: what came before it can be played.
    """
    lines = text.split("\n")
    unfinished = lines.pop()
    known = _head(lines[0] if lines else unfinished, file)
    entries = tuple(_entry(line, file, number) for number, line in enumerate(lines[1:], 2))
    if not entries or entries[0].type != WEBHOOK:
        raise SettingsError(f"{file}:2", "does not tell how the call came", _RECORD_AGAIN)
    if known["agent"] is None and not isinstance(entries[0].event.get("turned_away"), dict):
        raise SettingsError(f"{file}:1", "does not tell who answered", _RECORD_AGAIN)
    return Recording(file, known, entries)


def _head(line: str, file: str) -> dict[str, Any]:
    known = _data(line)
    version = known.get("recording") if known else None
    if known is None or isinstance(version, bool) or not isinstance(version, int):
        raise SettingsError(f"{file}:1", "is no head of a recording", _RECORD_AGAIN)
    if version > VERSION:
        message = f"is a recording of format {version}, and this Switchboard reads up to {VERSION}"
        raise SettingsError(file, message, "Update Switchboard, or use the one that recorded it.")
    texts = [known.get(key) for key in ("call_id", "called", "caller")]
    agent = known.get("agent")
    if not all(isinstance(one, str) for one in texts) or not isinstance(agent, str | None):
        raise SettingsError(f"{file}:1", "lacks the call's id, its numbers or its agent", _RECORD_AGAIN)
    return {"speech": False, "revision": None, "digest": None, "environment": "", **known, "agent": agent}


def _entry(line: str, file: str, number: int) -> Entry:
    data = _data(line) or {}
    at, direction, event = data.get("at"), data.get("direction"), data.get("event")
    needs = _NEEDS.get((str(direction), str(event.get("type"))), {}) if isinstance(event, dict) else None
    timed = isinstance(at, int | float) and not isinstance(at, bool)
    if needs is None or not timed or direction not in ("in", "out", "http", "host"):
        raise SettingsError(f"{file}:{number}", "is no event of a recording", _RECORD_AGAIN)
    assert isinstance(event, dict)
    if lost := [name for name, kind in needs.items() if not isinstance(event.get(name), kind)]:
        raise SettingsError(f"{file}:{number}", f"lacks '{lost[0]}'", _RECORD_AGAIN)
    return Entry(float(at or 0), str(direction), event)


_NEEDS: dict[tuple[str, str], dict[str, type[Any]]] = {
    ("http", "accept"): {"session": dict},
    ("http", "refer"): {"to": str},
    ("http", "reject"): {"status": int},
    ("host", "run_tool"): {"tool_call_id": str, "name": str},
    ("host", "ended"): {"outcome": str},
    ("out", "session.update"): {"session": dict},
    ("out", "response.create"): {"response": dict},
    ("out", "conversation.item.create"): {"item": dict},
}


def _data(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def event_of(entry: Entry) -> e.Event | None:
    """Return what happened to the call by an entry of direction `http` or `host`; None for what the call decided."""
    kind = _KINDS.get(entry.type)
    if kind is None:
        return None
    known = {field.name for field in fields(kind)}
    given = {key: value for key, value in entry.event.items() if key in known}
    try:
        made: e.Event = kind(**given)
    except TypeError:  # a field is missing
        return None
    return made
