"""One call's life: its states, what may happen in each, and what to do then. Waits for nothing, knows no clock.

    INCOMING ──▶ ACCEPTING ──▶ ATTACHING ──▶ ACTIVE ──▶ ENDING ──▶ ENDED
        └────────────┴─────────────┴────────────────────────────────▲

`Call.handle(event, at)` gives the commands that follow. An event that the table does not know in this state
raises `UnexpectedEvent` and changes nothing. Every way to ENDED passes `_end`, which records the outcome, so
that no call can end unlogged. What is said in between is the conversation's (`runtime.conversation`).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from runtime import events as e
from runtime.chain import Chain, Link
from runtime.commands import (
    Accept,
    Attach,
    CancelTimer,
    Command,
    Finish,
    HangUp,
    LookUp,
    Record,
    Reject,
    StartTimer,
)
from runtime.confirmation import CONFIRM, CONFIRM_SECONDS, told
from runtime.conversation import CONVERSATION, Conversation
from runtime.errors import UnexpectedEvent
from runtime.incoming import IncomingCall
from runtime.limits import FIRST_WORDS
from runtime.outcome import DECLINED, USUAL, Outcome
from runtime.receipt import Receipt
from runtime.wishes import Close, GiveUp, Leave

MAX_LOSSES = 5  # a sideband that closes as often without a confirmed session in between will not hold
LOOKUP = "lookup"


class State(Enum):
    """Where a call stands."""

    INCOMING = "incoming"
    ACCEPTING = "accepting"
    ATTACHING = "attaching"
    ACTIVE = "active"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(slots=True)
class Call:
    """One call. Feed it events, obey its commands."""

    state: State = State.INCOMING
    outcome: Outcome | None = None
    conversation: Conversation | None = None
    chain: Chain = field(default_factory=Chain)
    _at: float = 0.0
    _began_at: float = 0.0
    _draining: bool = False
    _certain: bool = True
    _losses: int = 0
    _awaits_lookup: bool = False
    _is_open: bool = False
    _failed_ending: bool = False
    _unable: Mapping[str, Any] = field(default_factory=dict)

    def handle(self, event: e.Event, at: float) -> list[Command]:
        """Take one event at a time in seconds, and return the commands that follow from it."""
        handler = _TABLE[self.state].get(type(event))
        if handler is None:
            raise UnexpectedEvent(self.state.value, type(event).__name__)
        self._at = at
        if self.conversation is not None:
            self.conversation.scene.at = at
        commands = handler(self, event)
        return commands + self._talk.watch() if self.state is State.ACTIVE else commands

    # ── incoming ──────────────────────────────────────────────────────────────────────────────────────────────

    def _arrive(self, event: e.CallArrived) -> list[Command]:
        self._began_at = self._at
        self._reach("webhook")
        self.conversation = talk = Conversation.of(event, self._at)
        self._unable = talk.scene.conduct.on_failure.get(event.unable, {})
        self.state = State.ACCEPTING
        agent, revision = event.match.agent, event.match.revision
        talk.confirmation.receipt = Receipt(revision=revision, digest=agent.digest)
        matched = {"agent": agent.name, "rule": str(event.match.rule), "revision": revision, "digest": agent.digest}
        unable = [Record("cannot be served as usual", {"cause": event.unable}, level=logging.WARNING)]
        return [
            _incoming(event.call),
            Record("matched", matched),
            *(unable if event.unable else []),
            Accept(talk.scene.settings.accept(held=talk.turns.held)),
            *self._look_up(),
        ]

    def _look_up(self) -> list[Command]:
        """Ask who is calling, beside the accept, which waits for nothing (trap 12)."""
        lookup = self._talk.scene.role.agent.abilities.lookup
        if lookup is None:
            return []
        self._awaits_lookup = True
        return [LookUp(), StartTimer(LOOKUP, lookup.timeout_seconds)]

    def _turn_away(self, event: e.CallTurnedAway) -> list[Command]:
        self._began_at = self._at
        self._reach("webhook")
        rejection: list[Command] = [Reject(event.status)] if event.status else []
        return [_incoming(event.call), *rejection, *self._end(Outcome(event.outcome), event.reason)]

    # ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────

    def _accepted(self, event: e.Accepted) -> list[Command]:
        if self._draining:
            return self._hang_up(Outcome.DRAINED, "accepted when the host was draining already")
        self.state = State.ATTACHING
        self._reach("accept")
        self._certain = event.certain
        message = "the service refused a setting at accept and got the call without it"
        refused = [Record(message, {"parameter": name}, level=logging.ERROR) for name in event.dropped]
        accepted = [Record("accepted"), *refused]
        if "transfer" in self._unable:
            return [*accepted, *self._divert(self._unable["transfer"], Outcome(self._talk.arrival.unable), "")]
        return [*accepted, Attach()]

    def _accept_failed(self, event: e.AcceptFailed) -> list[Command]:
        """Free the caller. A refusal may hide an accept that was taken, so the call is hung up too."""
        if event.gone:
            return self._end(Outcome.GONE, event.reason)
        status = self._talk.scene.conduct.on_failure.get(event.cause, {}).get("reject", 503)
        return [Reject(status), *self._hang_up(Outcome(event.cause or Outcome.ACCEPT_FAILED), event.reason)]

    def _drain_later(self, event: e.DrainEnded | e.HostStopped) -> list[Command]:
        self._draining = True
        return []

    def _fail_before_accept(self, event: e.Failed) -> list[Command]:
        return [Reject(503), *self._hang_up(Outcome.FAILED, event.reason)]

    # ── the lookup, until the service is told of the session ──────────────────────────────────────────────────

    def _looked_up(self, event: e.LookedUp) -> list[Command]:
        if not self._awaits_lookup:
            return []
        level = logging.WARNING if event.problem else logging.INFO
        said = {"problem": event.problem} if event.problem else {}
        record = Record("looked up", said, {"found": dict(event.found)}, level)
        return [record, CancelTimer(LOOKUP), *self._learn(event.found)]

    def _lookup_late(self) -> list[Command]:
        if not self._awaits_lookup:
            return []
        late = Record("the lookup took too long; the defaults hold", level=logging.WARNING)
        return [late, *self._learn({})]

    def _learn(self, found: Mapping[str, Any]) -> list[Command]:
        self._awaits_lookup = False
        learned = self._talk.scene.learn(found)
        return [*learned, *self._resume()] if self._is_open else learned

    # ── attaching ─────────────────────────────────────────────────────────────────────────────────────────────

    def _attach(self, event: e.Attached) -> list[Command]:
        told = Record("attached again", level=logging.WARNING) if self._losses else Record("attached")
        self._is_open = True
        self._reach("attach")
        return [told] if self._awaits_lookup else [told, *self._resume()]

    def _resume(self) -> list[Command]:
        """Tell the service the session; until it has confirmed it, nothing is believed."""
        confirm: list[Command] = [StartTimer(CONFIRM, CONFIRM_SECONDS)] if self.state is State.ATTACHING else []
        return [*self._talk.attach(), *confirm]

    def _attach_failed(self, event: e.AttachFailed) -> list[Command]:
        if event.gone and self._losses:
            return self._hang_up(Outcome.CALLER_HUNG_UP)
        ringing: list[Command] = [] if self._certain else [Reject(503)]
        return [*ringing, *self._give_up("attach_failed", Outcome.ATTACH_FAILED, event.reason)]

    def _confirmed(self, event: e.SessionConfirmed) -> list[Command]:
        self._losses = 0
        receipt = self._talk.confirmed(event.session)
        return [Record("confirmed", {"differences": len(self.receipt.differences)}), *receipt, *self._activate()]

    def _refused_while_attaching(self, event: e.ServiceRefused) -> list[Command]:
        confirmation = self._talk.confirmation
        if not confirmation.is_answered_by(event, waiting=True):
            return self._converse(event)
        if record := confirmation.leave_out(event):
            return [*record, confirmation.update(held=self._talk.turns.held)]
        message = "the service refused the session update; the call goes on with what accept settled"
        return [Record(message, told(event), level=logging.ERROR), *self._activate()]

    def _activate(self) -> list[Command]:
        self._reach("confirmed")
        if "say" in self._unable:
            words = self._unable["say"]
            return [CancelTimer(CONFIRM), *self._close(Close(self._talk.arrival.unable, words))]
        self.state = State.ACTIVE
        return self._talk.activate()

    def _timer_while_attaching(self, event: e.TimerFired) -> list[Command]:
        if event.name == LOOKUP:
            return self._lookup_late()
        if event.name == CONFIRM:
            reason = f"no session.updated in {CONFIRM_SECONDS:g} s"
            return self._give_up("attach_failed", Outcome.NOT_CONFIRMED, reason)
        return self._converse(event)

    # ── active ────────────────────────────────────────────────────────────────────────────────────────────────

    def _converse(self, event: e.Event) -> list[Command]:
        """Let the conversation take an event, and do what it asks of the call."""
        commands: list[Command] = []
        for command in self._talk.handle(event):
            match command:
                case _ if self.state is State.ENDING and isinstance(command, Close | GiveUp):
                    pass
                case Close():
                    commands += self._close(command)
                case Leave():
                    commands += self._leave(command)
                case GiveUp():
                    commands += self._give_up(command.cause, Outcome(command.cause), command.reason)
                case _:
                    commands.append(command)
        return commands

    def _audible(self, event: e.PlaybackStarted) -> list[Command]:
        self._reach("audible")
        return self._converse(event)

    def _reconfirmed(self, event: e.SessionConfirmed) -> list[Command]:
        self._losses = 0
        return self._converse(event)

    # ── the sideband closes while the call may live ───────────────────────────────────────────────────────────

    def _sideband_closed(self, event: e.SidebandClosed) -> list[Command]:
        """The code does not tell whether the call is over; attaching again does (protocol 2.7)."""
        self._is_open = False
        detached = self._talk.detach()
        self._losses += 1
        if self._losses > MAX_LOSSES:
            reason = f"the sideband closed {self._losses} times in a row"
            return self._give_up("attach_failed", Outcome.CONNECTION_LOST, reason)
        fields = {"code": event.code, "reason": event.reason}
        return [Record("sideband closed", fields, level=logging.DEBUG), *detached, Attach(again=True)]

    def _attach_again_failed(self, event: e.AttachFailed) -> list[Command]:
        if self._talk.refusals.expired:
            return self._hang_up(Outcome.EXPIRED, "the service allows 60 minutes")
        if event.gone:
            return self._hang_up(Outcome.TRANSFERRED if self._talk.transfers.is_referred else Outcome.CALLER_HUNG_UP)
        return self._give_up("attach_failed", Outcome.CONNECTION_LOST, event.reason)

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────────

    def _close(self, wish: Close) -> list[Command]:
        """Hang up after last words, if there is a way to say them."""
        outcome = Outcome(wish.outcome)
        if not self._talk.scene.attached:
            return self._hang_up(outcome, wish.reason)
        self._begin_ending(outcome)
        fields = {"outcome": outcome.value} | ({"reason": wish.reason} if wish.reason else {})
        return [Record("saying goodbye", fields), CancelTimer(FIRST_WORDS), *self._talk.farewell.close(wish)]

    def _begin_ending(self, outcome: Outcome) -> None:
        self.state, self.outcome = State.ENDING, outcome
        if self.conversation is not None:
            self.conversation.scene.ending = True

    def _leave(self, wish: Leave) -> list[Command]:
        return self._hang_up(self.outcome or Outcome(wish.outcome), wish.reason)

    def _give_up(self, cause: str, outcome: Outcome, reason: str) -> list[Command]:
        """Do what the agent declares for a failure after the call was answered; otherwise end it."""
        if self._talk.transfers.is_sent:
            return self._let_go(outcome, reason)
        action = self._talk.scene.conduct.on_failure.get(cause, {})
        if "transfer" in action:
            return self._divert(action["transfer"], outcome, reason)
        return self._hang_up(outcome, reason)

    def _divert(self, name: str, outcome: Outcome, reason: str) -> list[Command]:
        """Put the caller through to somebody who can help, since we cannot."""
        self._begin_ending(outcome)
        fields = {"outcome": outcome.value, "destination": name} | ({"reason": reason} if reason else {})
        told = Record("putting the caller through instead", fields, level=logging.WARNING)
        return [told, CancelTimer(FIRST_WORDS), CancelTimer(CONFIRM), *self._talk.transfers.divert(name)]

    def _let_go(self, outcome: Outcome, reason: str = "") -> list[Command]:
        """Let a transfer that was sent take its course: to hang up, or to send another, could break it."""
        self._begin_ending(outcome)
        fields = {"outcome": outcome.value} | ({"reason": reason} if reason else {})
        told = Record("leaving the caller to the transfer", fields, level=logging.WARNING)
        return [told, CancelTimer(FIRST_WORDS), *self._talk.transfers.let_go()]

    def _say_goodbye(self, event: e.DrainEnded) -> list[Command]:
        return self._let_go(Outcome.DRAINED) if self._talk.transfers.is_sent else self._close(Close(Outcome.DRAINED))

    def _relayed_while_ending(self, event: e.Referred) -> list[Command]:
        """The service's answer came after the end of the call, which was the transfer's success then."""
        if self.outcome is Outcome.CALLER_HUNG_UP and self._talk.transfers.under_way is not None:
            self.outcome = Outcome.TRANSFERRED
        return self._converse(event)

    def _drained(self, event: e.DrainEnded | e.HostStopped) -> list[Command]:
        return self._hang_up(Outcome.DRAINED)

    def _fail(self, event: e.Failed) -> list[Command]:
        return self._hang_up(Outcome.FAILED, event.reason)

    def _fail_while_ending(self, event: e.Failed) -> list[Command]:
        """Hang up without the last words; once more, and the hang-up itself may be what fails."""
        again, self._failed_ending = self._failed_ending, True
        if again:
            return self._end(self.outcome or Outcome.FAILED, event.reason)
        return self._hang_up(self.outcome or Outcome.FAILED, event.reason)

    def _accepted_while_ending(self, event: e.Accepted) -> list[Command]:
        """An accept that was on its way when something of ours broke: nobody would steer the call."""
        return [HangUp()]

    def _over_while_ending(self, event: e.SidebandClosed | e.AttachFailed | e.HostStopped) -> list[Command]:
        self._talk.scene.attached = False
        if self._talk.transfers.is_referred:
            self.outcome = Outcome.TRANSFERRED
        return [*self._talk.speech.forget(), HangUp()]

    def _hung_up(self, event: e.HungUp) -> list[Command]:
        return self._end(self.outcome or Outcome.FAILED, event.problem, badly=bool(event.problem))

    def _hang_up(self, outcome: Outcome, reason: str = "") -> list[Command]:
        self._begin_ending(outcome)
        told = Record("hanging up", {"outcome": outcome.value, "reason": reason}, level=logging.WARNING)
        return [*([told] if reason else []), CancelTimer(FIRST_WORDS), HangUp()]

    def _end(self, outcome: Outcome, reason: str = "", *, badly: bool = False) -> list[Command]:
        self.state, self.outcome = State.ENDED, outcome
        fields: dict[str, Any] = {"outcome": outcome.value, "seconds": round(self._at - self._began_at, 3)}
        fields |= {"reason": reason} if reason else {}
        receipt, talk = self.receipt, self.conversation
        known = {"greeting": receipt.greeting, "revision": receipt.revision, "digest": receipt.digest}
        fields |= {name: value for name, value in known.items() if value} | (talk.answers.usage if talk else {})
        fields |= self.chain.told() if outcome not in USUAL | DECLINED else {}
        level = logging.ERROR if badly else logging.INFO if outcome in USUAL else logging.WARNING
        spoken = {"transcript": talk.transcript.lines() if talk else []}
        return [Record("ended", fields, spoken, level), Finish()]

    def _reach(self, link: Link) -> None:
        """Note how far the call has come: a call that fails tells the way it took."""
        self.chain = self.chain.reach(link, self._at)

    def _ignore(self, event: e.Event) -> list[Command]:
        return []

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def receipt(self) -> Receipt:
        """What the service confirmed of the session."""
        return self.conversation.confirmation.receipt if self.conversation else Receipt()

    @property
    def _talk(self) -> Conversation:
        assert self.conversation is not None, "the conversation comes with CallArrived"
        return self.conversation


def _incoming(call: IncomingCall) -> Command:
    return Record("incoming", {"called": call.called, "caller": call.caller})


_Handler = Callable[[Call, Any], list[Command]]

_TALK: dict[type[e.Event], _Handler] = {
    **dict.fromkeys(CONVERSATION, Call._converse),
    e.PlaybackStarted: Call._audible,
}

_TABLE: dict[State, dict[type[e.Event], _Handler]] = {
    State.INCOMING: {
        e.CallArrived: Call._arrive,
        e.CallTurnedAway: Call._turn_away,
        e.DrainEnded: Call._drain_later,
        e.HostStopped: Call._drain_later,
        e.Failed: Call._fail_before_accept,
    },
    State.ACCEPTING: {
        e.Accepted: Call._accepted,
        e.AcceptFailed: Call._accept_failed,
        e.LookedUp: Call._looked_up,
        e.TimerFired: Call._timer_while_attaching,
        e.DrainEnded: Call._drain_later,
        e.HostStopped: Call._drain_later,
        e.Failed: Call._fail_before_accept,
    },
    State.ATTACHING: {
        **_TALK,  # the model may speak before we are attached
        e.Attached: Call._attach,
        e.AttachFailed: Call._attach_failed,
        e.LookedUp: Call._looked_up,
        e.SessionConfirmed: Call._confirmed,
        e.ServiceRefused: Call._refused_while_attaching,
        e.TimerFired: Call._timer_while_attaching,
        e.SidebandClosed: Call._sideband_closed,
        e.DrainEnded: Call._drained,
        e.HostStopped: Call._drained,
        e.Failed: Call._fail,
    },
    State.ACTIVE: {
        **_TALK,
        e.LookedUp: Call._ignore,
        e.SessionConfirmed: Call._reconfirmed,
        e.SidebandClosed: Call._sideband_closed,
        e.Attached: Call._attach,
        e.AttachFailed: Call._attach_again_failed,
        e.DrainEnded: Call._say_goodbye,
        e.HostStopped: Call._drained,
        e.Failed: Call._fail,
    },
    State.ENDING: {
        **_TALK,
        e.Accepted: Call._accepted_while_ending,
        e.AcceptFailed: Call._ignore,
        e.ToolFinished: Call._ignore,
        e.HandedOff: Call._ignore,
        e.Referred: Call._relayed_while_ending,
        e.LookedUp: Call._ignore,
        e.SessionConfirmed: Call._ignore,
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
