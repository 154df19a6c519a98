"""One call's life: its states, what may happen in each, and what to do then. Waits for nothing, knows no clock.

    INCOMING ──▶ ACCEPTING ──▶ ATTACHING ──▶ ACTIVE ──▶ ENDING ──▶ ENDED
        └────────────┴─────────────┴────────────────────────────────▲

`Call.handle(event, at)` gives the commands that follow. An event that the table does not know in this state
raises `UnexpectedEvent` and changes nothing. Every way to ENDED passes `_end`, which records the outcome, so
that no call can end unlogged. Who answers the caller's turns is decided in `turns`, which response is under way
in `responses`; here they are put together.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from runtime import events as e
from runtime.commands import (
    Accept,
    Attach,
    CancelTimer,
    Command,
    Finish,
    HangUp,
    Record,
    Reject,
    RunTool,
    Send,
    StartTimer,
)
from runtime.errors import UnexpectedEvent
from runtime.incoming import IncomingCall
from runtime.receipt import Receipt, compare, likeness
from runtime.responses import TIMER as RESPONSE
from runtime.responses import Responses
from runtime.session import FAREWELL, LINE, SessionSettings
from runtime.transcript import Transcript
from runtime.turns import AnsweredBy, Turns

CONFIRM_SECONDS = 5.0  # the SDK for JavaScript waits as long for session.updated (protocol 3.1)
HELLO_SECONDS = 6.0  # a "hello?" before we were attached is never told; then the agent speaks first after all
GREETING_SECONDS = 30.0  # a greeting that is never heard to its end must not hold the caller's turns
FIRST_WORDS_SECONDS = 30.0  # who left while it rang would be talked to for ever (protocol trap 23)
FAREWELL_SECONDS = 12.0  # the longest that a goodbye may take to be heard (protocol 3.5)
MAX_LOSSES = 5  # a sideband that closes as often without a confirmed session in between will not hold

_GREETING, _ANSWER = "greeting", "answer"
_CONFIRM, _HELLO, _HEARD, _FIRST_WORDS, _GOODBYE = "confirm", "hello", "greeting heard", "first words", "goodbye"
_BUSY = "conversation_already_has_active_response"
_HARMLESS = {"response_cancel_not_active", "item_not_found", "input_audio_buffer_commit_empty"}


class State(Enum):
    """Where a call stands."""

    INCOMING = "incoming"
    ACCEPTING = "accepting"
    ATTACHING = "attaching"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a call ended."""

    CALLER_HUNG_UP = "caller_hung_up"
    NOBODY_SPOKE = "nobody_spoke"
    DRAINED = "drained"
    EXPIRED = "expired"  # the service's limit of 60 minutes
    NO_AGENT = "no_agent"
    NOT_TAKEN = "not_taken"  # the host is draining
    STALE = "stale"  # the webhook came too late
    GONE = "gone"  # left before the accept, or taken by another host
    ACCEPT_FAILED = "accept_failed"
    ATTACH_FAILED = "attach_failed"
    NOT_CONFIRMED = "not_confirmed"
    CONNECTION_LOST = "connection_lost"
    FAILED = "failed"


_USUAL = {Outcome.CALLER_HUNG_UP, Outcome.NO_AGENT, Outcome.DRAINED, Outcome.GONE, Outcome.NOT_TAKEN}


