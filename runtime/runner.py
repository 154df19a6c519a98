"""Runs one call: executes its commands, feeds back what happens, owns its tasks, timers and socket.

Everything that a call holds is released in one place, `Runner.run`, whichever way it ends. What breaks here, or in
user code below, breaks this call only.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from runtime import events as e
from runtime.call import Call, State
from runtime.commands import (
    Accept,
    Attach,
    CancelTimer,
    CheckWords,
    Command,
    Finish,
    HangUp,
    LookUp,
    Record,
    Refer,
    Reject,
    RunTool,
    Send,
    StartTimer,
)
from runtime.context import CallContext
from runtime.definition import AgentDefinition
from runtime.errors import CallControlError, SidebandError, UnexpectedEvent, frames
from runtime.outcome import Outcome
from runtime.realtime import messages
from runtime.realtime.control import Taken, cause_of, is_gone, why_not_referred
from runtime.realtime.model import Gates, ToolSession, ask
from runtime.routing import Match

logger = logging.getLogger(__name__)


class Wire(Protocol):
    """An open sideband: events go out, messages come in until it closes."""

    @property
    def close_code(self) -> int: ...
    @property
    def close_reason(self) -> str: ...

    async def send(self, event: Mapping[str, Any], /) -> None: ...
    def messages(self) -> AsyncIterator[str | bytes]: ...
    async def close(self) -> None: ...


class Line(Protocol):
    """The service that calls come from and are steered by: the verbs of the Calls API, and the sidebands."""

    async def accept(self, call_id: str, session: Mapping[str, Any], /) -> Taken:
        """Accept a call with its complete session. This and what follows raise `CallControlError`."""

    async def reject(self, call_id: str, status: int, /) -> None: ...
    async def refer(self, call_id: str, to: str, /) -> None: ...
    async def hang_up(self, call_id: str, /) -> None: ...

    async def open(self, call_id: str, again: bool, /) -> Wire:
        """Open a call's sideband; `again` says that it was open before. Raises `SidebandError`."""

    async def close(self) -> None:
        """Release what is held for all calls."""


class Observer(Protocol):
    """Told of each record of each call, as it happens."""

    def __call__(self, runner: "Runner", record: Record, /) -> None: ...


class Witness(Protocol):
    """Told of all that a call hears and does, at a time of the loop's clock. Must neither wait nor raise."""

    def heard(self, call_id: str, at: float, message: str | bytes, /) -> None:
        """Take a message of the service's, before the call does."""

    def took(self, call_id: str, at: float, event: e.Event, done: Sequence[Command], /) -> None:
        """Take an event of the call with the commands that followed."""


