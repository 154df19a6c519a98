"""Calls without a telephone: sessions of their own with the real service, each with its caller's hands.

A host drives them as it drives telephone calls. What the service does for a telephone and not for a plain WebSocket
happens here (protocol 6.1): text stands for sound, a turn ends where the caller's words end, who interrupts stops the
response, and what was generated counts as heard. Carries events, decides nothing about the call.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from runtime.confirmation import BUSY
from runtime.errors import CallControlError, SidebandError
from runtime.foreign import inner, mapping_in
from runtime.realtime.control import Taken
from runtime.realtime.sideband import open_socket
from runtime.session import without_telephone
from runtime.sound import SAMPLES_A_SECOND

logger = logging.getLogger(__name__)

START_SECONDS = 5.0  # until the service has said that the session stands, as for a call
_CANCEL_SECONDS = 5.0  # until the service has said that a response has stopped
_ANSWER_SECONDS = 30.0  # the longest that a caller who may not interrupt waits to be answered
_CHUNK_SECONDS = 0.1
_TURN_END_SECONDS = 8.0  # of silence, in which the service must have heard that a turn is over
_LISTEN_SECONDS = 1.0  # of silence, before which it may not have heard yet that the caller spoke again
_AS_HEARD = {"response.output_text.delta": "delta", "response.output_text.done": "text"}
_SPOKEN = "response.output_audio_transcript"
_NOT_FOR_US = {"output_audio_buffer.clear"}  # the buffer is the client's, here

Observer = Callable[["LiveCall", str, dict[str, Any]], None]
"""Called with the call, what happened and its fields; see `LiveService.observe`."""


class LiveService:
    """The real service in the place of the telephone's: its calls are made here. For a host, and for who rings it."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.calls: dict[str, LiveCall] = {}
        self._base_url, self._key = base_url, api_key
        self._observers: list[Observer] = []

    def new_call(self, *, called: str, caller: str) -> "LiveCall":
        """Return a caller who dials; the service hears of it when a host accepts."""
        call_id = f"rtc_live_{secrets.token_hex(8)}"  # it stands in traces, among those of all calls
        call = LiveCall(call_id, called, caller, self._base_url, self._key, self._tell)
        self.calls[call.call_id] = call
        return call

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of each `client_event` and `server_event`, as by telephone, and of each `turn`."""
        self._observers.append(observer)

    def _tell(self, call: "LiveCall", what: str, fields: dict[str, Any]) -> None:
        for observer in self._observers:
            observer(call, what, fields)

    # ── what a host asks for ──────────────────────────────────────────────────────────────────────────────────

    async def accept(self, call_id: str, session: Mapping[str, Any]) -> Taken:
        """Open the session with an accept's settings. Raises `CallControlError`."""
        return await self.calls[call_id].start(session)

    async def reject(self, call_id: str, status: int) -> None:
        """Turn the caller away, who hears nobody."""
        await self.calls[call_id].end()

    async def refer(self, call_id: str, to: str) -> None:
        """Put the caller through: nobody is called, and the call is over as when the carrier has taken them."""
        self.calls[call_id].hangs_up()  # the socket stays open until the host has heard that this was relayed

    async def hang_up(self, call_id: str) -> None:
        """End the session."""
        await self.calls[call_id].end()

    async def open(self, call_id: str, again: bool) -> "LiveCall":
        """Return the sideband, which is the session's own socket. Raises `SidebandError` when that has ended."""
        call = self.calls[call_id]
        if again or call.ended.is_set():
            if call.was_ended_here:
                raise SidebandError("the session is over", 404)
            closed = f"{call.close_code} {call.close_reason}".strip()
            raise SidebandError(f"the service closed the session: {closed}")
        return call

    async def close(self) -> None:
        """End every session."""
        for call in self.calls.values():
            await call.end()
            await call.read_out()