@dataclass(slots=True)
class Call:
    """One call. Feed it events, obey its commands."""

    state: State = State.INCOMING
    outcome: Outcome | None = None
    receipt: Receipt = field(default_factory=Receipt)
    transcript: Transcript = field(default_factory=Transcript)
    usage: dict[str, int] = field(default_factory=dict)
    _at: float = 0.0
    _began_at: float = 0.0
    _settings: SessionSettings | None = None
    _turns: Turns = field(default_factory=Turns)
    _responses: Responses = field(default_factory=Responses)
    _draining: bool = False
    _certain: bool = True
    _attached: bool = False
    _losses: int = 0
    _expired: bool = False
    _updates: int = 0
    _refused_parameters: list[str] = field(default_factory=list)
    _awaits_hello: bool = False
    _heard_anybody: bool = False
    _playing: set[str] = field(default_factory=set)
    _lines: dict[str, str] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)
    _tools: dict[str, str] = field(default_factory=dict)
    _items: int = 0
    _unconfirmed: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def handle(self, event: e.Event, at: float) -> list[Command]:
        """Take one event at a time in seconds, and return the commands that follow from it."""
        handler = _TABLE[self.state].get(type(event))
        if handler is None:
            raise UnexpectedEvent(self.state.value, type(event).__name__)
        self._at = at
        commands: list[Command] = handler(self, event)
        return commands

    # ── incoming ──────────────────────────────────────────────────────────────────────────────────────────────

    def _arrive(self, event: e.CallArrived) -> list[Command]:
        self._began_at = self._at
        self._settings = event.settings
        if event.settings.starts_held:
            self._turns.by = AnsweredBy.NOBODY
        self.state = State.ACCEPTING
        agent = event.match.agent
        self.receipt = Receipt(revision=event.match.revision, digest=agent.digest)
        matched = {"agent": agent.name, "rule": str(event.match.rule), "revision": event.match.revision}
        return [
            _incoming(event.call),
            Record("matched", {**matched, "digest": agent.digest}),
            Accept(event.settings.accept()),
        ]

    def _turn_away(self, event: e.CallTurnedAway) -> list[Command]:
        self._began_at = self._at
        rejection: list[Command] = [Reject(event.status)] if event.status else []
        return [_incoming(event.call), *rejection, *self._end(Outcome(event.outcome), event.reason)]

    # ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────

    def _accepted(self, event: e.Accepted) -> list[Command]:
        if self._draining:
            return self._hang_up(Outcome.DRAINED, "accepted when the host was draining already")
        self.state = State.ATTACHING
        self._certain = event.certain
        message = "the service refused a setting at accept and got the call without it"
        refused = [Record(message, {"parameter": name}, level=logging.ERROR) for name in event.dropped]
        return [Record("accepted"), *refused, Attach()]

    def _accept_failed(self, event: e.AcceptFailed) -> list[Command]:
        """Free the caller. A refusal may hide an accept that was taken, so the call is hung up too."""
        if event.gone:
            return self._end(Outcome.GONE, event.reason)
        return [Reject(503), *self._hang_up(Outcome.ACCEPT_FAILED, event.reason)]

    def _drain_later(self, event: e.DrainEnded | e.HostStopped) -> list[Command]:
        self._draining = True
        return []

    def _fail_before_accept(self, event: e.Failed) -> list[Command]:
        return [Reject(503), *self._hang_up(Outcome.FAILED, event.reason)]

    # ── attaching ─────────────────────────────────────────────────────────────────────────────────────────────

    def _attach(self, event: e.Attached) -> list[Command]:
        again = self._losses > 0
        told = Record("attached again", level=logging.WARNING) if again else Record("attached")
        return [told, *self._resume(), StartTimer(_CONFIRM, CONFIRM_SECONDS)]

    def _resume(self) -> list[Command]:
        """Tell the service our settings, and everything that it has not confirmed to have."""
        self._attached = True
        items = [Send(event) for event in self._unconfirmed.values()]
        return [self._update(), *items, *self._responses.attach()]

    def _attach_failed(self, event: e.AttachFailed) -> list[Command]:
        if event.gone and self._losses:
            return self._hang_up(Outcome.CALLER_HUNG_UP)
        ringing: list[Command] = [] if self._certain else [Reject(503)]
        return [*ringing, *self._hang_up(Outcome.ATTACH_FAILED, event.reason)]

    def _confirmed(self, event: e.SessionConfirmed) -> list[Command]:
        receipt = self._take_receipt(event)
        return [Record("confirmed", {"differences": len(self.receipt.differences)}), *receipt, *self._activate()]

    def _refused_while_attaching(self, event: e.ServiceRefused) -> list[Command]:
        if not self._answers_update(event):
            return self._refused(event)
        again = self._without_refused(event)
        if again:
            return again
        message = "the service refused the session update; the call goes on with what accept settled"
        return [Record(message, _refusal(event), level=logging.ERROR), *self._activate()]

    def _activate(self) -> list[Command]:
        self.state = State.ACTIVE
        commands: list[Command] = [CancelTimer(_CONFIRM), StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS)]
        if self._current.greeting is None:
            return commands
        if self._current.wait_for_caller and self._turns.held and not self._turns.waiting:
            self._awaits_hello = True
            return [*commands, StartTimer(_HELLO, HELLO_SECONDS)]
        return [*commands, *self._greet()]

    # ── the greeting, and who answers the caller's turns ──────────────────────────────────────────────────────

    def _greet(self) -> list[Command]:
        self._awaits_hello = self._turns.waiting = False
        assert self._current.greeting is not None, "only who has a greeting greets"
        guard: list[Command] = [StartTimer(_HEARD, GREETING_SECONDS)] if self._turns.held else []
        said = self._current.say(self._current.greeting, _GREETING)
        return [CancelTimer(_HELLO), *guard, *self._responses.want(_GREETING, said)]

    def _caller_spoke(self, event: e.CallerSpoke | e.DigitPressed) -> list[Command]:
        first, self._heard_anybody = not self._heard_anybody, True
        commands: list[Command] = [CancelTimer(_FIRST_WORDS)] if first else []
        if isinstance(event, e.DigitPressed):
            commands.append(Record("digit pressed", private={"digit": event.digit}, level=logging.DEBUG))
            commands += self._greet() if self._awaits_hello else []
        return commands

    def _caller_turn_ended(self, event: e.CallerTurnEnded) -> list[Command]:
        if self._awaits_hello:
            return self._greet()
        return self._answer() if self._turns.ended() else []

    def _release(self) -> list[Command]:
        """Let the caller's turns be answered again, if a greeting holds them."""
        if not self._turns.release():
            return []
        return [CancelTimer(_HEARD), self._update_release(), StartTimer(_CONFIRM, CONFIRM_SECONDS)]

    def _settle_turns(self, *, by_service: bool) -> list[Command]:
        """The service answers turns by itself again, or will not. A turn that came before would never be answered."""
        waiting = self._turns.settle(by_service=by_service or not self._current.answers_turns)
        return self._answer() if waiting and self._current.answers_turns else []

    def _answer(self) -> list[Command]:
        return self._responses.want(_ANSWER, {"metadata": {LINE: _ANSWER}})

    # ── the conversation ──────────────────────────────────────────────────────────────────────────────────────

    def _item_added(self, event: e.ItemAdded) -> list[Command]:
        self._unconfirmed.pop(event.item_id, None)
        self.transcript.add(event.item_id, event.previous_item_id)
        return []

    def _transcribed(self, event: e.Transcribed) -> list[Command]:
        self.transcript.say(event.item_id, "caller", event.text)
        return [Record("caller said", private={"text": event.text}, level=logging.DEBUG)]

    def _transcription_failed(self, event: e.TranscriptionFailed) -> list[Command]:
        return [Record("the caller's words were not transcribed", {"said": event.reason}, level=logging.WARNING)]

    def _agent_said(self, event: e.AgentSaid) -> list[Command]:
        self.transcript.say(event.item_id, "agent", event.text)
        if self._lines.get(event.response_id) == _GREETING:
            self._said[event.response_id] = event.text
            return []
        return [Record("agent said", private={"text": event.text}, level=logging.DEBUG)]

    def _response_created(self, event: e.ResponseCreated) -> list[Command]:
        commands = self._responses.created(event.response_id, event.line)
        if event.line is not None:
            self._lines[event.response_id] = event.line
        if event.line == _GREETING and self._current.interruptible:
            commands += self._release()
        return commands

    def _response_done(self, event: e.ResponseDone) -> list[Command]:
        for key in ("input_tokens", "output_tokens", "total_tokens"):
            amount = event.usage.get(key)
            if isinstance(amount, int):
                self.usage[key] = self.usage.get(key, 0) + amount
        commands = self._judge_greeting(event)
        failed = event.status == "failed"
        if failed:
            commands.append(Record("a response failed", {"reason": event.reason}, level=logging.WARNING))
        commands += self._responses.done(event.response_id, event.line, failed=failed)
        if failed and event.line is None:  # the service's own answer to the caller
            commands += self._answer()
        if event.status != "completed" and not (failed and event.line == _GREETING):
            commands += self._line_over(event.response_id)  # nothing more of it will be played
        return [*commands, *self._tell_lost()]

    def _judge_greeting(self, event: e.ResponseDone) -> list[Command]:
        """Compare what was said with the declared greeting, once it was said to its end."""
        text = self._said.pop(event.response_id, None)
        if text is None:
            return []
        private = {"declared": self._current.greeting, "text": text}
        if event.status != "completed":
            return [Record("the greeting was broken off", {"status": event.status}, private)]
        alike = likeness(self._current.greeting or "", text)
        self.receipt = self.receipt.with_greeting(alike)
        level = logging.WARNING if alike == "different" else logging.INFO
        return [Record("greeting", {"likeness": alike}, private, level)]

    def _playback_started(self, event: e.PlaybackStarted) -> list[Command]:
        self._playing.add(event.response_id)
        line = self._lines.get(event.response_id, "")
        return [Record("audible", {"line": line} if line else {}, level=logging.DEBUG)]

    def _playback_ended(self, event: e.PlaybackEnded) -> list[Command]:
        self._playing.discard(event.response_id)
        return self._line_over(event.response_id)

    def _line_over(self, response_id: str) -> list[Command]:
        """A response is heard no more. After the greeting the caller has the word, after the farewell nobody."""
        line = self._lines.pop(response_id, None)
        if line == FAREWELL:
            return [CancelTimer(_GOODBYE), HangUp()]
        if line != _GREETING:
            return []
        commands = self._release()
        if not self._heard_anybody:
            commands.append(StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS))
        return commands

    # ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool_called(self, event: e.ToolCalled) -> list[Command]:
        self._tools[event.tool_call_id] = event.response_id or event.tool_call_id
        record = Record("tool called", {"tool": event.name}, {"arguments": event.arguments})
        return [record, RunTool(event.tool_call_id, event.name, event.arguments)]

    def _tool_finished(self, event: e.ToolFinished) -> list[Command]:
        """Give the model the result; when all tools of one response have theirs, ask it to go on, exactly once."""
        fields = {"tool": event.name, "seconds": round(event.seconds, 3), "failed": event.failed}
        level = logging.WARNING if event.failed else logging.INFO
        told = Record("tool finished", fields, {"result": event.output}, level)
        output = {"type": "function_call_output", "call_id": event.tool_call_id, "output": event.output}
        response_id = self._tools.pop(event.tool_call_id, event.tool_call_id)
        commands = [told, *self._add_item(output)]
        if response_id in self._tools.values():
            return commands
        line = f"after {response_id}"
        return [*commands, *self._responses.want(line, {"metadata": {LINE: line}})]

    def _add_item(self, item: Mapping[str, Any]) -> list[Command]:
        """Send an item, and keep it until the service has told that it is in the conversation."""
        self._items += 1
        item_id = f"switchboard_{self._items}"
        event = {"type": "conversation.item.create", "item": {"id": item_id, **item}}
        self._unconfirmed[item_id] = event
        return [Send(event)] if self._attached else []

    # ── what the service refuses, and what it confirms later ──────────────────────────────────────────────────

    def _refused(self, event: e.ServiceRefused) -> list[Command]:
        if event.code == _BUSY:
            record = Record("a response was active already; asked again later", level=logging.DEBUG)
            return [record, *self._responses.refused(event.event_id, event.message)]
        if event.code == "session_expired":
            self._expired = True
            return [Record("the service's limit of 60 minutes is reached", _refusal(event))]
        if event.code in _HARMLESS:
            return [Record("the service refused a late event", _refusal(event), level=logging.DEBUG)]
        if self._answers_update(event):
            return self._update_refused(event)
        return [Record("the service refused an event", _refusal(event), level=logging.WARNING)]

    def _answers_update(self, event: e.ServiceRefused) -> bool:
        """Tell whether an error can be the answer to our latest session update: some errors name no event."""
        if event.code in _HARMLESS or event.code in (_BUSY, "session_expired"):
            return False
        waiting = self.state is State.ATTACHING or self._turns.by is AnsweredBy.ASKED
        return event.event_id == f"update_{self._updates}" or (event.event_id is None and waiting)

    def _update_refused(self, event: e.ServiceRefused) -> list[Command]:
        again = self._without_refused(event)
        if again:
            return again
        record = Record("the service refused a session update", _refusal(event), level=logging.ERROR)
        return [record, *self._settle_turns(by_service=False)]

    def _without_refused(self, event: e.ServiceRefused) -> list[Command]:
        """Send the update again without the parameter that was refused, once for each."""
        parameter = "session.audio.output.voice" if event.code == "cannot_update_voice" else event.parameter
        if not parameter or parameter in self._refused_parameters:
            return []
        self._refused_parameters.append(parameter)
        record = Record("the service refused a setting; sent again without it", _refusal(event), level=logging.ERROR)
        return [record, self._update_release() if self._turns.by is AnsweredBy.ASKED else self._update()]

    def _reconfirmed(self, event: e.SessionConfirmed) -> list[Command]:
        detection = event.session.get("audio", {}).get("input", {}).get("turn_detection") or {}
        settled = self._settle_turns(by_service=detection.get("create_response") is True)
        return [CancelTimer(_CONFIRM), *self._take_receipt(event), *settled]

    def _take_receipt(self, event: e.SessionConfirmed) -> list[Command]:
        self._losses = 0
        self.receipt = self.receipt.with_rows(compare(self._current.declared(held=self._turns.held), event.session))
        message = "the service holds a setting otherwise than declared"
        return [Record(message, *row.told(), level=logging.WARNING) for row in self.receipt.differences]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _timer_fired(self, event: e.TimerFired) -> list[Command]:
        late = _LATE.get(event.name)
        return late(self) if late else []

    def _response_late(self) -> list[Command]:
        return [*self._responses.waited(), *self._tell_lost()]

    def _tell_lost(self) -> list[Command]:
        """Tell loudly of responses that were asked for in vain, and go on without them."""
        commands: list[Command] = []
        lost, self._responses.lost = self._responses.lost, []
        for line in lost:
            commands.append(Record("the service never gave a response", {"line": line}, level=logging.ERROR))
            commands += self._release() if line == _GREETING else []
        return commands

    def _confirmation_late(self) -> list[Command]:
        if self.state is State.ATTACHING:
            return self._hang_up(Outcome.NOT_CONFIRMED, f"no session.updated in {CONFIRM_SECONDS:g} s")
        if self._turns.by is AnsweredBy.ASKED:
            record = Record("the service does not say that it answers turns again", level=logging.ERROR)
            return [record, *self._settle_turns(by_service=False)]
        return []

    def _hello_late(self) -> list[Command]:
        return self._greet() if self._awaits_hello else []

    def _first_words_late(self) -> list[Command]:
        if self.state is not State.ACTIVE or self._heard_anybody:
            return []
        if self._playing or self._tools or not self._responses.idle:
            return [StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS)]
        return self._hang_up(Outcome.NOBODY_SPOKE, f"nothing was heard for {FIRST_WORDS_SECONDS:g} s")

    def _goodbye_late(self) -> list[Command]:
        return [HangUp()]

    # ── the sideband closes while the call may live ───────────────────────────────────────────────────────────

    def _sideband_closed(self, event: e.SidebandClosed) -> list[Command]:
        """The code does not tell whether the call is over; attaching again does (protocol 2.7)."""
        self._attached = False
        self._losses += 1
        if self._losses > MAX_LOSSES:
            return self._hang_up(Outcome.CONNECTION_LOST, f"the sideband closed {self._losses} times in a row")
        fields = {"code": event.code, "reason": event.reason}
        told = Record("sideband closed", fields, level=logging.DEBUG)
        return [told, *self._responses.detach(), Attach(again=True)]

    def _attach_again(self, event: e.Attached) -> list[Command]:
        return [Record("attached again", level=logging.WARNING), *self._resume()]

    def _attach_again_failed(self, event: e.AttachFailed) -> list[Command]:
        if self._expired:
            return self._hang_up(Outcome.EXPIRED, "the service allows 60 minutes")
        if event.gone:
            return self._hang_up(Outcome.CALLER_HUNG_UP)
        return self._hang_up(Outcome.CONNECTION_LOST, event.reason)

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────────

    def _say_goodbye(self, event: e.DrainEnded) -> list[Command]:
        if not self._attached:
            return self._hang_up(Outcome.DRAINED)
        self.state = State.ENDING
        self.outcome = Outcome.DRAINED
        commands: list[Command] = [Record("saying goodbye"), StartTimer(_GOODBYE, FAREWELL_SECONDS)]
        return commands + self._responses.want(FAREWELL, self._current.farewell())

    def _drained(self, event: e.DrainEnded | e.HostStopped) -> list[Command]:
        return self._hang_up(Outcome.DRAINED)

    def _fail(self, event: e.Failed) -> list[Command]:
        return self._hang_up(Outcome.FAILED, event.reason)

    def _fail_while_ending(self, event: e.Failed) -> list[Command]:
        return self._end(self.outcome or Outcome.FAILED, event.reason)

    def _over_while_ending(self, event: e.SidebandClosed | e.AttachFailed | e.HostStopped) -> list[Command]:
        self._attached = False
        return [CancelTimer(_GOODBYE), HangUp()]

    def _hung_up(self, event: e.HungUp) -> list[Command]:
        return self._end(self.outcome or Outcome.FAILED, event.problem, badly=bool(event.problem))

    def _hang_up(self, outcome: Outcome, reason: str = "") -> list[Command]:
        self.state = State.ENDING
        self.outcome = outcome
        told = Record("hanging up", {"outcome": outcome.value, "reason": reason}, level=logging.WARNING)
        return [*([told] if reason else []), CancelTimer(_FIRST_WORDS), HangUp()]

    def _end(self, outcome: Outcome, reason: str = "", *, badly: bool = False) -> list[Command]:
        self.state = State.ENDED
        self.outcome = outcome
        fields: dict[str, Any] = {"outcome": outcome.value, "seconds": round(self._at - self._began_at, 3)}
        fields |= {"reason": reason} if reason else {}
        receipt = self.receipt
        told = {"greeting": receipt.greeting, "revision": receipt.revision, "digest": receipt.digest}
        fields |= {name: value for name, value in told.items() if value} | self.usage
        level = logging.ERROR if badly else logging.INFO if outcome in _USUAL else logging.WARNING
        return [Record("ended", fields, {"transcript": self.transcript.lines()}, level), Finish()]

    def _ignore(self, event: e.Event) -> list[Command]:
        return []

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _current(self) -> SessionSettings:
        assert self._settings is not None, "settings come with CallArrived"
        return self._settings

    def _update(self) -> Command:
        return self._send_update(self._current.update(held=self._turns.held, without=self._refused_parameters))

    def _update_release(self) -> Command:
        return self._send_update(self._current.release(self._refused_parameters))

    def _send_update(self, session: Mapping[str, Any]) -> Command:
        self._updates += 1
        return Send({"type": "session.update", "event_id": f"update_{self._updates}", "session": session})


