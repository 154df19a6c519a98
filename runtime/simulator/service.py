"""The simulator's shell: the peer behind HTTP and WebSocket on loopback, and callers that play scripts.

It holds sockets, tasks and clocks, and decides nothing: what the service answers is the peer's business, who
speaks when is the script's. Nothing here leaves this machine.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime.simulator.account import Account, Webhook
from runtime.simulator.account import routes as account_routes
from runtime.simulator.checks import Refused
from runtime.simulator.clock import waiting_for_real
from runtime.simulator.mind import Asked, Mind
from runtime.simulator.peer import SAMPLES_A_SECOND, Behavior, Events, Peer, Planned, no_session
from runtime.simulator.script import Interrupt, Keys, Replies, Script, Silence, Step, Turn
from runtime.simulator.webhook import Trunk, empty_event, incoming, sign

SHUTDOWN_SECONDS = 5.0
"""How long `serving` waits for requests that are still being answered."""

Observer: TypeAlias = "Callable[[SimulatedCall, str, dict[str, Any]], None]"
"""Called with the call, what happened and its fields; see `Service.observe`."""


class SimulatedCall:
    """One caller's call: the peer, what happened when, and the caller's hands.

    `timeline` holds `(time.monotonic(), what)`; `what` is one of webhook_sent, webhook_answered, accepted,
    rejected, referred, attached, detached, session_update (the first), response_create (the first), turn (the
    caller spoke), answer (audio after a turn), mind_failed (with the `error`), ended.
    """

    def __init__(
        self,
        service: "Service",
        peer: Peer,
        called: str,
        caller: str,
        trunk: Trunk,
        script: Script,
        mind: Mind | None = None,
    ) -> None:
        self.peer = peer
        self.mind = mind
        self.called, self.caller, self.trunk, self.script = called, caller, trunk, script
        self.ended = asyncio.Event()
        self.timeline: list[tuple[float, str]] = []
        self.webhook_status: int | None = None
        self._service = service
        self._moved = asyncio.Event()
        self._happened: dict[str, asyncio.Event] = {}
        self._socket: WebSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._outbox: deque[dict[str, Any]] = deque()
        self._sending = False
        self._turn_open = False
        self._thoughts: dict[str, asyncio.Task[None]] = {}
        self.heard = 0  # how often the agent's audio came to an end

    @property
    def call_id(self) -> str:
        return self.peer.call_id

    @property
    def quiet(self) -> bool:
        return self.peer.quiet

    @property
    def audible(self) -> bool:
        return self.peer.audible

    @property
    def owes_answer(self) -> bool:
        return self.peer.owes_answer

    @property
    def session(self) -> dict[str, Any]:
        return self.peer.session

    @property
    def outcome(self) -> str:
        """incoming, accepted, "rejected 404", referred, or "hung up by" caller, host or service."""
        peer = self.peer
        if peer.rejected is not None:
            return f"rejected {peer.rejected}"
        if peer.hung_up_by == "carrier":
            return "referred"
        return f"hung up by {peer.hung_up_by}" if peer.hung_up_by else peer.state

    async def happened(self, what: str) -> None:
        """Waits until the timeline has `what`; returns at once when it already has."""
        if any(mark == what for _, mark in self.timeline):
            return
        await self._happened.setdefault(what, asyncio.Event()).wait()

    # --- the caller's hands ---

    async def says(self, text: str, model: Replies = ()) -> None:
        self._turn_open = True
        self._mark("turn", text=text)
        await self._send(self.peer.caller_says(text, model))

    async def starts_speaking(self) -> None:
        await self._send(self.peer.caller_starts_speaking())

    async def presses(self, keys: str, model: Replies = ()) -> None:
        self.peer.cue(model)
        for key in keys:
            await self._send(self.peer.caller_presses(key))

    async def stays_silent(self, seconds: float) -> None:
        await self._send(self.peer.caller_stays_silent(seconds))

    def hangs_up(self) -> None:
        self.peer.caller_hangs_up()
        self._end()

    async def expires(self) -> None:
        """The 60 minutes are over: the service says so and closes."""
        await self._send(self.peer.session_expires())
        self._end()

    # --- what the service does with it ---

    def _mark(self, what: str, **fields: Any) -> None:
        self.timeline.append((time.monotonic(), what))
        self._moved.set()
        if what in self._happened:
            self._happened[what].set()
        self._service._tell(self, what, fields)

    async def _send(self, events: Events) -> None:
        """Sends in order, whoever sends; without a socket the events are lost, as in reality."""
        for event in events:
            self._note(event["type"])
            self._service._tell(self, "server_event", {"event": event})
        self._outbox.extend(events)
        self._moved.set()
        self._think()
        if self._sending:
            return
        self._sending = True
        try:
            while self._outbox:
                text = json.dumps(self._outbox.popleft())
                if self._socket is not None:
                    await self._socket.send_text(text)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._outbox.clear()  # the host closed first; the reader will notice
        finally:
            self._sending = False

    def _think(self) -> None:
        """Asks the mind what the peer left open, and stops it where nobody waits for its answer any more."""
        for response_id, asked in self.peer.questions():
            assert self.mind is not None, "only a peer with a mind leaves a response open"
            self._thoughts[response_id] = self._service.spawn(self._answer(self.mind, response_id, asked))
        for response_id in [one for one in self._thoughts if not self.peer.is_open(one)]:
            self._thoughts.pop(response_id).cancel()

    async def _answer(self, mind: Mind, response_id: str, asked: Asked) -> None:
        """The boundary of a mind: one that breaks lets its response fail, and the call goes on."""
        try:
            with waiting_for_real():
                reply = await mind.reply(asked)
        except Exception as error:
            if self.peer.is_open(response_id):
                self._mark("mind_failed", error=error)
            self.peer.fail(response_id)
        else:
            self.peer.decide(response_id, reply)
        self._thoughts.pop(response_id, None)
        self._moved.set()

    def _note(self, kind: str) -> None:
        if kind == "output_audio_buffer.started" and self._turn_open:
            self._turn_open = False
            self._mark("answer")
        elif kind in ("output_audio_buffer.stopped", "output_audio_buffer.cleared"):
            self.heard += 1

    async def take_step(self) -> None:
        """Sends the next step of what the model is doing."""
        taken = self.peer.next_step()
        await self._send(taken[1] if taken else [])

    async def moved(self, until: float | None) -> None:
        """Waits until anything happens in this call, at most until a time of the loop's clock."""
        self._moved.clear()
        loop = asyncio.get_running_loop()
        timer = None if until is None else loop.call_at(until, self._moved.set)
        try:
            await self._moved.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _attached_or_ended(self) -> None:
        while self._socket is None and not self.ended.is_set():
            await self.moved(None)

    async def _read(self, connection: WebSocket) -> None:
        """Reads until the host closes; being cancelled is how the service hangs up."""
        while True:
            message = await connection.receive()
            if message["type"] == "websocket.disconnect":
                return
            seen = len(self.peer.received)
            events = self.peer.receive_text(message.get("text") or message.get("bytes") or "")
            for event in self.peer.received[seen:]:
                self._note_received(event)
            await self._send(events)
            if len(self.peer.received) == self.peer.behavior.sideband_lost_after:
                return

    def _note_received(self, event: Any) -> None:
        kind = str(event.get("type")) if isinstance(event, dict) else "?"
        first = {"session.update": "session_update", "response.create": "response_create"}.get(kind)
        if first and not any(mark == first for _, mark in self.timeline):
            self._mark(first)
        self._service._tell(self, "client_event", {"event": event})

    def _end(self) -> None:
        if self.ended.is_set():
            return
        self._mark("ended", outcome=self.outcome)
        self.ended.set()
        self._moved.set()
        self._think()
        if self._reader is not None:
            self._reader.cancel()


