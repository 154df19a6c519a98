"""Runs one call: executes its commands, feeds back what happens, owns its tasks, timers and socket.

Everything that a call holds is released in one place, `Runner.run`, whichever way it ends. What breaks here, or in
user code below, breaks this call only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

from runtime import events as e
from runtime.call import Call, Outcome, State
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
from runtime.context import CallContext
from runtime.errors import CallControlError, SidebandError, UnexpectedEvent, frames
from runtime.realtime import messages
from runtime.realtime.control import CallControl, is_gone
from runtime.realtime.model import ToolSession
from runtime.realtime.sideband import Sideband
from runtime.routing import Match

logger = logging.getLogger(__name__)

Opener = Callable[[str, bool], Awaitable[Sideband]]
"""Opens the sideband of a call by its id; the flag says that it was open before. Raises `SidebandError`."""


class Observer(Protocol):
    """Told of each record of each call, as it happens."""

    def __call__(self, runner: "Runner", record: Record, /) -> None: ...


class Runner:
    """One call in progress. Made for an arrived call; `run` lasts as long as the call does."""

    def __init__(self, control: CallControl, open_sideband: Opener, observers: tuple[Observer, ...] = ()) -> None:
        self.call = Call()
        self.call_id = ""
        self.match: Match | None = None
        self._control = control
        self._open = open_sideband
        self._observers = observers
        self._sideband: Sideband | None = None
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
        try:
            commands = self.call.handle(event, asyncio.get_running_loop().time())
        except UnexpectedEvent:
            logger.exception("a bug in the call's table", extra={"call_id": self.call_id})
            return
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
            case Reject():
                await self._reject(command.status)
            case HangUp():
                self._spawn(self._hang_up())
            case Finish():
                self._finished.set()

    # ── the commands that take time ───────────────────────────────────────────────────────────────────────

    async def _accept(self, session: Mapping[str, Any]) -> None:
        try:
            taken = await self._control.accept(self.call_id, session)
        except CallControlError as error:
            await self.feed(e.AcceptFailed(str(error), gone=is_gone(error)))
        else:
            await self.feed(e.Accepted(taken.dropped, taken.certain))

    async def _attach_and_read(self, again: bool) -> None:
        try:
            sideband = await self._open(self.call_id, again)
        except SidebandError as error:
            await self.feed(e.AttachFailed(str(error), gone=error.status == 404))
            return
        self._sideband = sideband
        try:
            await self.feed(e.Attached())
            async for message in sideband.messages():
                event = messages.read(message)
                if event is not None:
                    await self.feed(event)
        finally:
            self._sideband = None
            await sideband.close()
        await self.feed(e.SidebandClosed(sideband.close_code, sideband.close_reason))

    async def _run_tool(self, command: RunTool) -> None:
        if self._tools is None:
            assert self.match is not None, "a tool belongs to a matched call"
            assert self._context is not None, "made with the match"
            self._tools = ToolSession(self.match.agent, self._context, self._send_from_tools, self.feed)
        await self._tools.run(command.tool_call_id, command.name, command.arguments)

    async def _send_from_tools(self, event: Mapping[str, Any]) -> None:
        await self._execute(Send(event))

    async def _reject(self, status: int) -> None:
        try:
            await self._control.reject(self.call_id, status)
        except CallControlError as error:
            fields = {"call_id": self.call_id, "status": status, "said": str(error)}
            logger.warning("a rejection was not taken", extra=fields)

    async def _hang_up(self) -> None:
        try:
            await self._control.hang_up(self.call_id)
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
        self._timers.pop(name, None)
        self._spawn(self.feed(e.TimerFired(name)))

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
            self._finished.set()

    async def _release(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._tools is not None:
            await self._tools.close()
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _context(arrival: e.CallArrived) -> CallContext:
    call, agent = arrival.call, arrival.match.agent
    return CallContext(call.id, call.called, call.caller, agent.name, call.headers, agent.variables)
