"""`switchboard schema`: prints every field of a kind of file. Knows of none."""

import argparse
from typing import Any

from runtime import fields
from runtime import schema as schemas
from runtime.verbs.words import add_verb

_FILES = {"agent": "an agent file", "scenario": "a scenario, of which a scenario file is a list"}


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    schema = add_verb(verbs, "schema", _run, "Print every field of an agent or scenario file, as Markdown.")
    schema.add_argument("kind", nargs="?", choices=_FILES, default="agent", help="the kind of file (default: agent)")


def _run(arguments: argparse.Namespace) -> int:
    print(fields.reference(schemas.load(arguments.kind), _FILES[arguments.kind]), end="")
    return 0