class LiveCall:
    """One call: its session, its sideband, and its caller's hands. Made by `LiveService.new_call`."""

    def __init__(
        self,
        call_id: str,
        called: str,
        caller: str,
        base_url: str,
        api_key: str,
        tell: Observer,
    ) -> None:
        self.call_id, self.called, self.caller = call_id, called, caller
        self.ended = asyncio.Event()
        self.was_ended_here = False
        self.close_code, self.close_reason = 1006, ""
        self.session: Mapping[str, Any] = {}
        self.heard = 0  # how often the agent's words came to an end
        self.owes_answer = False  # a tool was called, and no response has begun since
        self._base_url, self._key = base_url, api_key
        self._tell_observers = tell
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._serial = itertools.count(1)
        self._moved = asyncio.Event()
        self._asked: list[str] = []
        self._active: set[str] = set()
        self._begun: set[str] = set()
        self._playing: set[str] = set()
        self._commits = 0
        self._speaks = False

    @property
    def quiet(self) -> bool:
        """Whether nothing is being said, or asked for."""
        return not (self._asked or self._active)

    @property
    def audible(self) -> bool:
        """Whether the caller hears the agent."""
        return bool(self._playing)

    # ── the session ───────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, session: Mapping[str, Any]) -> Taken:
        """Open the session with an accept's settings. Raises `CallControlError`."""
        try:
            model = quote(session["model"], safe="")
            self._socket = await open_socket(f"{self._base_url}/realtime?model={model}", self._key)
        except SidebandError as error:
            unknown = error.status == 401
            raise CallControlError("it does not know the key" if unknown else error.message, error.status) from error
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._settle(self._socket, session)
        except CallControlError:
            await self.end()
            raise
        except (TimeoutError, ConnectionClosed) as error:
            await self.end()
            reason = error.rcvd.reason if isinstance(error, ConnectionClosed) and error.rcvd else ""
            said = f"the service closed the session: {reason}" if reason else "the service did not start the session"
            raise CallControlError(said) from error
        self._reader = asyncio.create_task(self._read(self._socket), name=f"call {self.call_id}")
        return Taken((), certain=True)

    async def _settle(self, socket: ClientConnection, session: Mapping[str, Any]) -> None:
        await self._answer_to(socket, "session.created")
        settings = {"type": "session.update", "session": without_telephone(session)}
        await socket.send(json.dumps(settings, ensure_ascii=False))
        self._note(await self._answer_to(socket, "session.updated"))

    async def _answer_to(self, socket: ClientConnection, kind: str) -> Mapping[str, Any]:
        """Return the first event of a kind; an error that comes before it is the answer."""
        while True:
            event = mapping_in(await socket.recv())
            if event.get("type") == "error":
                error = inner(event, "error")
                raise CallControlError(str(error.get("message")), 400, error.get("code"), error.get("param"))
            if event.get("type") == kind:
                return event

    async def end(self) -> None:
        """End the session, for whoever wants to. Harmless the second time."""
        if not self.ended.is_set():
            self.was_ended_here = True
        if self._socket is not None:
            await self._socket.close()
        self._over()

    def _over(self) -> None:
        self.ended.set()
        self._inbox.put_nowait(None)
        self._moved.set()

    async def read_out(self) -> None:
        """Wait until nothing reads the socket any more."""
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    # ── the sideband ──────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send one of the host's events, as a session without a telephone takes it."""
        self._tell("client_event", event=event)
        kind = event["type"]
        if kind in _NOT_FOR_US:
            return
        if kind == "session.update":
            event = {**event, "session": without_telephone(event["session"])}
        elif kind == "response.create":
            event = {**event, "event_id": event.get("event_id") or f"caller_{next(self._serial)}"}
            self._asked.append(event["event_id"])
        await self._put(event)

    async def _put(self, event: Mapping[str, Any]) -> None:
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # the reader learns of it
                await self._socket.send(json.dumps(event, ensure_ascii=False))

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what a telephone call's sideband would carry, until the session ends."""
        while (message := await self._inbox.get()) is not None:
            yield message

    async def close(self) -> None:
        """The host is done with the sideband; the session lives as long as the call does."""

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._take(mapping_in(message))
        except ConnectionClosed:
            pass
        finally:
            self.close_code, self.close_reason = socket.close_code or 1006, socket.close_reason or ""
            self._over()

    def _take(self, event: Mapping[str, Any]) -> None:
        """The boundary of who listens to a call: one who breaks over an event does not end it."""
        try:
            for each in self._as_by_telephone(event):
                self._hear(each)
        except Exception:
            logger.exception("an event of the service's could not be noted", extra={"call_id": self.call_id})

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Let the host hear an event."""
        self._tell("server_event", event=event)
        self._inbox.put_nowait(json.dumps(event, ensure_ascii=False))
        self._moved.set()

    def _tell(self, what: str, **fields: Any) -> None:
        self._tell_observers(self, what, fields)
        self._moved.set()

    def _as_by_telephone(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return an event as a host reads it: text as what was spoken, and when it was heard."""
        kind = str(event.get("type"))
        self._note(event)
        told = event
        if key := _AS_HEARD.get(kind):
            ending = kind.rpartition(".")[2]
            told = {**event, "type": f"{_SPOKEN}.{ending}", "transcript": event.get(key, "")}
        response_id = str(event.get("response_id") or inner(event, "response").get("id"))
        is_said = told is not event or kind.startswith(_SPOKEN)
        if is_said and response_id in self._active and response_id not in self._begun:
            self._begun.add(response_id)
            self._playing.add(response_id)
            return [_playback("started", response_id), told]
        if kind == "response.done" and response_id in self._playing:
            how = "cleared" if inner(event, "response").get("status") == "cancelled" else "stopped"
            return [told, self._silence(response_id, how)]
        return [told]

    def _silence(self, response_id: str, how: str) -> Mapping[str, Any]:
        self._playing.discard(response_id)
        self.heard += 1
        return _playback(how, response_id)

    def _note(self, event: Mapping[str, Any]) -> None:
        """Keep what tells whether the agent is done."""
        item, response = inner(event, "item"), inner(event, "response")
        match event.get("type"):
            case "session.updated":
                self.session = inner(event, "session")
            case "response.created":  # the one, also of several that were asked for since the first was lost
                self._active.add(str(response.get("id")))
                self.owes_answer = False
                self._asked.clear()
            case "response.done":
                self._active.discard(str(response.get("id")))
            case "response.output_item.done" if item.get("type") == "function_call":
                self.owes_answer = item.get("status", "completed") == "completed"
            case "input_audio_buffer.committed":
                self._commits, self._speaks = self._commits + 1, False
            case "input_audio_buffer.speech_started":
                self._speaks = True
            case "error":
                self._refused(inner(event, "error"))

    def _refused(self, error: Mapping[str, Any]) -> None:
        """Forget a request that was refused. A busy service may leave out which one it was (protocol 2.4, 3.4)."""
        event_id = error.get("event_id")
        if event_id in self._asked:
            self._asked.remove(event_id)
        elif event_id is None and error.get("code") == BUSY:
            del self._asked[-1:]

    # ── the caller's hands ────────────────────────────────────────────────────────────────────────────────────

    @property
    def _detection(self) -> Mapping[str, Any]:
        return inner(inner(inner(self.session, "audio"), "input"), "turn_detection")

    async def says(self, text: str) -> None:
        """Let the caller say something, in writing. Turn detection hears no text: what it would do, is done here."""
        self._tell("turn", text=text)
        item_id = f"item_caller_{next(self._serial)}"
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "content": content}
        if not self._detection:  # as by telephone, nobody tells when the caller speaks
            return await self._put({"type": "conversation.item.create", "item": item})
        self._hear({"type": "input_audio_buffer.speech_started", "item_id": item_id})
        if self._detection.get("interrupt_response", True):
            await self._interrupt()
        await self._put({"type": "conversation.item.create", "item": item})
        transcribed = "conversation.item.input_audio_transcription.completed"
        self._hear({"type": transcribed, "item_id": item_id, "transcript": text})
        self._hear({"type": "input_audio_buffer.committed", "item_id": item_id})
        if self._detection.get("create_response", True):
            await self._until_silent(_ANSWER_SECONDS)
            await self.send({"type": "response.create"})
        return None

    async def _interrupt(self) -> None:
        """Stop what is being said, as the service does by itself where it hears the caller (protocol 2.8)."""
        for response_id in self._playing.copy():
            self._hear(self._silence(response_id, "cleared"))
        if self._active:
            await self._put({"type": "response.cancel", "event_id": f"caller_{next(self._serial)}"})
        await self._until_silent(_CANCEL_SECONDS)

    async def _until_silent(self, seconds: float) -> None:
        """Wait until no response is being made: the service makes one at a time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._active and not self.ended.is_set() and asyncio.get_running_loop().time() < deadline:
            await self.moved(deadline)

    async def plays(self, samples: bytes) -> None:
        """Let the caller be heard, as fast as one speaks, and then silent until the service has heard the end.

        `samples` are 16 bits, mono, 24 kHz.
        """
        size = round(_CHUNK_SECONDS * SAMPLES_A_SECOND) * 2
        silence = bytes(size * round(_TURN_END_SECONDS / _CHUNK_SECONDS))
        sound, before = samples + silence, self._commits
        listens = len(samples) + size * round(_LISTEN_SECONDS / _CHUNK_SECONDS)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(range(0, len(sound), size), 1):
            is_heard = start >= listens and self._commits > before and not self._speaks
            if self.ended.is_set() or is_heard or (start >= len(samples) and not self._detection):
                return
            audio = base64.b64encode(sound[start : start + size]).decode()
            await self._put({"type": "input_audio_buffer.append", "audio": audio})
            await asyncio.sleep(began + number * _CHUNK_SECONDS - loop.time())

    async def presses(self, keys: str) -> None:
        """Let the caller press keys, which only a telephone carries: the service never hears of them anyway."""
        for key in keys:
            self._hear({"type": "input_audio_buffer.dtmf_event_received", "event": key})

    async def stays_silent(self, seconds: float) -> None:
        """The caller said nothing for a while. In writing there is no sound that a service could count as silent."""

    def hangs_up(self) -> None:
        """Let the caller hang up; the socket closes in a moment."""
        if not self.ended.is_set():
            self.was_ended_here = True
            self._over()

    async def moved(self, until: float | None) -> None:
        """Wait until anything happens in this call, at most until a time of the loop's clock."""
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._moved.wait()


def _playback(how: str, response_id: str) -> Mapping[str, Any]:
    return {"type": f"output_audio_buffer.{how}", "response_id": response_id}
