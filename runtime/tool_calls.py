"""The tool calls of one call: which run, for which response, what is said meanwhile, and who goes on after. Pure.

What our own tools do is not in here: a conversation knows who does it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import events as e
from runtime.commands import CancelTimer, Command, Record, RunTool, StartTimer
from runtime.foreign import mapping_in
from runtime.items import Items
from runtime.scene import Scene
from runtime.session import AFTER
from runtime.speech import Speech

TOO_SLOW = "The tool took too long. Tell the caller that this does not work at the moment."
"""The result of a tool that was given up."""

SLOW = "slow "  # and a tool call's id: the time until the next line while it runs

_ALWAYS_ALLOWED = {"hang_up", "transfer"}  # what ends a call is no way to go on for ever


@dataclass(slots=True)
class Running:
    """One tool call: the response that made it, and how many lines were said while it runs."""

    name: str
    response_id: str
    lines: int = 0


@dataclass(slots=True)
class ToolCalls:
    """Tool calls by their ids. Each gets its result, also one that comes after an interruption."""

    scene: Scene
    speech: Speech
    items: Items
    running: dict[str, Running] = field(default_factory=dict)
    _count: int = 0
    _owed: set[str] = field(default_factory=set)

    def entry(self, name: str) -> Mapping[str, Any]:
        """Return what the file of who speaks now declares of a tool."""
        return self.scene.conduct.tools.get(name, {})

    def begin(self, event: e.ToolCalled) -> list[Command]:
        """A tool is called. Return what refuses it, or []."""
        self._count += 1
        self.running[event.tool_call_id] = Running(event.name, event.response_id or event.tool_call_id)
        if self._count <= self.scene.limits.tool_calls or self.entry(event.name).get("use") in _ALWAYS_ALLOWED:
            return []
        record = Record("a tool beyond the limit was refused", {"tool": event.name}, level=logging.WARNING)
        refusal = "No more tools can be used in this call, but to end it. Go on without them."
        return [record, *self.finish(event.tool_call_id, refusal, tool_choice="none")]

    def run(self, event: e.ToolCalled) -> list[Command]:
        """Run a tool of the author's."""
        lines = self.entry(event.name).get("while_running")
        slow = [StartTimer(SLOW + event.tool_call_id, lines["after_seconds"])] if lines else []
        return [RunTool(event.tool_call_id, event.name, event.arguments), *slow]

    def slow(self, tool_call_id: str) -> list[Command]:
        """Say the next line while a tool runs, unless somebody is speaking anyway."""
        running = self.running.get(tool_call_id)
        lines = self.entry(running.name).get("while_running") if running else None
        if running is None or lines is None or running.lines >= lines["repeat"]:
            return []
        again = StartTimer(SLOW + tool_call_id, lines["after_seconds"])
        if self.speech.busy or self.scene.caller_speaks:
            return [again]
        words = lines["lines"][running.lines % len(lines["lines"])]
        running.lines += 1
        said = self.speech.say(f"while {tool_call_id} {running.lines}", words)
        return [*said, again] if running.lines < lines["repeat"] else said

    def finished(self, event: e.ToolFinished) -> list[Command]:
        """A tool of the author's gave its result."""
        fields = {"tool": event.name, "seconds": round(event.seconds, 3), "failed": event.failed}
        level = logging.WARNING if event.failed else logging.INFO
        record = Record("tool finished", fields, {"result": event.output}, level)
        entry = self.entry(event.name)
        quiet: list[Command] = [CancelTimer(SLOW + event.tool_call_id)] if "while_running" in entry else []
        words = entry.get("on_timeout") if event.too_slow else None
        said = self.speech.say(f"timeout {event.tool_call_id}", words) if words else []
        return [record, *quiet, *said, *self.finish(event.tool_call_id, event.output, go_on=not words)]

    def finish(self, tool_call_id: str, output: str, *, go_on: bool = True, **response: Any) -> list[Command]:
        """Give the model a result; when all tools of one response have theirs, ask it to go on, exactly once.

        Not `go_on`: this result needs no words of the model; `response` is what is asked for otherwise than usual.
        """
        item = self.items.add({"type": "function_call_output", "call_id": tool_call_id, "output": output})
        response_id = self._end(tool_call_id, go_on=go_on)
        return item if response_id is None else [*item, *self.speech.answer(AFTER + response_id, **response)]

    def _end(self, tool_call_id: str, *, go_on: bool) -> str | None:
        """A tool has its result. Return the response that can go on, None while others of the same one run.

        None, too, when none of its results wants the model to `go_on`.
        """
        ended = self.running.pop(tool_call_id, None)
        response_id = ended.response_id if ended else tool_call_id
        if go_on:
            self._owed.add(response_id)
        if response_id not in self._owed or any(other.response_id == response_id for other in self.running.values()):
            return None
        self._owed.discard(response_id)
        return response_id


def arguments_of(event: e.ToolCalled) -> Mapping[str, Any]:
    """Return a tool call's arguments; what the model wrote wrongly counts as nothing."""
    return mapping_in(event.arguments)
