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
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, TypeGuard, get_origin

from runtime import commands as c
from runtime import events as e
from runtime import redaction
from runtime.errors import SettingsError
from runtime.foreign import data_in
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
    data = data_in(message)
    return Entry(at, "in", data if isinstance(data, dict) else {"type": "unreadable", "characters": len(message)})


def redacted(entry: Entry, declared: frozenset[str]) -> Entry:
    """Return an entry without anything that people said, and without their numbers."""
    return Entry(entry.at, entry.direction, redaction.event(entry.event, declared))


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain) + "\n"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_DEEP = 100  # levels of a line: a session's tools have some ten
_MOST_SECONDS = 1e9  # more than a call lasts, and than a status or a close code is
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
    known = {"speech": False, "agent": None, "revision": None, "digest": None, "environment": "", **known}
    if wrong := _wrong(known, _HEAD):
        raise SettingsError(f"{file}:1", f"has no usable {wrong}", _RECORD_AGAIN)
    return known


def _entry(line: str, file: str, number: int) -> Entry:
    data = _data(line) or {}
    at, direction, event = data.get("at"), data.get("direction"), data.get("event")
    if not isinstance(event, dict) or not _is_number(at) or direction not in ("in", "out", "http", "host"):
        raise SettingsError(f"{file}:{number}", "is no event of a recording", _RECORD_AGAIN)
    kind = str(event.get("type", ""))
    if kind == WEBHOOK and not _is_moment(event.get("started_at")):
        raise SettingsError(f"{file}:{number}", "does not tell when the call came", _RECORD_AGAIN)
    if wrong := _wrong(event, {**_fields(kind), **_NEEDS.get(kind, {})}):
        raise SettingsError(f"{file}:{number}", f"has no usable {wrong}", _RECORD_AGAIN)
    return Entry(float(at), str(direction), event)


_Needs = Mapping[str, Any]
"""The types of fields by their paths, or the values that one may have. `*` stands for each value in a list or mapping,
and what ends with `?` may be missing."""

_SESSION: _Needs = {
    "session": dict, "session.instructions?": str, "session.audio?": dict, "session.audio.input?": dict,
    "session.audio.output?": dict, "session.audio.input.turn_detection?": dict | None, "session.tools?": list,
    "session.tools.*": dict, "session.tools.*.name": str, "session.tools.*.description": str,
    "session.tools.*.parameters": dict,
}  # fmt: skip
_ECHO: _Needs = {
    **{path: kind for path, kind in _SESSION.items() if path.endswith("?")},
    "session?": dict, "session.tools?": list | None, "session.tools.*": dict,
}  # fmt: skip
_RESPONSE: _Needs = {
    "response?": dict | None, "response.metadata?": dict | None, "response.metadata.switchboard?": str | None,
    "response.output?": list | None, "response.output.*": dict, "response.output.*.content?": list | None,
    "response.output.*.content.*": dict,
}  # fmt: skip
_HEAD: _Needs = {
    "speech": bool, "call_id": str, "called": str, "caller": str, "agent": str | None, "revision": str | None,
    "digest": str | None, "environment": str,
}  # fmt: skip
_NEEDS: dict[str, _Needs] = {
    WEBHOOK: {"headers?": dict, "headers.*": str, "turned_away?": dict, "turned_away.outcome": str, "unable?": str},
    "accept": {**_SESSION, "session.instructions": str},
    "accept_failed": {"cause?": frozenset({"", "quota", "model_unreachable"})},
    "refer": {"to": str},
    "reject": {"status": int},
    "run_tool": {"tool_call_id": str, "name": str},
    ENDED: {"outcome": str},
    "session.update": _SESSION,
    "session.created": _ECHO,
    "session.updated": _ECHO,
    "response.create": {"response": dict, **_RESPONSE},
    "response.created": _RESPONSE,
    "response.done": _RESPONSE,
    "conversation.item.create": {"item": dict, "item.content?": list | None, "item.content.*": dict},
}
_WRITTEN_AS: dict[Any, Any] = {Mapping: dict, tuple: list, float: float | int}


def _fields(kind: str) -> _Needs:
    """Return what an event of ours needs."""
    needs = {}
    for field in fields(_KINDS[kind]) if kind in _KINDS else ():
        has_default = field.default is not MISSING or field.default_factory is not MISSING
        of_type: Any = get_origin(field.type) or field.type
        needs[f"{field.name}?" if has_default else field.name] = _WRITTEN_AS.get(of_type, of_type)
    return needs


def _wrong(data: Mapping[str, Any], needs: _Needs) -> str:
    """Return the first path whose value is missing or of another kind, in quotes, or `""`."""
    for path, kind in needs.items():
        *above, name = path.removesuffix("?").split(".")
        for holder in _at(data, above):
            values = _each(holder) if name == "*" else [holder[name]] if name in holder else []
            is_missing = not values and name != "*" and not path.endswith("?")
            if is_missing or not all(_fits(value, kind) for value in values):
                return f"'{path.removesuffix('?')}'"
    return ""


def _at(data: Any, path: Sequence[str]) -> list[Any]:
    """Return the mappings and lists at a path; what stands in their place is told by its own need."""
    found = [data]
    for name in path:
        inner = [
            _each(one) if name == "*" else [one.get(name)] for one in found if name == "*" or isinstance(one, dict)
        ]
        found = [value for values in inner for value in values if isinstance(value, dict | list)]
    return found


def _each(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) and (not isinstance(value, int | float) or _is_number(value))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_SECONDS


def _is_moment(value: Any) -> bool:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return moment.tzinfo is not None and 1 < moment.year < 9999  # so that no reckoning leaves the calendar


def _data(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
        if _HALF.search(line):  # of a pair of surrogates, which nothing can show
            data = json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and not _is_deeper(data, _MOST_DEEP) else None


def _is_deeper(data: Any, most: int) -> bool:
    """Tell whether there are more levels in data: whoever walks down to the last of too many falls."""
    level = [data]
    for _ in range(most):
        level = [value for one in level for value in _each(one) if isinstance(value, dict | list)]
        if not level:
            return False
    return True


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
