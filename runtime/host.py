"""The Starlette app: the webhook, health, and the calls in progress. Decides nothing about a call."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime import events as e
from runtime.admission import Admission
from runtime.current import Current, Status, now
from runtime.definition import AgentDefinition
from runtime.errors import TemplateError, WebhookError, frames
from runtime.incoming import incoming_call
from runtime.outcome import Outcome
from runtime.phone import mask
from runtime.realtime import webhook
from runtime.realtime.mcp import McpServers, Secret
from runtime.realtime.model import Gates
from runtime.realtime.telephone import Telephone
from runtime.roles import roles_for
from runtime.routing import NoMatch, route
from runtime.runner import Line, Observer, Runner, Witness
from runtime.settings import Settings, variable

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 256 * 1024
FRESH_SECONDS = 60.0  # nobody lets it ring longer; a delivery that comes later tells of a call that is over
REMEMBERED = (
    40_000  # two for each delivery; repeats of older ones are stale, so six minutes at 50 calls a second suffice
)
GOODBYE_SECONDS = 17.0  # the farewell's 12 s, and the 3 s in which a hang-up is tried
BUSY = 486  # the SIP code for a line that is taken (protocol 1.5)
STOP_SECONDS = 4.0  # the hang-up's 3 s


Reload = Callable[[str | None], Awaitable[Status]]
"""Reloads the catalog, at a revision where one is named, and returns how it went."""


class Host:
    """Takes calls for the live catalog. `app` is the ASGI app; `drain` finishes its calls.

    `clock` tells the time with its zone: in that zone calls begin. A `line` takes the place of the telephone service
    that the settings name. `admission` says how many calls it takes, `gates` how often a tool runs at the same time.
    """

    def __init__(
        self,
        current: Current,
        settings: Settings,
        observers: tuple[Observer, ...] = (),
        *,
        admission: Admission | None = None,
        gates: Gates | None = None,
        reload: Reload | None = None,
        background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
        secret: Secret = variable,
        witness: Witness | None = None,
        clock: Callable[[], datetime] = now,
        line: Line | None = None,
    ) -> None:
        self.current = current
        self.draining = False
        self.calls: dict[str, Runner] = {}
        self._settings = settings
        self._observers = observers
        self._witness = witness
        self._reload = reload
        self._background = background
        self._clock = clock
        self._servers = McpServers(secret)
        self._line = line or Telephone(settings.api_key, settings.base_url, settings.websocket_base_url)
        self._gates = gates or Gates()
        self._admission = admission or Admission()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._webhooks: dict[str, Any] = {"received": 0, "at": None, "answer": None}
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._reloads: set[asyncio.Future[Status]] = set()
        self.app = Starlette(
            routes=[
                Route("/openai/webhook", self._webhook, methods=["POST"]),
                Route("/healthz", self._alive),
                Route("/readyz", self._ready),
                Route("/control/reload", self._reload_now, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )

    async def drain(self, seconds: float) -> None:
        """Take no new calls, give live ones `seconds` to finish, then say goodbye and hang up."""
        self.draining = True
        logger.info("draining", extra={"calls": len(self.calls), "seconds": seconds})
        await self._until_quiet(seconds)
        await self._tell_all(e.DrainEnded())
        await self._until_quiet(GOODBYE_SECONDS)

    async def idle(self) -> None:
        """Wait until the calls that are live now have ended."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _tell_all(self, event: e.Event) -> None:
        await asyncio.gather(*(runner.feed(event) for runner in self.calls.values()), return_exceptions=True)

    def reload_soon(self) -> None:
        """Reload the catalog in the background, as SIGHUP asks for; how it went is told in the log."""
        if self._reload is not None:
            task = asyncio.ensure_future(self._reload(None))
            self._reloads.add(task)
            task.add_done_callback(self._reloads.discard)

    async def _until_quiet(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._servers.follow(self.current.get())
        self.current.listen(self._servers.follow)
        await self._servers.tried()
        background = [asyncio.create_task(_outlive(work)) for work in self._background]
        yield
        await self._tell_all(e.HostStopped())
        await self._until_quiet(STOP_SECONDS)
        for task in (*background, *self._tasks):
            task.cancel()
        await asyncio.gather(*background, *self._tasks, return_exceptions=True)
        await self._servers.close()
        await self._line.close()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────

    async def _webhook(self, request: Request) -> Response:
        """Answer at once; what becomes of the call never makes the service deliver it again."""
        try:
            body = await _read_body(request)
            delivery = webhook.read(request.headers, body, self._settings.webhook_secrets)
        except WebhookError as error:
            self._note(error.code)
            logger.warning("a webhook request was refused", extra={"code": error.code, "said": error.message})
            return _refused(error.code, error.message, error.status)
        except ClientDisconnect:
            return Response(status_code=400)
        if delivery.call_id is None:
            known = delivery.type == webhook.INCOMING
            what = "a test event without a call came" if known else "an event that is not for us came"
            logger.info(what, extra={"type": delivery.type[:100]})
            return self._answered("ignored")
        if self._seen_before(f"webhook {delivery.webhook_id}") | self._seen_before(f"call {delivery.call_id}"):
            logger.info("a delivery was repeated", extra={"call_id": delivery.call_id})
            return self._answered("known")
        self._take(delivery, delivery.call_id)
        return self._answered("taken")

    def _answered(self, status: str) -> Response:
        self._note(status)
        return JSONResponse({"status": status})

    def _note(self, answer: str) -> None:
        """Keep for `/readyz` that a webhook request came, when, and what it got: `taken`, or why it was refused."""
        at = self._clock().isoformat(timespec="seconds")
        self._webhooks = {"received": self._webhooks["received"] + 1, "at": at, "answer": answer}

    async def _alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, request: Request) -> Response:
        catalog = self.current.get()
        status = "draining" if self.draining else "ready"
        reload = self.current.status.as_data()
        numbers = {"agents": len(catalog.agents), "calls": len(self.calls)}
        body = {"status": status, "revision": catalog.revision, **numbers, "reload": reload, "webhooks": self._webhooks}
        body["servers"] = self._servers.as_data()
        return JSONResponse(body, 503 if self.draining else 200)

    async def _reload_now(self, request: Request) -> Response:
        """Reload for `switchboard reload`, which signs its request with the webhook's secret."""
        try:
            body = await _read_body(request)
            webhook.verify(request.headers, body, self._settings.webhook_secrets)
            asked = json.loads(body)
            revision = asked.get("revision") if isinstance(asked, dict) else None
        except (WebhookError, ValueError) as error:
            return _refused("refused", str(error))
        if self._reload is None:
            return _refused("refused", "this host does not reload")
        status = await self._reload(revision if isinstance(revision, str) else None)
        return JSONResponse(status.as_data(), 409 if status.result in ("refused", "partly") else 200)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, delivery: webhook.Delivery, call_id: str) -> None:
        runner = Runner(self._line, self._observers, self._gates, self._witness)
        task = asyncio.create_task(runner.run(self._arrival(delivery, call_id)), name=f"call {call_id}")
        self.calls[call_id] = runner
        self._tasks.add(task)

        def forget(done: asyncio.Task[Outcome]) -> None:
            self.calls.pop(call_id, None)
            self._admission.leave(call_id)
            self._servers.forget(call_id)
            self._tasks.discard(done)
            if not done.cancelled() and (error := done.exception()):
                logger.error("a call's runner failed", extra={"call_id": call_id, "error": frames(error)})

        task.add_done_callback(forget)

    def _arrival(self, delivery: webhook.Delivery, call_id: str) -> e.CallArrived | e.CallTurnedAway:
        """Match the call and render its settings, or say why it is not taken."""
        at = self._clock()
        started_at = datetime.fromtimestamp(delivery.created_at, at.tzinfo)
        call = incoming_call(call_id, delivery.headers, started_at, self._settings.called_header)
        age = at.timestamp() - delivery.created_at
        if age > FRESH_SECONDS:
            reason = f"the call came {age:.0f} s ago; a late delivery, or compare the clocks"
            return e.CallTurnedAway(call, Outcome.STALE, None, reason)
        if self.draining:
            return e.CallTurnedAway(call, Outcome.NOT_TAKEN, 503, "the host is draining")
        catalog = self.current.get()
        match = route(catalog, call)
        if isinstance(match, NoMatch):
            reason = f"no agent answers {mask(match.called)}"
            return e.CallTurnedAway(call, Outcome.NO_AGENT, 404, reason)
        members = catalog.team(match.agent)
        team, away = self._with_servers(members, call_id)
        match = replace(match, agent=team[match.agent.name])
        try:
            roles = roles_for(match.agent, call, team)
        except TemplateError as error:
            reason = f"a template of {match.agent.name} failed: {error}"
            return e.CallTurnedAway(call, Outcome.FAILED, 500, reason)
        return self._admitted(e.CallArrived(call, match, roles), away)

    def _with_servers(
        self, team: Mapping[str, AgentDefinition], call_id: str
    ) -> tuple[dict[str, AgentDefinition], list[str]]:
        """Return the agents of a call with the tools of their servers, and the servers that are away."""
        equipped, away = dict(team), list[str]()
        for name, agent in team.items():
            if agent.abilities.servers:
                offered = self._servers.tools_of(agent, call_id)
                equipped[name] = agent.with_tools(offered.tools)
                away += offered.away
        if away:
            logger.warning("servers of tools are away", extra={"call_id": call_id, "away": away})
        return equipped, away

    def _admitted(self, arrival: e.CallArrived, away: Sequence[str]) -> e.CallArrived | e.CallTurnedAway:
        """Take the call's place, or do what its agent declares where that is not possible or of no use."""
        call, agent = arrival.call, arrival.match.agent
        conduct = arrival.roles[agent.name].conduct
        at = asyncio.get_running_loop().time()
        reason = self._admission.admit(call.id, agent.name, call.caller, conduct.limits, at)
        if reason:
            action = conduct.on_failure.get(Outcome.OVER_CAPACITY, {"reject": BUSY})
            return _instead(arrival, Outcome.OVER_CAPACITY, action, reason)
        if away and Outcome.TOOLS_UNAVAILABLE in conduct.on_failure:
            action = conduct.on_failure[Outcome.TOOLS_UNAVAILABLE]
            return _instead(arrival, Outcome.TOOLS_UNAVAILABLE, action, f"{', '.join(away)} is away")
        return arrival

    def _seen_before(self, key: str) -> bool:
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False


def _instead(
    arrival: e.CallArrived, cause: Outcome, action: Mapping[str, Any], reason: str
) -> e.CallArrived | e.CallTurnedAway:
    """Return what happens to a call that its agent does not serve as usual: a SIP code, or its fallback."""
    if "reject" in action:
        return e.CallTurnedAway(arrival.call, cause, action["reject"], reason)
    return replace(arrival, unable=cause.value)


async def _outlive(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run work that belongs to the host and to no call; when it breaks, that is told, and it begins again."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("work in the background failed and begins again")
            await asyncio.sleep(1)
        else:
            return


def _refused(code: str, message: str, status: int = 400) -> Response:
    """Return the one shape in which a request is refused."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise WebhookError("body_too_large", f"the body has more than {MAX_BODY_BYTES} bytes")
    return bytes(body)
