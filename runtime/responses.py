"""Which responses we want, and which one is under way: a conversation has one at a time.

Our `response.create` can be refused because the service began a response by itself, answered late, or not at
all. Each request is kept until its own `response.created` was seen (protocol 2.5, 3.4 and trap 7).
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.commands import CancelTimer, Command, Send, StartTimer

TIMER = "response"
CONFIRM_SECONDS = 2.0  # protocol trap 7: confirm response.created within about 2 s
GIVE_UP_WAITING_SECONDS = 20.0  # a response whose end was never told must not block those behind it
MAX_TRIES = 4


@dataclass(slots=True)
class Request:
    """One response that we want; `line` recognises it in the service's events."""

    line: str
    response: Mapping[str, Any]
    event_id: str = ""
    tries: int = 0


@dataclass(slots=True)
class Responses:
    """The queue of wanted responses and the one that is active at the service."""

    active: str | None = None
    lost: list[str] = field(default_factory=list)
    _wanted: deque[Request] = field(default_factory=deque)
    _sent: Request | None = None
    _count: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is active, asked for or wanted."""
        return self.active is None and self._sent is None and not self._wanted

    def want(self, line: str, response: Mapping[str, Any]) -> list[Command]:
        """Ask for a response as soon as none is active."""
        self._wanted.append(Request(line, response))
        return self._next()

    def wants(self, line: str) -> bool:
        """Tell whether such a response is wanted or asked for, and not yet begun."""
        return any(request.line == line for request in (*self._wanted, self._sent) if request)

    def created(self, response_id: str, line: str | None) -> list[Command]:
        """A response began: ours, which confirms the request, or one that the service began by itself."""
        self.active = response_id
        if line is None or not self.wants(line):
            return []
        self._wanted = deque(request for request in self._wanted if request.line != line)
        if self._sent is not None and self._sent.line == line:
            self._sent = None
        return [CancelTimer(TIMER)]

    def done(self, response_id: str) -> list[Command]:
        """A response ended."""
        if response_id == self.active:
            self.active = None
        return self._next()

    def refused(self, event_id: str | None, message: str) -> list[Command]:
        """Our request was refused because a response was active: try again when that one is done.

        `event_id` may be missing (protocol 2.4); then it can only be the request under way.
        """
        if self._sent is None or event_id not in (None, self._sent.event_id):
            return []
        named = re.search(r"resp_\w+", message)
        self.active = self.active or (named.group() if named else "unknown")
        self._wanted.appendleft(self._sent)
        self._sent = None
        return [StartTimer(TIMER, GIVE_UP_WAITING_SECONDS)]

    def waited(self) -> list[Command]:
        """The timer ran out: the request was swallowed, or the active response's end was."""
        if self._sent is None:
            self.active = None if self._wanted else self.active
            return self._next()
        request, self._sent = self._sent, None
        if request.tries >= MAX_TRIES:
            self.lost.append(request.line)
        else:
            self._wanted.appendleft(request)
        return self._next()

    def forget(self) -> None:
        """The sideband was lost: what was active is not known any more, what was asked for is wanted again."""
        self.active = None
        if self._sent is not None:
            self._wanted.appendleft(self._sent)
            self._sent = None

    def resume(self) -> list[Command]:
        """The sideband is back: ask again."""
        return self._next()

    def _next(self) -> list[Command]:
        if self._sent is not None or not self._wanted:
            return []
        if self.active is not None:
            return [StartTimer(TIMER, GIVE_UP_WAITING_SECONDS)]
        request = self._sent = self._wanted.popleft()
        self._count += 1
        request.tries += 1
        request.event_id = f"response_{self._count}"
        event = {"type": "response.create", "event_id": request.event_id, "response": request.response}
        return [Send(event), StartTimer(TIMER, CONFIRM_SECONDS)]
