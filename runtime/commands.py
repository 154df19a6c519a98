"""What a call wants done, in the imperative. Values only; the runner obeys."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept the call with a complete session."""

    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """Reject the call with a SIP status code."""

    status: int


@dataclass(frozen=True, slots=True)
class Attach:
    """Open the sideband. `again`: it was open and closed, and the call may be over."""

    again: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send one client event over the sideband."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool beside the conversation."""

    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the agent's lookup who is calling."""


@dataclass(frozen=True, slots=True)
class CheckWords:
    """Ask the agent's rules whether the words of a response, so far, may be said."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Refer:
    """Transfer the caller to a tel or SIP address."""

    to: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call at the service."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Fire `name` after so many seconds; starting a running timer starts it anew."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; one that does not run is fine."""

    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """Write one line of the call's life. `private` holds what people said and what tools got: DEBUG only."""

    what: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    level: int = logging.INFO


@dataclass(frozen=True, slots=True)
class Finish:
    """The call has ended: release everything that belongs to it."""


Command = (
    Accept | Reject | Attach | Send | RunTool | LookUp | CheckWords | Refer | HangUp | StartTimer | CancelTimer
    | Record | Finish
)  # fmt: skip
