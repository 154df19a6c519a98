"""Writes each call's recording into a folder, a file for each call that only its owner reads.

Calls are not slowed: what happens is put into a queue, and a thread makes it unreadable and writes it. A disk that is
full, or a folder that is gone, costs recordings and no call; what cannot be written for another reason costs the
recording of its call only. Either is told once in the log.
"""

import asyncio
import contextlib
import errno
import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from runtime import events as e
from runtime.commands import Command
from runtime.errors import SettingsError, frames
from runtime.recorded import (
    CUT_OFF,
    ENDED,
    Entry,
    declared_by,
    entries_of,
    head,
    head_line,
    redacted,
    service_entry,
)

logger = logging.getLogger(__name__)

MOST_WAITING = 50_000  # a disk that hangs must not fill the memory: some 100 MB
CLOSE_SECONDS = 5.0  # for what is in the queue when the host stops


def folder_for(written: str) -> Path:
    """Return the folder for recordings, made where it is missing. Raises `SettingsError`."""
    folder = Path(written)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        cure = "Name a folder that can be written: --record recordings."
        raise SettingsError("--record", f"cannot use '{written}' ({error.strerror})", cure) from error
    return folder


class _Heard(NamedTuple):
    """What the service sent to a call."""

    call_id: str
    at: float
    message: str | bytes


class _Took(NamedTuple):
    """An event of a call, and what the call did."""

    call_id: str
    at: float
    event: e.Event
    done: Sequence[Command]


@dataclass(slots=True)
class _File:
    """One call's open file. Without `out` it could not be written, and the rest of the call is left out."""

    began_at: float
    declared: frozenset[str]
    out: TextIOWrapper | None
    at: float = 0.0


class Recorder:
    """Records every call of a host; a `Witness`. Make one for each host, and `close` it behind the last call."""

    def __init__(
        self, folder: Path, environment: str = "", *, speech: bool = False, most_waiting: int = MOST_WAITING
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._speech = speech
        self._most_waiting = most_waiting
        self._queue: SimpleQueue[_Heard | _Took | None] = SimpleQueue()
        self._files: dict[str, _File] = {}
        self._told = False
        self._thread = threading.Thread(target=self._write_all, name="switchboard-recorder", daemon=True)
        self._thread.start()

    # ── in the event loop: nothing that waits ─────────────────────────────────────────────────────────────────

    def heard(self, call_id: str, at: float, message: str | bytes) -> None:
        """Take a message of the service's."""
        self._put(_Heard(call_id, at, message))

    def took(self, call_id: str, at: float, event: e.Event, done: Sequence[Command]) -> None:
        """Take an event of a call and what the call did."""
        self._put(_Took(call_id, at, event, done))

    def _put(self, item: _Heard | _Took) -> None:
        if self._queue.qsize() < self._most_waiting:
            self._queue.put(item)
        else:
            self._tell_lost("the disk is too slow")

    @property
    def is_open(self) -> bool:
        """Whether it still writes."""
        return self._thread.is_alive()

    async def kept_open(self) -> None:
        """Last as long as the host; when cancelled, write what is left and close the files."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Write what is left, and close the files. Calls that are still live end with a line that says so."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    # ── in the thread ─────────────────────────────────────────────────────────────────────────────────────────

    def _write_all(self) -> None:
        while (item := self._next()) is not None:
            with self._at_the_cost_of(item.call_id):
                self._write(item)
        for call_id, file in list(self._files.items()):
            with self._at_the_cost_of(call_id):
                self._line(file, Entry(file.at, "host", {"type": CUT_OFF}))
                self._end(call_id)

    @contextlib.contextmanager
    def _at_the_cost_of(self, call_id: str) -> Iterator[None]:
        """The boundary of one recording: whatever breaks in it ends it, is told, and leaves the thread to the others.

        The rest of the call is left out: a part from the middle could not be played.
        """
        try:
            yield
        except OSError as error:
            self._give_up(call_id, error.strerror or type(error).__name__)
        except Exception as error:
            self._give_up(call_id, frames(error))

    def _next(self) -> _Heard | _Took | None:
        """Return the next thing to write; before a pause, let everybody read what there is."""
        try:
            return self._queue.get_nowait()
        except Empty:
            self._flush()
            return self._queue.get()

    def _flush(self) -> None:
        for call_id, file in list(self._files.items()):
            with self._at_the_cost_of(call_id):
                if file.out is not None:
                    file.out.flush()

    def _write(self, item: _Heard | _Took) -> None:
        if isinstance(item, _Took) and isinstance(item.event, e.CallArrived | e.CallTurnedAway):
            self._begin(item.call_id, item.at, item.event)
        file = self._files.get(item.call_id)
        if file is None:  # its file was closed: the socket may tell more than the call needs
            return
        file.at = item.at - file.began_at
        if isinstance(item, _Heard):
            self._line(file, service_entry(item.message, file.at))
            return
        entries = list(entries_of(item.event, item.done, file.at))
        try:
            for entry in entries:
                self._line(file, entry)
        finally:
            if any(entry.type == ENDED for entry in entries):
                self._end(item.call_id)

    def _begin(self, call_id: str, at: float, arrival: e.CallArrived | e.CallTurnedAway) -> None:
        roles = arrival.roles if isinstance(arrival, e.CallArrived) else {}
        file = self._files[call_id] = _File(at, declared_by(roles), None)
        name = f"{arrival.call.started_at:%Y%m%dT%H%M%S}-{re.sub(r'[^A-Za-z0-9_-]', '_', call_id)[:80]}.jsonl"
        handle = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        # Open as long as the call lives; half an emoji, which only UTF-16 could write, is escaped as JSON does.
        file.out = open(handle, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        file.out.write(head_line(head(arrival, self._environment, speech=self._speech)))

    def _line(self, file: _File, entry: Entry) -> None:
        if file.out is not None:
            file.out.write((entry if self._speech else redacted(entry, file.declared)).line())

    def _end(self, call_id: str) -> None:
        file = self._files.pop(call_id)
        if file.out is not None:
            file.out.close()
            self._told = False

    def _give_up(self, call_id: str, reason: str) -> None:
        self._tell_lost(reason)
        file = self._files.get(call_id)
        if file is not None and file.out is not None:
            out, file.out = file.out, None
            with contextlib.suppress(OSError):
                out.close()

    def _tell_lost(self, reason: str) -> None:
        if not self._told:
            self._told = True
            logger.error("calls cannot be recorded", extra={"folder": str(self._folder), "said": reason})
