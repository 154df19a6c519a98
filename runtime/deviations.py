"""What the runtime does otherwise in a call than a recording of it, in sentences. Pure.

Both sides come as entries of a recording. What was done then and is done now is put side by side by what it is, and
compared: the session's settings by field, lines, tools, transfers and the end; and times, where a second or more lies
between them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from runtime.receipt import holds
from runtime.recorded import ENDED, Entry
from runtime.session import AFTER, ANSWER, is_models_own, line_of

LATER_SECONDS = 1.0  # what is nearer comes from the network's haste, and not from what an author changed

_QUOTED = re.compile(r'"""(.*)"""', re.DOTALL)
_LINES = {
    "greeting": "the greeting",
    "farewell": "the farewell",
    "announce": "the announcement",
    "warning": "the warning before the end",
    "instead": "the line instead of forbidden words",
    "transfer failed": "the line for a transfer that failed",
}
_BEGINNINGS = {
    "silence ": "the line for a silent caller",
    "timeout ": "the line for a tool that takes too long",
    "while ": "the line while a tool runs",
}


@dataclass(frozen=True, slots=True, order=True)
class Deviation:
    """One thing that is otherwise now. `at` is in seconds since the webhook, `text` a sentence."""

    at: float
    about: str
    text: str


@dataclass(frozen=True, slots=True)
class _Act:
    """One thing that the runtime did: `subject` was `done`. Acts with the same key are put side by side."""

    at: float
    about: str
    key: str
    subject: str
    done: str
    said: Any = None


def compare(
    then: Iterable[Entry], now: Iterable[Entry], *, speech: bool, doubtful: frozenset[str] = frozenset()
) -> tuple[list[Deviation], list[str]]:
    """Return what is otherwise now, in the order of time, and the subjects of which that cannot be known.

    Without `speech`, words are compared by their lengths. `doubtful` are texts of today that would be others if what
    was not recorded were known; `""` among them says that a line may not have been said for it.
    """
    then = list(then)
    tools = _tools_called(then)
    before, after = _acts(then, tools), _acts(now, tools)
    told = _Told(speech, doubtful)
    missing: list[_Act] = []
    added: list[_Act] = []
    matcher = SequenceMatcher(None, [act.key for act in before], [act.key for act in after], autojunk=False)
    for kind, one, two, three, four in matcher.get_opcodes():
        if kind == "equal":
            told.pairs(zip(before[one:two], after[three:four], strict=True))
        else:
            missing += before[one:two]
            added += after[three:four]
    for act in missing:
        twin = next((other for other in added if other.key == act.key), None)
        if twin is None and act.key == ENDED:
            told.add(act.at, "end", f"the call ended with {act.said['outcome']} then, and goes on now")
        elif twin is None and act.about == "line" and act.said is not None and "" in doubtful:
            told.doubt(act.subject)
        elif twin is None:
            told.add(act.at, act.about, f"{act.subject} was {act.done} then, and is not now")
        else:
            added.remove(twin)
            told.pairs([(act, twin)])
    for act in added:
        if act.key == ENDED:
            told.add(act.at, "end", f"the call ends with {act.said['outcome']} now, and went on then")
        elif isinstance(act.said, str) and quoted(act.said) in doubtful:
            told.doubt(act.subject)
        else:
            told.add(act.at, act.about, f"{act.subject} is {act.done} now, and was not then")
    return sorted(told.found), list(told.doubts)


# ── what was done ─────────────────────────────────────────────────────────────────────────────────────────────


def _tools_called(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the names of the tools that the model called, by the calls' ids."""
    items = (entry.event.get("item") for entry in entries if entry.type == "response.output_item.done")
    return {str(item.get("call_id")): str(item.get("name")) for item in items if isinstance(item, dict)}


def _acts(entries: Iterable[Entry], tools: Mapping[str, str]) -> list[_Act]:
    return [act for entry in entries if (act := _act(entry, tools)) is not None]


def _act(entry: Entry, tools: Mapping[str, str]) -> _Act | None:
    event, at = entry.event, entry.at
    match entry.direction, entry.type:
        case "http", "accept":
            return _Act(at, "session", "accept", "the call", "accepted", event["session"])
        case "http", "reject":
            return _Act(at, "end", f"reject {event['status']}", "the call", f"rejected with {event['status']}")
        case "http", "refer":
            return _Act(at, "transfer", "refer", "the caller", "put through", event["to"])
        case "host", "run_tool":
            return _Act(at, "tool", f"tool {event['name']}", f"the tool {event['name']}", "run")
        case "host", "look_up":
            return _Act(at, "lookup", "look_up", "the lookup", "asked")
        case "out", "session.update":
            key = "update" if "instructions" in event["session"] else "release"
            return _Act(at, "session", key, "a change of the session", "sent", event["session"])
        case "out", "response.create":
            return _asked(at, event.get("response", {}))
        case "out", "conversation.item.create":
            return _item(at, event["item"], tools)
        case "out", "output_audio_buffer.clear":
            return _Act(at, "line", "clear", "what the agent says", "stopped")
        case "host", kind if kind == ENDED:
            return _Act(at, "end", ENDED, "the call", "ended", event)
    return None


