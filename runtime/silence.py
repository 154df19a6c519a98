"""How long the caller has said nothing, and what to do about it. Pure; time comes as an argument.

Silence is what is left between everything that happens: it does not count while the agent speaks, a tool runs or
digits are collected, and what was counted before goes on afterwards. Only a sign of the caller begins it anew.
"""

from dataclasses import dataclass

from runtime.commands import CancelTimer, Command, StartTimer

TIMER = "silence"


@dataclass(slots=True)
class Silence:
    """One call's silence, in seconds."""

    asked: int = 0
    _counted: float = 0.0
    _since: float | None = None
    _anew: bool = False

    def sign(self) -> None:
        """The caller gave a sign of life."""
        self.asked, self._counted, self._anew = 0, 0.0, True

    def watch(self, *, busy: bool, at: float, limit: float) -> list[Command]:
        """Something happened at a time: count on or pause, up to a limit."""
        if busy:
            if self._since is None:
                return []
            if not self._anew:
                self._counted += at - self._since
            self._since = None
            return [CancelTimer(TIMER)]
        if self._since is not None and not self._anew:
            return []
        self._since, self._anew = at, False
        return [StartTimer(TIMER, max(0.0, limit - self._counted))]

    @property
    def is_counting(self) -> bool:
        """Whether nothing goes on; else a timer that runs out is a late one."""
        return self._since is not None

    def over(self) -> int:
        """The limit is reached. Return how often it was before since the last sign of the caller."""
        self._counted, self._since = 0.0, None
        self.asked += 1
        return self.asked - 1
