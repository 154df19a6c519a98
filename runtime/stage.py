"""What happens in a scenario while it is played: moves the caller's hands, speaks the model's lines, notes the rest.

Rings nobody and judges nothing: a `Hands` is given to it, and what it noted is a `Played`.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from runtime.call import State
from runtime.commands import Record
from runtime.errors import did_you_mean, listing
from runtime.expectations import (
    Moment,
    Played,
    PlayedTurn,
    Received,
    Said,
    Used,
    arguments_told,
    how_it_ended,
)
from runtime.faults import SPEECHLESS
from runtime.foreign import inner
from runtime.realtime.live import LiveCall
from runtime.receipt import Receipt
from runtime.ringing import Hands, Heard
from runtime.runner import Runner
from runtime.scenarios import SETTLED_SECONDS, Deed, Response, Scenario, Turn, Use
from runtime.session import is_models_own, line_of
from runtime.simulator.mind import Asked
from runtime.simulator.script import Reply, ToolUse
from runtime.sound import samples, seconds_of

STUCK_SECONDS = 900.0  # of the call: the longest that a tool may take is 600
ENDING_SECONDS = 60.0  # of the call, for an end that a scenario waits for
NO_LINE = "(the scenario has no model line here)"  # what a model says then, and no expectation is about


class Backstage(Protocol):
    """What a stage cannot see: whom the caller rings, the connection to the call, and the host's agents."""

    def dial(self, hear: Heard, /) -> Hands:
        """Return a call that does not ring yet, and let somebody hear it."""

    async def ring(self) -> None:
        """Let the call that was dialed last ring at the host."""

    async def lose(self, *, for_good: bool) -> bool:
        """Break off the connection, for good or so that it can be attached again, and tell whether there was one."""

    async def idle(self) -> None:
        """Wait until the host has no call left."""

    def reload(self) -> None:
        """Let the host have the agents of the scenario's next reload."""


