"""What happens between a call's accept and its end: the parts of a conversation, and which takes what happens. Pure.

Each part owns what it knows and gives commands back; here is only what concerns several of them, and in which order.
How the call itself ends is decided in `runtime.call`: a conversation only wishes for it (`runtime.wishes`).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import events as e
from runtime.answers import Answers
from runtime.built_in import message_from
from runtime.commands import CancelTimer, Command, Record
from runtime.confirmation import CONFIRM, Confirmation
from runtime.farewell import HANG_UP, Farewell
from runtime.greeting import HELLO, Greeting
from runtime.guard import Guard
from runtime.items import Items
from runtime.keypad import COLLECTING, GATHERING, Keypad
from runtime.limits import DURATION, FIRST_WORDS, SILENCE, WAIT, WARNING, Limits
from runtime.refusals import Refusals
from runtime.responses import TIMER as RESPONSE
from runtime.scene import Scene
from runtime.speech import TIMER as HEARD
from runtime.speech import Speech
from runtime.tool_calls import SLOW, ToolCalls, arguments_of
from runtime.transcript import Transcript
from runtime.transfers import TRANSFER, Transfers
from runtime.turns import AnsweredBy, Turns
from runtime.wishes import Wish


@dataclass(slots=True)
class Conversation:
    """One call's conversation. `scene` is what all of its parts read."""

    arrival: e.CallArrived
    scene: Scene
    confirmation: Confirmation
    speech: Speech
    items: Items
    tools: ToolCalls
    turns: Turns
    transfers: Transfers
    limits: Limits
    greeting: Greeting
    guard: Guard
    keypad: Keypad
    farewell: Farewell
    answers: Answers
    refusals: Refusals
    transcript: Transcript = field(default_factory=Transcript)

    @classmethod
    def of(cls, arrival: e.CallArrived, at: float) -> "Conversation":
        """Return the conversation that an arrived call will have."""
        role = next(iter(arrival.roles.values()))
        scene = Scene(arrival.call, arrival.roles, role, began_at=at, at=at)
        confirmation, speech, items = Confirmation(scene), Speech(scene), Items(scene)
        tools, turns = ToolCalls(scene, speech, items), Turns(scene, speech, confirmation)
        if role.settings.starts_held or (arrival.unable and role.settings.detects_turns):
            turns.by = AnsweredBy.NOBODY
        transfers = Transfers(scene, speech, tools)
        limits = Limits(scene, speech, transfers)
        return cls(
            arrival,
            scene,
            confirmation,
            speech,
            items,
            tools,
            turns,
            transfers,
            limits,
            greeting=Greeting(scene, speech, confirmation, turns, limits),
            guard=Guard(scene, speech),
            keypad=Keypad(scene, speech, items, tools, turns),
            farewell=Farewell(scene, speech, tools),
            answers=Answers(scene, speech),
            refusals=Refusals(speech, confirmation, turns),
        )

    def handle(self, event: e.Event) -> list[Command | Wish]:
        """Take one event of the conversation, and return what follows."""
        return _TABLE[type(event)](self, event)

    # ── the session ───────────────────────────────────────────────────────────────────────────────────────────

    def attach(self) -> list[Command]:
        """Tell the service our settings, and everything that it has not confirmed to have."""
        self.scene.attached = True
        update = self.confirmation.update(held=self.turns.held)
        return [update, *self.items.attach(), *self.speech.responses.attach()]

    def detach(self) -> list[Command]:
        """The sideband is lost, and with it the end of what the caller heard or said at that moment."""
        self.scene.attached = self.scene.caller_speaks = False
        return self.speech.detach()

    def confirmed(self, session: Mapping[str, Any]) -> list[Command]:
        """The service told the session as it stands."""
        return self.confirmation.confirmed(session, held=self.turns.held)

    def _reconfirmed(self, event: e.SessionConfirmed) -> list[Command]:
        detection = event.session.get("audio", {}).get("input", {}).get("turn_detection") or {}
        settled = self.turns.settle(by_service=detection.get("create_response") is True)
        return [CancelTimer(CONFIRM), *self.confirmed(event.session), *settled]

    def activate(self) -> list[Command]:
        """The session stands: the time runs, and who has something to say says it."""
        self.scene.active = True
        return [CancelTimer(CONFIRM), *self.limits.activate(), *self.keypad.activate(), *self.greeting.activate()]

    # ── the caller ────────────────────────────────────────────────────────────────────────────────────────────

    def _caller_spoke(self, event: e.CallerSpoke) -> list[Command]:
        self.scene.caller_speaks = True
        return self.limits.sign()

    def _caller_turn_ended(self, event: e.CallerTurnEnded) -> list[Command]:
        self.scene.caller_speaks = False
        self.limits.turn_ended()
        if self.scene.ending:
            return []
        return self.greeting.hello() if self.greeting.awaits_hello else self.turns.ended()

    def _digit_pressed(self, event: e.DigitPressed) -> list[Command]:
        commands = self.limits.sign()
        commands.append(Record("digit pressed", private={"digit": event.digit}, level=logging.DEBUG))
        if self.scene.ending:
            return commands
        return [*commands, *self.greeting.hello(), *self.keypad.press(event.digit)]

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────────────

    def _item_added(self, event: e.ItemAdded) -> list[Command]:
        self.items.confirmed(event.item_id)
        self.transcript.add(event.item_id, event.previous_item_id)
        return []

    def _transcribed(self, event: e.Transcribed) -> list[Command]:
        self.transcript.say(event.item_id, "caller", event.text)
        return [Record("caller said", private={"text": event.text}, level=logging.DEBUG)]

    def _transcription_failed(self, event: e.TranscriptionFailed) -> list[Command]:
        return [Record("the caller's words were not transcribed", {"said": event.reason}, level=logging.WARNING)]

    def _agent_said(self, event: e.AgentSaid) -> list[Command]:
        self.transcript.say(event.item_id, "agent", event.text)
        self.speech.said(event.response_id)
        if self.greeting.said(event):
            return []
        record = Record("agent said", private={"text": event.text}, level=logging.DEBUG)
        return [record, *self.guard.said(event)]

    def _response_created(self, event: e.ResponseCreated) -> list[Command]:
        commands = self.speech.created(event.response_id, event.line)
        self.limits.answered()
        commands += self.greeting.created(event.line)
        return commands

    def _response_done(self, event: e.ResponseDone) -> list[Command | Wish]:
        self.guard.done(event.response_id)
        return [*self.greeting.done(event), *self.answers.done(event), *self.farewell.done(event.response_id)]

    def _playback_started(self, event: e.PlaybackStarted) -> list[Command]:
        self.speech.started(event.response_id)
        line = self.speech.line_of(event.response_id)
        return [Record("audible", {"line": line} if line else {}, level=logging.DEBUG)]

    # ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool_called(self, event: e.ToolCalled) -> list[Command | Wish]:
        if self.scene.ending or event.tool_call_id in self.tools.running:
            return []
        if refused := self.tools.begin(event):
            return [*refused]
        record = Record("tool called", {"tool": event.name}, {"arguments": event.arguments})
        entry = self.tools.entry(event.name)
        use = _USES.get(entry.get("use", ""))
        return [record, *(use(self, event, entry) if use else self.tools.run(event))]

    def _handed_off(self, event: e.HandedOff) -> list[Command]:
        """Another agent goes on: its instructions and tools, the same voice, limits and findings."""
        self.scene.role = self.scene.roles[event.agent]
        record = Record("handed off", {"agent": event.agent, "digest": self.scene.role.agent.digest})
        return [record, self.confirmation.update(held=self.turns.held)] if self.scene.attached else [record]

    # ── our own tools ─────────────────────────────────────────────────────────────────────────────────────────

    def _use_wait(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command]:
        waits = self.limits.wait(entry["seconds"])
        return [*waits, *self.tools.finish(event.tool_call_id, "Say nothing until the caller speaks.", go_on=False)]

    def _use_take_message(self, event: e.ToolCalled, entry: Mapping[str, Any]) -> list[Command]:
        message, missing = message_from(entry, arguments_of(event))
        if missing:
            return self.tools.finish(event.tool_call_id, missing)
        taken = Record("message taken", {"tool": event.name}, {"message": message})
        return [taken, *self.tools.finish(event.tool_call_id, "The message is kept.")]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _timer_fired(self, event: e.TimerFired) -> list[Command | Wish]:
        if event.name.startswith(HEARD):
            return [*self.speech.late(event.name.removeprefix(HEARD))]
        if event.name.startswith(SLOW):
            return [] if self.scene.ending else [*self.tools.slow(event.name.removeprefix(SLOW))]
        late = _LATE.get(event.name)
        return [*late(self)] if late and (not self.scene.ending or event.name in _ALSO_ENDING) else []

    @property
    def _occupied(self) -> bool:
        """Whether something goes on that the caller may be waiting for."""
        waiting = self.limits.is_waiting or self.greeting.awaits_hello or self.keypad.is_collecting
        return self.speech.busy or bool(self.tools.running) or waiting or self.transfers.under_way is not None

    def watch(self) -> list[Command]:
        """Count the silence between all that happens."""
        return self.limits.watch(busy=self._occupied)


