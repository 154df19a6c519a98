"""`switchboard graph`: prints who hands calls over to whom. Draws nothing itself."""

import argparse
from typing import Any

from runtime import graph
from runtime.verbs.places import catalog_of
from runtime.verbs.words import add_environment, add_folder, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    drawn = add_verb(verbs, "graph", _run, "Draw which agents hand calls over to whom, and put callers through where.")
    add_folder(drawn, "agents")
    drawn.add_argument(
        "--format", choices=sorted(graph.GRAPHS), default="text", help="mermaid for a page that draws it"
    )
    add_environment(drawn)


def _run(arguments: argparse.Namespace) -> int:
    print(graph.GRAPHS[arguments.format](graph.graph(catalog_of(arguments, None))), end="")
    return 0