def _asked(at: float, response: Mapping[str, Any]) -> _Act:
    line = line_of(response)
    if is_models_own(line):
        is_after = line.startswith(AFTER)
        subject = "the model's answer after its tools" if is_after else "an answer to the caller"
        return _Act(at, "line", line if is_after else ANSWER, subject, "asked for")
    named = next((subject for beginning, subject in _BEGINNINGS.items() if line.startswith(beginning)), "")
    subject = _LINES.get(line) or named or f"the line '{line}'"
    return _Act(at, "line", line, subject, "said", str(response.get("instructions", "")))


def _item(at: float, item: Mapping[str, Any], tools: Mapping[str, str]) -> _Act:
    if item.get("type") == "function_call_output":
        call_id = str(item.get("call_id"))
        subject = f"the result of {tools.get(call_id, 'a tool')}"
        return _Act(at, "tool", f"output {call_id}", subject, "given to the model", str(item.get("output", "")))
    content = item.get("content") or [{}]
    said = str(content[0].get("text", ""))
    return _Act(at, "keys", "keys", "what was pressed while no tool waited for it", "told to the model", said)


# ── what is otherwise ─────────────────────────────────────────────────────────────────────────────────────────


class _Told:
    """Collects deviations, each setting's once: it is told again with every update of the session."""

    def __init__(self, speech: bool, doubtful: frozenset[str]) -> None:
        self.found: list[Deviation] = []
        self.doubts: dict[str, None] = {}
        self._speech = speech
        self._doubtful = doubtful
        self._settings: set[str] = set()

    def add(self, at: float, about: str, sentence: str) -> None:
        self.found.append(Deviation(round(at, 3), about, f"{sentence[0].upper()}{sentence[1:]}."))

    def doubt(self, subject: str) -> None:
        self.doubts[subject] = None

    def pairs(self, pairs: Iterable[tuple[_Act, _Act]]) -> None:
        for then, now in pairs:
            self._pair(then, now)

    def _pair(self, then: _Act, now: _Act) -> None:
        if then.about == "session":
            self._session(now.at, then.said, now.said)
        elif then.key == ENDED:
            self._end(then, now)
            return
        elif then.said != now.said:
            self._words(then, now)
        apart = 0.0 if then.key.startswith(AFTER) else now.at - then.at  # the result before it tells enough
        if abs(apart) >= LATER_SECONDS:
            way = "later" if apart > 0 else "earlier"
            self.add(now.at, then.about, f"{then.subject} is {then.done} {abs(apart):.1f} s {way} now")

    def _end(self, then: _Act, now: _Act) -> None:
        was, today = then.said["outcome"], now.said["outcome"]
        if was != today:
            ended = f"the call ended with {was} after {then.at:.1f} s then"
            self.add(now.at, "end", f"{ended}, and ends with {today} after {now.at:.1f} s now")
        elif abs(now.at - then.at) >= LATER_SECONDS:
            self.add(now.at, "end", f"the call ended after {then.at:.1f} s then, and after {now.at:.1f} s now")

    def _words(self, then: _Act, now: _Act) -> None:
        if then.key == "refer":
            sentence = "the caller is put through to another address now"
        elif then.about in ("tool", "keys"):
            sentence = f"{then.subject} is another one now"
        else:
            sentence = f"{then.subject} has other words now"
        said = quoted(then.said), quoted(now.said)
        if said[1] in self._doubtful:
            self.doubt(then.subject)
            return
        if self._speech:
            sentence += f": “{said[0]}” then, “{said[1]}” now"
        elif len(said[0]) != len(said[1]):
            sentence += f": {len(said[0]):,} characters then, {len(said[1]):,} now"
        self.add(now.at, then.about, sentence)

    def _session(self, at: float, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        before, after = settings_of(then), settings_of(now)
        for field in sorted(before.keys() | after.keys()):
            was, today = before.get(field), after.get(field)
            if was == today or (was is not None and today is not None and holds(was, today) and holds(today, was)):
                continue
            if isinstance(today, str) and today in self._doubtful:
                self.doubt("the instructions" if field == "instructions" else f"the session's {field}")
                continue
            sentence = _setting(field, was, today)
            if sentence not in self._settings:
                self._settings.add(sentence)
                self.add(at, "session", sentence)


def quoted(instructions: str) -> str:
    """Return the words that a response is told to say, or all of what it is told."""
    found = _QUOTED.search(instructions)
    return found[1] if found else instructions


def settings_of(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session's settings by field, as an author knows them: `turn_detection.type`, `tool find_table`."""
    audio = session.get("audio") or {}
    flat = {key: value for key, value in session.items() if key not in ("type", "audio", "tools")}
    flat |= {**audio.get("input", {}), **audio.get("output", {})}
    flat |= {f"tool {tool.get('name')}": tool for tool in session.get("tools") or ()}
    return dict(_leaves(flat))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and not key.startswith("tool ") and value:
            yield from _leaves(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, value


def _setting(field: str, was: Any, today: Any) -> str:
    if field.startswith("tool "):
        if today is None:
            return f"the model has no {field} any more"
        return f"the model has a new {field}" if was is None else f"the {field} is described otherwise now"
    if field == "instructions":
        lengths = "" if len(was) == len(today) else f": {len(was):,} characters then, {len(today):,} now"
        return f"the instructions are other ones now{lengths}"
    if was is None:
        return f"the session's {field} was not set then, and is {_shown(today)} now"
    return f"the session's {field} was {_shown(was)} then, and is {'not set' if today is None else _shown(today)} now"


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def in_lines(found: Sequence[Deviation]) -> str:
    """Return deviations in a line each, with the time in the call."""
    return "".join(f"  {one.at:8.1f} s  {one.text}\n" for one in found)
