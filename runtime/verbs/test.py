"""`switchboard test`: chooses scenarios, has them played, once or at each change, and prints what became of them.

Plays none and judges none itself.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import git, results
from runtime.errors import CatalogError, Problem, SettingsError, TextModelError, count, listing, some
from runtime.scenarios import is_scenario_file
from runtime.settings import chosen_environment, live_endpoint
from runtime.terminal import Bar, Paint
from runtime.verbs import PROBLEMS, STOPPED
from runtime.verbs.places import existing, recording_in
from runtime.verbs.words import add_verb

if TYPE_CHECKING:
    from runtime.repertoire import Due, Repertoire


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    test = add_verb(
        verbs, "test", _run, "Play scenario files without a phone, and tell what went otherwise than expected."
    )
    test.epilog = (
        "Needs no network and no key, but for --live and --model. A skipped expectation is no pass. "
        "Exit code: 0 nothing failed, 1 scenarios failed or files have problems, 2 usage, 130 interrupted."
    )
    test.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="catalogs' folders, or scenario files (default: agents)",
    )
    test.add_argument("--format", choices=sorted(results.FORMATS), help="how to print the results (default: text)")
    test.add_argument("--watch", action="store_true", help="then play the scenarios that a changed file touches")
    test.add_argument(
        "--model",
        default="",
        metavar="NAME",
        help="a text model plays the agent and judges, instead of the model's lines; needs a key or a local server",
    )
    test.add_argument(
        "--live",
        action="store_true",
        help="the real service plays the agent, in real time; needs a key, and costs tokens. --model then only judges",
    )
    test.add_argument(
        "--from", dest="recording", metavar="FILE", help="print a recorded call as a scenario, and play nothing"
    )
    test.add_argument(
        "--changed", metavar="REV", help="only the scenarios that a change since a commit, tag or branch can touch"
    )


def _run(arguments: argparse.Namespace) -> int:
    from runtime import repertoire

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: players are stopped, and a report is printed

    if arguments.recording is not None:
        return _retold(arguments)
    if arguments.live:
        if arguments.watch:
            raise SettingsError("--live", "cannot be used with --watch", "Each save would cost tokens.")
        live_endpoint()  # a missing key is told once, and not for each scenario
    named = arguments.paths or ["agents"]
    paths = [existing(path, "switchboard test FOLDER") for path in named]
    if strange := next((path for path in paths if path.is_file() and not is_scenario_file(path.name)), None):
        raise SettingsError(strange.as_posix(), "is no scenario file", "Their names end in .scenarios.yaml.")
    environment, began = chosen_environment(), time.monotonic()
    try:
        opened = repertoire.open_repertoires(paths, environment)
    except CatalogError as error:
        return _told(arguments, error.problems, began)
    if not any(each.files or each.problems for each in opened):
        cure = "Write one beside an agent: its name ends in .scenarios.yaml."
        raise SettingsError(listing(named, "and"), "holds no scenario file", cure)
    due = repertoire.Due() if arguments.changed is None else _due_since(arguments.changed, opened, environment)
    if arguments.watch:
        return _watch_scenarios(arguments, paths, environment, opened, due)
    return _rehearsed(arguments, opened, due, began)


def _retold(arguments: argparse.Namespace) -> int:
    """Print a recorded call as a scenario. Raises `SettingsError` for what is only of use where something is played."""
    from runtime import retold

    given = {"--format": arguments.format, "--watch": arguments.watch, "--model": arguments.model}
    given |= {"--live": arguments.live, "--changed": arguments.changed, **dict.fromkeys(arguments.paths, True)}
    if useless := next((word for word, value in given.items() if value), None):
        raise SettingsError(useless, "does nothing with --from", "It prints a recorded call, and plays nothing.")
    print(retold.scenario_from(recording_in(arguments.recording)), end="")
    return 0


def _near(path: Path) -> str:
    """Return a path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _due_since(revision: str, opened: "Sequence[Repertoire]", environment: str) -> "Due":
    """Return what a change since a revision touches. Raises `SettingsError`."""
    from runtime.repertoire import Due, catalog_at

    changed, before = set[Path](), {}
    for folder in (each.folder for each in opened):
        around = git.around(folder)
        if around is None:
            raise SettingsError(str(folder), "is in no git repository", "A revision needs one.")
        changed |= around.changed_since(revision)
        before[folder] = catalog_at(folder, revision, environment)
    return Due(changed, before)


