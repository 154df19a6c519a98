"""Processes that play scenarios on all cores. The SDK is imported once, in a process that all of them come out of."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runtime import files
from runtime.catalog import Catalog, assemble, problems
from runtime.draft import draft
from runtime.errors import CatalogError, errors
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
    jobs = [(at, part) for at, part in enumerate(parts) for _ in range(part.scenario.runs)]
    runs: dict[int, list[Run]] = {}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runtime.rehearsal"])
    most = _LIVE_CALLS if parts[0].is_live else _PROCESSES_A_CORE * (os.cpu_count() or 1)
    pool = ProcessPoolExecutor(min(len(jobs), most), context, _begin, (os.getcwd(), list(sys.path)))
    try:
        futures: dict[Future[Run], int] = {pool.submit(_play, part): at for at, part in jobs}
        for future in as_completed(futures):
            at = futures[future]
            known = runs.setdefault(at, [])
            known.append(_run(future))
            if len(known) == parts[at].scenario.runs:
                yield Result(parts[at].scenario, tuple(known))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(future: "Future[Run]") -> Run:
    try:
        return future.result()
    except BrokenProcessPool:
        return Run(None, broken=_ENDED)


# ── in a player's process ─────────────────────────────────────────────────────────────────────────────────────


def _begin(folder: str, paths: list[str]) -> None:
    """Stand where the command stands. An interruption is the command's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(folder)
    sys.path[:] = paths


def _play(part: Part) -> Run:
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
