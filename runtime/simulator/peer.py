"""One simulated Realtime session, mostly that of one telephone call: a state machine without I/O, clock or log.

The host's side goes in through `accept`, `attach`, `receive` and the other verbs of the Calls API, the
caller's through `caller_…`; server events come out, as plain dicts. What takes time in reality (generating,
playing) is planned: `delay` tells the wait before the next step and `next_step` takes it. With `thinks`, a response
that neither a line nor a cue decides is left open: `questions` tells of it, `decide` or `fail` closes it. Numbers
like (2.4) are sections of the project's protocol notes.
"""

import base64
import json
import re
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from runtime.simulator.checks import (
    Refused,
    check_event,
    check_reasoning,
    check_refer,
    check_reject,
    check_session,
    present,
    unknown,
    wrong_value,
)
from runtime.simulator.mind import Asked
from runtime.simulator.script import Replies, Reply, ToolUse, replies, spoken_line
from runtime.simulator.session import first_session, overlaid, updated_session

Event = dict[str, Any]
Events = list[Event]

# A telephone voice says about four words a second; the model generates some five times faster than that.
SECONDS_A_WORD = 0.25
GENERATION_A_WORD = 0.05
THINKING = 0.3
WORDS_A_DELTA = 4
TOKENS_A_WORD = 6
SESSION_SECONDS = 3600  # 2.6
SAMPLES_A_SECOND = 24_000
LOUDEST_SILENCE = 300  # the loudest of 16 bits' 32,767 that is still silence
SILENCE_SECONDS = 0.5  # after which a turn is over, as the service's own default

MARKER = "switchboard_line"
"""Metadata with this key marks a response that is asked to say a given line."""


def no_session() -> Refused:
    """The answer for a call that is unknown, over, or not accepted yet."""
    return Refused(404, "call_id_not_found", "No session found")


