"""`switchboard reload`: tells a running host to take the catalog as it is now. Reads no catalog itself."""

import argparse
import json
import time
from typing import Any

from runtime import reports
from runtime.errors import SettingsError
from runtime.settings import read_settings
from runtime.verbs import PROBLEMS
from runtime.verbs.places import ask
from runtime.verbs.words import add_url, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    reload = add_verb(verbs, "reload", _run, "Make a running host take the catalog as it is now, all or nothing.")
    reload.epilog = (
        "Signs its request with OPENAI_WEBHOOK_SECRET. Exit code: 0 taken, 1 refused with problems, 2 usage."
    )
    reload.add_argument("--revision", metavar="REV", help="take a commit, tag or branch, an older one too")
    add_url(reload)


def _run(arguments: argparse.Namespace) -> int:
    from runtime.realtime.webhook import check_secret, sign

    body = json.dumps({"revision": arguments.revision}).encode()
    secret = read_settings().webhook_secrets[0]
    check_secret(secret)
    headers = sign(secret, f"reload_{time.time_ns()}", int(time.time()), body)
    status = ask(arguments.url, "/control/reload", body, headers)
    if "error" in status:
        raise SettingsError("the host", f"refused: {status['error']['message']}")
    print(reports.status(status))
    return PROBLEMS if status["result"] in ("refused", "partly") else 0