class Service:
    """OpenAI's side of many calls. Serve `app`, make calls with `new_call`, let them `ring`.

    `pace` multiplies every delay of speech: 1 is a real conversation, 0 takes no time at all. With an
    `api_key` every request must carry it as its bearer. Without a `script` callers say nothing and stay on
    the line, for tests that move the caller's hands themselves. A `mind` decides the responses that no line and
    no cue decides.

    A WebSocket that names a model and no call is a session of its own, kept in `sessions`. Its client is the caller;
    the model says what the script has for it.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        pace: float = 1.0,
        behavior: Behavior | None = None,
        script: Script | None = None,
        mind: Mind | None = None,
        account: Account | None = None,
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        self.pace = pace
        self.calls: dict[str, SimulatedCall] = {}
        self.account = account or Account()
        self._api_key = api_key
        self._behavior = behavior or Behavior()
        self._script = script or Script(hangs_up=False)
        self._mind = mind
        self._observers: list[Observer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._serial = itertools.count(1)
        self._client: httpx2.AsyncClient | None = None
        control = "/v1/realtime/calls/{call_id}/{verb:str}"
        self.sessions: list[SimulatedCall] = []
        self.app = Starlette(
            routes=[
                Route(control, self._control, methods=["POST"]),
                WebSocketRoute("/v1/realtime", self._socket),
                *account_routes(self.account, self._check_request, self._refusal, self._deliver_test),
                *routes,
            ],
            lifespan=self._lifespan,
        )

    # --- calls ---

    def new_call(
        self,
        *,
        called: str = "+15550100001",
        caller: str = "+15557654321",
        script: Script | None = None,
        behavior: Behavior | None = None,
        mind: Mind | None = None,
        trunk: Trunk = "twilio",
        call_id: str | None = None,
    ) -> SimulatedCall:
        """A caller who dials; the host hears of it when it rings."""
        call_id = call_id or f"rtc_sim_{next(self._serial):06}"
        mind = mind or self._mind
        behavior = behavior or self._behavior
        peer = Peer(call_id, behavior=behavior, now=int(time.time()), thinks=mind is not None)
        call = SimulatedCall(self, peer, called, caller, trunk, script or self._script, mind)
        self.calls[call_id] = call
        return call

    async def ring(
        self,
        call: SimulatedCall,
        webhook_url: str,
        secret: str,
        *,
        webhook_id: str | None = None,
        timestamp: int | None = None,
        extra_headers: Sequence[tuple[str, str]] = (),
        at: int | None = None,
    ) -> int:
        """Delivers the webhook and returns the host's status; ring again with the same id for a duplicate.

        The call came now, or `at` a Unix time; the delivery is always of now.
        """
        now = int(time.time()) if at is None else at
        payload = incoming(
            call.call_id,
            call.called,
            call.caller,
            created_at=now,
            trunk=call.trunk,
            extra_headers=extra_headers,
        )
        call._mark("webhook_sent")
        status = await self.deliver(
            payload, webhook_url, secret, webhook_id=webhook_id or f"wh_{call.call_id}", timestamp=timestamp
        )
        call.webhook_status = status
        call._mark("webhook_answered", status=status)
        return status

    async def deliver(
        self,
        payload: dict[str, Any],
        webhook_url: str,
        secret: str,
        *,
        webhook_id: str,
        timestamp: int | None = None,
    ) -> int:
        """Posts any payload, signed; for test events and whatever else reaches a webhook."""
        body = json.dumps(payload).encode()
        headers = sign(secret, webhook_id, int(time.time()) if timestamp is None else timestamp, body)
        response = await self._http().post(webhook_url, content=body, headers=headers)
        return response.status_code

    def observe(self, observer: Observer) -> None:
        """Tells `observer` of every mark of a timeline and of each client_event and server_event."""
        self._observers.append(observer)

    async def aclose(self) -> None:
        """Stops every caller and closes the webhook client; harmless the second time."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def spawn(self, work: Any) -> asyncio.Task[None]:
        """Runs a coroutine as a task that this service owns."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, call: SimulatedCall, what: str, fields: dict[str, Any]) -> None:
        for observer in self._observers:
            observer(call, what, fields)

    def _http(self) -> httpx2.AsyncClient:
        if self._client is None:  # loopback needs neither proxies nor certificates
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100)
            self._client = httpx2.AsyncClient(trust_env=False, verify=False, limits=limits, timeout=30.0)
        return self._client

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        await self.aclose()

    # --- the control endpoints ---

    async def _control(self, request: Request) -> Response:
        try:
            self._check_key(request.headers.get("authorization"))
            call = self._known(request.path_params["call_id"])
            verb = _VERBS.get(request.path_params["verb"])
            if verb is None:
                raise Refused(404, None, f"Invalid URL (POST {request.url.path})")
            verb(call.peer, _body(await request.body()))
        except Refused as refused:
            return self._refusal(refused)
        return self._obeyed(call, request.path_params["verb"])

    def _obeyed(self, call: SimulatedCall, verb: str) -> Response:
        if verb in _MARKS:
            call._mark(_MARKS[verb])
        if verb == "accept":
            self.spawn(self._converse(call))
        if call.peer.state == "ended":
            call._end()
        behavior = call.peer.behavior
        fate = {"accept": behavior.accept_response, "refer": behavior.refer_response}.get(verb, "sent")
        return {"sent": Response, "lost": _Lost, "hangs": _Hanging}[fate](headers=self._request_id())

    async def _deliver_test(self, webhook: Webhook, kind: str) -> int:
        payload = {**empty_event(created_at=int(time.time())), "type": kind}
        return await self.deliver(payload, webhook.url, webhook.secret, webhook_id=f"wh_test_{next(self._serial):06}")

    def _check_request(self, request: Request) -> None:
        self._check_key(request.headers.get("authorization"))

    def _check_key(self, authorization: str | None) -> None:
        if self._api_key is not None and authorization != f"Bearer {self._api_key}":
            raise Refused(401, "invalid_api_key", "Incorrect API key provided.")

    def _known(self, call_id: str | None) -> SimulatedCall:
        call = self.calls.get(call_id or "")
        if call is None:
            raise no_session()
        return call

    def _refusal(self, refused: Refused) -> JSONResponse:
        return JSONResponse({"error": refused.error}, refused.status, headers=self._request_id())

    def _request_id(self) -> dict[str, str]:
        return {"x-request-id": f"req_sim_{next(self._serial):06}"}

    async def _socket(self, connection: WebSocket) -> None:
        asked = connection.query_params
        if "call_id" not in asked and "model" in asked:
            await self._session(connection, asked["model"])
        else:
            await self._sideband(connection)

    # --- sessions of their own ---

    async def _session(self, connection: WebSocket, model: str) -> None:
        call_id = f"sess_sim_{next(self._serial):06}"
        peer = Peer(
            call_id,
            behavior=self._behavior,
            now=int(time.time()),
            thinks=self._mind is not None,
            by_telephone=False,
        )
        call = SimulatedCall(self, peer, "", "", "plain", self._script, self._mind)
        sound = {"format": {"type": "audio/pcm", "rate": SAMPLES_A_SECOND}}
        try:
            self._check_key(connection.headers.get("authorization"))
            peer.accept({"type": "realtime", "model": model, "audio": {"input": sound, "output": sound}})
            events = peer.attach()
        except Refused as refused:
            await connection.send_denial_response(self._refusal(refused))
            return
        self.sessions.append(call)
        for step in call.script.steps:
            peer.cue(step.model)
        await connection.accept()
        call._reader, call._socket = asyncio.create_task(call._read(connection)), connection
        call._mark("attached")
        await call._send(events)
        speaking = self.spawn(self._until(call, call.ended.is_set))
        await asyncio.wait([call._reader])
        if not call.ended.is_set():
            call.hangs_up()
        await speaking
        await self._close(call, connection)

    # --- the sideband ---

    async def _sideband(self, connection: WebSocket) -> None:
        try:
            self._check_key(connection.headers.get("authorization"))
            call = self._known(connection.query_params.get("call_id"))
            events = call.peer.attach()
        except Refused as refused:
            await connection.send_denial_response(self._refusal(refused))
            return
        await connection.accept()
        if call._reader is not None:
            call._reader.cancel()  # whether two may attach is unknown (protocol 2.1); here the newer wins
        reader = call._reader = asyncio.create_task(call._read(connection))
        call._socket = connection
        call._mark("attached")
        await call._send(events)
        await asyncio.wait([reader])
        if call._socket is connection:
            call._socket = call._reader = None
            call._mark("detached")
        if not reader.cancelled():
            reader.result()
        await self._close(call, connection)

    async def _close(self, call: SimulatedCall, connection: WebSocket) -> None:
        """Closes with the behavior's code; otherwise returns, and uvicorn drops the connection unclosed."""
        code, reason = call.peer.behavior.close_code_on_hangup, ""
        if call.peer.hung_up_by == "service":
            code, reason = 1001, "Your session hit the maximum duration of 60 minutes."
        if call.ended.is_set() and code is not None:
            with contextlib.suppress(RuntimeError, OSError):
                await connection.close(code, reason)

    # --- the caller ---

    async def _converse(self, call: SimulatedCall) -> None:
        """Lives one accepted call: takes the peer's steps in time and plays the script between them."""
        await call._attached_or_ended()
        script = call.script
        awaited = None if script.caller_first else 1
        for step in script.walk():
            if call.ended.is_set():
                return
            await asyncio.sleep(0)  # at pace 0 nothing else lets the other calls run
            if isinstance(step, Interrupt):
                await self._until(call, lambda: call.peer.audible, script.patience)
            elif awaited is not None:
                await self._listen(call, awaited)
            if script.rest:
                await self._until(call, call.ended.is_set, script.rest)
            awaited = call.heard + call.peer.audible + 1 if _expects_answer(step) else None
            await self._act(call, step)
        if awaited is not None:
            await self._listen(call, awaited)
        await self._until(call, lambda: call.peer.quiet and script.hangs_up)
        call.hangs_up()

    async def _listen(self, call: SimulatedCall, awaited: int) -> None:
        """Until the agent was heard so often and has nothing left to say, or the caller's patience ends.

        What a mind has left to say nobody knows; but when it has called a tool, an answer follows.
        """
        peer = call.peer

        def more_to_say() -> bool:
            return peer.cued or (peer.thinks and peer.owes_answer)

        await self._until(
            call,
            lambda: call.heard >= awaited and peer.quiet and not more_to_say(),
            call.script.patience,
            patient=True,
        )

    async def _act(self, call: SimulatedCall, step: Step) -> None:
        if isinstance(step, Keys):
            await call.presses(step.digits, step.model)
        elif isinstance(step, Silence):
            call.peer.cue(step.model)
            await self._until(call, call.ended.is_set, step.seconds * self.pace)
            await call.stays_silent(step.seconds)
        elif step.caller is None:
            call.peer.cue(step.model)
        else:
            await call.says(step.caller, step.model)

    async def _until(
        self,
        call: SimulatedCall,
        met: Callable[[], bool],
        seconds: float | None = None,
        *,
        patient: bool = False,
    ) -> None:
        """Takes the peer's steps as they come due, until the condition is met, time is up or the call over.

        Time is never up while the agent has something to say or thinks of it; for the `patient` it starts again
        with each thing that happens.
        """
        loop = asyncio.get_running_loop()
        deadline = None if seconds is None else loop.time() + seconds
        current: Planned | None = None
        due = 0.0
        while not met() and not call.ended.is_set():
            now = loop.time()
            upcoming, thinking = call.peer.upcoming, call.peer.thinking
            if upcoming is None and not thinking and deadline is not None and now >= deadline:
                return
            if upcoming is not None and upcoming is not current:
                current, due = upcoming, now + upcoming.delay * self.pace
            if upcoming is not None and now >= due:
                await call.take_step()
            else:
                await call.moved(due if upcoming is not None else None if thinking else deadline)
            if patient and seconds is not None and (thinking or loop.time() < (deadline or 0.0)):
                deadline = loop.time() + seconds


