"""`switchboard init`: makes a catalog repository and says what is next. What is in one stands in `scaffold/`."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from runtime import init
from runtime.verbs.words import add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    start = add_verb(verbs, "init", _run, "Make a catalog repository: an agent, a tool, editor settings and checks.")
    start.epilog = "Never overwrites: a file that is there stays as it is."
    start.add_argument("folder", metavar="DIR", help="the folder, new or not")


def _run(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    made = set()
    for path, new in init.init(folder):
        print(f"  made  {path}" if new else f"  kept  {path} (it was there before)")
        made |= {path} if new else set()
    print(f"\n{folder.resolve()} is a catalog repository. Next:")
    if folder.resolve() != Path.cwd():
        print(f"  cd {shlex.quote(str(folder))}")
    print(
        "  switchboard check    finds every problem\n"
        "  switchboard demo     shows a call on this machine, without a key\n"
        "  switchboard test     plays the calls of scenario files, without a phone\n"
        "Open the folder in Visual Studio Code: it explains and completes every field."
        + (" README.md tells the rest." if "README.md" in made else "")
    )
    return 0
