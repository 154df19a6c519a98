"""Plays one scenario with the real host: in this process with the simulator and a clock that jumps, or for real.

What happened is a `Played`, whoever answers for the model: the scenario's own lines, any other mind, or the service.
"""

import asyncio
import logging
import math
import signal
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from runtime import threads
from runtime.cast import answering
from runtime.catalog import Catalog
from runtime.crowd import CrowdedGates, admission_for
from runtime.current import Status
from runtime.errors import TextModelError, ToolError
from runtime.expectations import Played, Question, compare, questions
from runtime.faults import FaultyLine
from runtime.overheard import overheard
from runtime.props import recast
from runtime.results import Run
from runtime.ringing import Background, Call, Heard, Loopback, loopback
from runtime.scenarios import Scenario
from runtime.settings import Endpoint, samples_kept_in
from runtime.simulator import clock
from runtime.simulator.mind import Mind
from runtime.stage import STUCK_SECONDS, Stage
from runtime.verdict import Verdict

PATIENCE_SECONDS = 30.0  # without a sign of the real service while an answer is due
COMPARING_SECONDS = 3.0  # what takes a thousandth of a second, but for expressions that try for ever
CALL_SECONDS = 3 * 3600.0  # of the call: the service ends it after one hour

_ENDLESS = "{place}An expression below matches: takes too long to compare. Write a plainer one, or contains:."

Judge = Callable[[Question], Awaitable[Verdict]]
"""Asks a judging model. What it raises is the caller's to hear."""


def rehearse(
    scenario: Scenario,
    catalog: Catalog,
    mind: Mind | None = None,
    judge: Judge | None = None,
    background: Background = (),
    live: Endpoint | None = None,
    reloads: Sequence[Catalog] = (),
) -> Run:
    """Play a scenario once and compare it with what it expects.

    A mind takes the place of the scenario's model lines; `live` is where the real service does, in real time.
    `background` is the host's: what its tools need beside the call; `reloads` are its catalogs from each reload of the
    scenario on. Never raises for what agents or tools do, and `TextModelError` for a text model that will never
    answer.
    """
    began = time.monotonic()

    async def work() -> Run:
        played = await perform(scenario, catalog, mind, background, live, reloads)
        if played.broken:
            return Run(played, broken=played.broken)
        verdicts = {question: await judge(question) for question in questions(scenario, played)} if judge else {}
        try:
            with _at_most(COMPARING_SECONDS):
                return Run(played, tuple(compare(scenario, played, verdicts)))
        except TimeoutError:
            return Run(played, broken=_ENDLESS.format(place=_first_expression(scenario)))

    with (
        tempfile.TemporaryDirectory(prefix="switchboard-test-", ignore_cleanup_errors=True) as folder,
        samples_kept_in(Path(folder, "samples.sqlite3")),
    ):
        run = asyncio.run(work()) if live else clock.run(work(), threads.at_work)
    return replace(run, seconds=time.monotonic() - began)


async def perform(
    scenario: Scenario,
    catalog: Catalog,
    mind: Mind | None = None,
    background: Background = (),
    live: Endpoint | None = None,
    reloads: Sequence[Catalog] = (),
) -> Played:
    """Play a scenario once on this event loop, whose clock may jump, and return what happened."""
    is_scripted = mind is None and live is None
    stage = Stage(scenario, is_scripted=is_scripted, patience_seconds=PATIENCE_SECONDS if live else STUCK_SECONDS)
    cast, *later = recast([catalog, *reloads], scenario, is_scripted=is_scripted)
    backstage = _Backstage(scenario, later)
    with overheard(lambda words, record: _note(stage, words, record), logging.WARNING):
        async with loopback(
            cast,
            stage.observe,
            background,
            live=live,
            clock=backstage.clock,
            admission=admission_for(scenario, answering(scenario, cast), asyncio.get_running_loop().time()),
            gates=CrowdedGates(scenario.taken),
            through=backstage.line.over,
            pace=1.0,
            mind=mind or stage,
        ) as made:
            backstage.made = made
            try:
                async with asyncio.timeout(CALL_SECONDS * (1 + sum(turn.rings for turn in scenario.turns))):
                    await stage.play(backstage)
            except TimeoutError:
                stage.get_stuck()
            await stage.leave()
    if isinstance(stage.failure, TextModelError) and stage.failure.lasting:
        raise stage.failure
    return stage.played()


class _Backstage:
    """What is behind a stage: the caller's telephone, and the host with its clock and its agents. `made` is set before
    it plays."""

    made: Loopback
    call: Call

    def __init__(self, scenario: Scenario, later: Iterable[Catalog]) -> None:
        self._later = iter(later)
        self.line = FaultyLine(scenario.down, [canned.error for canned in scenario.canned.get("transfer", ())])
        self._scenario = scenario
        self._now = asyncio.get_running_loop().time
        self._rung_at = math.inf  # for the first time

    def clock(self) -> datetime:
        return self._scenario.clock + self._since()

    def _since(self) -> timedelta:
        return timedelta(seconds=max(0.0, self._now() - self._rung_at))

    def dial(self, hear: Heard) -> Call:
        self.call = self.made.new_call(self._scenario.called, self._scenario.caller, hear)
        return self.call

    async def lose(self, *, for_good: bool) -> bool:
        return await self.line.lose(for_good=for_good)

    async def idle(self) -> None:
        await self.made.host.idle()

    def reload(self) -> None:
        catalog = next(self._later)
        at = self.clock()
        self.made.host.current.swap(catalog, Status(catalog.revision, at, at))

    async def ring(self) -> None:
        self._rung_at = min(self._rung_at, self._now())
        at = self._scenario.at + self._since()
        await self.made.ring(self.call, self._scenario.headers, at=int(at.timestamp()))


def _note(stage: Stage, words: str, record: logging.LogRecord) -> None:
    """Note what was logged, and of a tool that raised or took too long that this is no part of a scenario."""
    stage.note(words)
    error, tool = record.exc_info[1] if record.exc_info else None, getattr(record, "tool", "")
    if tool and record.levelno >= logging.ERROR and not isinstance(error, ToolError):
        stage.tool_broke(tool, f"raised {words.partition(': ')[2]}" if error else "took too long")


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in a block that takes longer; only where signals are heard, in a process's main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _first_expression(scenario: Scenario) -> str:
    found = (each for turn in scenario.turns for each in turn.expect if each.field.endswith("matches"))
    first = next(found, None)
    return f"{scenario.file}:{first.line}:{first.column}: " if first else ""