class Runner:
    """One call in progress. Made for an arrived call; `run` lasts as long as the call does."""

    def __init__(
        self,
        line: Line,
        observers: tuple[Observer, ...] = (),
        gates: Gates | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.call = Call()
        self.call_id = ""
        self.match: Match | None = None
        self._line = line
        self._observers = observers
        self._gates = gates or Gates()
        self._witness = witness
        self._team: list[AgentDefinition] = []
        self._sideband: Wire | None = None
        self._tools: ToolSession | None = None
        self._context: CallContext | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()

    async def run(self, arrival: e.CallArrived | e.CallTurnedAway) -> Outcome:
        """Serve one call from its arrival to its end, and return the outcome."""
        self.call_id = arrival.call.id
        if isinstance(arrival, e.CallArrived):
            self.match = arrival.match
            self._team = [role.agent for role in arrival.roles.values()]
            self._context = _context(arrival)
        try:
            await self._guard(self.feed(arrival))
            await self._finished.wait()
        finally:
            await self._release()
        return self.call.outcome or Outcome.FAILED

    async def feed(self, event: e.Event) -> None:
        """Tell the call what happened and do what it wants. Safe to call from any task of this loop."""
        if self.call.state is State.ENDED:
            return
        at = asyncio.get_running_loop().time()
        try:
            commands = self.call.handle(event, at)
        except UnexpectedEvent:
            logger.exception("a bug in the call's table", extra={"call_id": self.call_id})
            return
        if self._witness is not None:
            self._witness.took(self.call_id, at, event, commands)
        for command in commands:
            await self._execute(command)

    async def _execute(self, command: Command) -> None:
        match command:
            case Send():
                if self._sideband is not None:
                    await self._sideband.send(command.event)
            case Record():
                self._record(command)
            case StartTimer():
                self._start_timer(command.name, command.seconds)
            case CancelTimer():
                self._cancel_timer(command.name)
            case Accept():
                self._spawn(self._accept(command.session))
            case Attach():
                self._spawn(self._attach_and_read(command.again))
            case RunTool():
                self._spawn(self._run_tool(command))
            case LookUp():
                self._spawn(self._look_up())
            case CheckWords():
                self._spawn(self._check_words(command))
            case Refer():
                self._spawn(self._refer(command.to))
            case Reject():
                await self._reject(command.status)
            case HangUp():
                self._spawn(self._hang_up())
            case Finish():
                self._finished.set()

    # ── the commands that take time ───────────────────────────────────────────────────────────────────────

    async def _accept(self, session: Mapping[str, Any]) -> None:
        try:
            taken = await self._line.accept(self.call_id, session)
        except CallControlError as error:
            await self.feed(e.AcceptFailed(str(error), gone=is_gone(error), cause=cause_of(error)))
        else:
            await self.feed(e.Accepted(taken.dropped, taken.certain))

    async def _attach_and_read(self, again: bool) -> None:
        try:
            sideband = await self._line.open(self.call_id, again)
        except SidebandError as error:
            await self.feed(e.AttachFailed(str(error), gone=error.status == 404))
            return
        self._sideband = sideband
        guarded = any(member.data["guardrails"] is not None for member in self._team)
        try:
            await self.feed(e.Attached())
            async for message in sideband.messages():
                if self._witness is not None:
                    self._witness.heard(self.call_id, asyncio.get_running_loop().time(), message)
                event = messages.read(message, hear_all=guarded)
                if event is not None:
                    await self.feed(event)
        finally:
            self._sideband = None
            await sideband.close()
        await self.feed(e.SidebandClosed(sideband.close_code, sideband.close_reason))

    async def _run_tool(self, command: RunTool) -> None:
        if self._tools is None:
            assert self._context is not None, "made at the call's arrival"
            talk = self.call.conversation
            found = talk.scene.found if talk else {}
            self._tools = ToolSession(self._team, self._context, self._send_from_tools, self.feed, self._gates, found)
        await self._tools.run(command.tool_call_id, command.name, command.arguments)

    async def _look_up(self) -> None:
        agent, context = self._team[0], self._context
        assert agent.abilities.lookup is not None, "who has no lookup asks for none"
        assert context is not None, "made at the call's arrival"
        found, problem = await ask(agent.abilities.lookup, context)
        if not problem and not isinstance(found, dict | None):
            problem = "it is no mapping of fields"
        known = found if isinstance(found, dict) else {}
        wanted = (name for name in agent.data["lookup"]["defaults"] if name in known)
        await self.feed(e.LookedUp({name: known[name] for name in wanted}, problem))

    async def _check_words(self, command: CheckWords) -> None:
        assert self._context is not None, "made at the call's arrival"
        assert self.call.conversation is not None, "words are said in a conversation"
        for rule in self.call.conversation.scene.role.agent.abilities.rules:
            refused, problem = await ask(rule, self._context, command.text)
            if refused or problem:  # a rule that breaks forbids: what it would have said, nobody knows
                await self.feed(e.WordsRefused(command.response_id, rule.written["entrypoint"]))
                return

    async def _refer(self, to: str) -> None:
        try:
            await self._line.refer(self.call_id, to)
        except CallControlError as error:
            fields = {"call_id": self.call_id, "status": error.status, "code": error.code}
            logger.warning("a transfer was not taken", extra=fields)
            lost = error.status is None and error.sent  # it may be under way: a second one would ring twice
            await self.feed(e.Referred(certain=False) if lost else e.ReferFailed(why_not_referred(error)))
        else:
            await self.feed(e.Referred())

    async def _send_from_tools(self, event: Mapping[str, Any]) -> None:
        await self._execute(Send(event))

    async def _reject(self, status: int) -> None:
        try:
            await self._line.reject(self.call_id, status)
        except CallControlError as error:
            fields = {"call_id": self.call_id, "status": status, "said": str(error)}
            logger.warning("a rejection was not taken", extra=fields)

    async def _hang_up(self) -> None:
        try:
            await self._line.hang_up(self.call_id)
        except CallControlError as error:
            await self.feed(e.HungUp(f"the hang-up was not taken: {error}"))
        else:
            await self.feed(e.HungUp())

    # ── records, timers, tasks ────────────────────────────────────────────────────────────────────────────

    def _record(self, record: Record) -> None:
        for observer in self._observers:
            observer(self, record)

    def _start_timer(self, name: str, seconds: float) -> None:
        self._cancel_timer(name)
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(seconds, self._fire, name)

    def _fire(self, name: str) -> None:
        self._spawn(self._tell_fired(name, self._timers[name]))

    async def _tell_fired(self, name: str, timer: asyncio.TimerHandle) -> None:
        if self._timers.get(name) is timer:  # else it was cancelled, or began anew, since it ran out
            del self._timers[name]
            await self.feed(e.TimerFired(name))

    def _cancel_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """The boundary of one call: what nobody expected ends this call, told to the operator, and no other."""
        try:
            await work
        except Exception as error:
            fields = {"call_id": self.call_id, "error": frames(error)}
            logger.error("a call failed", extra=fields, exc_info=logger.isEnabledFor(logging.DEBUG))
            await self._give_up(type(error).__name__)

    async def _give_up(self, reason: str) -> None:
        """Tell the call that we failed; when even that fails, end it all the same."""
        try:
            await self.feed(e.Failed(reason))
        except Exception as error:
            logger.error("a call ended without a word", extra={"call_id": self.call_id, "error": frames(error)})
            with contextlib.suppress(CallControlError):
                await self._line.hang_up(self.call_id)
            self._finished.set()
        if self.call.state is State.ENDED:  # what failed may have stood before its Finish
            self._finished.set()

    async def _release(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        try:
            if self._tools is not None:
                await self._tools.close()
        finally:
            current = asyncio.current_task()
            tasks = [task for task in self._tasks if task is not current]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _context(arrival: e.CallArrived) -> CallContext:
    call, agent = arrival.call, arrival.match.agent
    return CallContext(call.id, call.called, call.caller, agent.name, call.headers, agent.variables)
