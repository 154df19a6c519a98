"""A recorded call as a scenario: what the caller and the model did becomes turns, what followed expectations. Pure.

The words are those of `schemas/scenario.schema.json`. Tools give what they gave then. Where words were not recorded,
their unreadable stand-ins are what is said, and nothing is expected of words.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from runtime import document
from runtime.built_in import HAND_OFF
from runtime.foreign import data_in
from runtime.recorded import ENDED, Entry, Recording
from runtime.saving import outputs_of
from runtime.scenarios import ENDED_BY, SETTLED_SECONDS
from runtime.session import GREETING, line_of

_FEW_SECONDS = 5.0  # keys that come within them are pressed in one go
_WORDLESS = """\
# Words and numbers were not recorded: x stands for a letter, and 1 for a digit. Write your own in their place,
# and below called: a number that {agent} answers.
"""


def scenario_from(recording: Recording) -> str:
    """Return a recorded call as the text of a file of scenarios, with a comment on what an author has to fill in."""
    call, agent = _call(recording), recording.head["agent"]
    when = str(recording.webhook.get("started_at", ""))[:16].replace("T", " at ")
    retelling = _Retelling(recording)
    scenario: dict[str, Any] = {"scenario": f"{agent or 'nobody'} on {when}", "call": call, "turns": retelling.turns()}
    if retelling.tools:
        scenario["tools"] = {name: made[0] if len(made) == 1 else made for name, made in retelling.tools.items()}
    origin = f"# Made of {recording.file.replace(chr(10), ' ')}\n"
    comment = "" if recording.has_speech else _WORDLESS.format(agent=agent or "nobody")
    return origin + comment + document.write([scenario])


def _call(recording: Recording) -> dict[str, Any]:
    known, told = recording.head, recording.webhook
    call: dict[str, Any] = {"called": known["called"], "caller": known["caller"] or None}
    headers = {
        name: value
        for name, value in (told.get("headers") or {}).items()
        if name.lower().startswith("x-") and not name.lower().startswith("x-twilio-")
    }
    call |= {"headers": headers} if headers else {}
    return call | {"at": datetime.fromisoformat(str(told["started_at"])).isoformat(timespec="seconds")}


class _Retelling:
    """Walks through a recording once. `tools` are the results that tools gave, by name."""

    def __init__(self, recording: Recording) -> None:
        self.tools: dict[str, list[dict[str, Any]]] = {}
        self._recording = recording
        self._speech = recording.has_speech
        self._said = dict(_transcripts(recording.entries))
        self._turns: list[dict[str, Any]] = [{"expect": {}}]
        self._lines: dict[str, str] = {}
        self._playing: set[str] = set()
        self._interrupts = False
        self._quiet_since = 0.0
        self._silent_since: float | None = None
        self._pressed_at = -math.inf
        self._destination = ""
        self._attached = False

    def turns(self) -> list[dict[str, Any]]:
        """Return the turns of the call; what is empty is left out."""
        if (agent := self._recording.head["agent"]) is not None:
            self._turn["expect"]["agent"] = agent
        for entry in self._recording.entries:
            self._take(entry)
        told = [
            {key: _plain(turn[key]) for key in ("caller", "connection", "model", "expect") if turn.get(key)}
            for turn in self._turns
        ]
        return [turn for turn in told if turn]

    @property
    def _turn(self) -> dict[str, Any]:
        return self._turns[-1]

    def _take(self, entry: Entry) -> None:
        event = entry.event
        match entry.direction, entry.type:
            case "in", "input_audio_buffer.speech_started":
                self._interrupts = bool(self._playing)
            case "in", "input_audio_buffer.committed":
                words = self._said.get(str(event.get("item_id"))) or "…"
                self._caller("interrupts" if self._interrupts else "says", words, entry.at)
                self._interrupts = False
            case "in", "input_audio_buffer.dtmf_event_received":
                self._press(str(event.get("event")), entry.at)
            case "in", "output_audio_buffer.started":
                self._playing.add(str(event.get("response_id")))
            case "in", "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._playing.discard(str(event.get("response_id")))
                self._quiet_since = entry.at
            case "in", "response.done":
                self._model(event.get("response") or {})
            case "out", "response.create":
                self._line(event["response"], entry.at)
            case "http", "attached":
                self._attach(entry.at)
            case "host", "tool_finished":
                self._tool(event)
            case "host", "looked_up":
                problem = str(event.get("problem") or "")
                self._give("lookup", {"error": problem} if problem else {"result": event.get("found")})
            case "host", "handed_off":
                self._expect("handoff", event.get("agent"))
            case "http", "refer" if self._destination:
                self._expect("transfer", self._destination)
            case "host", kind if kind == ENDED:
                self._end(str(event["outcome"]), entry.at)

    def _expect(self, what: str, value: Any) -> None:
        self._turn.setdefault("expect", {})[what] = value

    # ── the caller ────────────────────────────────────────────────────────────────────────────────────────────

    def _caller(self, does: str, what: Any, at: float) -> None:
        """Begin a turn; a silence that was waited out ends."""
        self._measure_silence(at)
        self._turns.append({"caller": {does: what}})

    def _press(self, key: str, at: float) -> None:
        keys = self._turn.get("caller", {}).get("keys")
        if keys is not None and "model" not in self._turn and at - self._pressed_at < _FEW_SECONDS:
            self._turn["caller"]["keys"] = keys + key
        else:
            self._caller("keys", key, at)
        self._pressed_at = at

    def _attach(self, at: float) -> None:
        """Begin a turn where the connection was lost: the host attached again."""
        if self._attached:
            self._cut_silence(at)
            self._turns.append({"connection": "lost"})
        self._attached = True

    def _measure_silence(self, at: float) -> None:
        """Tell how long the caller was silent: this turn and the one before it last for a moment of that, too."""
        if self._silent_since is not None:
            self._turn["caller"]["silent"] = max(1.0, round(at - self._silent_since - 2 * SETTLED_SECONDS, 1))
            self._silent_since = None

    def _cut_silence(self, at: float) -> None:
        """Let the caller be silent until a little after a moment: what was said into the silence is heard by then."""
        if self._silent_since is not None:
            self._turn["caller"]["silent"] = max(1, math.ceil(at - self._silent_since - SETTLED_SECONDS) + 1)
            self._silent_since = None

    def _end(self, outcome: str, at: float) -> None:
        ended_by = ENDED_BY.get(outcome)
        if outcome == "connection_lost":
            self._cut_silence(at)
            self._turns.append({"connection": "lost_for_good"})
        elif ended_by == "caller":
            self._caller("hangs_up", True, at)
        elif ended_by in ("silence", "duration") and self._silent_since is None:
            self._caller("silent", max(1, math.ceil(at - self._quiet_since)), at)
        if self._silent_since is not None:  # who is silent for longer than that hears no more
            self._turn["caller"]["silent"] = max(1, math.ceil(at - self._silent_since) + 1)
        if ended_by is not None:
            self._expect("ended_by", ended_by)

    # ── the agent ─────────────────────────────────────────────────────────────────────────────────────────────

    def _line(self, response: Mapping[str, Any], at: float) -> None:
        """Take a line that the host asked for: the caller of a scenario is silent for it, or hears it."""
        line = line_of(response)
        if line.startswith("silence ") and self._silent_since is None:
            self._caller("silent", 1, at)
            self._silent_since = self._quiet_since
        words = str(response.get("instructions", "")).partition('"""')[2].rpartition('"""')[0]
        if not self._speech or not words:
            return
        if line == GREETING:
            self._expect("greeting", {"contains": words})
        else:
            says = self._turn.setdefault("expect", {}).setdefault("says", {"contains": []})
            says["contains"] += [words] if words not in says["contains"] else []

    def _model(self, response: Mapping[str, Any]) -> None:
        """Take what the model did by itself: words, tools, a handoff."""
        made: dict[str, Any] = {}
        for output in outputs_of(response):
            if isinstance(output, str):
                made.setdefault("says", []).append(output)
            else:
                self._use(*output, made)
        if made:
            self._turn.setdefault("model", []).append(made)

    def _use(self, name: str, arguments: str, made: dict[str, Any]) -> None:
        if name.startswith(HAND_OFF):
            made["hands_off"] = name.removeprefix(HAND_OFF)
            return
        call = _used(name, arguments)
        made.setdefault("calls", []).append(call)
        self._turn.setdefault("expect", {}).setdefault("calls", []).append(call if self._speech else name)
        if isinstance(call, dict):
            self._destination = str(call["arguments"].get("destination", ""))

    def _tool(self, event: Mapping[str, Any]) -> None:
        name, output = str(event.get("name")), str(event.get("output", ""))
        if name.startswith(HAND_OFF):
            return
        canned: dict[str, Any] = {"error": output} if event.get("failed") else {"result": data_in(output, output)}
        seconds = event.get("seconds")
        if isinstance(seconds, int | float) and seconds >= 1:
            canned["delay"] = round(seconds, 1)
        self._give(name, canned)

    def _give(self, name: str, canned: dict[str, Any]) -> None:
        self.tools.setdefault(name, []).append(canned)


def _transcripts(entries: tuple[Entry, ...]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if entry.type == "conversation.item.input_audio_transcription.completed":
            yield str(entry.event.get("item_id")), str(entry.event.get("transcript", ""))


def _used(name: str, arguments: str) -> str | dict[str, Any]:
    data = data_in(arguments)
    return {"tool": name, "arguments": data} if isinstance(data, dict) and data else name


def _plain(value: Any) -> Any:
    """Return data in which what stands alone in a list stands without it, as an author would write it."""
    if isinstance(value, dict):
        return {key: inner if key in ("arguments", "result") else _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else [_plain(inner) for inner in value]
    return value
