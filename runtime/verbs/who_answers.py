"""`switchboard who-answers`: makes a call out of words and prints who takes it. Who that is, the routing decides."""

import argparse
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from runtime import reports
from runtime.errors import SettingsError
from runtime.incoming import SAMPLE_CALL, Headers
from runtime.routing import Match, explain
from runtime.verbs import PROBLEMS
from runtime.verbs.places import catalog_of
from runtime.verbs.words import add_agents, add_caller, add_environment, add_verb, caller_of, number_of


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    who = add_verb(
        verbs,
        "who-answers",
        _run,
        "Print which agent takes a call, and why every other candidate does not.",
    )
    who.epilog = "Exit code: 0 an agent answers, 1 nobody does, 2 usage."
    who.add_argument("--called", required=True, metavar="NUMBER", help="the number that is rung, such as +15550100001")
    add_caller(who)
    who.add_argument(
        "--at",
        metavar="TIME",
        help="when the call comes, such as 2026-12-24T18:30; without a zone in this machine's (default: now)",
    )
    add_agents(who)
    add_environment(who)


def _run(arguments: argparse.Namespace) -> int:
    called = number_of("--called", arguments.called)
    caller, own = caller_of(arguments)
    headers = [*own, ("Diversion", f"<sip:{called}@command>")]
    headers += [("From", f"<sip:{caller}@command>")] if caller else []
    at = datetime.now() if arguments.at is None else _moment(arguments.at)
    call = replace(SAMPLE_CALL, called=called, caller=caller, headers=Headers(headers), started_at=at.astimezone())
    catalog = catalog_of(arguments, None)
    found, losses = explain(catalog, call)
    print(reports.answer(found, losses, call.called))
    return 0 if isinstance(found, Match) else PROBLEMS


def _moment(written: str) -> datetime:
    """Return a date and time; one without a zone is the host's. A date alone is refused: hours differ by the time."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = None
    far = moment is None or not 1970 < moment.year < 9000  # what clocks showed before then is not known everywhere
    if moment is None or far or not re.search(r"[T ]\d", written):
        cure = "Write the date and the time, such as 2026-12-24T18:30, and +01:00 or Z behind it for another time zone."
        raise SettingsError("--at", f"is no date and time: '{written}'", cure)
    return moment
