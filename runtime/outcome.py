"""How a call ended: the closed list, and which of its words tell of no trouble. Holds no decision about a call."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a call ended."""

    CALLER_HUNG_UP = "caller_hung_up"
    AGENT_HUNG_UP = "agent_hung_up"
    TRANSFERRED = "transferred"
    SILENT = "silent"  # the caller said nothing any more
    NOBODY_SPOKE = "nobody_spoke"  # nor ever did
    TOO_LONG = "too_long"  # our limit
    EXPIRED = "expired"  # the service's limit of 60 minutes
    DRAINED = "drained"
    NO_AGENT = "no_agent"
    NOT_TAKEN = "not_taken"  # the host is draining
    OVER_CAPACITY = "over_capacity"
    TOOLS_UNAVAILABLE = "tools_unavailable"
    STALE = "stale"  # the webhook came too late
    GONE = "gone"  # left before the accept, or taken by another host
    ACCEPT_FAILED = "accept_failed"
    MODEL_UNREACHABLE = "model_unreachable"
    QUOTA = "quota"
    ATTACH_FAILED = "attach_failed"
    NOT_CONFIRMED = "not_confirmed"
    CONNECTION_LOST = "connection_lost"
    FAILED = "failed"


USUAL = {
    Outcome.CALLER_HUNG_UP, Outcome.AGENT_HUNG_UP, Outcome.TRANSFERRED, Outcome.SILENT, Outcome.TOO_LONG,
    Outcome.NO_AGENT, Outcome.DRAINED, Outcome.GONE, Outcome.NOT_TAKEN,
}  # fmt: skip
"""What needs nobody's attention."""

DECLINED = {Outcome.OVER_CAPACITY, Outcome.TOOLS_UNAVAILABLE}
"""Calls that were not served as usual, though nothing failed on the way."""
