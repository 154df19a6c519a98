"""Which version of each agent to serve when some of the new ones have problems. Pure.

A file with problems keeps its last good version; a conflict between files is laid at the door of the one that
changed last; a file that is gone takes its agent with it, and those that hand over to it stay as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runtime.catalog import between, told
from runtime.conflicts import Conflict
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
    borne: set[Conflict] = set()
    while open_ones := [each for each in _between(serving, newest) if each.is_error and each not in borne]:
        for conflict in _at_once(open_ones):
            guilty = max(conflict.files, key=lambda file: (serving[file] is newest[file], touched.get(file, 0), file))
            found.add(conflict.problem_at(guilty))
            previous = live.get(guilty)
            if previous is not None and serving[guilty] is not previous:
                serving[guilty] = previous
            elif previous is not None and conflict.is_bearable:
                borne.add(conflict)
            else:
                del serving[guilty]
    found |= {each.problem_at(each.files[-1]) for each in _between(serving, newest) if not each.is_error}
    older = sorted(str(made.name) for file, made in serving.items() if made is not newest[file])
    return Reconciled(serving, tuple(sorted(found)), tuple(older))


def _between(serving: Mapping[str, Draft], newest: Mapping[str, Draft]) -> list[Conflict]:
    served = {made.name for made in serving.values()}
    unserved = {made.name for made in newest.values() if made.name and made.name not in served}
    return between(serving.values(), unserved=unserved)


def _at_once(conflicts: Sequence[Conflict]) -> Sequence[Conflict]:
    """Return the conflicts to settle before looking again: the first; of one file each, all, if there is nothing else.

    A handoff that ten thousand agents inherit leads nowhere for all of them at the same moment.
    """
    if len(conflicts[0].sites) > 1:
        return conflicts[:1]
    alone = {conflict.files[0]: conflict for conflict in conflicts if len(conflict.sites) == 1}
    return list(alone.values())
