"""Makes another catalog live while calls go on: reads, checks, reconciles, swaps; and watches for what changes.

The whole next catalog is made in a thread beside the running one, then one reference is swapped. What did not
change is neither read nor checked again. User code is imported here, and never on the event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import watchfiles

from runtime import reports
from runtime.abilities import ToolReader
from runtime.catalog import Catalog, assemble, demand_environment, problems
from runtime.current import Current, Result, Status
from runtime.draft import Draft, Source, draft
from runtime.errors import Problem, SettingsError, errors
from runtime.git import Reading
from runtime.modules import ToolModules
from runtime.reconcile import reconcile
from runtime.threads import in_thread

logger = logging.getLogger(__name__)

QUIET_MS = 50  # an editor writes in steps, and a checkout touches forty files: one reload when it is quiet again
LOOK_AGAIN_SECONDS = 3.0  # how often a folder is looked at when nothing is told, as when it vanished and came back


Reader = Callable[[str | None], Reading]
"""Reads the catalog, at a revision where one is named. Raises `SettingsError`."""


Beside = dict[tuple[str, str], bytes | None]
"""What was read beside a file, by that file and the path from it."""


class Drafts:
    """Drafts of sources as they are in an environment, made again only for what has changed."""

    def __init__(self, read_tool: ToolReader | None, environment: str = "") -> None:
        self._read_tool = read_tool
        self._environment = environment
        self._known: dict[str, tuple[Source, Beside, Draft]] = {}

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
            return known[2]
        beside: Beside = {}
        made = draft(_remembering(source, beside), self._read_tool, self._environment)
        self._known[source.file] = (source, beside, made)
        return made

    def _has_changed(self, source: Source, known: tuple[Source, Beside, Draft], tools: bool) -> bool:
        before, beside, made = known
        if _content(source) != _content(before) or _content(source.defaults) != _content(before.defaults):
            return True
        if tools and (made.definition is None or made.definition.tools):
            return True
        holders = {holder.file: holder for holder in (source, source.defaults) if holder}
        return any(_beside(holders[file], path) != raw for (file, path), raw in beside.items())


def _content(source: Source | None) -> tuple[str, bytes, str] | None:
    return None if source is None else (source.file, source.raw, source.unreadable)


def _remembering(source: Source, beside: Beside) -> Source:
    """Return a source that writes down what is read beside it and beside its defaults."""

    def sibling(path: str) -> bytes:
        beside[source.file, path] = _beside(source, path)
        return source.sibling(path)

    return replace(source, sibling=sibling, defaults=source.defaults and _remembering(source.defaults, beside))


def _beside(source: Source, path: str) -> bytes | None:
    try:
        return source.sibling(path)
    except OSError:
        return None


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
        self._touched: dict[str, int] = {}
        self._count = 0
        self._one_at_a_time = asyncio.Lock()

    def start(self, first: Sequence[Draft]) -> None:
        """Take the drafts that the live catalog was made of as the last good ones."""
        self._live = self._newest = {made.file: made for made in first}
        self._modules.note()

    async def reload(self, revision: str | None = None) -> Status:
        """Make the catalog, at a revision where one is named, live for the next call, and return how it went."""
        async with self._one_at_a_time:
            previous = self.current.status
            catalog, status = await in_thread(lambda: self._make(revision), "switchboard-reload")
            if catalog is None:
                self.current.stay(status)
            else:
                before = self.current.get()
                self.current.swap(catalog, status)
                self._tell_changes(before, catalog)
            if (status.problems, status.older) != (previous.problems, previous.older):
                self._tell_problems(status)
            return status

    def stands_at(self, revision: str) -> str:
        """Return the commit of a revision, or `""` when there is none. Asks git, so not for the event loop."""
        try:
            return self._read(revision).revision
        except SettingsError:
            return ""

    def _make(self, revision: str | None) -> tuple[Catalog | None, Status]:
        """Make the next catalog. Runs in a thread; only one at a time."""
        live, now = self.current.get(), datetime.now().astimezone()
        try:
            reading = self._read(revision)
            drafts = self._draft(reading)
        except SettingsError as error:
            gone = Problem(error.name, 1, 1, "", error.message, error.cure)
            return None, Status(live.revision, now, "refused", (gone,), self.current.status.older, revision)
        self._count += 1
        self._touched |= {made.file: self._count for made in drafts if self._newest.get(made.file) is not made}
        self._newest = {made.file: made for made in drafts}
        return self._strictly(drafts, reading, now) if self.strict else self._leniently(drafts, reading, now)

    def _draft(self, reading: Reading) -> list[Draft]:
        try:
            return self._drafts.of(reading.sources, tools_changed=self._modules.forget_changed())
        finally:
            self._modules.note()

    def _strictly(self, drafts: Sequence[Draft], reading: Reading, now: datetime) -> tuple[Catalog | None, Status]:
        found = tuple(problems(drafts))
        if not drafts:
            found = (Problem("the catalog", 1, 1, "", "it has no agent left", "Agent files end in .yaml."),)
        if errors(found):
            revision = self.current.get().revision
            return None, Status(revision, now, "refused", found, (), reading.revision)
        return self._next({made.file: made for made in drafts}, reading, Status(reading.revision, now, "loaded", found))

    def _leniently(self, drafts: Sequence[Draft], reading: Reading, now: datetime) -> tuple[Catalog | None, Status]:
        closed = tuple(f"{source.file}/" for source in reading.sources if source.unreadable)
        known = {made.file for made in drafts}
        hidden = [made for file, made in self._live.items() if file not in known and file.startswith(closed)]
        chosen = reconcile(self._live, [*drafts, *hidden], self._touched)
        result: Result = "partly" if errors(chosen.problems) else "loaded"
        status = Status(reading.revision, now, result, chosen.problems, chosen.older)
        return self._next(chosen.serving, reading, status)

    def _next(self, serving: Mapping[str, Draft], reading: Reading, status: Status) -> tuple[Catalog | None, Status]:
        same = serving.keys() == self._live.keys() and all(serving[file] is self._live[file] for file in serving)
        self._live = serving
        if same and reading.revision == self.current.get().revision:
            return None, replace(status, result="unchanged" if status.result == "loaded" else status.result)
        return assemble((made.definition for made in serving.values() if made.definition), reading.revision), status

    def _tell_changes(self, before: Catalog, after: Catalog) -> None:
        for told in reports.reloaded(before, after):
            logger.info(told, extra={"revision": after.revision})

    def _tell_problems(self, status: Status) -> None:
        for problem in status.problems:
            logger.log(logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem)
        if status.older:
            logger.warning("these agents stay at their last good version", extra={"agents": list(status.older)})
        if status.result == "refused":
            logger.error("the catalog was refused and the old one stays", extra={"revision": status.revision})


async def watch(
    reloader: Reloader, folder: Path, modules: ToolModules, look_again_seconds: float = LOOK_AGAIN_SECONDS
) -> None:
    """Reload whenever the catalog's folder or a tool module's changes, until cancelled."""
    while True:
        watched = [path for path in (folder, *modules.folders()) if _all_there([path])]
        if folder not in watched:
            await reloader.reload()
            await asyncio.sleep(look_again_seconds)
            continue
        with contextlib.suppress(FileNotFoundError):  # between the look and the watch it may vanish
            async for _ in _told(watched, look_again_seconds):
                await reloader.reload()
                if not _all_there(watched) or set(watched) != {folder, *modules.folders()}:
                    break


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
    while True:
        await asyncio.sleep(every_seconds)
        if fetch is not None and (failed := await asyncio.to_thread(fetch)):
            logger.warning("the branch could not be fetched", extra={"branch": branch, "said": failed})
        stands_at = await asyncio.to_thread(reloader.stands_at, branch)
        if stands_at != seen:  # not moved, it leaves alone what an operator went back to
            seen = stands_at
            await reloader.reload(branch)
