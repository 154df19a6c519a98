"""Tool modules: imported within a limit of time, and forgotten when they have changed, so that they are read afresh.

Old calls keep the functions that they began with: those hold on to their own module's names. Runs in a thread,
never on the event loop.
"""

import ast
import importlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from runtime.abilities import ToolReader
from runtime.definition import ToolDefinition
from runtime.errors import EntrypointError
from runtime.files import SETTLED_SECONDS, Signature, file_signature, settled
from runtime.threads import begin

# Enough for one that loads a table plan or asks a database on import, and half of what `switchboard reload` waits:
# it hears of the problem itself, and not that nobody answers.
IMPORT_SECONDS = 30.0


class Imports:
    """Reads tools in threads: an import that takes too long is a problem, and keeps nobody else from being read."""

    def __init__(self, read_tool: ToolReader, limit_seconds: float = IMPORT_SECONDS) -> None:
        self.named: set[str] = set()  # all modules that were ever asked for, for those that cannot be imported
        self._read = read_tool
        self._limit_seconds = limit_seconds
        self._late: dict[str, Future[ToolDefinition]] = {}
        self._turned_away: set[str] = set()

    def read_tool(self, written: Mapping[str, Any]) -> ToolDefinition:
        """Make a tool out of one entry of `tools:`. Raises `EntrypointError`, also for a module that takes too long.

        Such a module is waited for once. What it comes to in its own time, it has come to.
        """
        module = written["entrypoint"].partition(":")[0]
        self.named.add(module)
        late = self._late.get(module)
        if late is None or (late.done() and not _is_broken(module, late)):
            late = begin(lambda: self._read(written), "switchboard-import")
            if wait([late], self._limit_seconds).done:
                return late.result()
            self._late[module] = late
        if late.done():
            return late.result()
        self._turned_away.add(module)
        said = f"the module '{module}' is still being imported after {self._limit_seconds:g} s"
        raise EntrypointError(said, "Show this to its engineer; its import should not wait for anything.")

    def have_ended(self) -> bool:
        """Tell whether an import that took too long has ended since this was last asked."""
        ended = {module for module in self._turned_away if module not in self._late or self._late[module].done()}
        self._turned_away -= ended
        return bool(ended)

    def forget(self, modules: Iterable[str]) -> None:
        """Forget what became of modules that have changed."""
        for module in modules:
            self._late.pop(module, None)


def _is_broken(module: str, late: "Future[ToolDefinition]") -> bool:
    """Tell whether an import has failed, and not only the reading of one function."""
    return late.exception() is not None and module not in sys.modules


class _Known(NamedTuple):
    """A module's file as it was when it was last imported, or tried to be."""

    file: Path
    signature: Signature
    raw: bytes