def _rehearsed(arguments: argparse.Namespace, opened: "Sequence[Repertoire]", due: "Due", began: float) -> int:
    """Play what is due, print what became of it, and return the exit code."""
    from runtime import players

    environment, wanted, done = chosen_environment(), due.among(opened), list[results.Result]()
    if arguments.model:
        from runtime.minds import mind_for

        mind_for(arguments.model).close()  # a missing key is told once, and not for each scenario
    parts = [
        players.Part(each.folder, environment, scenario, arguments.model, arguments.live) for each, scenario in wanted
    ]
    if arguments.changed and not parts:
        print(f"Nothing that changed since {arguments.changed} touches a scenario.", file=sys.stderr)
    if arguments.live and parts:
        runs = count(sum(part.scenario.runs for part in parts), "call")
        print(f"Holding {runs} with the real service, in real time …", file=sys.stderr, flush=True)
    problems = [problem for each in opened for problem in each.problems]
    bar, stopped = Bar(len(parts)), False
    try:
        for result in players.play(parts):
            done.append(result)
            bar.show(len(done), sum(one.judgment == "failed" for one in done))
        due.played(opened)
    except CatalogError as error:  # a tool that cannot be used
        problems += error.problems
    except TextModelError as error:  # it would fail each scenario
        raise SettingsError("", error.message, error.cure) from error
    except KeyboardInterrupt:
        stopped = True
    finally:
        bar.clear()
    order = {id(scenario): at for at, (_, scenario) in enumerate(wanted)}
    done.sort(key=lambda result: order[id(result.scenario)])
    code = _told(arguments, problems, began, done, len(parts))
    return STOPPED if stopped else code


def _told(
    arguments: argparse.Namespace,
    problems: Sequence[Problem],
    began: float,
    done: Sequence[results.Result] = (),
    planned: int = 0,
) -> int:
    """Print what scenarios came to, and what kept them from being played, and return the exit code."""
    report = results.Report(tuple(done), tuple(problems), planned, time.monotonic() - began)
    print(results.FORMATS[arguments.format or "text"](report, Paint()), end="", flush=True)
    return 0 if report.is_well else PROBLEMS


def _watch_scenarios(
    arguments: argparse.Namespace,
    paths: Sequence[Path],
    environment: str,
    opened: "Sequence[Repertoire]",
    due: "Due",
) -> int:
    """Play what is due, and then what each change touches, until interrupted."""
    from runtime import repertoire
    from runtime.reload import changes_in

    watched: set[Path] = set()
    began, code, is_sound = time.monotonic(), 0, True
    while code != STOPPED:
        folders = {folder for each in opened for folder in each.folders}
        folders |= {folder for folder in watched if folder.is_dir()}  # a module that is gone may return there
        if watched != folders:
            watched, watching = folders, changes_in(sorted(folders))
            next(watching)  # what is saved from now on, also while scenarios are played, is not missed
        if is_sound and (due.among(opened) or any(each.problems for each in opened)):
            code = _rehearsed(arguments, opened, due, began)
        elif is_sound:
            due.played(opened)
        print("Watching; Ctrl-C ends this.", file=sys.stderr, flush=True)
        changed = next(filter(None, watching))
        told = [path for path in changed if path.exists()] or changed  # editors make files for a moment
        print(f"\n{some(sorted(map(_near, told)))} changed.", file=sys.stderr, flush=True)
        due.add(changed)
        began = time.monotonic()
        try:
            opened, is_sound = repertoire.open_repertoires(paths, environment), True
        except CatalogError as error:
            _told(arguments, error.problems, began)
            is_sound = False
    return code
