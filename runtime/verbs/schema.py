"""`switchboard schema`: prints every field of an agent file. Knows of none."""

import argparse
from typing import Any

from runtime import fields
from runtime import schema as schemas
from runtime.verbs.words import add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    add_verb(verbs, "schema", _run, "Print every field of an agent file, as Markdown.")


def _run(_: argparse.Namespace) -> int:
    print(fields.reference(schemas.load("agent")), end="")
    return 0
