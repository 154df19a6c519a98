"""Scenarios: what the caller does and what the model says in one call, as frozen values.

Never who speaks when: the service's shell plays a script, the peer says what it is cued to say.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The model calls a tool. A tool that the session does not declare is not called, unless `undeclared`."""

    name: str
    arguments: str = "{}"
    undeclared: bool = False


Reply: TypeAlias = "str | ToolUse | tuple[str | ToolUse, ...]"
"""What the model does in one response; a tuple holds several output items of the same response."""

Replies: TypeAlias = "str | ToolUse | Sequence[Reply]"


@dataclass(frozen=True, slots=True)
class Turn:
    """The caller waits until the agent is silent, says something, and the model answers.

    Each reply is one response: after a `ToolUse` the next reply waits for the host's `response.create`.
    Without `caller` the caller says nothing and waits for words that the host asks for.
    """

    caller: str | None
    model: Replies = ()


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The caller speaks over the agent's audio."""

    caller: str
    model: Replies = ()


@dataclass(frozen=True, slots=True)
class Keys:
    """The caller presses keys: 0-9 * # A-D. The model does not hear them; the host must tell it."""

    digits: str
    model: Replies = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """The caller says nothing for a while, in seconds of the simulated call."""

    seconds: float
    model: Replies = ()


Step: TypeAlias = "Turn | Interrupt | Keys | Silence"


@dataclass(frozen=True, slots=True)
class Script:
    """One caller's plan. `patience` and `rest` are real seconds, whatever the service's pace.

    The caller waits `patience` seconds for words that do not come (a greeting, an answer) and then goes on;
    `rest` seconds pass between one answer and the caller's next step.
    """

    steps: tuple[Step, ...] = ()
    endless: bool = False
    caller_first: bool = False
    hangs_up: bool = True
    patience: float = 5.0
    rest: float = 0.0

    @classmethod
    def repeat(cls, step: Step, times: int | None = None, **rest: Any) -> "Script":
        """The same step so many times, or for ever."""
        return cls((step,) * (1 if times is None else times), endless=times is None, **rest)

    def walk(self) -> Iterator[Step]:
        yield from self.steps
        while self.endless and self.steps:
            yield from self.steps


def replies(model: Replies) -> tuple[Reply, ...]:
    """The replies one by one, however they were written."""
    return (model,) if isinstance(model, str | ToolUse) else tuple(model)


_QUOTED = (re.compile(r'"""(.+?)"""', re.DOTALL), re.compile(r"«([^»]+)»|“([^”]+)”|\"([^\"]+)\""))


def spoken_line(instructions: str) -> str | None:
    '''The sentence that instructions ask to be said: the last in """…""", else the last in «…» or "…".'''
    for quoted in _QUOTED:
        found = quoted.findall(instructions)
        if found:
            last = found[-1]
            return (last if isinstance(last, str) else "".join(last)).strip()
    return None
