"""Reloads: how soon a saved file is live, how long the event loop keeps others waiting, and what stays in memory."""

import http.client
import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import agent
from benchmarks.measure import SECRET, Bench, Numbers, Side
from benchmarks.processes import BenchmarkError, Process
from benchmarks.simulated import Callers, Calls
from runtime.simulator import sign

VOICES = ("marin", "cedar", "sage", "coral")  # a version's mark: the next one has another
CALLS_A_SECOND = 5
APART_SECONDS = (0.1, 0.3)  # from one save to the next, so that they meet the watcher at any moment
AGENTS_RELOADED = 100  # in the catalog that is reloaded again and again
WARM_UP_SECONDS = 3.0
WARM_UP_RELOADS = 50  # before memory is looked at for the first time
LIVE_SECONDS = 20.0  # after which a save is taken to be lost
_ASK_EVERY_SECONDS = 0.002


def saves(bench: Bench, folder: Path, agents: int, count: int, calm_seconds: float) -> Numbers:
    """Save an agent's file so many times where a host watches it, while calls come and go. Times in ms."""
    catalog = Catalog(folder / f"watched-{agents}", agents)
    with _running(bench, catalog, "--watch") as line:
        line.calm(WARM_UP_SECONDS)  # the first calls fill caches
        line.longest = 0.0
        line.calm(calm_seconds)
        calm, line.longest = line.longest, 0.0
        times = [_live_seconds(catalog, line, in_place=number % 2 == 1) for number in range(count)]
        return {
            f"live p50 of {agents}": 1000 * statistics.median(times),
            f"live p99 of {agents}": 1000 * statistics.quantiles(times, n=100, method="inclusive")[98],
            f"wait of {agents}": 1000 * line.longest,
            f"calm wait of {agents}": 1000 * calm,
        }


def growth(bench: Bench, folder: Path, count: int) -> float:
    """Return by how many MB a host grows over so many reloads on command, while calls come and go."""
    catalog = Catalog(folder / "reloaded", AGENTS_RELOADED)
    with _running(bench, catalog) as line:
        before = _resident_after(WARM_UP_RELOADS, catalog, line)
        return (_resident_after(count, catalog, line) - before) / 1024 / 1024


def _live_seconds(catalog: "Catalog", line: "Line", *, in_place: bool) -> float:
    """Save once and return the time until that is live. The call that rings then must be of the new version."""
    before, voice = line.ask()["revision"], catalog.save(in_place=in_place)
    saved = time.monotonic()
    while (answer := line.ask())["revision"] == before or answer["reload"]["result"] == "partly":
        if time.monotonic() > saved + LIVE_SECONDS:
            raise BenchmarkError(f"a save was not live after {LIVE_SECONDS:g} s; of the host, {line.host.last_words()}")
    live = time.monotonic()
    (call_id,) = line.ring(1)
    line.calm(random.uniform(*APART_SECONDS))
    calls = line.callers.until(lambda calls: _voice(calls, call_id) is not None, seconds=10)
    heard = _voice(calls, call_id)
    if heard != voice:
        what = f"a call after the reload was of another version, with the voice {heard} and not {voice}"
        raise BenchmarkError(f"{what}; of the host, {line.host.last_words()}")
    return live - saved


def _voice(calls: Calls, call_id: str) -> str | None:
    """Return the voice that a call was accepted with, or None as long as it was not."""
    return next((call["voice"] for call in calls if call["call_id"] == call_id), None)


def _resident_after(reloads: int, catalog: "Catalog", line: "Line") -> int:
    for _ in range(reloads):
        catalog.save(in_place=False)
        line.ask()  # which lets callers ring, too
        line.reload()
    line.calm(1.0)
    return line.host.resident_bytes()


class Catalog:
    """Many agents, in a git repository of their own. The first is edited again and again, and has tools."""

    def __init__(self, repository: Path, agents: int) -> None:
        self.folder = repository / "agents"
        self._edited = self.folder / "agent-0.yaml"
        self._saved = 0
        repository.mkdir()
        agent.write_catalog(self.folder, agents, tools=False)
        self.save(in_place=True)
        for words in (("init", str(repository)), ("add", "."), ("commit", "--message", "Generated")):
            self._git(*words)
        self.save(in_place=True)  # from here on every version has a revision of its own

    def save(self, *, in_place: bool) -> str:
        """Write the next version, in place or by a rename as many editors do, and return its voice."""
        self._saved += 1
        voice = VOICES[self._saved % len(VOICES)]
        text = agent.document(self._edited.stem, agent.CALLED, tools=True, voice=voice)
        written = self._edited if in_place else self._edited.with_suffix(".new")
        written.write_text(f"# version {self._saved}\n{text}", encoding="utf-8")
        written.replace(self._edited)
        return voice

    def _git(self, *words: str) -> None:
        command = ["git", "-C", str(self.folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost", *words]
        alone = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        try:
            subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
            raise BenchmarkError(f"a catalog could not be committed: {said}") from error


class Line:
    """One connection to a host that asks again and again, and keeps the longest time that an answer took."""

    def __init__(self, host: Process, callers: Callers) -> None:
        self.host = host
        self.callers = callers
        self.longest = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=60)
        self._rung = 0.0

    def ask(self) -> dict[str, Any]:
        """Return what `/readyz` says. Once a second it lets the next callers ring, too."""
        if time.monotonic() > self._rung + 1:
            self._rung = time.monotonic()
            self.callers.forget()
            self.ring(CALLS_A_SECOND)
        time.sleep(_ASK_EVERY_SECONDS)
        began = time.monotonic()
        self._connection.request("GET", "/readyz")
        body = self._connection.getresponse().read()
        self.longest = max(self.longest, time.monotonic() - began)
        answer: dict[str, Any] = json.loads(body)
        return answer

    def ring(self, count: int) -> list[str]:
        """Begin to ring so many times within a second, for conversations of three seconds; return the calls' ids."""
        return self.callers.ring(count, CALLS_A_SECOND, [agent.TURN], repeat=3, rest=1.0, hold=False)

    def calm(self, seconds: float) -> None:
        """Let time pass, asking on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.ask()

    def reload(self) -> None:
        """Reload as `switchboard reload` does."""
        body = b"{}"
        headers = sign(SECRET, f"reload_{time.time_ns()}", int(time.time()), body)
        self._connection.request("POST", "/control/reload", body, headers)
        answer = json.loads(self._connection.getresponse().read())
        if answer.get("result") != "loaded":
            raise BenchmarkError(f"a reload did not load: {answer}")

    def close(self) -> None:
        self._connection.close()
        self.callers.hang_up()


@contextmanager
def _running(bench: Bench, catalog: Catalog, *words: str) -> Iterator[Line]:
    """Start a host on a catalog, and the line to it."""
    side = Side(f"reload of {catalog.folder.parent.name}", ("-m", "runtime", "serve", str(catalog.folder), *words))
    with bench.start(side) as host:
        line = Line(host, bench.callers(host))
        try:
            yield line
        finally:
            line.close()