_USES: dict[str, Callable[[Conversation, e.ToolCalled, Mapping[str, Any]], list[Any]]] = {
    "hang_up": lambda talk, event, entry: talk.farewell.use(event, entry),
    "hand_off": lambda talk, event, entry: talk.transfers.hand_off(event, entry),
    "transfer": lambda talk, event, entry: talk.transfers.use(event),
    "keypad": lambda talk, event, entry: talk.keypad.use(event, entry),
    "take_message": Conversation._use_take_message,
    "wait": Conversation._use_wait,
}

_LATE: dict[str, Callable[[Conversation], list[Any]]] = {
    RESPONSE: lambda talk: talk.answers.late(),
    CONFIRM: lambda talk: talk.turns.late(),
    HELLO: lambda talk: talk.greeting.hello(),
    FIRST_WORDS: lambda talk: talk.limits.first_words_late(busy=talk._occupied),
    SILENCE: lambda talk: talk.limits.silent(),
    WARNING: lambda talk: talk.limits.warn(),
    DURATION: lambda talk: talk.limits.over(),
    WAIT: lambda talk: talk.limits.waited(),
    TRANSFER: lambda talk: talk.transfers.late(),
    HANG_UP: lambda talk: talk.farewell.late(),
    COLLECTING: lambda talk: talk.keypad.collected(),
    GATHERING: lambda talk: talk.keypad.gathered(),
}
_ALSO_ENDING = {RESPONSE, TRANSFER}

