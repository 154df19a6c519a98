"""`switchboard replay`: plays recorded calls against the agents of today. Rings nobody."""

import argparse
import sys
from typing import Any

from runtime.errors import CatalogError
from runtime.tools import Tools
from runtime.verbs import USAGE
from runtime.verbs.places import catalog_of, recording_in
from runtime.verbs.words import add_agents, add_environment, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    again = add_verb(verbs, "replay", _run, "Play recorded calls against the agents of today and tell what differs.")
    again.epilog = "Exit code: 0 all go as then, 1 something differs, 2 usage, or a catalog with problems."
    again.add_argument("files", nargs="+", metavar="FILE", help="a file of 'switchboard serve --record'")
    again.add_argument("--format", choices=["json", "text"], default="text", help="how to print what differs")
    add_agents(again)
    add_environment(again)


def _run(arguments: argparse.Namespace) -> int:
    recordings = [recording_in(file) for file in arguments.files]
    try:
        catalog = catalog_of(arguments, Tools().read)
    except CatalogError as error:  # 1 would say that calls go otherwise, which nobody can tell
        print(error, file=sys.stderr)
        return USAGE
    from runtime import replay

    played = [replay.replay(recording, catalog, arguments.environment) for recording in recordings]
    print(replay.REPLAYS[arguments.format](played), end="")
    return 1 if any(one.deviations for one in played) else 0
