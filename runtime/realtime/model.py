"""The SDK's side of a call: its session runs the tools, our model behind its public port speaks to the sideband.

`agents.realtime.model.RealtimeModel` is an abstract class made to be implemented. The SDK's own implementation
sends a `session.update` with its own model and voice, and loses `response.create` (protocol 3.1 and 3.4); ours
sends nothing that the call did not decide. The session is told of tool calls only: it rewrites its history at
every other event, so that a turn would cost more the longer the call.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from agents.realtime import (
    RealtimeAgent,
    RealtimeModel,
    RealtimeModelConfig,
    RealtimeModelListener,
    RealtimeSession,
    realtime_handoff,
)
from agents.realtime.model_events import RealtimeModelToolCallEvent
from agents.realtime.model_inputs import (
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)

from agents import FunctionTool, RunContextWrapper, UserError
from runtime.context import CallContext
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.errors import ToolError, frames
from runtime.events import HandedOff, ToolFinished
from runtime.tool_calls import TOO_SLOW

logger = logging.getLogger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_BROKE = "The tool failed. Tell the caller that this does not work at the moment, and offer another way."


class Gates:
    """How often each tool may run at the same time, over all calls of a host. The same tool has the same gate,
    whichever agent or version of it asks."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, int], asyncio.Semaphore] = {}

    def of(self, tool: ToolDefinition) -> contextlib.AbstractAsyncContextManager[None]:
        """Return what a tool waits for before it runs, and frees when it is over."""
        if (limit := tool.max_parallel) is None:
            return contextlib.nullcontext()
        source = next(tool.written[kind] for kind in ("entrypoint", "http", "mcp") if kind in tool.written)
        kind = json.dumps([source, tool.name], sort_keys=True)
        return self._gates.setdefault((kind, limit), asyncio.Semaphore(limit))


@dataclass(slots=True)
class _Running:
    """What the SDK hands through to each tool: the call, which tool calls have failed, and which took too long."""

    context: CallContext
    gates: Gates
    failed: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)