_TABLE: dict[type[e.Event], Callable[[Conversation, Any], list[Any]]] = {
    e.CallerSpoke: Conversation._caller_spoke,
    e.DigitPressed: Conversation._digit_pressed,
    e.CallerTurnEnded: Conversation._caller_turn_ended,
    e.ItemAdded: Conversation._item_added,
    e.Transcribed: Conversation._transcribed,
    e.TranscriptionFailed: Conversation._transcription_failed,
    e.AgentSaying: lambda talk, event: talk.guard.saying(event),
    e.AgentSaid: Conversation._agent_said,
    e.WordsRefused: lambda talk, event: talk.guard.refused(event),
    e.ResponseCreated: Conversation._response_created,
    e.ResponseDone: Conversation._response_done,
    e.PlaybackStarted: Conversation._playback_started,
    e.PlaybackEnded: lambda talk, event: talk.speech.over(event.response_id),
    e.ToolCalled: Conversation._tool_called,
    e.ToolFinished: lambda talk, event: talk.tools.finished(event),
    e.HandedOff: Conversation._handed_off,
    e.Referred: lambda talk, event: talk.transfers.referred(event),
    e.ReferFailed: lambda talk, event: talk.transfers.failed(event.reason),
    e.SessionConfirmed: Conversation._reconfirmed,
    e.ServiceRefused: lambda talk, event: talk.refusals.take(event),
    e.TimerFired: Conversation._timer_fired,
}
CONVERSATION = frozenset(_TABLE)
"""The events that a conversation takes."""