@dataclass(slots=True)
class _Act:
    """What happened in one turn, while it is played."""

    said: list[Said] = field(default_factory=list)
    used: dict[str, Used] = field(default_factory=dict)
    handoffs: list[str] = field(default_factory=list)
    transfers: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    milliseconds: float | None = None
    reached: bool = False
    unasked: int = 0
    impossible: list[tuple[Response, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    missed: tuple[str, str] | None = None
    not_here: str = ""
    agent: str = ""
    outcome: str = ""
    reason: str = ""
    received: Received = field(default_factory=Received)

    def tell(self, who: str, what: str) -> None:
        self.moments.append(Moment(who, what))


class Stage:
    """Moves the caller's hands through a scenario, speaks its model lines, and notes what happens in which turn.

    What follows from a deed belongs to the deed's turn, until the model speaks a line of a later one. Where the model
    is not scripted, its lines are passed over, and such a turn looks at all that followed.
    """

    _backstage: Backstage
    _call: Hands

    def __init__(self, scenario: Scenario, *, is_scripted: bool, patience_seconds: float) -> None:
        self._scenario = scenario
        self._is_scripted = is_scripted
        self._patience_seconds = patience_seconds
        self._is_speechless = not scenario.down.isdisjoint(SPEECHLESS)
        self._opening = _Act()
        self._acts = [_Act() for _ in scenario.turns]
        self._act = self._opening if scenario.turns[0].deed else self._acts[0]
        self._lines: deque[tuple[_Act, Response]] = deque()
        self._stirred = asyncio.Event()
        self._over = asyncio.Event()
        self._deed_at = 0.0
        self.failure: Exception | None = None  # of who plays the model, which gave no answer
        self._agent = self._outcome = self._reason = ""
        self._runner: Runner | None = None
        self._line_of: dict[str, str] = {}
        self._act_of: dict[str, _Act] = {}
        self._running: dict[str, _Act] = {}
        self._is_attached = False
        self._is_begun = False  # the latest tool, by the host
        self._absent = ""  # why the rest of this call cannot be played here
        self._is_done = False

    async def play(self, backstage: Backstage) -> None:
        """Ring, and play the turns, until the last call is over or nothing of the scenario is left."""
        self._backstage = backstage
        turns = self._scenario.turns
        await self._ring()
        if self._act is self._opening:
            await self._settle(turns[0])
            self._conclude([self._opening])
        for first, end in exchanges(turns):
            acts, following = self._acts[first:end], turns[end] if end < len(turns) else None
            if self._can_play(turns[first]):
                await self._exchange(turns[first:end], acts, following)
            else:
                self._conclude(acts, reached=False)
        self._is_done = True

    def _can_play(self, turn: Turn) -> bool:
        """Whether a turn has the call that it needs, and somebody who plays the model."""
        has_call = not self._over.is_set() and not self._absent
        return self.failure is None and (has_call or turn.needs_no_call)

    async def _exchange(self, turns: Sequence[Turn], acts: Sequence[_Act], following: Turn | None) -> None:
        """Play what the first turn does and all that follows from it, until the `following` one begins."""
        if turns[0].rings:
            await self.leave()
        is_over = self._over.is_set() and not turns[0].rings
        self._act = acts[0]
        if self._is_scripted:
            self._lines = deque((act, each) for act, turn in zip(acts, turns, strict=True) for each in turn.model)
        await self._do(turns[0])
        await self._settle(following)
        if any(each.field == "ended_by" for turn in turns for each in turn.expect):
            await self._within(ENDING_SECONDS, self._over)
        self._conclude(acts, reached=not is_over)
        if turns[0].deed == Deed("connection", "lost"):
            self._absent = ""  # for what is lost for good, the rest of the call is

    async def _ring(self) -> None:
        """Begin a call."""
        self._over.clear()
        self._agent = self._outcome = self._reason = self._absent = ""
        self._running.clear()
        self._is_attached = False
        self._call = self._backstage.dial(self.hear)
        self._deed_at = asyncio.get_running_loop().time()
        await self._backstage.ring()

    async def leave(self) -> None:
        """Let the caller hang up, unless the call is over, and wait until the host has no place taken by it."""
        self._call.hangs_up()
        await self._backstage.idle()

    async def _do(self, turn: Turn) -> None:
        """Let the caller do what the turn says."""
        if turn.deed is None:
            return
        who = {"connection": "call", "reload": "host"}.get(turn.deed.kind, "caller")
        self._act.tell(who, _told(turn.deed.kind, turn.deed.value))
        match turn.deed.kind:
            case "says" if turn.deed.audio and isinstance(self._call, LiveCall):
                await self._play(turn.deed, self._call)
                return
            case "says" | "interrupts":
                # In writing an answer may be whole before anybody can speak over it.
                is_late = not self._call.audible and not isinstance(self._call, LiveCall)
                if turn.deed.kind == "interrupts" and is_late:
                    self._act.missed = "the caller speaks over the agent", "the agent was not speaking"
                await self._call.says(turn.deed.value)
            case "keys":
                await self._call.presses(turn.deed.value)
            case "silent":
                self._deed_at = asyncio.get_running_loop().time()
                await self._within(turn.deed.value, self._over)
                await self._call.stays_silent(turn.deed.value)
                return
            case "hangs_up":
                self._call.hangs_up()
            case "rings_again":
                await self._ring()
                return
            case "reload":
                self._backstage.reload()
            case "connection" if isinstance(self._call, LiveCall):
                self._absent = "without a telephone there is no call beside the connection"
            case "connection":
                self._is_attached = False
                if not await self._backstage.lose(for_good=turn.deed.value == "lost_for_good"):
                    self._act.missed = "the connection is lost", "there was none"
        self._deed_at = asyncio.get_running_loop().time()

    async def _play(self, deed: Deed, call: LiveCall) -> None:
        """Let the caller be heard, and count from the end of the words: the service may answer before we know."""
        file = Path(self._scenario.file).parent / deed.audio
        sound = samples(file.read_bytes(), file.as_posix())
        self._deed_at = asyncio.get_running_loop().time() + seconds_of(sound)
        await call.plays(sound)

    async def _settle(self, following: Turn | None = None) -> None:
        """Wait until nothing more follows by itself, or for the moment in which the following turn cuts in."""
        while not self._over.is_set() and not (following and self._is_time_for(following)):
            self._stirred.clear()
            busy = STUCK_SECONDS if self._running else self._patience_seconds
            if not await self._within(busy if self._is_busy else SETTLED_SECONDS, self._stirred):
                if self._is_busy:
                    self.note("the service was waited for, and gave no sign")
                return

    def _is_time_for(self, turn: Turn) -> bool:
        """Whether a turn that cuts in has something to cut into: words, or a tool where a connection is lost."""
        if turn.deed is not None and turn.deed.kind == "connection":
            return self._is_attached and (self._call.audible or (bool(self._running) and self._is_begun))
        return turn.cuts_in and self._call.audible

    @property
    def _is_busy(self) -> bool:
        """Whether something is under way that nobody but the agent, its tools or the service ends."""
        settled = self._runner is not None and self._runner.call.state is State.ACTIVE
        return not settled or not self._call.quiet or self._call.ended.is_set() or bool(self._running)

    async def _within(self, seconds: float, event: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True

    def _conclude(self, acts: Sequence[_Act], *, reached: bool = True) -> None:
        """Keep how things stand at the end of an exchange's turns, or when they cannot be played any more."""
        for act, _ in self._lines:
            act.unasked += 1
        self._lines.clear()
        receipt = self._runner.call.receipt if self._runner else Receipt()
        received = Received(receipt.rows, receipt.greeting, str(self._call.session.get("instructions", "")))
        for act in acts:
            act.reached, act.received, act.not_here = reached, received, self._absent
            act.agent, act.outcome, act.reason = self._agent, self._outcome, self._reason

    # ── the model's part, where the scenario has it ───────────────────────────────────────────────────────────

    async def reply(self, asked: Asked) -> Reply:
        """Return the scenario's next line, as a mind does. One without tools waits for a response that may use them."""
        if not self._lines or (self._lines[0][1].uses and not asked.may_use_tools):
            return NO_LINE
        self._act, line = self._lines.popleft()
        parameters = {tool["name"]: tool["parameters"] for tool in asked.tools}
        self._act.impossible += [(line, *why) for use in line.uses if (why := _why_impossible(use, parameters))]
        uses = [ToolUse(use.tool, json.dumps(use.arguments, ensure_ascii=False)) for use in line.uses]
        return (*line.says, *uses)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────────────

    def get_stuck(self) -> None:
        """Note that the call never came to an end."""
        self._end("failed", "it got stuck and never ended")
        self._is_done = True
        self._conclude([act for act in self._acts if not act.reached], reached=False)

    def note(self, words: str) -> None:
        """Note what was logged."""
        self._act.tell("log", words)

    def tool_broke(self, tool: str, how: str) -> None:
        """Note of a tool that raised, or took too long, that no caller should ever hear of it."""
        if tool not in self._scenario.canned and tool not in self._scenario.taken:
            self._act.broken.append(f"{tool} {how}")

    def observe(self, runner: Runner, record: Record) -> None:
        """Note a record of the host's."""
        self._runner = runner
        fields = record.fields
        match record.what:
            case "accepted":
                assert runner.match is not None, "nobody accepts a call that no agent takes"
                self._agent = runner.match.agent.name
            case "handed off":
                self._agent = fields["agent"]
                self._act.handoffs.append(self._agent)
                self._act.tell("call", f"handed over to {self._agent}")
            case "transferring":
                self._act.transfers.append(fields["destination"])
                self._act.tell("call", f"being put through to {fields['destination']}")
            case "attached":
                self._is_attached = True
            case "attached again":
                self._is_attached = True
                self.note(record.what)
            case "tool called":
                self._is_begun = True
            case "a tool beyond the limit was refused":
                self._refuse(fields["tool"])
            case "hanging up":
                self._reason = fields["reason"]
            case "ended":
                self._end(fields["outcome"], fields.get("reason", ""))
            case _ if record.level >= logging.WARNING:
                more = ", ".join(f"{name}: {value}" for name, value in fields.items())
                self.note(f"{record.what} ({more})" if more else record.what)
        self._stirred.set()

    def _end(self, outcome: str, reason: str) -> None:
        if not self._is_done:
            self._outcome, self._reason = outcome, reason or self._reason
            self._act.tell("call", how_it_ended(outcome, self._reason))
        self._over.set()

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Note what the service and the host send each other."""
        self._stirred.set()
        event = fields.get("event", {})
        item, response = inner(event, "item"), inner(event, "response")
        match what, event.get("type"):
            case "client_event", "conversation.item.create" if item["type"] == "function_call_output":
                self._give_result(item["call_id"], item["output"])
            case "server_event", "response.created":
                self._line_of[str(response.get("id"))] = line_of(response)
            case "server_event", _ if self._is_speechless:
                pass  # nobody hears what a response says that is broken on purpose
            case "server_event", "output_audio_buffer.started":
                self._act_of[str(event.get("response_id"))] = self._act
                if self._act.milliseconds is None:
                    self._act.milliseconds = (asyncio.get_running_loop().time() - self._deed_at) * 1000
            case "server_event", "response.output_audio_transcript.done":
                self._say(str(event.get("response_id")), str(event.get("transcript") or "").strip())
            case "server_event", "response.output_item.done" if item.get("type") == "function_call":
                self._use(item)
            case "mind_failed", _:  # to be asked again would help nobody
                self.failure = self.failure or fields["error"]
                self._over.set()

    def _say(self, response_id: str, text: str) -> None:
        """Note what was said, in the turn in which it began to be heard: the caller may have interrupted it since."""
        act, line = self._act_of.get(response_id, self._act), self._line_of.get(response_id, "")
        if text:
            act.tell("agent", text)
        if text and not (self._is_scripted and text == NO_LINE):
            act.said.append(Said(text, "" if is_models_own(line) else line))

    def _use(self, item: Mapping[str, Any]) -> None:
        if item.get("status", "completed") != "completed":
            return  # it was interrupted, and nobody runs it
        call_id, name, arguments = (str(item.get(key) or "") for key in ("call_id", "name", "arguments"))
        if not call_id:
            return  # a wish that nobody could answer, so that the host does not hear of it
        self._act.used[call_id] = Used(name, arguments)
        self._act.tell("tool", f"{name}{arguments_told(arguments)}")
        if not self._waits_for_caller(name):
            self._running[call_id], self._is_begun = self._act, False

    def _waits_for_caller(self, tool: str) -> bool:
        """Whether a tool of who has the caller is over when the caller has pressed keys."""
        talk = self._runner.call.conversation if self._runner else None
        tools = talk.scene.role.agent.tools if talk else ()
        return any(each.name == tool and each.use == "keypad" for each in tools)

    def _refuse(self, tool: str) -> None:
        """Forget the latest use of a tool that was not run: the call had used as many as it may."""
        uses = [(act, call_id) for act in self._acts for call_id, used in act.used.items() if used.tool == tool]
        if uses:
            act, call_id = uses[-1]
            del act.used[call_id]
            self._running.pop(call_id, None)
            self.note(f"{tool} was not run: the limit of tool_calls is reached")

    def _give_result(self, call_id: str, output: str) -> None:
        self._running.pop(call_id, None)
        act = next((act for act in (self._opening, *self._acts) if call_id in act.used), None)
        if act is not None and act.used[call_id].result is None:
            act.used[call_id] = replace(act.used[call_id], result=output)
            self._act.tell("result", output)

    # ── what was played ───────────────────────────────────────────────────────────────────────────────────────

    def played(self) -> Played:
        """Return what happened, turn by turn."""
        begins = {at: first for first, end in exchanges(self._scenario.turns) for at in range(first, end)}
        turns = [
            _as_played(act, self._acts[begins[at] : at + 1] if turn.looks_back or not self._is_scripted else [act])
            for at, (turn, act) in enumerate(zip(self._scenario.turns, self._acts, strict=True))
        ]
        return Played(
            tuple(turns),
            _as_played(self._opening, [self._opening]),
            self._outcome,
            self._reason,
            f"Who plays the model gave no answer: {self.failure}" if self.failure else "",
        )


def exchanges(turns: Sequence[Turn]) -> list[tuple[int, int]]:
    """Return the turns as ranges that begin where the caller does something."""
    starts = [at for at, turn in enumerate(turns) if at == 0 or turn.deed is not None]
    return list(zip(starts, [*starts[1:], len(turns)], strict=True))


def _as_played(act: _Act, seen: Sequence[_Act]) -> PlayedTurn:
    """Return one turn as it was, with all that it sees of what happened."""
    return PlayedTurn(
        agent=act.agent,
        said=tuple(said for each in seen for said in each.said),
        used=tuple(used for each in seen for used in each.used.values()),
        handoffs=tuple(name for each in seen for name in each.handoffs),
        transfers=tuple(name for each in seen for name in each.transfers),
        milliseconds=next((each.milliseconds for each in seen if each.milliseconds is not None), None),
        outcome=act.outcome,
        reason=act.reason,
        reached=act.reached,
        unasked=act.unasked,
        impossible=tuple(act.impossible),
        broken=tuple(act.broken),
        missed=act.missed,
        not_here=act.not_here,
        received=act.received,
        moments=tuple(act.moments),
    )


def _why_impossible(use: Use, parameters: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return what stands in a model's line and why no model can do it: it has no such tool, or no such argument."""
    if use.tool not in parameters:
        return f"the model uses {use.tool}", "the model does not have it"
    known = parameters[use.tool].get("properties")
    if known is not None and (unknown := [name for name in use.arguments if name not in known]):
        near = did_you_mean(unknown[0], known) or (
            f"It has {listing(list(known), 'and')}." if known else "It has none."
        )
        return f"the model uses {use.tool} with {unknown[0]}", f"it has no such argument. {near}"
    return None


def _told(kind: str, value: Any) -> str:
    """Return what the caller does, or what becomes of the call, for people."""
    match kind:
        case "keys":
            return f"(presses {' '.join(value)})"
        case "silent":
            return f"(is silent for {value:g} s)"
        case "interrupts":
            return f"(interrupts) {value}"
        case "hangs_up":
            return "(hangs up)"
        case "rings_again":
            return "(rings again)"
        case "reload":
            saved, deleted = [name for name in value if value[name]], [name for name in value if not value[name]]
            told = [f"with another {listing(saved, 'and')}"] if saved else []
            told += [f"without {listing(deleted, 'and')}"] if deleted else []
            return f"reloads {' and '.join(told)}"
        case "connection":
            return f"the connection is {value.replace('_', ' ')}"
    return str(value)
