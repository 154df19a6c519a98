"""`switchboard demo`: starts a call that plays itself on this machine. Needs no key, and asks no service."""

import argparse
import sys
from typing import Any

from runtime.catalog import unknown_agent
from runtime.tools import Tools
from runtime.verbs.places import catalog_of
from runtime.verbs.words import add_agents, add_environment, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    demo = add_verb(
        verbs,
        "demo",
        _run,
        "Show a call on this machine: the real host, a simulated caller and model, no key.",
    )
    demo.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="the agent to ring (default: front-desk, or the first that answers)",
    )
    add_agents(demo)
    add_environment(demo)


def _run(arguments: argparse.Namespace) -> int:
    print("Starting the host and the simulator …", file=sys.stderr, flush=True)
    tools = Tools(serving=True)
    catalog = catalog_of(arguments, tools.read)
    if arguments.name is not None and arguments.name not in catalog.agents:
        raise unknown_agent(arguments.name, catalog)
    from runtime import demo

    return demo.run(catalog, arguments.name, background=(tools.kept_open,))
