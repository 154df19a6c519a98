"""Processes that play scenarios on all cores. The SDK is imported once, in a process that all of them come out of."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runtime import files
from runtime.catalog import Catalog, assemble, problems
from runtime.draft import draft
from runtime.errors import CatalogError, SwitchboardError, errors, frames
from runtime.expectations import Question
from runtime.results import Result, Run
from runtime.scenarios import Scenario
from runtime.settings import live_endpoint
from runtime.tools import Tools
from runtime.verdict import Verdict

if TYPE_CHECKING:
    from runtime.minds import TextMind
    from runtime.rehearsal import Judge

# Much of a played call is waiting until the loop is sure that nothing comes: two processes keep a core busy.
_PROCESSES_A_CORE = 2
_LIVE_CALLS = 4  # at once: nearly all of them is waiting, but the service limits a project's tokens in a minute

_ENDED = "The process that played it has ended. A tool may have stopped it, or the memory was full."


class Part(NamedTuple):
    """A scenario to be played, with its catalog's folder and the environment whose overrides agents have.

    `model` names the text model that plays and judges, `""` for the scenario's own lines. `is_live`: the real service
    plays, and a text model only judges.
    """

    folder: Path
    environment: str
    scenario: Scenario
    model: str = ""
    is_live: bool = False


def play(parts: Sequence[Part]) -> Iterator[Result]:
    """Play scenarios as often as they say, and yield each result as it comes.

    Raises `CatalogError` for tools that cannot be used. When it is closed, or interrupted, no other scenario begins.
    """
    if not parts:
        return
    jobs = [at for at, part in enumerate(parts) for _ in range(part.scenario.runs)]
    runs: list[list[Run]] = [[] for _ in parts]
    most = _LIVE_CALLS if parts[0].is_live else _PROCESSES_A_CORE * (os.cpu_count() or 1)
    for at, run in _played(parts, jobs, min(len(jobs), most)):
        runs[at].append(run)
        if len(runs[at]) == parts[at].scenario.runs:
            yield Result(parts[at].scenario, tuple(runs[at]))


def _played(parts: Sequence[Part], jobs: Sequence[int], processes: int) -> Iterator[tuple[int, Run]]:
    """Yield what each job came to, by the part that it plays.

    A process that ends takes all others along. What they had not finished is played again, each in a process of its
    own, so that only who ends that one is broken.
    """
    lost, futures = [], dict[Future[Run], int]()
    with _pool(processes) as pool:
        for at in jobs:
            try:
                futures[pool.submit(_play, parts[at])] = at
            except BrokenProcessPool:
                lost.append(at)
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
    for at in lost:
        with _pool(1) as pool:
            try:
                run = pool.submit(_play, parts[at]).result()
            except BrokenProcessPool:
                run = Run(None, broken=_ENDED)
        yield at, run


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Make processes, and let none of them begin anything behind the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runtime.rehearsal"])
    pool = ProcessPoolExecutor(processes, context, _begin, (os.getcwd(), list(sys.path)))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# ── in a player's process ─────────────────────────────────────────────────────────────────────────────────────


def _begin(folder: str, paths: list[str]) -> None:
    """Stand where the command stands. An interruption is the command's to hear, and its output is the report's alone.

    What tools print goes to standard error, and so does what their C code and their own processes do.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno(), 1)
    os.chdir(folder)
    sys.path[:] = paths


def _play(part: Part) -> Run:
    """Play a part. Whatever breaks keeps nobody else from being played, but for tools that no part can use."""
    try:
        return _rehearsed(part)
    except CatalogError:
        raise
    except BaseException as error:
        said = str(error) if isinstance(error, SwitchboardError) else frames(error)
        return Run(None, broken=f"It could not be played: {said}")


def _rehearsed(part: Part) -> Run:
    from runtime.rehearsal import rehearse

    catalog, tools = _company(part.folder, part.environment)
    mind, judge = _model(part.model) if part.model else (None, None)
    background = (tools.kept_open,)
    if part.is_live:
        return rehearse(part.scenario, catalog, None, judge, background, live_endpoint())
    return rehearse(part.scenario, catalog, mind, judge, background)


@cache
def _model(name: str) -> "tuple[TextMind, Judge]":
    """Return who plays the model and who judges it. Raises `SettingsError`."""
    from runtime.minds import judge_for, mind_for

    judging = judge_for(name)

    async def judge(question: Question) -> Verdict:
        return await judging.judge(question.statement, question.conversation)

    return mind_for(name), judge


@cache
def _company(folder: Path, environment: str) -> tuple[Catalog, Tools]:
    """Return a catalog with its tools, read once in each process. Raises `CatalogError`."""
    tools = Tools()
    drafts = [draft(source, tools.read, environment) for source in files.sources([folder])]
    found = problems(drafts)
    if errors(found):
        raise CatalogError(found)
    return assemble(made.definition for made in drafts if made.definition), tools
