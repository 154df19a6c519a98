"""A session of its own with the real service, in the place of a telephone call: its control, its sideband, its caller.

A runner drives it as it drives a call. What the service does for a telephone and not for a plain WebSocket happens
here (protocol 6.1): text stands for sound, turns end where the caller's words end, and what was generated counts as
heard. Carries events, decides nothing about the call.
"""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from runtime.errors import CallControlError, SidebandError
from runtime.realtime.control import Taken
from runtime.realtime.sideband import open_socket
from runtime.session import without_telephone
from runtime.sound import SAMPLES_A_SECOND

START_SECONDS = 5.0  # until the service has said that the session stands, as for a call
SETTLED_SECONDS = 0.4  # without anything to wait for: what the runtime does by itself, it has begun by then
_CHUNK_SECONDS = 0.1
_TURN_END_SECONDS = 8.0  # of silence, in which the service must have heard that a turn is over
_AS_HEARD = {"response.output_text.delta": "delta", "response.output_text.done": "text"}
_SPOKEN = "response.output_audio_transcript"
_NOT_FOR_US = {"output_audio_buffer.clear"}  # the buffer is the client's, here
_SOUND = ("response.output_audio.delta", "response.output_audio.done")


class LiveLine:
    """One session. `await_caller` names the tools that wait for the caller: nobody waits for them."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.await_caller: Collection[str] = ()
        self.close_code, self.close_reason = 1006, ""
        self.referred = ""
        self.ended_by = ""  # caller, agent, transfer or service
        self._base_url, self._key = base_url, api_key
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._serial = itertools.count(1)
        self._moved = asyncio.Event()
        self._detection: Mapping[str, Any] = {}
        self._modality = "text"
        self._asked: list[str] = []
        self._active: set[str] = set()
        self._running: set[str] = set()
        self._audible: set[str] = set()
        self._commits = 0

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return bool(self.ended_by)

    @property
    def busy(self) -> bool:
        """Whether the agent speaks, is asked to, or waits for a tool."""
        return bool(self._asked or self._active or self._running)

    # ── the verbs of the Calls API ────────────────────────────────────────────────────────────────────────

    async def accept(self, call_id: str, session: Mapping[str, Any]) -> Taken:
        """Open the session with an accept's settings. Raises `CallControlError`."""
        try:
            model = quote(session["model"], safe="")
            self._socket = await open_socket(f"{self._base_url}/realtime?model={model}", self._key)
        except SidebandError as error:
            unknown = error.status == 401
            raise CallControlError("it does not know the key" if unknown else error.message, error.status) from error
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._start(self._socket, session)
        except CallControlError:
            await self._end("service")
            raise
        except (TimeoutError, ConnectionClosed) as error:
            await self._end("service")
            reason = error.rcvd.reason if isinstance(error, ConnectionClosed) and error.rcvd else ""
            said = f"the service closed the session: {reason}" if reason else "the service did not start the session"
            raise CallControlError(said) from error
        self._reader = asyncio.create_task(self._read(self._socket), name="switchboard-live")
        return Taken((), certain=True)

    async def _start(self, socket: ClientConnection, session: Mapping[str, Any]) -> None:
        await self._answer_to(socket, "session.created")
        settings = {"type": "session.update", "session": without_telephone(session)}
        await socket.send(json.dumps(settings, ensure_ascii=False))
        self._note(await self._answer_to(socket, "session.updated"))

    async def _answer_to(self, socket: ClientConnection, kind: str) -> Mapping[str, Any]:
        """Return the first event of a kind; an error that comes before it is the answer."""
        while True:
            event = _event(await socket.recv())
            if event.get("type") == "error":
                error = _inner(event, "error")
                raise CallControlError(str(error.get("message")), 400, error.get("code"), error.get("param"))
            if event.get("type") == kind:
                return event

    async def reject(self, call_id: str, status: int) -> None:
        """Nobody rings, so that there is nobody to turn away."""

    async def refer(self, call_id: str, to: str) -> None:
        """Put the caller through: nobody is called, and the session is over as when the carrier has taken them."""
        self.referred = to
        await self._end("transfer")

    async def hang_up(self, call_id: str) -> None:
        """End the session for the agent."""
        await self._end("agent")

    async def leave(self) -> None:
        """End the session for the caller, and release what it holds. Harmless the second time."""
        await self._end("caller")
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _end(self, by: str) -> None:
        self.ended_by = self.ended_by or by
        if self._socket is not None:
            await self._socket.close()
        self._stir()

    # ── the sideband ──────────────────────────────────────────────────────────────────────────────────────

    async def open(self, call_id: str, again: bool) -> "LiveLine":
        """Return the sideband, which is the session's own socket. Raises `SidebandError` when that has ended."""
        if again or self.over:
            raise SidebandError("the session is over", 404)
        return self

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send one of the runtime's events, as a session without a telephone takes it."""
        kind = event["type"]
        if kind in _NOT_FOR_US:
            return
        if kind == "session.update":
            event = {**event, "session": without_telephone(event["session"])}
        elif kind == "response.create":
            event = self._asking(event)
        elif kind == "conversation.item.create" and event["item"]["type"] == "function_call_output":
            self._running.discard(event["item"]["call_id"])
        await self._put(event)

    def _asking(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        event_id = event.get("event_id") or f"caller_{next(self._serial)}"
        self._asked.append(event_id)
        response = {**event.get("response", {}), "output_modalities": [self._modality]}
        return {**event, "event_id": event_id, "response": response}

    async def _put(self, event: Mapping[str, Any]) -> None:
        self._stir()
        if self._socket is not None:
            with contextlib.suppress(ConnectionClosed):  # the reader learns of it
                await self._socket.send(json.dumps(event, ensure_ascii=False))

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what a telephone call's sideband would carry, until the session ends."""
        while (message := await self._inbox.get()) is not None:
            yield message

    async def close(self) -> None:
        """The runner is done with the sideband; the session ends with the caller."""

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                for told in self._as_by_telephone(message):
                    self._inbox.put_nowait(told)
                self._stir()
        except ConnectionClosed:
            pass
        finally:
            self.close_code, self.close_reason = socket.close_code or 1006, socket.close_reason or ""
            self.ended_by = self.ended_by or "service"
            self._inbox.put_nowait(None)
            self._stir()

    def _as_by_telephone(self, message: str | bytes) -> list[str | bytes]:
        """Return a message as the runtime reads it: text as what was spoken, and when it was heard."""
        event = _event(message)
        kind = str(event.get("type"))
        if kind in _SOUND:
            return []
        self._note(event)
        told: list[str | bytes] = [message]
        if key := _AS_HEARD.get(kind):
            ending = kind.rpartition(".")[2]
            told = [json.dumps({**event, "type": f"{_SPOKEN}.{ending}", "transcript": event.get(key, "")})]
        response_id = str(event.get("response_id") or _inner(event, "response").get("id"))
        if told[0] is not message or kind.startswith(_SPOKEN):
            told = [*self._heard(response_id, "started"), *told]
        if kind == "response.done":
            told += self._heard(response_id, "stopped")
        return told

    def _heard(self, response_id: str, what: str) -> list[str]:
        """Return the event that a response begins or ceases to be heard, if it does."""
        if (what == "started") == (response_id in self._audible):
            return []
        (self._audible.add if what == "started" else self._audible.discard)(response_id)
        return [json.dumps({"type": f"output_audio_buffer.{what}", "response_id": response_id})]

    def _note(self, event: Mapping[str, Any]) -> None:
        """Keep what tells whether the agent is done."""
        item, response = _inner(event, "item"), _inner(event, "response")
        match event.get("type"):
            case "session.updated":
                audio = _inner(_inner(event, "session"), "audio")
                self._detection = _inner(_inner(audio, "input"), "turn_detection")
            case "response.created":
                self._active.add(str(response.get("id")))
                del self._asked[:1]
            case "response.done":
                self._active.discard(str(response.get("id")))
            case "response.output_item.done" if item.get("type") == "function_call":
                if item.get("status", "completed") == "completed" and item.get("name") not in self.await_caller:
                    self._running.add(str(item.get("call_id")))
            case "input_audio_buffer.committed":
                self._commits += 1
            case "error":
                event_id = _inner(event, "error").get("event_id")
                if event_id in self._asked:
                    self._asked.remove(event_id)
                elif event_id is None:
                    del self._asked[:1]

    # ── the caller ────────────────────────────────────────────────────────────────────────────────────────

    async def say(self, text: str) -> None:
        """Let the caller say something, in writing. Turn detection hears no text: what it would do, is done here."""
        self._modality = "text"
        item_id = f"item_caller_{next(self._serial)}"
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "content": content}
        if not self._detection:  # as by telephone, nobody tells when the caller speaks
            return await self._put({"type": "conversation.item.create", "item": item})
        self._tell("input_audio_buffer.speech_started", item_id=item_id)
        await self._put({"type": "conversation.item.create", "item": item})
        self._tell("conversation.item.input_audio_transcription.completed", item_id=item_id, transcript=text)
        self._tell("input_audio_buffer.committed", item_id=item_id)
        if self._detection.get("create_response", True):
            await self.send({"type": "response.create"})
        return None

    async def play(self, samples: bytes) -> None:
        """Let the caller be heard, as fast as one speaks, and then silent until the service has heard the end.

        `samples` are 16 bits, mono, 24 kHz.
        """
        self._modality = "audio"
        size = round(_CHUNK_SECONDS * SAMPLES_A_SECOND) * 2
        silence = bytes(size * round(_TURN_END_SECONDS / _CHUNK_SECONDS))
        sound, before = samples + silence, self._commits
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(range(0, len(sound), size), 1):
            if self.over or (start >= len(samples) and (self._commits > before or not self._detection)):
                return
            audio = base64.b64encode(sound[start : start + size]).decode()
            await self._put({"type": "input_audio_buffer.append", "audio": audio})
            await asyncio.sleep(began + number * _CHUNK_SECONDS - loop.time())

    def press(self, keys: str) -> None:
        """Let the caller press keys, which only a telephone carries: the service never hears of them anyway."""
        for key in keys:
            self._tell("input_audio_buffer.dtmf_event_received", event=key)

    def _tell(self, kind: str, **fields: Any) -> None:
        self._inbox.put_nowait(json.dumps({"type": kind, **fields}))
        self._stir()

    # ── waiting ───────────────────────────────────────────────────────────────────────────────────────────

    def _stir(self) -> None:
        self._moved.set()

    async def settled(self, patience_seconds: float) -> bool:
        """Wait until the agent is done, or nothing has happened for so long; return whether it is done."""
        while not self.over:
            self._moved.clear()
            try:
                async with asyncio.timeout(patience_seconds if self.busy else SETTLED_SECONDS):
                    await self._moved.wait()
            except TimeoutError:
                return not self.busy
        return True


def _event(message: str | bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _inner(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}
