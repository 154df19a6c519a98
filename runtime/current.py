"""The holder of the live catalog and of how it came to be: get it, swap it. A call keeps the one it began with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from runtime.catalog import Catalog
from runtime.errors import Problem

Result = Literal["loaded", "unchanged", "partly", "refused"]


@dataclass(frozen=True, slots=True)
class Status:
    """How the last reload went: one value for `/readyz`, the log and `switchboard status`.

    `live_since` is when the live catalog became live, `looked_at` when it was last looked for another. `partly`: what
    had problems stays at its last good version, or is not served where it has none. `refused`: all stays. `older`
    names the agents that run an older version than their file, `wanted` the revision that a followed branch stands at.
    """

    revision: str
    live_since: datetime
    looked_at: datetime
    result: Result = "loaded"
    problems: tuple[Problem, ...] = field(default=())
    older: tuple[str, ...] = ()
    wanted: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether what is live is all that it should be."""
        return self.result in ("loaded", "unchanged")

    def as_data(self) -> dict[str, Any]:
        """Return the status for JSON; each problem as its fields and as the text that `check` prints."""
        problems = [{**problem.as_data(), "text": str(problem)} for problem in self.problems]
        return {
            "revision": self.revision,
            "wanted": self.wanted or self.revision,
            "live_since": self.live_since.isoformat(timespec="milliseconds"),
            "looked_at": self.looked_at.isoformat(timespec="milliseconds"),
            "result": self.result,
            "problems": problems,
            "older": list(self.older),
        }


def now() -> datetime:
    """Return the time with its zone, as a status tells it."""
    return datetime.now().astimezone()


class Current:
    """The catalog that the next call is matched in, and the last reload's status."""

    def __init__(self, catalog: Catalog, status: Status | None = None) -> None:
        self._catalog = catalog
        self._status = status or Status(catalog.revision, now(), now())
        self._listeners: list[Callable[[Catalog], None]] = []

    def get(self) -> Catalog:
        """Return the live catalog."""
        return self._catalog

    @property
    def status(self) -> Status:
        """How the last reload went."""
        return self._status

    def swap(self, catalog: Catalog, status: Status) -> None:
        """Make another catalog live for the next call."""
        self._catalog, self._status = catalog, status
        for listener in self._listeners:
            listener(catalog)

    def listen(self, listener: Callable[[Catalog], None]) -> None:
        """Have a listener told of each catalog that becomes live from now on."""
        self._listeners.append(listener)

    def stay(self, status: Status) -> None:
        """Keep the catalog, and remember why."""
        self._status = status