class SidebandModel(RealtimeModel):
    """The SDK's port: what its session wants sent becomes events of the call, or goes to the sideband."""

    def __init__(
        self,
        send: Send,
        finished: Callable[[str, str, str], Awaitable[None]],
        moved: Callable[[], Awaitable[None]],
    ) -> None:
        self._send = send
        self._finished = finished
        self._moved = moved
        self._listeners: list[RealtimeModelListener] = []

    async def connect(self, options: RealtimeModelConfig) -> None:
        """Nothing to open: the call's runner owns the sideband."""

    def add_listener(self, listener: RealtimeModelListener) -> None:
        self._listeners.append(listener)

    def remove_listener(self, listener: RealtimeModelListener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def tell(self, event: RealtimeModelToolCallEvent) -> None:
        """Tell the session of a tool call."""
        for listener in list(self._listeners):
            await listener.on_event(event)

    async def send_event(self, event: RealtimeModelSendEvent) -> None:
        """Send what the session wants sent. Whether a response follows a tool's result is the call's decision."""
        match event:
            case RealtimeModelSendSessionUpdate():  # the settings of a handoff come from their one maker
                await self._moved()
            case RealtimeModelSendToolOutput():
                await self._finished(event.tool_call.call_id, event.tool_call.name, event.output)
            case RealtimeModelSendInterrupt():
                if not event.playback_only:
                    await self._send({"type": "response.cancel"})
                if not event.cancel_response_only:  # the audio that is buffered would still be heard (trap 20)
                    await self._send({"type": "output_audio_buffer.clear"})
            case RealtimeModelSendUserInput():
                text = event.user_input
                content = [{"type": "input_text", "text": text}] if isinstance(text, str) else text["content"]
                item = {"type": "message", "role": "user", "content": content}
                await self._send({"type": "conversation.item.create", "item": item})
            case RealtimeModelSendRawMessage():
                await self._send({"type": event.message["type"], **event.message.get("other_data", {})})
            case _:
                raise UserError(f"{type(event).__name__}: sound is not the SDK's to send")

    async def close(self) -> None:
        """Nothing to close: the call's runner owns the sideband."""


class ToolSession:
    """Runs the tools and handoffs of one call. The SDK's session behind it is opened with the first of them.

    `team` are the agents of the call, who takes it first; `found` is what the lookup found, for all their tools.
    """

    def __init__(
        self,
        team: Sequence[AgentDefinition],
        context: CallContext,
        send: Send,
        tell: Callable[[ToolFinished | HandedOff], Awaitable[None]],
        gates: Gates | None = None,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        self._team = {agent.name: agent for agent in team}
        self._found = found or {}
        self._running = _Running(replace(context, variables={**context.variables, **self._found}), gates or Gates())
        self._tell = tell
        self._chosen = ""
        self._model = SidebandModel(send, self._finish, self._hand_off)
        self._session: RealtimeSession | None = None
        self._opening = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._began: dict[str, tuple[str, float]] = {}

    async def run(self, tool_call_id: str, name: str, arguments: str) -> None:
        """Start one tool call; its end is told through `finished`. A repeated id is the same call."""
        if tool_call_id in self._began:
            return
        self._began[tool_call_id] = (name, time.monotonic())
        async with self._opening:  # a response may call two tools at once
            if self._session is None:
                self._session = RealtimeSession(self._model, self._sdk_agents(), self._running)
                await self._session.enter()
                self._watching = asyncio.create_task(self._watch(self._session), name="switchboard-tools")
        await self._model.tell(RealtimeModelToolCallEvent(name=name, call_id=tool_call_id, arguments=arguments))

    async def close(self) -> None:
        """Cancel the tools that still run."""
        if self._session is not None:
            await self._session.close()
        if self._watching is not None:
            await self._watching

    def _sdk_agents(self) -> RealtimeAgent[_Running]:
        """Return who has the call as the SDK knows it, able to hand over to the others."""
        made = {name: _sdk_agent(agent) for name, agent in self._team.items()}
        for name, agent in self._team.items():
            made[name].handoffs = [
                realtime_handoff(
                    made[tool.written["agent"]],
                    tool_name_override=tool.name,
                    tool_description_override=tool.description,
                    on_handoff=partial(self._choose, tool.written["agent"]),
                )
                for tool in agent.tools
                if tool.use == "hand_off" and tool.written["agent"] in made
            ]
        return made[self._chosen] if self._chosen else next(iter(made.values()))

    def _choose(self, name: str, context: Any) -> None:
        self._chosen = name

    async def _hand_off(self) -> None:
        """The SDK's session has another agent: from now on tools run as that one's."""
        agent = self._team[self._chosen]
        context = self._running.context
        self._running.context = replace(context, agent=agent.name, variables={**agent.variables, **self._found})
        await self._tell(HandedOff(agent.name))

    async def _finish(self, tool_call_id: str, name: str, output: str) -> None:
        _, began = self._began.get(tool_call_id, (name, time.monotonic()))
        failed = tool_call_id in self._running.failed or output == f"Tool {name} not found"
        slow = tool_call_id in self._running.slow
        self._began[tool_call_id] = ("", began)
        await self._tell(ToolFinished(tool_call_id, name, output, time.monotonic() - began, failed, slow))

    async def _watch(self, session: RealtimeSession) -> None:
        """Read the session's events, which nobody needs, and outlive the errors that it raises among them.

        An exception in the SDK's own handling ends its iterator (protocol trap 21); the model must then still
        hear something about every tool that it called.
        """
        try:
            async for _ in session:
                pass
        except Exception as error:
            fields = {"call_id": self._running.context.call_id, "error": frames(error)}
            logger.error("the SDK's session failed", extra=fields, exc_info=logger.isEnabledFor(logging.DEBUG))
            for tool_call_id, (name, _) in list(self._began.items()):
                if name:
                    self._running.failed.add(tool_call_id)
                    await self._finish(tool_call_id, name, _BROKE)
            self._session = None


def _sdk_agent(agent: AgentDefinition) -> RealtimeAgent[_Running]:
    return RealtimeAgent(name=agent.name, tools=[_sdk_tool(tool) for tool in agent.tools if tool.invoke is not None])


async def ask(tool: ToolDefinition, context: CallContext, *given: str) -> tuple[Any, str]:
    """Run a tool that no model calls: a lookup, or a rule with the words that are `given`.

    Return its result and `""`, or None and what went wrong.
    """
    assert tool.invoke is not None, "a host serves tools that were read"
    arguments = dict(zip(tool.parameters["properties"], given, strict=False))
    try:
        async with asyncio.timeout(tool.timeout_seconds):
            return json.loads(await tool.invoke(context, json.dumps(arguments))), ""
    except TimeoutError:
        problem = f"it takes longer than {tool.timeout_seconds:g} s"
    except Exception as error:
        problem = f"it failed ({type(error).__name__})"
        fields = {"call_id": context.call_id, "tool": tool.name, "error": frames(error)}
        logger.error("a lookup or rule failed", extra=fields, exc_info=logger.isEnabledFor(logging.DEBUG))
    return None, problem


def _sdk_tool(tool: ToolDefinition) -> FunctionTool:
    async def invoke(context: Any, arguments: str) -> str:
        running: _Running = context.context
        assert tool.invoke is not None, "a host serves tools that were read"
        try:
            async with running.gates.of(tool):
                text: str = await tool.invoke(running.context, arguments)
            return text
        except ToolError as error:
            said = str(error)
            fields = {"call_id": running.context.call_id, "tool": tool.name}
            logger.warning("a tool could not do what the model asked for", extra=fields)
        except Exception as error:
            said = _BROKE
            fields = {"call_id": running.context.call_id, "tool": tool.name, "error": frames(error)}
            logger.error("a tool failed", extra=fields, exc_info=logger.isEnabledFor(logging.DEBUG))
        running.failed.add(context.tool_call_id)
        return said

    def timed_out(context: RunContextWrapper[Any], error: Exception) -> str:
        running: _Running = context.context
        fields = {"call_id": running.context.call_id, "tool": tool.name, "seconds": tool.timeout_seconds}
        logger.error("a tool took too long", extra=fields)
        running.failed.add(context.tool_call_id)  # type: ignore[attr-defined]
        running.slow.add(context.tool_call_id)  # type: ignore[attr-defined]
        return TOO_SLOW

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=dict(tool.parameters),
        on_invoke_tool=invoke,
        strict_json_schema=False,
        timeout_seconds=tool.timeout_seconds,
        timeout_error_function=timed_out,
    )