def _incoming(call: IncomingCall) -> Command:
    return Record("incoming", {"called": call.called, "caller": call.caller})


def _refusal(event: e.ServiceRefused) -> dict[str, Any]:
    return {"code": event.code, "parameter": event.parameter, "said": event.message}


_LATE: dict[str, Callable[[Call], list[Command]]] = {
    RESPONSE: Call._response_late,
    _CONFIRM: Call._confirmation_late,
    _HELLO: Call._hello_late,
    _HEARD: Call._release,
    _FIRST_WORDS: Call._first_words_late,
    _GOODBYE: Call._goodbye_late,
}

_Handler = Callable[[Call, Any], list[Command]]

_CONVERSATION: dict[type[e.Event], _Handler] = {
    e.CallerSpoke: Call._caller_spoke,
    e.DigitPressed: Call._caller_spoke,
    e.CallerTurnEnded: Call._caller_turn_ended,
    e.ItemAdded: Call._item_added,
    e.Transcribed: Call._transcribed,
    e.TranscriptionFailed: Call._transcription_failed,
    e.AgentSaid: Call._agent_said,
    e.ResponseCreated: Call._response_created,
    e.ResponseDone: Call._response_done,
    e.PlaybackStarted: Call._playback_started,
    e.PlaybackEnded: Call._playback_ended,
    e.ToolCalled: Call._tool_called,
    e.ToolFinished: Call._tool_finished,
    e.TimerFired: Call._timer_fired,
}

