"""What has happened to a call, in the past tense. Values only; times come beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.incoming import IncomingCall
from runtime.roles import Roles
from runtime.routing import Match


@dataclass(frozen=True, slots=True)
class CallArrived:
    """A call came in, an agent takes it, and its role is ready, with those of all that it can be handed to.

    `unable` is a cause of `on_failure` for which the agent cannot serve it; then its fallback does.
    """

    call: IncomingCall
    match: Match
    roles: Roles
    unable: str = ""


@dataclass(frozen=True, slots=True)
class CallTurnedAway:
    """A call came in that is not taken. `status` is the SIP code to reject it with; None: leave it alone."""

    call: IncomingCall
    outcome: str
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The accept was taken. `dropped` names the parameters that the service refused.

    Not `certain`: an answer was lost, and only attaching can tell.
    """

    dropped: tuple[str, ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The lookup answered: its fields, or none when it failed."""

    found: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AcceptFailed:
    """The accept was not taken. `gone`: there is no such call any more, or somebody else decided on it.

    `cause` is one of `on_failure`: quota, model_unreachable, or `""` for a session that the service refused.
    """

    reason: str
    gone: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """The sideband socket is open."""


@dataclass(frozen=True, slots=True)
class AttachFailed:
    """The sideband socket could not be opened. `gone`: the service knows no such call."""

    reason: str
    gone: bool


@dataclass(frozen=True, slots=True)
class SidebandClosed:
    """The sideband socket closed; 1006 is no close frame, the usual end when a caller hangs up."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HungUp:
    """Our hang-up or rejection was carried out, or found nothing left to end."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class Referred:
    """The service relayed a transfer. Whether anybody picks up is told by nothing but the call's end (trap 22).

    Not `certain`: its answer was lost, and a transfer may be under way all the same.
    """

    certain: bool = True


@dataclass(frozen=True, slots=True)
class ReferFailed:
    """The service did not relay a transfer. `reason` is a sentence's end for the model: `the line is busy`."""

    reason: str


@dataclass(frozen=True, slots=True)
class HandedOff:
    """The SDK's session has handed the call to another agent."""

    agent: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the call started has run out."""

    name: str


@dataclass(frozen=True, slots=True)
class DrainEnded:
    """The time to finish calls is over: say goodbye."""


@dataclass(frozen=True, slots=True)
class HostStopped:
    """The host stops now: there is no time to say goodbye."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something of ours broke while it served this call. `reason` names the kind of failure, and no words of a call."""

    reason: str


@dataclass(frozen=True, slots=True)
class SessionConfirmed:
    """`session.updated`: the whole session as it stands at the service."""

    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceRefused:
    """An `error` event. `event_id` names the event of ours that it answers, when the service says so."""

    code: str
    message: str
    parameter: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallerSpoke:
    """The caller began to speak."""


@dataclass(frozen=True, slots=True)
class CallerTurnEnded:
    """The caller finished a turn, and the service took it in."""


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """The conversation has one item more, behind `previous_item_id`."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """What the caller said, as the service heard it."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    """The service could not write down what the caller said; the agent heard it all the same."""

    reason: str


@dataclass(frozen=True, slots=True)
class AgentSaying:
    """Some words more of one response, while it is generated. Told only where rules listen."""

    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class WordsRefused:
    """A rule says that the words of a response must not be said."""

    response_id: str
    rule: str


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """What the agent said in one response."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """A response began. `line` is ours when we asked for it, and None when the service began it by itself."""

    response_id: str
    line: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """A response was generated to its end; the caller may still be hearing it. `line` as in `ResponseCreated`."""

    response_id: str
    status: str
    reason: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    line: str | None = None


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The caller begins to hear a response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    """The caller has heard a response to its end, or up to an interruption."""

    response_id: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls a tool with arguments as JSON text, in one of its responses."""

    tool_call_id: str
    name: str
    arguments: str
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool gave its result, as the text for the model. `failed`: it is a sentence about a failure.

    `too_slow`: it took longer than it may, and was given up.
    """

    tool_call_id: str
    name: str
    output: str
    seconds: float = 0.0
    failed: bool = False
    too_slow: bool = False


Event = (
    CallArrived | CallTurnedAway | Accepted | AcceptFailed | LookedUp | Attached | AttachFailed | SidebandClosed
    | HungUp | TimerFired | DrainEnded | HostStopped | Failed | SessionConfirmed | ServiceRefused
    | CallerSpoke | CallerTurnEnded | DigitPressed | ItemAdded | Transcribed | TranscriptionFailed
    | AgentSaying | AgentSaid | WordsRefused | ResponseCreated | ResponseDone | PlaybackStarted | PlaybackEnded
    | ToolCalled | ToolFinished | HandedOff | Referred | ReferFailed
)  # fmt: skip
