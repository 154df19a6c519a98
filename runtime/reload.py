"""Makes another catalog live while calls go on: reads, checks, reconciles, swaps; and watches for what changes.

The whole next catalog is made in a thread beside the running one, then one reference is swapped. What did not
change is neither read nor checked again. User code is imported here, and never on the event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import watchfiles

from runtime import reports
from runtime.abilities import ToolReader
from runtime.catalog import Catalog, assemble, demand_environment, problems
from runtime.current import Current, Result, Status, now
from runtime.draft import Draft, Source, draft, read_beside
from runtime.errors import CatalogError, Problem, SettingsError, errors, warnings
from runtime.git import Reading
from runtime.modules import ToolModules
from runtime.reconcile import reconcile
from runtime.threads import in_thread

logger = logging.getLogger(__name__)

QUIET_MS = 50  # an editor writes in steps, and a checkout touches forty files: one reload when it is quiet again
LOOK_AGAIN_SECONDS = 3.0  # how often a folder is looked at when nothing is told, as when it vanished and came back
LOOKS = 20  # after which a folder that changes all the time is left alone until the next reload


Reader = Callable[[str | None], Reading]
"""Reads the catalog, at a revision where one is named. Raises `SettingsError`."""


class Drafts:
    """Drafts of sources as they are in an environment, made again only for what has changed."""

    def __init__(self, read_tool: ToolReader | None, environment: str = "") -> None:
        self._read_tool = read_tool
        self._environment = environment
        self._known: dict[str, tuple[Source, Draft]] = {}

    def of(self, sources: Iterable[Source], *, tools_changed: bool) -> list[Draft]:
        """Return a draft for each source. `tools_changed`: agents with tools are drafted again too.

        Raises `SettingsError` when no file names the environment.
        """
        made = [self._draft(source, tools_changed) for source in sources]
        self._known = {one.file: self._known[one.file] for one in made}
        demand_environment(self._environment, made)
        return made

    def _draft(self, source: Source, tools_changed: bool) -> Draft:
        known = self._known.get(source.file)
        if known is not None and not self._has_changed(source, known, tools_changed):
            return known[1]
        made = draft(source, self._read_tool, self._environment)
        self._known[source.file] = (source, made)
        return made

    def _has_changed(self, source: Source, known: tuple[Source, Draft], tools: bool) -> bool:
        before, made = known
        if _content(source) != _content(before) or _content(source.defaults) != _content(before.defaults):
            return True
        if tools and (made.definition is None or made.definition.tools):
            return True
        holders = {holder.file: holder for holder in (source, source.defaults) if holder}
        return any(read_beside(holders[file], path) != raw for (file, path), raw in made.beside.items())


def _content(source: Source | None) -> tuple[str, bytes, str] | None:
    return None if source is None else (source.file, source.raw, source.unreadable)


class _Line(NamedTuple):
    """One line of the log: its level, its words, and what goes with them."""

    level: int
    words: str
    fields: Mapping[str, Any]


class _Look(NamedTuple):
    """What stood in the catalog when it was looked at: its sources and the draft of each, and their revision."""

    revision: str
    sources: Sequence[Source]
    drafts: Sequence[Draft]


class Reloader:
    """Reloads the live catalog: all or nothing when `strict`, else each agent as far as it is well."""

    def __init__(self, current: Current, read: Reader, drafts: Drafts, modules: ToolModules, *, strict: bool) -> None:
        self.current = current
        self.strict = strict
        self._read = read
        self._drafts = drafts
        self._modules = modules
        self._live: Mapping[str, Draft] = {}
        self._newest: Mapping[str, Draft] = {}
        self._looked = _Look("", (), ())
        self._touched: dict[str, int] = {}
        self._count = 0
        self._one_at_a_time = asyncio.Lock()

    def start(self) -> None:
        """Make the first catalog live.

        Raises `CatalogError` when that leaves nothing to serve, and `SettingsError` when nothing can be read.
        """
        catalog, status = self._choose(None)
        if catalog is None or not catalog.agents:
            raise CatalogError(list(status.problems))
        told = _telling(self.current.status, status, "", len(catalog.agents), asked=False)
        self.current.swap(catalog, status)
        _tell(told)

    async def reload(self, revision: str | None = None) -> Status:
        """Make the catalog, at a revision where one is named, live for the next call, and return how it went.

        Somebody asked for it, so all of that is told. A host that serves its folder as it stands goes to no revision.
        """
        if revision is not None and not self.strict:
            cure = "Check that revision out, or serve with --follow or --revision."
            told = Problem(f"'{revision}'", 0, 0, "", "cannot be served with --watch, which serves the folder", cure)
            return replace(self.current.status, result="refused", problems=(told,))
        return await self._reload(revision, asked=True)

    async def keep_up(self, revision: str | None = None) -> Status:
        """Reload since something may have changed: of what stays wrong, nothing is told again."""
        return await self._reload(revision, asked=False)

    def stands_at(self, revision: str) -> str:
        """Return the commit of a revision, or `""` when there is none. Asks git, so not for the event loop."""
        try:
            return self._read(revision).commit
        except SettingsError:
            return ""

    def note_wanted(self, revision: str) -> None:
        """Remember that a followed branch was looked at, and stands where it stood."""
        status = self.current.status
        self.current.stay(replace(status, looked_at=now(), wanted=revision or status.wanted))

    async def _reload(self, revision: str | None, *, asked: bool) -> Status:
        async with self._one_at_a_time:
            catalog, status, told = await in_thread(lambda: self._make(revision, asked), "switchboard-reload")
            if catalog is None:
                self.current.stay(status)
            else:
                self.current.swap(catalog, status)
            _tell(told)
            return status

    def _make(self, revision: str | None, asked: bool) -> tuple[Catalog | None, Status, list[_Line]]:
        """Make the next catalog, and what to tell of it. Runs in a thread; only one at a time."""
        before, previous = self.current.get(), self.current.status
        try:
            catalog, status = self._choose(revision)
        except SettingsError as error:
            gone = Problem(error.name, 0, 0, "", error.message, error.cure)
            catalog, status = None, self._refused((gone,), revision)
        after = catalog or before
        told = _telling(previous, status, reports.reloaded(before, after), len(after.agents), asked=asked)
        return catalog, status, told

    def _choose(self, revision: str | None) -> tuple[Catalog | None, Status]:
        look = self._look(revision)
        drafts = look.drafts
        self._count += 1
        self._touched |= {made.file: self._count for made in drafts if self._newest.get(made.file) is not made}
        self._newest = {made.file: made for made in drafts}
        choose = self._strictly if self.strict else self._leniently
        return choose(look)

    def _look(self, revision: str | None) -> _Look:
        """Look until two looks agree: what both saw stood there at one moment, and was no half of a checkout."""
        for _ in range(LOOKS):
            reading = self._read(revision)
            drafts = self._draft(reading)
            look = _Look(reading.revision(drafts), reading.sources, drafts)
            before, self._looked = self._looked, look
            if before.revision == look.revision and [*map(id, before.drafts)] == [*map(id, drafts)]:
                return look
        raise SettingsError("the catalog", "changes all the time while it is read", "Try again when it is quiet.")

    def _draft(self, reading: Reading) -> list[Draft]:
        try:
            return self._drafts.of(reading.sources, tools_changed=self._modules.forget_changed())
        finally:
            self._modules.note()

    def _strictly(self, look: _Look) -> tuple[Catalog | None, Status]:
        found = tuple(problems(look.drafts))
        if not look.drafts:
            found = (Problem("the catalog", 0, 0, "", "it has no agent left", "Agent files end in .yaml."),)
        if errors(found):
            return None, self._refused(found, look.revision)
        at = now()
        return self._next({made.file: made for made in look.drafts}, Status(look.revision, at, at, "loaded", found))

    def _leniently(self, look: _Look) -> tuple[Catalog | None, Status]:
        closed = tuple(f"{source.file}/" for source in look.sources if source.unreadable)
        known = {made.file for made in look.drafts}
        hidden = [made for file, made in self._live.items() if file not in known and file.startswith(closed)]
        chosen = reconcile(self._live, [*look.drafts, *hidden], self._touched)
        result: Result = "partly" if errors(chosen.problems) else "loaded"
        at = now()
        return self._next(chosen.serving, Status(look.revision, at, at, result, chosen.problems, chosen.older))

    def _refused(self, found: tuple[Problem, ...], wanted: str | None) -> Status:
        return replace(self.current.status, looked_at=now(), result="refused", problems=found, wanted=wanted)

    def _next(self, serving: Mapping[str, Draft], status: Status) -> tuple[Catalog | None, Status]:
        """Return the catalog to serve, or None where the live one is the same already, and the status in full."""
        same = serving.keys() == self._live.keys() and all(serving[file] is self._live[file] for file in serving)
        self._live = serving
        if same and status.revision == self.current.get().revision:
            result: Result = "unchanged" if status.is_well else status.result
            return None, replace(status, result=result, live_since=self.current.status.live_since)
        definitions = (made.definition for made in serving.values() if made.definition)
        return assemble(definitions, status.revision), status


def _telling(previous: Status, status: Status, changes: str, agents: int, *, asked: bool) -> list[_Line]:
    """Return a reload in a line or two: what changed, new problems, and what stays live. `asked`: known ones too."""
    data = status.as_data()
    lines = [_Line(logging.INFO, changes, {"revision": status.revision})] if changes else []
    known = frozenset() if asked else frozenset(previous.problems)
    news = [problem for problem in status.problems if problem not in known]
    lines += [_Line(logging.ERROR, words, {}) for words in reports.few(errors(news))]
    lines += [_Line(logging.WARNING, words, {}) for words in reports.few(warnings(news))]
    differs = (status.result, status.problems, status.older) != (previous.result, previous.problems, previous.older)
    wrong_anew = not status.is_well and (asked or differs)
    again = status.is_well and not previous.is_well
    if wrong_anew or again or (asked and not changes):
        level = {"refused": logging.ERROR, "partly": logging.WARNING}.get(status.result, logging.INFO)
        keys = ["revision", "result", "live_since", "looked_at"] + ["wanted"] * (data["wanted"] != data["revision"])
        fields = {key: data[key] for key in keys}
        lines.append(_Line(level, reports.live(data, agents, again=again), fields))
    return lines


def _tell(lines: Iterable[_Line]) -> None:
    for line in lines:
        logger.log(line.level, "%s", line.words, extra=dict(line.fields))


async def watch(
    reloader: Reloader, folder: Path, modules: ToolModules, look_again_seconds: float = LOOK_AGAIN_SECONDS
) -> None:
    """Reload whenever the catalog's folder or a tool module's changes, until cancelled."""
    while True:
        watched = [path for path in (folder, *modules.folders()) if _all_there([path])]
        if folder not in watched:
            await reloader.keep_up()
            await asyncio.sleep(look_again_seconds)
            continue
        with contextlib.suppress(FileNotFoundError):  # between the look and the watch it may vanish
            async for _ in _told(watched, look_again_seconds):
                await reloader.keep_up()
                if not _all_there(watched) or set(watched) != {folder, *modules.folders()}:
                    break


def changes_in(folders: Sequence[Path]) -> Iterator[set[Path]]:
    """Yield the files that change in folders, those that change together at once; none where half a second was quiet.

    From the first set on nothing is missed, however long nobody asks. Raises `KeyboardInterrupt`.
    """
    told = watchfiles.watch(
        *folders,
        step=QUIET_MS,
        debounce=1600,
        rust_timeout=500,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    for found in told:  # it begins to look with its first step, which a quiet moment ends
        yield {Path(path) for _, path in found}


def _all_there(folders: Sequence[Path]) -> bool:
    return all(folder.is_dir() for folder in folders)


async def _told(watched: Sequence[Path], look_again_seconds: float) -> AsyncIterator[None]:
    told = watchfiles.awatch(
        *watched,
        step=QUIET_MS,
        debounce=1600,
        rust_timeout=int(look_again_seconds * 1000),
        yield_on_timeout=True,
        watch_filter=None,
        ignore_permission_denied=True,
    )
    async for _ in told:
        yield


async def follow(reloader: Reloader, branch: str, every_seconds: float, fetch: Callable[[], str] | None) -> None:
    """Move to each new commit of a branch, until cancelled. `fetch` brings the branch first and says what failed."""
    seen = reloader.current.get().revision
    failing = ""
    while True:
        await asyncio.sleep(every_seconds)
        failed = await asyncio.to_thread(fetch) if fetch else ""
        _tell(_fetched(branch, failing, failed))
        failing = failed
        stands_at = await asyncio.to_thread(reloader.stands_at, branch)
        if stands_at != seen:  # not moved, it leaves alone what an operator went back to
            seen = stands_at
            await reloader.keep_up(branch)
        elif not failed:
            reloader.note_wanted(stands_at)


def _fetched(branch: str, failing: str, failed: str) -> list[_Line]:
    """Return what to tell of a fetch: once that it fails, and once that it does no longer."""
    if failed == failing:
        return []
    if failed:
        return [_Line(logging.WARNING, "the branch could not be fetched", {"branch": branch, "said": failed})]
    return [_Line(logging.INFO, "the branch is fetched again", {"branch": branch})]