_TABLE: dict[State, dict[type[e.Event], _Handler]] = {
    State.INCOMING: {
        e.CallArrived: Call._arrive,
        e.CallTurnedAway: Call._turn_away,
    },
    State.ACCEPTING: {
        e.Accepted: Call._accepted,
        e.AcceptFailed: Call._accept_failed,
        e.DrainEnded: Call._drain_later,
        e.HostStopped: Call._drain_later,
        e.Failed: Call._fail_before_accept,
    },
    State.ATTACHING: {
        **_CONVERSATION,  # the model may speak before we are attached
        e.Attached: Call._attach,
        e.AttachFailed: Call._attach_failed,
        e.SessionConfirmed: Call._confirmed,
        e.ServiceRefused: Call._refused_while_attaching,
        e.SidebandClosed: Call._sideband_closed,
        e.DrainEnded: Call._drained,
        e.HostStopped: Call._drained,
        e.Failed: Call._fail,
    },
    State.ACTIVE: {
        **_CONVERSATION,
        e.SessionConfirmed: Call._reconfirmed,
        e.ServiceRefused: Call._refused,
        e.SidebandClosed: Call._sideband_closed,
        e.Attached: Call._attach_again,
        e.AttachFailed: Call._attach_again_failed,
        e.DrainEnded: Call._say_goodbye,
        e.HostStopped: Call._drained,
        e.Failed: Call._fail,
    },
    State.ENDING: {
        **_CONVERSATION,
        e.ToolCalled: Call._ignore,
        e.ToolFinished: Call._ignore,
        e.SessionConfirmed: Call._ignore,
        e.ServiceRefused: Call._refused,
        e.SidebandClosed: Call._over_while_ending,
        e.AttachFailed: Call._over_while_ending,
        e.Attached: Call._ignore,
        e.DrainEnded: Call._ignore,
        e.HostStopped: Call._over_while_ending,
        e.HungUp: Call._hung_up,
        e.Failed: Call._fail_while_ending,
    },
    State.ENDED: {},
}
