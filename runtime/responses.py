"""Which responses we want, and which one is under way: a conversation has one at a time. Pure.

Our `response.create` can be refused because the service began a response by itself, answered late, or not at
all, and a response can fail. Each request is kept until its own response has begun, and asked for again when that
failed (protocol 2.5, 3.4 and trap 7).
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.commands import CancelTimer, Command, Send, StartTimer

TIMER = "response"
CONFIRM_SECONDS = 2.0  # protocol trap 7: confirm response.created within about 2 s
REST_SECONDS = 1.5  # before asking again for what failed, as at a rate limit (protocol 2.5)
GIVE_UP_WAITING_SECONDS = 20.0  # a response whose end was never told must not block those behind it
MAX_TRIES = 4

_UNKNOWN = "unknown"  # some response is active, the service did not say which


@dataclass(slots=True)
class Request:
    """One response that we want; `line` recognises it in the service's events."""

    line: str
    response: Mapping[str, Any]
    event_id: str = ""
    tries: int = 0


@dataclass(slots=True)
class Responses:
    """The queue of wanted responses and the one that is active at the service. While `detached` it asks for none."""

    active: str | None = None
    lost: list[str] = field(default_factory=list)
    detached: bool = False
    _wanted: deque[Request] = field(default_factory=deque)
    _sent: Request | None = None
    _begun: Request | None = None
    _resting: bool = False
    _count: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is active, asked for or wanted."""
        return self.active is None and self._sent is None and not self._wanted

    def want(self, line: str, response: Mapping[str, Any]) -> list[Command]:
        """Ask for a response as soon as none is active; one that is wanted already is not wanted twice."""
        if not any(request.line == line for request in self._wanted):
            self._wanted.append(Request(line, response))
        return self._next()

    def created(self, response_id: str, line: str | None) -> list[Command]:
        """A response began: ours, which confirms the request, or one that the service began by itself."""
        self.active, self._resting = response_id, False
        self._begun = self._take(line)
        if self._wanted:
            return [StartTimer(TIMER, GIVE_UP_WAITING_SECONDS)]
        return [] if self._begun is None else [CancelTimer(TIMER)]

    def done(self, response_id: str, line: str | None = None, *, failed: bool = False) -> list[Command]:
        """A response ended; its beginning may have been missed. A request whose response failed is tried again."""
        missed = self._take(line)
        request = self._begun if response_id == self.active else missed
        if self.active in (response_id, _UNKNOWN):
            self.active = self._begun = None
        if failed and request is not None and self._keep(request):
            self._resting = True
            return [StartTimer(TIMER, REST_SECONDS)]
        return self._next()

    def refused(self, event_id: str | None, message: str) -> list[Command]:
        """Our request was refused because a response was active: try again when that one is done.

        `event_id` may be missing (protocol 2.4); then it can only be the request under way.
        """
        if self._sent is None or event_id not in (None, self._sent.event_id):
            return []
        named = re.search(r"resp_\w+", message)
        self.active = self.active or (named.group() if named else _UNKNOWN)
        self._wanted.appendleft(self._sent)
        self._sent = None
        return [StartTimer(TIMER, GIVE_UP_WAITING_SECONDS)]

    def waited(self) -> list[Command]:
        """The timer ran out: the rest is over, the request was swallowed, or the active response's end was."""
        if self._resting:
            self._resting = False
        elif self._sent is not None:
            request, self._sent = self._sent, None
            self._keep(request)
        elif self._wanted:
            self.active = None
        return self._next()

    def forget(self) -> None:
        """Want nothing any more that was not asked for yet."""
        self._wanted.clear()

    def detach(self) -> list[Command]:
        """The sideband was lost: what is active is not known any more, what was asked for is wanted again."""
        self.active, self._begun, self._resting, self.detached = None, None, False, True
        if self._sent is not None:
            self._wanted.appendleft(self._sent)
            self._sent = None
        return [CancelTimer(TIMER)]

    def attach(self) -> list[Command]:
        """The sideband is back: ask again."""
        self.detached = False
        return self._next()

    def _take(self, line: str | None) -> Request | None:
        """Take the request of this line out of what is wanted or asked for."""
        found = None
        if line is not None:
            found = next((request for request in self._wanted if request.line == line), None)
            self._wanted = deque(request for request in self._wanted if request.line != line)
            if self._sent is not None and self._sent.line == line:
                found, self._sent = self._sent, None
        return found

    def _keep(self, request: Request) -> bool:
        """Want a request once more, unless it was tried often enough; then it is lost."""
        if request.tries >= MAX_TRIES:
            self.lost.append(request.line)
            return False
        self._wanted.appendleft(request)
        return True

    def _next(self) -> list[Command]:
        if self._sent is not None or self._resting or self.detached or not self._wanted:
            return []
        if self.active is not None:
            return [StartTimer(TIMER, GIVE_UP_WAITING_SECONDS)]
        request = self._sent = self._wanted.popleft()
        self._count += 1
        request.tries += 1
        request.event_id = f"response_{self._count}"
        event = {"type": "response.create", "event_id": request.event_id, "response": request.response}
        return [Send(event), StartTimer(TIMER, CONFIRM_SECONDS)]
