"""How many calls are taken at once, by a host, an agent and for a caller. Pure; deciding takes the place, too."""

from collections import Counter, deque
from dataclasses import dataclass, field

from runtime.conduct import Limits
from runtime.errors import count

HOUR_SECONDS = 3600.0
FEW_CALLERS = 10_000  # so many are remembered without looking who has not rung for an hour


@dataclass(slots=True)
class Admission:
    """The calls of one host. `max_calls` is the host's own limit, None for none.

    An agent's numbers are kept by its name: a reload changes its limits and not who is on the line.
    """

    max_calls: int | None = None
    _agents: dict[str, str] = field(default_factory=dict)
    _live: Counter[str] = field(default_factory=Counter)
    _rang: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _too_many: int = FEW_CALLERS

    def admit(self, call_id: str, agent: str, caller: str, limits: Limits, at: float) -> str:
        """Take a call at a time in seconds and return `""`, or return why it is one too many.

        A caller whose number is not told is not counted: they would all be one.
        """
        if self.max_calls is not None and len(self._agents) >= self.max_calls:
            return f"the host has {count(self.max_calls, 'call')}"
        if limits.concurrent_calls is not None and self._live[agent] >= limits.concurrent_calls:
            return f"{agent} has {count(limits.concurrent_calls, 'call')}"
        hourly = limits.calls_per_caller_per_hour
        if hourly is not None and caller:
            rang = self._recent(agent, caller, at)
            if len(rang) >= hourly:
                return f"this caller rang {hourly} times within an hour"
            rang.append(at)
        self._agents[call_id] = agent
        self._live[agent] += 1
        return ""

    def leave(self, call_id: str) -> None:
        """A call is over; one that was not admitted is none."""
        agent = self._agents.pop(call_id, None)
        if agent is not None:
            self._live[agent] -= 1
            if not self._live[agent]:
                del self._live[agent]

    def _recent(self, agent: str, caller: str, at: float) -> deque[float]:
        """Return when a caller rang within the last hour, and forget who did not."""
        if len(self._rang) > self._too_many:
            self._rang = {who: times for who, times in self._rang.items() if times[-1] > at - HOUR_SECONDS}
            self._too_many = max(FEW_CALLERS, 2 * len(self._rang))  # not again for each call of a busy hour
        times = self._rang.setdefault((agent, caller), deque())
        while times and times[0] <= at - HOUR_SECONDS:
            times.popleft()
        return times
