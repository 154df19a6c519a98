"""`switchboard diff`: prints what changed for callers between two revisions. What a change is, it doesn't decide."""

import argparse
import sys
from typing import Any

from runtime import catalog as catalogs
from runtime import changes, git, reports
from runtime.draft import draft
from runtime.errors import CatalogError, SettingsError
from runtime.terminal import Paint
from runtime.verbs import USAGE
from runtime.verbs.places import assembled, drafts_of, existing
from runtime.verbs.words import add_agents, add_environment, add_verb


def add(verbs: Any) -> None:
    """Add the verb and its words to the parser."""
    diff = add_verb(verbs, "diff", _run, "Tell in sentences what changed for callers between two revisions.")
    diff.epilog = (
        "Without revisions: HEAD and the work tree. "
        "Exit code: 0 nothing, 1 changes, 2 usage, or a catalog with problems."
    )
    diff.add_argument("revisions", nargs="*", metavar="REV", help="one revision against the work tree, or two")
    diff.add_argument("--format", choices=sorted(reports.DIFFS), default="text", help="markdown for a pull request")
    add_agents(diff)
    add_environment(diff)


def _run(arguments: argparse.Namespace) -> int:
    folder = existing(arguments.agents)
    if len(arguments.revisions) > 2:
        raise SettingsError("diff", "takes two revisions at most")
    old, new = [*(arguments.revisions or ["HEAD"]), None][:2]
    before, after = (git.reader(folder, revision)(None) for revision in (old, new))
    drafts = [draft(source, None, arguments.environment) for source in before.sources]
    earlier = catalogs.assemble((made.definition for made in drafts if made.definition), before.revision(drafts))
    try:
        drafts = drafts_of(after.sources, None, arguments.environment)
        later = assembled(drafts, after.revision(drafts))
    except CatalogError as error:  # 1 would say that there are changes, which nobody can tell
        print(error, file=sys.stderr)
        return USAGE
    found = changes.compare(earlier, later)
    print(reports.DIFFS[arguments.format](found, Paint()), end="")
    return 1 if found else 0
