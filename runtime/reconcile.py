"""Which version of each agent to serve when some of the new ones have problems. Pure.

A file with problems keeps its last good version; a conflict between two files is laid at the door of the one that
changed last; a file that is gone takes its agent with it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.catalog import told
from runtime.conflicts import conflicts
from runtime.draft import Draft
from runtime.errors import Problem


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What to serve, by file; every problem; and the names of agents that stay older than their files."""

    serving: Mapping[str, Draft]
    problems: tuple[Problem, ...]
    older: tuple[str, ...]


def reconcile(live: Mapping[str, Draft], drafts: Iterable[Draft], touched: Mapping[str, int]) -> Reconciled:
    """Choose between the live drafts and the new ones. `touched` says by file when it changed, in any rising count."""
    newest = {made.file: made for made in drafts}
    found = told(list(newest.values()))
    serving = {
        file: made if made.definition else live[file]
        for file, made in newest.items()
        if made.definition or file in live
    }
    while between := conflicts(made.standing for made in serving.values()):
        conflict = between[0]
        guilty = max(conflict.files, key=lambda file: (serving[file] is newest[file], touched.get(file, 0), file))
        found.add(conflict.problem_at(guilty))
        previous = live.get(guilty)
        if previous is None or serving[guilty] is previous:
            del serving[guilty]
        else:
            serving[guilty] = previous
    older = sorted(str(made.name) for file, made in serving.items() if made is not newest[file])
    return Reconciled(serving, tuple(sorted(found)), tuple(older))
