"""`switchboard check`: prints every problem that the catalog and the scenario files have. Finds none itself."""

import argparse
import sys
from typing import Any, NoReturn

from runtime import catalog as catalogs
from runtime import files, reports
from runtime.abilities import ToolReader
from runtime.errors import count, errors
from runtime.settings import chosen_environment
from runtime.tools import Tools
from runtime.verbs import PROBLEMS
from runtime.verbs.places import existing
from runtime.verbs.words import add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    check = add_verb(verbs, "check", _run, "Find every problem of every agent file. Needs no network and no key.")
    check.epilog = "Exit code: 0 no problems (warnings are allowed), 1 problems, 2 usage."
    check.add_argument(
        "paths", nargs="*", default=["agents"], metavar="PATH", help="folders or files (default: agents)"
    )
    check.add_argument("--format", choices=sorted(reports.REPORTERS), default="text", help="how to print problems")
    check.add_argument("--no-tools", action="store_true", help="leave entrypoints alone: import no user code")
    check.add_argument("--environment", nargs="?", action=_EveryEnvironment, help=argparse.SUPPRESS)


class _EveryEnvironment(argparse.Action):
    """Refuses `check --environment`, which other verbs know."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        parser.error("There is no --environment here: check looks at every environment.")


def _run(arguments: argparse.Namespace) -> int:
    paths = [existing(path, "switchboard check FOLDER") for path in arguments.paths]
    sources = files.sources(paths)
    if arguments.format == "text":
        print(f"Checking {count(len(sources), 'agent file')} …", file=sys.stderr, flush=True)
    files.let_import(paths)
    problems = files.without_agents(paths, sources) + files.ignored_defaults(paths)
    whole = all(path.is_dir() or path.name in files.DEFAULTS for path in paths)
    chosen = chosen_environment() if whole else ""  # a file alone does not name all environments
    read_tool = _tool_reader(arguments)
    problems += catalogs.check(sources, read_tool, chosen, whole=whole)
    from runtime import repertoire

    found, scenario_files = repertoire.check(paths, read_tool)
    print(reports.REPORTERS[arguments.format](sorted([*problems, *found]), len(sources), scenario_files), end="")
    problems += found
    return PROBLEMS if errors(problems) else 0


def _tool_reader(arguments: argparse.Namespace) -> ToolReader | None:
    return None if arguments.no_tools else Tools().read
