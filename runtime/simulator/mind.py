"""Who decides what a simulated model does when no script does: a rule, a text model, a person. Values and a protocol.

The peer asks for each response that nothing else decides; the shell waits for the answer as the caller would. A
mind that raises lets its response fail, and the host asks again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.simulator.script import Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """One response to be made.

    `instructions` are the response's own or else the session's, `tools` the session's function tools as the service
    was told of them, `items` the conversation so far: messages, function calls and their outputs, as the API has
    them; what the caller said is the `transcript` of an `input_audio`. `may_use_tools` is false for a response with
    `tool_choice: none`.
    """

    call_id: str
    instructions: str
    tools: Sequence[Mapping[str, Any]]
    items: Sequence[Mapping[str, Any]]
    may_use_tools: bool = True


class Mind(Protocol):
    """Decides what the model says and which tools it calls."""

    async def reply(self, asked: Asked) -> Reply:
        """Return what one response does: words, a `ToolUse`, or several of them in a tuple."""
        ...
