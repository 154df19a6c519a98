"""`switchboard status`: prints what a running host says of itself. Looks at nothing else."""

import argparse
from typing import Any

from runtime import reports
from runtime.errors import count
from runtime.verbs import PROBLEMS
from runtime.verbs.places import ask
from runtime.verbs.words import add_url, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    status = add_verb(verbs, "status", _run, "Print what a running host serves and how its last reload went.")
    status.epilog = (
        "Exit code: 0 all well, 1 the last reload was refused, an agent has problems, or the host is draining, "
        "2 no host answers, or usage."
    )
    add_url(status)


def _run(arguments: argparse.Namespace) -> int:
    answer = ask(arguments.url, "/readyz")
    print(f"{answer['status']}: {count(answer['agents'], 'agent')}, {count(answer['calls'], 'live call')}")
    print(reports.status(answer["reload"]))
    return 0 if answer["status"] == "ready" and answer["reload"]["result"] in ("loaded", "unchanged") else PROBLEMS
