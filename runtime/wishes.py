"""What a conversation asks of its call: to end, one way or another. Values only; the call decides, and no runner
sees them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Close:
    """End the call after last words: `words`, or the agent's own, `freely` as in `session.FREELY`; or `after` a
    response that holds them. `cuts` what is being said."""

    outcome: str
    words: str | None = None
    freely: str = "close"
    after: str = ""
    reason: str = ""
    cuts: bool = True


@dataclass(frozen=True, slots=True)
class Leave:
    """End the call without a word."""

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call cannot go on as it is: do what the agent declares for a cause of `on_failure`."""

    cause: str
    reason: str


Wish = Close | Leave | GiveUp