def _decided() -> Refused:
    # Not published for Realtime; the code is that of Live (1.5).
    return Refused(400, "decision_already_made", "The call was already accepted or rejected.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """How this peer differs from one where all goes well. The defaults are the service as measured."""

    formats: Literal["refuse", "distort"] = "refuse"
    merge_depth: Literal["group", "deep"] = "group"
    # accept (1.5)
    refused_at_accept: frozenset[str] = frozenset()
    accept_fails: tuple[int, ...] = ()
    accept_response: Literal["sent", "lost", "hangs"] = "sent"
    accept_then_dead: bool = False
    # attach (2.1, 2.2)
    attach_not_found: int = 0
    session_created_on_attach: bool = False
    # session.update and errors (2.4, 2.5)
    ignore_session_update: bool = False
    echo_overrides: Mapping[str, Any] = field(default_factory=dict)
    error_without_event_id: bool = False
    # responses (3.4, 3.5)
    drop_first_response_create: int = 0
    refuse_create_without_event_id: bool = False
    failed_responses: int = 0
    says_instead: Callable[[str], str] | None = None
    # what callers say (2.5, 4.5)
    transcription_fails: bool = False
    transcription_is_late: bool = False
    # the end (1.5, 2.1, 2.7): None closes without a close frame, which the client sees as 1006
    close_code_on_hangup: int | None = None
    sideband_lost_after: int | None = None
    refer_status: int = 200
    refer_is_relayed: bool = True
    refer_response: Literal["sent", "lost"] = "sent"


@dataclass(slots=True, eq=False)
class Response:
    """One response, for the record and while it is made."""

    id: str
    instructions: str | None
    metadata: Mapping[str, str] | None
    voice: Any
    conversation: str | None
    modality: str
    limit: int | None
    status: str = "in_progress"
    reason: str | None = None
    said: str = ""
    tool_uses: list[str] = field(default_factory=list)
    output: list[dict[str, Any]] = field(default_factory=list)
    item: str | None = None
    item_text: str | None = None
    audible: bool = False
    muted: bool = False
    started_at: float = 0.0


class Planned(NamedTuple):
    delay: float
    response: Response | None
    produce: Callable[[], Events]


class Peer:
    """The service's side of one call. `state` goes from "incoming" to "accepted" to "ended".

    Not `by_telephone` it is a session of its own on a WebSocket (6.1): formats may be told, the client sends the
    caller's sound or words and gets the agent's, and nobody but the client knows what is played.
    """

    def __init__(
        self,
        call_id: str,
        *,
        behavior: Behavior | None = None,
        now: int = 1_790_000_000,
        thinks: bool = False,
        by_telephone: bool = True,
    ) -> None:
        self.call_id = call_id
        self.by_telephone = by_telephone
        self.behavior = behavior or Behavior()
        self.thinks = thinks
        self.state: Literal["incoming", "accepted", "ended"] = "incoming"
        # the record
        self.session: dict[str, Any] = {}
        self.accepted: dict[str, Any] | None = None
        self.updates: list[dict[str, Any]] = []
        self.received: list[Any] = []
        self.responses: list[Response] = []
        self.errors: list[dict[str, Any]] = []
        self.tool_outputs: list[dict[str, str]] = []
        self.referred: str | None = None
        self.rejected: int | None = None
        self.hung_up_by: Literal["caller", "host", "carrier", "service"] | None = None
        self.distorted = False
        # the life
        self._now = now
        self._clock = 0.0
        self._serial = 0
        self._tag = re.sub(r"[\W_]", "", call_id)[-8:]
        self._plan: deque[Planned] = deque()
        self._cues: deque[Reply] = deque()
        self._open: dict[str, Response] = {}
        self._questions: list[tuple[str, Asked]] = []
        self._items: dict[str, dict[str, Any]] = {}
        self._heard: dict[str, str] = {}
        self._before: dict[str, str | None] = {}
        self._last_item: str | None = None
        self._tool_calls: dict[str, str] = {}
        self.owes_answer = False  # a tool was called, and no response has begun since
        self._active: Response | None = None
        self._playing: Response | None = None
        self._speech_item: str | None = None
        self._spoken_for = self._quiet_for = 0.0
        self._voice_heard: Any = None
        self._accept_fails = deque(self.behavior.accept_fails)
        self._not_found_left = self.behavior.attach_not_found
        self._drops_left = self.behavior.drop_first_response_create
        self._failures_left = self.behavior.failed_responses

    # --- the verbs of the Calls API ---

    def accept(self, settings: Any) -> None:
        """Starts the session, or raises `Refused` as the accept endpoint would answer."""
        if self.state == "ended":
            raise no_session()
        if self.state == "accepted":
            raise _decided()
        if self._accept_fails:
            raise Refused(self._accept_fails.popleft(), "server_error", "The server had an error.")
        check_session(settings, formats=self.behavior.formats if self.by_telephone else "distort")
        for path in sorted(self.behavior.refused_at_accept):
            if present(settings, path):
                raise unknown(path)
        session = first_session(settings, f"sess_{self._tag}", self._now + SESSION_SECONDS)
        check_reasoning(settings, session["model"])
        self.session, self.accepted, self.state = session, settings, "accepted"
        self._note_formats(settings)

    def reject(self, body: Any = None) -> None:
        """Ends an incoming call with a SIP code, 603 unless the body says another."""
        if self.state == "ended":
            raise no_session()
        if self.state == "accepted":
            raise _decided()
        check_reject(body or {})
        self.rejected, self.state = (body or {}).get("status_code", 603), "ended"

    def refer(self, body: Any) -> None:
        """Relays a transfer; the carrier then leaves, unless no REFER goes out (1.5)."""
        self._check_live()
        check_refer(body)
        if self.behavior.refer_status >= 400:
            raise Refused(self.behavior.refer_status, "server_error", "The transfer could not be relayed.")
        self.referred = body["target_uri"]
        if self.behavior.refer_is_relayed:
            self._end("carrier")

    def hang_up(self) -> None:
        self._check_live()
        self._end("host")

    def attach(self) -> Events:
        """What is sent to a sideband socket that just opened: nothing, as measured (2.2)."""
        self._check_live()
        if self.behavior.accept_then_dead:
            raise no_session()
        if self._not_found_left:
            self._not_found_left -= 1
            raise no_session()
        if self.behavior.session_created_on_attach or not self.by_telephone:
            return [self._event("session.created", session=self.session)]
        return []

    def _check_live(self) -> None:
        if self.state != "accepted":
            raise no_session()

    def _end(self, by: Literal["caller", "host", "carrier", "service"]) -> None:
        self.state, self.hung_up_by = "ended", by
        self._plan.clear()
        self._open.clear()
        self._active = self._playing = None

    # --- the sideband: client events in ---

    def receive_text(self, message: str | bytes) -> Events:
        """Takes one message as it came from the socket."""
        try:
            event = json.loads(message)
        except ValueError:
            broken = Refused(400, "invalid_json", "Could not parse the message as JSON.")
            return [self._error(broken)] if self.state == "accepted" else []
        return self.receive(event)

    def receive(self, event: Any) -> Events:
        """Takes one client event and returns the server events that answer it at once."""
        if self.state != "accepted":
            return []
        self.received.append(event)
        try:
            check_event(event)
            return _HANDLERS[event["type"]](self, event)
        except Refused as refused:
            return [self._error(refused, event.get("event_id") if isinstance(event, dict) else None)]

    def _update_session(self, event: Event) -> Events:
        settings = event["session"]
        self.updates.append(settings)
        if self.behavior.ignore_session_update:
            return []
        check_session(settings, formats=self.behavior.formats if self.by_telephone else "distort")
        check_reasoning(settings, self.session["model"])
        self._check_fixed(settings)
        self.session = updated_session(self.session, settings, depth=self.behavior.merge_depth)
        self._note_formats(settings)
        echo = overlaid(self.session, self.behavior.echo_overrides)
        return [self._event("session.updated", session=echo)]

    def _check_fixed(self, settings: Mapping[str, Any]) -> None:
        model = self.session["model"]
        if settings.get("model", model) != model:
            # "All fields may change except model" (2.4); how the service says so is unknown (10.5).
            raise wrong_value("session.model", "The model of a session cannot be changed.")
        voice = settings.get("audio", {}).get("output", {}).get("voice")
        if voice and self._voice_heard is not None and voice != self.session["audio"]["output"]["voice"]:
            raise _voice_locked("session.audio.output.voice")
        tracing = self.session["tracing"]
        if tracing is not None and settings.get("tracing", tracing) != tracing:
            # Forbidden by the SDK's text (2.4); the real sentence is unknown (10.6).
            raise wrong_value("session.tracing", "Tracing cannot be changed once it is enabled.")

    def _note_formats(self, settings: Mapping[str, Any]) -> None:
        groups = settings.get("audio", {}).values() if self.by_telephone else ()
        self.distorted = self.distorted or any("format" in group for group in groups)

    def _create_response(self, event: Event) -> Events:
        wanted = event.get("response", {})
        if self._drops_left:
            self._drops_left -= 1
            return []
        if wanted.get("conversation") != "none":
            self._check_no_active_response()
        voice = wanted.get("audio", {}).get("output", {}).get("voice")
        if voice and self._voice_heard is not None and voice != self._voice_heard:
            raise _voice_locked("response.audio.output.voice")
        check_reasoning(wanted, self.session["model"])
        return self._respond(wanted)

    def _check_no_active_response(self) -> None:
        if self._active is not None:
            message = (
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise Refused(400, "conversation_already_has_active_response", message)

    def _cancel_response(self, event: Event) -> Events:
        response = self._active
        if "response_id" in event:
            response = next((r for r in self.responses if r.id == event["response_id"]), None)
        if response is None or response.status != "in_progress":
            raise Refused(400, "response_cancel_not_active", "Cancellation failed: no active response found")
        events = self._cancel(response, "client_cancelled")
        if response is self._playing:  # what was generated is still heard, unless the buffer is cleared (2.8)
            self._plan.append(Planned(SECONDS_A_WORD, response, partial(self._stop_playing, response)))
        return events

    def _clear_playback(self, event: Event) -> Events:
        return self._silence() if self._playing else []

    def _create_item(self, event: Event) -> Events:
        item, previous = event["item"], event.get("previous_item_id", self._last_item)
        if previous not in (None, "root") and previous not in self._items:
            raise _item_not_found(previous, "previous_item_id")
        if item["type"] == "function_call_output":
            self._take_tool_output(item)
        item_id = item.get("id") or self._new_id("item")
        if item_id in self._items:
            raise wrong_value("item.id", f"Item with id '{item_id}' already exists.")
        whole = {**item, "id": item_id, "object": "realtime.item", "status": "completed"}
        return [*self._add_item(whole, None if previous == "root" else previous), self._item_done(whole)]

    def _take_tool_output(self, item: Mapping[str, str]) -> None:
        call_id = item["call_id"]
        if call_id not in self._tool_calls:
            message = f"Tool call ID '{call_id}' not found in conversation."
            raise Refused(400, "invalid_tool_call_id", message, "item.call_id")
        name = self._tool_calls[call_id]
        self.tool_outputs.append({"call_id": call_id, "name": name, "output": item["output"]})

    def _delete_item(self, event: Event) -> Events:
        self._known_item(event)
        del self._items[event["item_id"]]
        self._last_item = next(reversed(self._items), None)
        return [self._event("conversation.item.deleted", item_id=event["item_id"])]

    def _retrieve_item(self, event: Event) -> Events:
        return [self._event("conversation.item.retrieved", item=self._known_item(event))]

    def _truncate_item(self, event: Event) -> Events:
        # On SIP the server truncates by itself and the client must not (2.8).
        if self._known_item(event).get("role") != "assistant":
            raise wrong_value("item_id", "Only model output audio messages can be truncated")
        raise wrong_value("audio_end_ms", "Audio content is already shorter than 'audio_end_ms'.")

    def _known_item(self, event: Event) -> dict[str, Any]:
        if event["item_id"] not in self._items:
            raise _item_not_found(event["item_id"], "item_id")
        return self._items[event["item_id"]]

    def _append_audio(self, event: Event) -> Events:
        if self.by_telephone:  # its sound comes from the carrier; the real sentence is unknown
            raise wrong_value("type", "Audio cannot be appended to the input buffer of a SIP call.")
        try:
            sound = array("h", base64.b64decode(event["audio"], validate=True))
        except ValueError:
            raise wrong_value("audio", "Invalid audio: expected base64 of 16-bit samples.") from None
        seconds = len(sound) / SAMPLES_A_SECOND
        self._clock += seconds
        if max(map(abs, sound), default=0) > LOUDEST_SILENCE:
            self._spoken_for, self._quiet_for = self._spoken_for + seconds, 0.0
            return self.caller_starts_speaking()
        self._quiet_for += seconds
        if self._speech_item is None or self._quiet_for < SILENCE_SECONDS:
            return []
        heard, self._spoken_for = f"({self._spoken_for:.1f} seconds of sound)", 0.0
        return self.caller_says(heard)

    def _clear_input(self, event: Event) -> Events:
        return [self._event("input_audio_buffer.cleared")]

    def _commit_input(self, event: Event) -> Events:
        message = "Error committing input audio buffer: buffer too small."
        raise Refused(400, "input_audio_buffer_commit_empty", message)

    # --- the caller ---

    def caller_starts_speaking(self) -> Events:
        """The caller makes a sound; with `interrupt_response` the agent falls silent (2.8)."""
        turn_detection = self._turn_detection()
        if turn_detection is None or self._speech_item is not None:
            return []  # without turn detection nobody tells when the caller speaks
        self._speech_item = self._new_id("item")
        start = {"audio_start_ms": self._clock_ms(), "item_id": self._speech_item}
        events = [self._event("input_audio_buffer.speech_started", **start)]
        if turn_detection["interrupt_response"]:
            events += self._interrupt()
        return events

    def caller_says(self, text: str, model: Replies = ()) -> Events:
        """The caller says something to its end; `model` is what the model will answer."""
        self.cue(model)
        events = self.caller_starts_speaking()
        item_id, self._speech_item = self._speech_item, None
        if item_id is None:
            return events
        stop = {"audio_end_ms": self._clock_ms(), "item_id": item_id}
        events.append(self._event("input_audio_buffer.speech_stopped", **stop))
        self._heard[item_id] = text
        events += self._commit_speech(item_id, {"type": "input_audio"})
        transcription = partial(self._transcribe, item_id, text)
        if self.behavior.transcription_is_late:
            events += self._answer_by_itself()
            self._plan.append(Planned(THINKING, None, transcription))
            return events
        return events + transcription() + self._answer_by_itself()

    def caller_presses(self, key: str) -> Events:
        """One tone. The event has no event_id, and the model hears nothing of it (2.3)."""
        if self.state != "accepted":
            return []
        received_at = self._now + int(self._clock)
        kind = "input_audio_buffer.dtmf_event_received"
        return [{"type": kind, "event": key, "received_at": received_at}]

    def caller_stays_silent(self, seconds: float) -> Events:
        """Silence; the service speaks by itself when `idle_timeout_ms` of server_vad runs out (2.3)."""
        self._clock += seconds
        idle = (self._turn_detection() or {}).get("idle_timeout_ms")
        if not idle or seconds * 1000 < idle or not self.quiet:
            return []
        item_id, end = self._new_id("item"), self._clock_ms()
        span = {"audio_start_ms": max(0, end - idle), "audio_end_ms": end, "item_id": item_id}
        events = [self._event("input_audio_buffer.timeout_triggered", **span)]
        return events + self._commit_speech(item_id, {"type": "input_audio"}) + self._respond({})

    def caller_hangs_up(self) -> None:
        """No event tells of it: the sideband just closes (2.7)."""
        if self.state != "ended":
            self._end("caller")

    def session_expires(self) -> Events:
        """The 60 minutes are over (2.6)."""
        message = "Your session hit the maximum duration of 60 minutes."
        events = [self._error(Refused(400, "session_expired", message))]
        self._end("service")
        return events

    def _turn_detection(self) -> dict[str, Any] | None:
        if self.state != "accepted":
            return None
        found: dict[str, Any] | None = self.session["audio"]["input"]["turn_detection"]
        return found

    def _commit_speech(self, item_id: str, content: dict[str, Any]) -> Events:
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [content],
        }
        previous = self._last_item
        committed = self._event("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        return [committed, *self._add_item(item, previous), self._item_done(item)]

    def _transcribe(self, item_id: str, text: str) -> Events:
        if self.session["audio"]["input"]["transcription"] is None:
            return []
        what = {"item_id": item_id, "content_index": 0}
        if self.behavior.transcription_fails:
            error = {"type": "server_error", "message": "403 Forbidden"}
            return [self._event("conversation.item.input_audio_transcription.failed", **what, error=error)]
        tokens = len(text.split()) * TOKENS_A_WORD
        usage = {
            "type": "tokens",
            "input_tokens": tokens,
            "output_tokens": tokens,
            "total_tokens": tokens * 2,
        }
        return [
            self._event("conversation.item.input_audio_transcription.delta", **what, delta=text),
            self._event("conversation.item.input_audio_transcription.completed", **what, transcript=text, usage=usage),
        ]

    def _answer_by_itself(self) -> Events:
        turn_detection = self._turn_detection()
        if turn_detection is None or not turn_detection["create_response"]:
            return []
        try:
            self._check_no_active_response()
        except Refused as refused:
            return [self._error(refused)]
        return self._respond({})

    # --- the model ---

    def cue(self, model: Replies) -> None:
        """Tells the model what its next responses are, one reply each; without a cue it thinks, or says "I see."."""
        self._cues.extend(replies(model))

    @property
    def cued(self) -> bool:
        """The model was told more than it has said."""
        return bool(self._cues)

    @property
    def quiet(self) -> bool:
        """Nothing is being generated, played or otherwise to come."""
        return not self._plan and not self._open and self._active is None and self._playing is None

    @property
    def audible(self) -> bool:
        """The caller hears the agent."""
        return self._playing is not None

    @property
    def upcoming(self) -> Planned | None:
        """The next planned step, the same object until it is taken or dropped."""
        return self._plan[0] if self._plan else None

    @property
    def delay(self) -> float | None:
        """Seconds before the next step at the pace of speech; None while nothing is planned."""
        return self._plan[0].delay if self._plan else None

    def next_step(self) -> tuple[float, Events] | None:
        """Takes the next step: the delay that should have passed, and what is then sent."""
        if not self._plan:
            return None
        planned = self._plan.popleft()
        self._clock += planned.delay
        return planned.delay, planned.produce()

    def _respond(self, wanted: Mapping[str, Any]) -> Events:
        response, self.owes_answer = self._new_response(wanted), False
        if response.conversation is not None:
            self._active = response
        self.responses.append(response)
        if self._failures_left:
            self._failures_left -= 1
            self._add_step(THINKING, response, self._finish, "failed", "rate_limit_exceeded")
        elif (reply := self._reply(wanted)) is not None:
            self._plan_outputs(response, reply)
        elif self.thinks:
            self._open[response.id] = response
            self._questions.append((response.id, self._asked(wanted)))
        else:
            self._plan_outputs(response, "I see.")
        return [
            self._event("response.created", response=self._described(response)),
            self._event("rate_limits.updated", rate_limits=_RATE_LIMITS),
        ]

    def _new_response(self, wanted: Mapping[str, Any]) -> Response:
        limit = wanted.get("max_output_tokens", self.session["max_output_tokens"])
        output = wanted.get("audio", {}).get("output", {})
        return Response(
            id=self._new_id("resp"),
            instructions=wanted.get("instructions"),
            metadata=wanted.get("metadata"),
            voice=output.get("voice", self.session["audio"]["output"]["voice"]),
            conversation=None if wanted.get("conversation") == "none" else f"conv_{self._tag}",
            modality=wanted.get("output_modalities", self.session["output_modalities"])[0],
            limit=None if limit == "inf" else limit,
        )

    def _reply(self, wanted: Mapping[str, Any]) -> "Reply | None":
        """What this response does: the line it is asked to say, else the next cue that it may follow, if any."""
        line = _line_asked_for(wanted)
        if line is not None:
            return self.behavior.says_instead(line) if self.behavior.says_instead else line
        silent = self._is_without_tools(wanted)
        while self._cues:
            cue = self._cues.popleft()
            if not (silent and isinstance(cue, ToolUse)):
                return cue
        return None

    def _is_without_tools(self, wanted: Mapping[str, Any]) -> bool:
        return bool(wanted.get("tool_choice", self.session["tool_choice"]) == "none")

    def _asked(self, wanted: Mapping[str, Any]) -> Asked:
        tools = wanted.get("tools", self.session["tools"])
        return Asked(
            call_id=self.call_id,
            instructions=wanted.get("instructions") or self.session["instructions"],
            tools=tuple(tool for tool in tools if tool["type"] == "function"),
            items=self.conversation,
            may_use_tools=not self._is_without_tools(wanted),
        )

    @property
    def conversation(self) -> tuple[dict[str, Any], ...]:
        """The items in their order, as the API has them; what the caller said is there as it was heard."""
        order: list[str] = []
        for item_id in self._items:
            before = self._before[item_id]
            position = order.index(before) + 1 if before in order else len(order) if before else 0
            order.insert(position, item_id)
        return tuple(self._as_heard(item_id) for item_id in order)

    def _as_heard(self, item_id: str) -> dict[str, Any]:
        item = self._items[item_id]
        if item_id not in self._heard:
            return item
        return {**item, "content": [{"type": "input_audio", "transcript": self._heard[item_id]}]}

    # --- the mind ---

    def questions(self) -> list[tuple[str, Asked]]:
        """Hands out, once, the responses that were left open, by their ids."""
        asked, self._questions = self._questions, []
        return asked

    def is_open(self, response_id: str) -> bool:
        """Whether a response waits to be decided; it does no more after a cancel, an interruption or the end."""
        return response_id in self._open

    @property
    def thinking(self) -> bool:
        """Whether any response waits to be decided."""
        return bool(self._open)

    def decide(self, response_id: str, reply: Reply) -> None:
        """Plans what an open response does; what is said of one that is not open any more is dropped."""
        response = self._open.pop(response_id, None)
        if response is not None:
            self._plan_outputs(response, reply)

    def fail(self, response_id: str, code: str = "server_error") -> None:
        """Lets an open response fail, as when the service's model breaks."""
        response = self._open.pop(response_id, None)
        if response is not None:
            self._add_step(0.0, response, self._finish, "failed", code)

    # --- what a response does ---

    def _plan_outputs(self, response: Response, reply: Reply) -> None:
        status, reason, words, delay = "completed", None, 0, THINKING
        for index, output in enumerate(reply if isinstance(reply, tuple) else (reply,)):
            output = self._possible(output)
            if isinstance(output, ToolUse):
                self._add_step(THINKING, response, self._use_tool, index, output)
                continue
            chunks = _chunks(output)
            if response.limit is not None and len(chunks) * WORDS_A_DELTA * TOKENS_A_WORD > response.limit:
                chunks = chunks[: max(1, response.limit // (WORDS_A_DELTA * TOKENS_A_WORD))]
                status, reason = "incomplete", "max_output_tokens"
            self._add_step(delay, response, self._open_message, index)
            for chunk in chunks:
                self._add_step(GENERATION_A_WORD * WORDS_A_DELTA, response, self._say, index, chunk)
            self._add_step(0.0, response, self._close_message, index, status)
            words, delay = words + len(chunks) * WORDS_A_DELTA, 0.0
        self._add_step(0.0, response, self._finish, status, reason)
        if words and response.modality == "audio" and self.by_telephone:
            rest = words * (SECONDS_A_WORD - GENERATION_A_WORD)
            self._add_step(rest, response, self._stop_playing)

    def _add_step(self, delay: float, response: Response, step: Callable[..., Events], *given: Any) -> None:
        self._plan.append(Planned(delay, response, partial(step, response, *given)))

    def _possible(self, output: str | ToolUse) -> str | ToolUse:
        """A model cannot call a tool that its session does not have: lost tools must be noticed."""
        if isinstance(output, str) or output.undeclared:
            return output
        declared = any(tool.get("name") == output.name for tool in self.session["tools"])
        return output if declared else f"I have no tool named {output.name}."

    def _open_message(self, response: Response, index: int) -> Events:
        response.item, response.item_text = self._new_id("item"), ""
        item = self._message(response, "in_progress", [])
        part = self._part(response)
        where = {"response_id": response.id, "output_index": index}
        return [
            self._event("response.output_item.added", **where, item=item),
            *self._add_item(item, self._last_item, response),
            self._event("response.content_part.added", **where, **self._content(response), part=part),
        ]

    def _say(self, response: Response, index: int, words: str) -> Events:
        response.said += words
        response.item_text = (response.item_text or "") + words
        where = {"response_id": response.id, "output_index": index, **self._content(response)}
        if response.modality == "text":
            return [self._event("response.output_text.delta", **where, delta=words)]
        events = [self._event("response.output_audio_transcript.delta", **where, delta=words)]
        if not self.by_telephone:
            self._voice_heard = self._voice_heard or response.voice
            return [*events, self._event("response.output_audio.delta", **where, delta=_sound(words))]
        if not response.audible and not response.muted:
            response.audible, response.started_at = True, self._clock
            self._playing, self._voice_heard = response, self._voice_heard or response.voice
            events.append(self._event("output_audio_buffer.started", response_id=response.id))
        return events

    def _close_message(self, response: Response, index: int, status: str) -> Events:
        said, content = response.item_text or "", self._content(response)
        part = self._part(response)
        where = {"response_id": response.id, "output_index": index}
        if response.modality == "text":
            done = self._event("response.output_text.done", **where, **content, text=said)
            kept = {"type": "output_text", "text": said}
        else:
            done = self._event("response.output_audio_transcript.done", **where, **content, transcript=said)
            kept = {"type": "output_audio", "transcript": said}
        item = self._message(response, status, [kept])
        response.output.append(item)
        response.item_text = None
        sounds = response.modality == "audio" and not self.by_telephone
        return [
            *([self._event("response.output_audio.done", **where, **content)] if sounds else []),
            done,
            self._event("response.content_part.done", **where, **content, part=part),
            self._event("response.output_item.done", **where, item=item),
            *self._finish_item(item, response),
        ]

    def _use_tool(self, response: Response, index: int, use: ToolUse) -> Events:
        call_id = self._new_id("call")
        self._tool_calls[call_id] = use.name
        response.tool_uses.append(use.name)
        self.owes_answer = True
        item = {
            "id": self._new_id("item"),
            "object": "realtime.item",
            "type": "function_call",
            "call_id": call_id,
            "name": use.name,
        }
        opened = {**item, "status": "in_progress", "arguments": ""}
        whole = {**item, "status": "completed", "arguments": use.arguments}
        response.output.append(whole)
        where = {"response_id": response.id, "output_index": index}
        words = {**where, "item_id": item["id"], "call_id": call_id}
        return [
            self._event("response.output_item.added", **where, item=opened),
            *self._add_item(opened, self._last_item, response),
            self._event("response.function_call_arguments.delta", **words, delta=use.arguments),
            self._event("response.function_call_arguments.done", **words, name=use.name, arguments=use.arguments),
            self._event("response.output_item.done", **where, item=whole),
            *self._finish_item(whole, response),
        ]

    def _finish(self, response: Response, status: str, reason: str | None) -> Events:
        """The end of generation; the caller may still be hearing it (3.5)."""
        response.status, response.reason = status, reason
        self._open.pop(response.id, None)
        if self._active is response:
            self._active = None
        return [self._event("response.done", response=self._described(response))]

    def _stop_playing(self, response: Response) -> Events:
        if self._playing is not response:
            return []
        self._playing = None
        return [self._event("output_audio_buffer.stopped", response_id=response.id)]

    # --- interruption ---

    def _interrupt(self) -> Events:
        events = self._cancel(self._active, "turn_detected") if self._active else []
        response = self._playing
        if response is not None:
            heard_ms = round((self._clock - response.started_at) * 1000)
            events += self._silence()
            truncated = {"item_id": response.item, "content_index": 0, "audio_end_ms": heard_ms}
            events.append(self._event("conversation.item.truncated", **truncated))
        return events

    def _cancel(self, response: Response, reason: str) -> Events:
        self._drop_steps(response)
        events = []
        if response.item_text is not None:
            events = self._close_message(response, len(response.output), "incomplete")
        return events + self._finish(response, "cancelled", reason)

    def _silence(self) -> Events:
        response, self._playing = self._playing, None
        assert response is not None
        response.muted = True
        if response.status != "in_progress":
            self._drop_steps(response)
        return [self._event("output_audio_buffer.cleared", response_id=response.id)]

    def _drop_steps(self, response: Response) -> None:
        self._plan = deque(planned for planned in self._plan if planned.response is not response)

    # --- items and events ---

    def _add_item(self, item: dict[str, Any], previous: str | None, by: Response | None = None) -> Events:
        if by is not None and by.conversation is None:
            return []  # an out-of-band response leaves nothing in the conversation
        self._items[item["id"]], self._before[item["id"]] = item, previous
        self._last_item = item["id"]
        return [self._event("conversation.item.added", item=item, previous_item_id=previous)]

    def _finish_item(self, item: dict[str, Any], by: Response) -> Events:
        if by.conversation is None:
            return []
        self._items[item["id"]] = item
        return [self._item_done(item)]

    def _item_done(self, item: dict[str, Any]) -> Event:
        previous = self._before[item["id"]]
        return self._event("conversation.item.done", item=item, previous_item_id=previous)

    def _message(self, response: Response, status: str, content: list[Any]) -> dict[str, Any]:
        return {
            "id": response.item,
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _content(self, response: Response) -> dict[str, Any]:
        return {"item_id": response.item, "content_index": 0}

    def _part(self, response: Response) -> dict[str, Any]:
        said = response.item_text or ""
        if response.modality == "text":
            return {"type": "text", "text": said}
        return {"type": "audio", "transcript": said}

    def _described(self, response: Response) -> dict[str, Any]:
        described = {
            "id": response.id,
            "object": "realtime.response",
            "status": response.status,
            "status_details": _status_details(response),
            "output": list(response.output),
            "conversation_id": response.conversation,
            "output_modalities": [response.modality],
            "max_output_tokens": "inf" if response.limit is None else response.limit,
            "audio": {"output": {"format": self.session["audio"]["output"]["format"], "voice": response.voice}},
            "metadata": response.metadata,
            "usage": None if response.status == "in_progress" else self._usage(response),
        }
        return {name: value for name, value in described.items() if value is not None or name in _NULLABLE}

    def _usage(self, response: Response) -> dict[str, Any]:
        """Tokens in a plausible relation to what was said, for those who count the cost."""
        text = len(self.session["instructions"]) // 4 + len(response.instructions or "") // 4
        heard = len(self._items) * TOKENS_A_WORD
        spoken = len(response.said.split()) * TOKENS_A_WORD if response.modality == "audio" else 0
        written = len(response.said.split()) + 10 * len(response.tool_uses)
        return {
            "total_tokens": text + heard + spoken + written,
            "input_tokens": text + heard,
            "output_tokens": spoken + written,
            "input_token_details": {
                "text_tokens": text,
                "audio_tokens": heard,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": written, "audio_tokens": spoken},
        }

    def _error(self, refused: Refused, client_event_id: Any = None) -> Event:
        # Two kinds of refusal were seen without the id: this one for reasoning, which has no code (2.4) …
        nameless = self.behavior.error_without_event_id or refused.code is None
        if refused.code == "conversation_already_has_active_response":  # … and this one, now and then (3.4)
            nameless = nameless or self.behavior.refuse_create_without_event_id
        known = isinstance(client_event_id, str) and not nameless
        error = {**refused.error, "event_id": client_event_id if known else None}
        self.errors.append(error)
        return self._event("error", error=error)

    def _event(self, kind: str, **fields: Any) -> Event:
        return {"type": kind, "event_id": self._new_id("event"), **fields}

    def _new_id(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}_{self._tag}_{self._serial}"

    def _clock_ms(self) -> int:
        return round(self._clock * 1000)


_HANDLERS: dict[str, Callable[[Peer, Event], Events]] = {
    "session.update": Peer._update_session,
    "response.create": Peer._create_response,
    "response.cancel": Peer._cancel_response,
    "output_audio_buffer.clear": Peer._clear_playback,
    "conversation.item.create": Peer._create_item,
    "conversation.item.delete": Peer._delete_item,
    "conversation.item.retrieve": Peer._retrieve_item,
    "conversation.item.truncate": Peer._truncate_item,
    "input_audio_buffer.append": Peer._append_audio,
    "input_audio_buffer.clear": Peer._clear_input,
    "input_audio_buffer.commit": Peer._commit_input,
}
_NULLABLE = frozenset({"metadata"})
_RATE_LIMITS = [
    {"name": "requests", "limit": 1_000, "remaining": 999, "reset_seconds": 0.06},
    {"name": "tokens", "limit": 400_000, "remaining": 399_000, "reset_seconds": 0.15},
]
_WORDS = re.compile(r"\S+\s*|\s+")


def _sound(words: str) -> str:
    """Silence for as long as words take, in base64."""
    samples = round(len(words.split()) * SECONDS_A_WORD * SAMPLES_A_SECOND)
    return base64.b64encode(bytes(2 * samples)).decode()


def _chunks(text: str) -> list[str]:
    words = _WORDS.findall(text)
    return ["".join(words[at : at + WORDS_A_DELTA]) for at in range(0, len(words), WORDS_A_DELTA)]


def _line_asked_for(wanted: Mapping[str, Any]) -> str | None:
    instructions: str | None = wanted.get("instructions")
    if not instructions:
        return None
    line = spoken_line(instructions)
    return instructions if line is None and MARKER in (wanted.get("metadata") or {}) else line


def _status_details(response: Response) -> dict[str, Any] | None:
    if response.status in ("in_progress", "completed"):
        return None
    if response.status == "failed":
        error = {"type": "rate_limit_error", "code": response.reason}
        return {"type": "failed", "error": error}
    return {"type": response.status, "reason": response.reason}


def _voice_locked(param: str) -> Refused:
    message = "Cannot update a conversation's voice if assistant audio is present."
    return Refused(400, "cannot_update_voice", message, param)


def _item_not_found(item_id: str | None, param: str) -> Refused:
    return Refused(400, "item_not_found", f"Item with item_id '{item_id}' not found.", param)
