"""One call's life: its states, what may happen in each, and what to do then. Waits for nothing, knows no clock.

    INCOMING ──▶ ACCEPTING ──▶ ATTACHING ──▶ ACTIVE ──▶ ENDING ──▶ ENDED
        └────────────┴─────────────┴────────────────────────────────▲

`Call.handle(event, at)` gives the commands that follow. An event that the table does not know in this state
raises `UnexpectedEvent` and changes nothing. Every way to ENDED passes `_end`, which records the outcome, so
that no call can end unlogged.
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
from runtime.session import LINE, SessionSettings
from runtime.transcript import Transcript

MAX_LOSSES = 5  # a sideband that closes as often without a confirmed session in between will not hold
CONFIRM_SECONDS = 5.0  # the SDK for JavaScript waits as long for session.updated (protocol 3.1)
FIRST_WORDS_SECONDS = 30.0  # who left while it rang would be talked to for ever (protocol trap 23)
GREETING_SECONDS = 30.0  # a greeting that is never heard to its end must not hold the caller's turns
FAREWELL_SECONDS = 12.0  # the longest that a goodbye may take to be heard (protocol 3.5)

_CONFIRM, _FIRST_WORDS, _GREETING, _FAREWELL = "confirm", "first words", "greeting", "farewell"
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
    _held: bool = False
    _attached: bool = False
    _heard_anybody: bool = False
    _expired: bool = False
    _updates: int = 0
    _refused_parameters: list[str] = field(default_factory=list)
    _awaiting_greeting: bool = False
    _releasing: bool = False
    _answers_turns: bool = False
    _losses: int = 0
    _turn_unanswered: bool = False
    _line_responses: dict[str, str] = field(default_factory=dict)
    _unsent: list[Mapping[str, Any]] = field(default_factory=list)
    _tools_running: int = 0
    _responses: Responses = field(default_factory=Responses)

    def handle(self, event: e.Event, at: float) -> list[Command]:
        """Take one event at a time in seconds, and return the commands that follow from it."""
        handler = _TABLE[self.state].get(type(event))
        if handler is None:
            raise UnexpectedEvent(self.state.value, type(event).__name__)
        self._at = at
        commands: list[Command] = handler(self, event)
        return commands

    # ── incoming ──────────────────────────────────────────────────────────────────────────────────────────

    def _arrive(self, event: e.CallArrived) -> list[Command]:
        self._began_at = self._at
        self._settings = event.settings
        self._held = event.settings.starts_held
        self.state = State.ACCEPTING
        agent = event.match.agent
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

    # ── accepting ─────────────────────────────────────────────────────────────────────────────────────────

    def _accepted(self, event: e.Accepted) -> list[Command]:
        self.state = State.ATTACHING
        if event.dropped is None:
            return [Record("accepted"), Attach()]
        fields = {"parameter": event.dropped}
        message = "the service refused a setting at accept and got the call without it"
        return [Record("accepted"), Record(message, fields, level=logging.ERROR), Attach()]

    def _accept_failed(self, event: e.AcceptFailed) -> list[Command]:
        if event.gone:
            return self._end(Outcome.GONE, event.reason)
        return [Reject(503), *self._end(Outcome.ACCEPT_FAILED, event.reason)]

    # ── attaching ─────────────────────────────────────────────────────────────────────────────────────────

    def _attach(self, event: e.Attached) -> list[Command]:
        self._attached = True
        return [Record("attached"), self._update(), StartTimer(_CONFIRM, CONFIRM_SECONDS)]

    def _attach_failed(self, event: e.AttachFailed) -> list[Command]:
        return self._hang_up(Outcome.ATTACH_FAILED, event.reason)

    def _confirmed(self, event: e.SessionConfirmed) -> list[Command]:
        return [*self._take_receipt(event), *self._activate()]

    def _update_refused(self, event: e.ServiceRefused) -> list[Command]:
        """Send the update again without what was refused; at last go on with what accept settled."""
        parameter = event.parameter
        if event.code == "cannot_update_voice":
            parameter = "session.audio.output.voice"
        if parameter and parameter not in self._refused_parameters:
            self._refused_parameters.append(parameter)
            fields = {"parameter": parameter, "code": event.code, "said": event.message}
            message = "the service refused a setting; sent again without it"
            return [Record(message, fields, level=logging.ERROR), self._update()]
        refusal = {"parameter": parameter, "code": event.code, "said": event.message}
        message = "the service refused the session update; the call goes on with what accept settled"
        return [Record(message, refusal, level=logging.ERROR), *self._activate()]

    def _activate(self) -> list[Command]:
        self.state = State.ACTIVE
        commands: list[Command] = [CancelTimer(_CONFIRM), StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS)]
        if self._current.greeting is None:
            return commands
        if self._held:
            commands.append(StartTimer(_GREETING, GREETING_SECONDS))
        if self._current.wait_for_caller and self._held and not self._turn_unanswered:
            self._awaiting_greeting = True
            return commands
        self._turn_unanswered = False
        return [*commands, *self._greet()]

    # ── active ────────────────────────────────────────────────────────────────────────────────────────────

    def _greet(self) -> list[Command]:
        self._awaiting_greeting = False
        assert self._current.greeting is not None
        return self._responses.want(_GREETING, self._current.say(self._current.greeting, _GREETING))

    def _caller_spoke(self, event: e.CallerSpoke | e.DigitPressed) -> list[Command]:
        first, self._heard_anybody = not self._heard_anybody, True
        commands: list[Command] = [CancelTimer(_FIRST_WORDS)] if first else []
        if isinstance(event, e.DigitPressed):
            commands.append(Record("digit pressed", private={"digit": event.digit}, level=logging.DEBUG))
        return commands

    def _caller_turn_ended(self, event: e.CallerTurnEnded) -> list[Command]:
        if self._awaiting_greeting:
            return self._greet()
        if self._answers_turns:
            return self._answer()
        self._turn_unanswered = self._held or self._releasing
        return []

    def _item_added(self, event: e.ItemAdded) -> list[Command]:
        self.transcript.add(event.item_id, event.previous_item_id)
        return []

    def _transcribed(self, event: e.Transcribed) -> list[Command]:
        self.transcript.say(event.item_id, "caller", event.text)
        return [Record("caller said", private={"text": event.text}, level=logging.DEBUG)]

    def _transcription_failed(self, event: e.TranscriptionFailed) -> list[Command]:
        return [Record("the caller's words were not transcribed", {"said": event.reason}, level=logging.WARNING)]

    def _agent_said(self, event: e.AgentSaid) -> list[Command]:
        self.transcript.say(event.item_id, "agent", event.text)
        line = self._line_responses.get(event.response_id)
        if line != _GREETING:
            return [Record("agent said", private={"text": event.text}, level=logging.DEBUG)]
        alike = likeness(self._current.greeting or "", event.text)
        self.receipt = self.receipt.with_greeting(alike)
        level = logging.WARNING if alike == "different" else logging.INFO
        private = {"declared": self._current.greeting, "text": event.text}
        return [Record("greeting", {"likeness": alike}, private, level)]

    def _response_created(self, event: e.ResponseCreated) -> list[Command]:
        commands = self._responses.created(event.response_id, event.line)
        if event.line is not None:
            self._line_responses[event.response_id] = event.line
        if event.line == _GREETING and self._held and self._current.interruptible:
            commands += self._release()
        return commands

    def _response_done(self, event: e.ResponseDone) -> list[Command]:
        for key in ("input_tokens", "output_tokens", "total_tokens"):
            amount = event.usage.get(key)
            if isinstance(amount, int):
                self.usage[key] = self.usage.get(key, 0) + amount
        commands: list[Command] = []
        if event.status == "failed":
            commands.append(Record("response failed", {"reason": event.reason}, level=logging.WARNING))
        if event.status != "completed":  # nothing more of it will be played
            commands += self._line_over(event.response_id)
        return [*commands, *self._responses.done(event.response_id)]

    def _playback_started(self, event: e.PlaybackStarted) -> list[Command]:
        line = self._line_responses.get(event.response_id, "")
        return [Record("audible", {"line": line} if line else {}, level=logging.DEBUG)]

    def _playback_ended(self, event: e.PlaybackEnded) -> list[Command]:
        return self._line_over(event.response_id)

    def _line_over(self, response_id: str) -> list[Command]:
        """A response is heard no more. After the greeting the caller has the word, after the farewell nobody."""
        line = self._line_responses.pop(response_id, None)
        if line == _FAREWELL:
            return [CancelTimer(_FAREWELL), HangUp()]
        if line != _GREETING:
            return []
        commands = self._release()
        if not self._heard_anybody:
            commands.append(StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS))
        return commands

    def _release(self) -> list[Command]:
        if not self._held:
            return []
        self._held, self._releasing = False, True
        return [CancelTimer(_GREETING), self._update_event(self._current.release(self._refused_parameters))]

    def _released(self) -> list[Command]:
        """The service answers turns by itself again; one that came before that would never be answered."""
        unanswered, self._turn_unanswered, self._releasing = self._turn_unanswered, False, False
        return self._answer() if unanswered else []

    def _answer(self) -> list[Command]:
        return self._responses.want("answer", {"metadata": {LINE: "answer"}})

    def _tool_called(self, event: e.ToolCalled) -> list[Command]:
        self._tools_running += 1
        record = Record("tool called", {"tool": event.name}, {"arguments": event.arguments})
        return [record, RunTool(event.tool_call_id, event.name, event.arguments)]

    def _tool_finished(self, event: e.ToolFinished) -> list[Command]:
        """Give the model the result, and ask it to go on, exactly once."""
        self._tools_running -= 1
        fields = {"tool": event.name, "seconds": round(event.seconds, 3), "failed": event.failed}
        level = logging.WARNING if event.failed else logging.INFO
        item = {"type": "function_call_output", "call_id": event.tool_call_id, "output": event.output}
        sent = self._send({"type": "conversation.item.create", "item": item})
        line = f"after {event.tool_call_id}"
        asked = self._responses.want(line, {"metadata": {LINE: line}}) if self._attached else []
        if not self._attached:
            self._unsent.append({"after": line})
        return [Record("tool finished", fields, {"result": event.output}, level), *sent, *asked]

    def _reconfirmed(self, event: e.SessionConfirmed) -> list[Command]:
        return [*self._take_receipt(event), *(self._released() if self._releasing else [])]

    def _refused(self, event: e.ServiceRefused) -> list[Command]:
        fields = {"code": event.code, "said": event.message}
        if event.code == "conversation_already_has_active_response":
            record = Record("a response was active already; asked again later", level=logging.DEBUG)
            return [record, *self._responses.refused(event.event_id, event.message)]
        if event.code == "session_expired":
            self._expired = True
            return [Record("the service's limit of 60 minutes is reached", fields)]
        if self._releasing and (event.event_id is None or event.event_id == f"update_{self._updates}"):
            return self._release_refused(event, fields)
        if event.code in _HARMLESS:
            return [Record("the service refused a late event", fields, level=logging.DEBUG)]
        return [Record("the service refused an event", fields, level=logging.WARNING)]

    def _release_refused(self, event: e.ServiceRefused, fields: Mapping[str, Any]) -> list[Command]:
        """Give the caller the word all the same: without what was refused, or by answering each turn ourselves."""
        record = Record("the service refused to answer turns again", fields, level=logging.ERROR)
        if event.parameter and event.parameter not in self._refused_parameters:
            self._refused_parameters.append(event.parameter)
            return [record, self._update_event(self._current.release(self._refused_parameters))]
        self._answers_turns = True
        return [record, *self._released()]

    def _response_waited(self) -> list[Command]:
        commands = self._responses.waited()
        lost, self._responses.lost = self._responses.lost, []
        for line in lost:
            commands.insert(0, Record("the service never began a response", {"line": line}, level=logging.ERROR))
            if line == _GREETING:
                commands += self._release()
        return commands

    def _timer_fired(self, event: e.TimerFired) -> list[Command]:
        match event.name:
            case "response":
                return self._response_waited()
            case "greeting":
                return self._release()
            case "first words" if not self._responses.idle or self._tools_running:
                return [StartTimer(_FIRST_WORDS, FIRST_WORDS_SECONDS)]
            case "first words":
                return self._hang_up(Outcome.NOBODY_SPOKE, f"nothing was heard for {FIRST_WORDS_SECONDS:g} s")
            case "confirm" if self.state is State.ATTACHING:
                return self._hang_up(Outcome.NOT_CONFIRMED, f"no session.updated in {CONFIRM_SECONDS:g} s")
            case "farewell":
                return [HangUp()]
        return []

    # ── the sideband closes while the call may live ───────────────────────────────────────────────────────

    def _sideband_closed(self, event: e.SidebandClosed) -> list[Command]:
        """The code does not tell whether the call is over; attaching again does (protocol 2.7)."""
        self._attached = False
        self._losses += 1
        if self._losses > MAX_LOSSES:
            return self._hang_up(Outcome.CONNECTION_LOST, f"the sideband closed {self._losses} times in a row")
        self._responses.forget()
        fields = {"code": event.code, "reason": event.reason}
        return [
            CancelTimer(RESPONSE),
            Record("sideband closed", fields, level=logging.DEBUG),
            Attach(again=True),
        ]

    def _attach_again(self, event: e.Attached) -> list[Command]:
        self._attached = True
        unsent, self._unsent = self._unsent, []
        commands: list[Command] = [Record("attached again", level=logging.WARNING), self._update()]
        for written in unsent:
            if "after" in written:
                line = written["after"]
                commands += self._responses.want(line, {"metadata": {LINE: line}})
            else:
                commands.append(Send(written))
        return [*commands, *self._responses.resume()]

    def _attach_again_failed(self, event: e.AttachFailed) -> list[Command]:
        if self._expired:
            return self._hang_up(Outcome.EXPIRED, "the service allows 60 minutes")
        if event.gone:
            return self._hang_up(Outcome.CALLER_HUNG_UP)
        return self._hang_up(Outcome.CONNECTION_LOST, event.reason)

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────

    def _say_goodbye(self, event: e.DrainEnded) -> list[Command]:
        self.state = State.ENDING
        self.outcome = Outcome.DRAINED
        commands: list[Command] = [Record("saying goodbye"), StartTimer(_FAREWELL, FAREWELL_SECONDS)]
        return commands + self._responses.want(_FAREWELL, self._current.farewell())

    def _fail_while_ending(self, event: e.Failed) -> list[Command]:
        return self._end(self.outcome or Outcome.FAILED, event.reason)

    def _give_up(self, event: e.DrainEnded | e.Failed) -> list[Command]:
        if isinstance(event, e.DrainEnded):
            return self._hang_up(Outcome.DRAINED)
        return self._hang_up(Outcome.FAILED, event.reason)

    def _fail_before_accept(self, event: e.Failed) -> list[Command]:
        return [Reject(503), *self._end(Outcome.FAILED, event.reason)]

    def _gone_while_ending(self, event: e.SidebandClosed) -> list[Command]:
        self._attached = False
        return [CancelTimer(_FAREWELL), HangUp()]

    def _hung_up(self, event: e.HungUp) -> list[Command]:
        return self._end(self.outcome or Outcome.FAILED, event.problem)

    def _hang_up(self, outcome: Outcome, reason: str = "") -> list[Command]:
        self.state = State.ENDING
        self.outcome = outcome
        told = [Record(reason, {"outcome": outcome.value}, level=logging.WARNING)] if reason else []
        return [*told, HangUp()]

    def _end(self, outcome: Outcome, reason: str = "") -> list[Command]:
        self.state = State.ENDED
        self.outcome = outcome
        fields: dict[str, Any] = {"outcome": outcome.value, "seconds": round(self._at - self._began_at, 3)}
        fields |= {"reason": reason} if reason else {}
        fields |= {"greeting": self.receipt.greeting} if self.receipt.greeting else {}
        fields |= self.usage
        level = logging.INFO if outcome in _USUAL else logging.WARNING
        return [Record("ended", fields, {"transcript": self.transcript.lines()}, level), Finish()]

    def _ignore(self, event: e.Event) -> list[Command]:
        return []

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _current(self) -> SessionSettings:
        assert self._settings is not None, "settings come with CallArrived"
        return self._settings

    def _update(self) -> Command:
        return self._update_event(self._current.update(held=self._held, without=self._refused_parameters))

    def _update_event(self, session: Mapping[str, Any]) -> Command:
        self._updates += 1
        return Send({"type": "session.update", "event_id": f"update_{self._updates}", "session": session})

    def _send(self, event: Mapping[str, Any]) -> list[Command]:
        if self._attached:
            return [Send(event)]
        self._unsent.append(event)
        return []

    def _take_receipt(self, event: e.SessionConfirmed) -> list[Command]:
        self._losses = 0
        greeting = self.receipt.greeting
        self.receipt = compare(self._current.declared(held=self._held), event.session)
        if greeting is not None:
            self.receipt = self.receipt.with_greeting(greeting)
        first: list[Command] = []
        if self.state is State.ATTACHING:
            first.append(Record("confirmed", {"differences": len(self.receipt.differences)}))
        return first + [
            Record(
                "the service holds a setting otherwise than declared",
                {"field": row.field, "declared": row.declared, "confirmed": row.confirmed},
                level=logging.WARNING,
            )
            for row in self.receipt.differences
        ]


_USUAL = {Outcome.CALLER_HUNG_UP, Outcome.NO_AGENT, Outcome.DRAINED, Outcome.GONE, Outcome.STALE}


def _incoming(call: IncomingCall) -> Command:
    return Record("incoming", {"called": call.called, "caller": call.caller})


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
}

_TABLE: dict[State, dict[type[e.Event], _Handler]] = {
    State.INCOMING: {
        e.CallArrived: Call._arrive,
        e.CallTurnedAway: Call._turn_away,
    },
    State.ACCEPTING: {
        e.Accepted: Call._accepted,
        e.AcceptFailed: Call._accept_failed,
        e.DrainEnded: Call._ignore,  # the caller rings once more at the next host: let the accept tell
        e.Failed: Call._fail_before_accept,
    },
    State.ATTACHING: {
        **_CONVERSATION,  # the model may speak before we are attached
        e.Attached: Call._attach,
        e.AttachFailed: Call._attach_failed,
        e.SessionConfirmed: Call._confirmed,
        e.ServiceRefused: Call._update_refused,
        e.SidebandClosed: Call._sideband_closed,
        e.TimerFired: Call._timer_fired,
        e.DrainEnded: Call._give_up,
        e.Failed: Call._give_up,
    },
    State.ACTIVE: {
        **_CONVERSATION,
        e.SessionConfirmed: Call._reconfirmed,
        e.ServiceRefused: Call._refused,
        e.SidebandClosed: Call._sideband_closed,
        e.Attached: Call._attach_again,
        e.AttachFailed: Call._attach_again_failed,
        e.TimerFired: Call._timer_fired,
        e.DrainEnded: Call._say_goodbye,
        e.Failed: Call._give_up,
    },
    State.ENDING: {
        **_CONVERSATION,
        e.ToolCalled: Call._ignore,
        e.ToolFinished: Call._ignore,
        e.SessionConfirmed: Call._ignore,
        e.ServiceRefused: Call._refused,
        e.SidebandClosed: Call._gone_while_ending,
        e.TimerFired: Call._timer_fired,
        e.DrainEnded: Call._ignore,
        e.Attached: Call._ignore,
        e.AttachFailed: Call._ignore,
        e.HungUp: Call._hung_up,
        e.Failed: Call._fail_while_ending,
    },
    State.ENDED: {},
}
