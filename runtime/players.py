"""Processes that play scenarios on all cores. The SDK is imported once, in a process that all of them come out of.

None outlives the command, however that ends.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir, contextmanager
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from runtime import files
from runtime.company import Company, company_of
from runtime.errors import CatalogError, SwitchboardError, TextModelError, errors, frames
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

_GRACE_SECONDS = 3.0  # for a player that is told to end, to leave nothing behind

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

    Raises `CatalogError` for tools that cannot be used, and `TextModelError` for a model that will never answer. When
    it is closed, or interrupted, those that are being played are stopped.
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
        with _undisturbed():
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
def _undisturbed() -> Iterator[None]:
    """Hear an interruption after the block: a process that is being made then would complain of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Make processes, and let none of them go on behind the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runtime.rehearsal", "runtime.minds"])  # ours, before user code can be imported
    with TemporaryDirectory() as nowhere, chdir(nowhere):  # it looks for the standard library where it stands first
        hears = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as it does for all its life
        forkserver.ensure_running()
        signal.signal(signal.SIGINT, hears)
    pool = ProcessPoolExecutor(processes, context, _begin, (os.getcwd(),))
    try:
        yield pool
    except BaseException:
        _stop_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _stop_all() -> None:
    """End the players in the middle of what they do: what they play may never end by itself."""
    players = multiprocessing.active_children()
    for player in players:
        player.terminate()
    for player in players:
        player.join(_GRACE_SECONDS)
        player.kill()


# ── in a player's process ─────────────────────────────────────────────────────────────────────────────────────


def _begin(folder: str) -> None:
    """Stand where the command stands. An interruption is the command's to hear, and its output is the report's alone.

    What tools print goes to standard error, and so does what their C code and their own processes do.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_command, name="switchboard-player", daemon=True).start()
    sys.stdout = sys.stderr
    os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno(), 1)
    os.chdir(folder)


def _end_with_command() -> None:
    """End when the command is gone, as after a SIGKILL: nobody would tell us."""
    command = multiprocessing.parent_process()
    if command is not None:
        wait([command.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


class _Stopped(BaseException):
    """The command wants no more of what is being played."""


def _end(*_: object) -> NoReturn:
    """End at once, or as soon as what is being played has removed its folder, unless that takes too long."""
    if not _played_now:
        os._exit(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a loop complains of that is stopped so, helps nobody
    last = threading.Timer(_GRACE_SECONDS, os._exit, (1,))
    last.daemon = True
    last.start()
    raise _Stopped


_played_now: list[Part] = []


def _play(part: Part) -> Run:
    """Play a part. Whatever breaks keeps nobody else from being played, but for what no part can be played with."""
    _played_now.append(part)
    try:
        return _rehearsed(part)
    except (CatalogError, TextModelError):
        raise
    except _Stopped:
        os._exit(1)
    except BaseException as error:
        said = str(error) if isinstance(error, SwitchboardError) else frames(error)
        return Run(None, broken=f"It could not be played: {said}")
    finally:
        _played_now.clear()


def _rehearsed(part: Part) -> Run:
    from runtime.rehearsal import rehearse

    company, tools = _company(part.folder, part.environment)
    catalog = company.catalog
    try:
        reloads = company.catalogs(part.scenario)[1:]
    except CatalogError as error:  # what is wrong with a reload keeps no other scenario from being played
        return Run(None, broken=f"It cannot be reloaded so: {'; '.join(map(str, errors(error.problems)))}")
    mind, judge = _model(part.model) if part.model else (None, None)
    background = (tools.kept_open,)
    live = live_endpoint() if part.is_live else None
    return rehearse(part.scenario, catalog, None if live else mind, judge, background, live, reloads)


@cache
def _model(name: str) -> "tuple[TextMind, Judge]":
    """Return who plays the model and who judges it. Raises `SettingsError`."""
    from runtime.minds import judge_for, mind_for

    judging = judge_for(name)

    async def judge(question: Question) -> Verdict:
        return await judging.judge(question.statement, question.conversation)

    return mind_for(name), judge


@cache
def _company(folder: Path, environment: str) -> tuple[Company, Tools]:
    """Return a catalog's agents with their tools, read once in each process."""
    files.let_import([folder])
    tools = Tools()
    return company_of(files.sources([folder]), tools.read, environment), tools