class ToolModules:
    """The modules that tools brought in, from the folders that tools are found in.

    Modules that were there before, the runtime's own and installed packages are none of them.
    """

    def __init__(self, folders: Iterable[str], imports: Imports) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        self.imports = imports
        self._before = set(sys.modules)
        self._missing: set[str] = set()
        self._known: dict[str, _Known] = {}
        self._listed = self._listing()
        self._began = time.time()
        sys.dont_write_bytecode = True  # a cached module is told from its source by whole seconds only

    def folders(self) -> set[Path]:
        """Return the folders that hold the modules, to be watched."""
        return {known.file.parent for known in self._known.values()}

    def note(self) -> None:
        """Remember the modules as they are now, after tools were read."""
        broken = {name: self._file_of(name) for name in self.imports.named - self._known.keys() - sys.modules.keys()}
        self._missing = {name for name, file in broken.items() if file is None}
        found = [(name, file) for name, file in broken.items() if file is not None]
        for name, file in [*self._modules(), *found]:
            if name not in self._known:
                self._known[name] = self._first_seen(file)
        self._listed = self._listing()

    def _first_seen(self, file: Path) -> _Known:
        """Return a file as it was when its module was imported; as nothing, where it may have changed since."""
        try:
            signature = file_signature(file)
            if max(signature[:2]) < (self._began - SETTLED_SECONDS) * 1e9:
                return _Known(file, signature, file.read_bytes())
        except OSError:
            pass
        return _Known(file, (), b"")

    def forget_changed(self) -> bool:
        """Forget the modules whose content has changed, and those that import them.

        One that broke when it was last imported is tried again when its content changes, or a file beside it. Return
        whether tools must be read again: for these, or for an import that has ended late.
        """
        self._began = time.time()
        have_ended = self.imports.have_ended()
        changed = {name for name in list(self._known) if self._has_changed(name)}
        broken = self._known.keys() - sys.modules.keys()
        if broken and self._listing() != self._listed:
            changed |= broken
        changed |= {name for name in self._missing if self._file_of(name)}
        if not changed:
            return have_ended
        forgotten = self._with_importers(changed)
        for name in forgotten:
            sys.modules.pop(name, None)
        self.imports.forget(forgotten)
        importlib.invalidate_caches()
        return True

    def _has_changed(self, name: str) -> bool:
        known = self._known[name]
        try:
            if known.signature == file_signature(known.file):
                return False
            signature, raw = settled(known.file)
        except OSError:
            del self._known[name]
            return True
        self._known[name] = _Known(known.file, signature, raw)
        return known.raw != raw

    def _listing(self) -> dict[Path, Signature]:
        return {file: _signature(file) for folder in self.folders() for file in folder.glob("*.py")}

    def _file_of(self, name: str) -> Path | None:
        """Return the file of a module that is not imported, or None where there is none."""
        return _file_in(self._folders, name)

    def _modules(self) -> Iterator[tuple[str, Path]]:
        for name, module in list(sys.modules.items()):
            if name in self._before or name.partition(".")[0] == "runtime" or not isinstance(module, ModuleType):
                continue
            file = Path(getattr(module, "__file__", None) or "")
            if file.suffix != ".py" or "site-packages" in file.parts:
                continue
            if any(file.is_relative_to(folder) for folder in self._folders):
                yield name, file

    def _with_importers(self, changed: set[str]) -> set[str]:
        """Return the changed modules and all that import them, directly or not."""
        imports = {name: _imports(known.raw, _package(name, known.file)) for name, known in self._known.items()}
        affected = set(changed)
        while more := {name for name, found in imports.items() if found & affected} - affected:
            affected |= more
        return affected


def files_behind(modules: Iterable[str], folders: Iterable[str], scripts: Iterable[Path] = ()) -> set[Path]:
    """Return the files of modules and of all that they import, as far as they lie in these folders, links followed.

    Where a module is not, there are the files that it would be, so that one that comes or goes is behind them too.
    Scripts find what they import beside themselves too. Imports nothing. The runtime's own modules are none of them.
    """
    inside = [Path(folder).resolve() for folder in folders]
    found: set[Path] = set()
    for script in (script.resolve() for script in scripts):
        if any(script.is_relative_to(folder) for folder in inside):
            found |= {script, *files_behind(_imports_of(script), map(str, (script.parent, *inside)))}
    waiting, seen = list(modules), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] == "runtime":
            continue
        seen.add(name)
        waiting += [parent] if (parent := name.rpartition(".")[0]) else []
        for file in _files_of(inside, name):
            found.add(file.resolve())
            with suppress(OSError):  # it is not there, or cannot be read
                waiting += _imports(file.read_bytes(), _package(name, file))
                break
    return found


def _file_in(folders: Iterable[Path], name: str) -> Path | None:
    """Return the file of a module below these folders, or None where there is none."""
    return next((file for file in _files_of(folders, name) if file.is_file()), None)


def _files_of(folders: Iterable[Path], name: str) -> Iterator[Path]:
    """Yield the files that a module may be, in the order in which they are looked for."""
    path = name.replace(".", "/")
    return (folder / file for folder in folders for file in (f"{path}/__init__.py", f"{path}.py"))


def _signature(file: Path) -> Signature:
    try:
        return file_signature(file)
    except OSError:
        return ()


def _imports_of(script: Path) -> set[str]:
    try:
        return _imports(script.read_bytes(), "") if script.suffix == ".py" else set()
    except OSError:
        return set()


def _package(name: str, file: Path) -> str:
    """Return the package that a module's relative imports begin at, `""` for none."""
    return name if file.stem == "__init__" else name.rpartition(".")[0]


def _imports(raw: bytes, package: str) -> set[str]:
    """Return what a module of a package imports, and each imported name as if it were a module too."""
    try:
        tree = ast.parse(raw)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with suppress(ImportError):  # it leads out of the package
                origin = resolve_name("." * node.level + (node.module or ""), package)
                found.update((origin, *(f"{origin}.{alias.name}" for alias in node.names)))
    return found