def _expects_answer(step: Step) -> bool:
    return bool(step.model) or isinstance(step, Turn | Interrupt)


def _body(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        raise Refused(400, "invalid_json", "Could not parse the body as JSON.") from None


_VERBS: dict[str, Callable[[Peer, Any], None]] = {
    "accept": Peer.accept,
    "reject": Peer.reject,
    "refer": Peer.refer,
    "hangup": lambda peer, body: peer.hang_up(),
}
_MARKS = {"accept": "accepted", "reject": "rejected", "refer": "referred"}


class _Lost(Response):
    """Promises a body and never sends it, so that the connection breaks: done, but the answer is lost."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


class _Hanging(Response):
    """Never answers; ends when the client gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serves an ASGI app on loopback, inside this event loop; gives its base URL.

    Quiet, without signal handlers, on a port of the kernel's choice unless one is given. The app's lifespan
    runs; leaving the block closes connections, waits for requests and ends the lifespan.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        ws="websockets-sansio",  # can deny a handshake with a response, and drop a socket without a close
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    # Named as TCP, so that asyncio sends small messages at once: else each waits 40 ms for a delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(2048)
    try:
        await _start(server, listening)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        if server.started:
            await _stop(server)
        listening.close()


async def _start(server: uvicorn.Server, listening: socket.socket) -> None:
    # `Server.serve` would take the process's signal handlers, and look ten times a second whether to stop.
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    try:
        await server.startup(sockets=[listening])
    except SystemExit as error:
        raise RuntimeError("the app's lifespan failed at start-up") from error


async def _stop(server: uvicorn.Server) -> None:
    # As `Server.shutdown`, which sleeps for a tenth of a second at least: a test suite starts hundreds. It
    # polls, as that does, because uvicorn has no event for the last connection.
    for each in server.servers:
        each.close()
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while (state.connections or state.tasks) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    for task in list(state.tasks):
        task.cancel()
    await server.lifespan.shutdown()
