"""Tool modules that change while a host runs: which have changed, and forgetting them so that they are read afresh.

Old calls keep the functions that they began with: those hold on to their own module's names. Runs in a thread,
never on the event loop.
"""

import ast
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from runtime.files import Signature, file_signature


class _Known(NamedTuple):
    """A module's file as it was when it was last imported, or tried to be."""

    file: Path
    signature: Signature
    raw: bytes


class ToolModules:
    """The modules that tools brought in, from the folders that tools are found in.

    Modules that were there before, the runtime's own and installed packages are none of them.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = [Path(folder).resolve() for folder in folders]
        self._before = set(sys.modules)
        self._known: dict[str, _Known] = {}
        self._listed: frozenset[Path] = frozenset()
        sys.dont_write_bytecode = True  # a cached module is told from its source by whole seconds only

    def folders(self) -> set[Path]:
        """Return the folders that hold the modules, to be watched."""
        return {known.file.parent for known in self._known.values()}

    def note(self) -> None:
        """Remember the modules as they are now, after tools were read."""
        for name, file in self._modules():
            if name not in self._known:
                self._known[name] = _Known(file, file_signature(file), file.read_bytes())
        self._listed = self._listing()

    def forget_changed(self) -> bool:
        """Forget the modules whose content has changed, and those that import them. Return whether any has.

        One that broke when it was last imported is tried again when its content changes, or when a file beside it
        comes or goes.
        """
        changed = {name for name in list(self._known) if self._has_changed(name)}
        broken = self._known.keys() - sys.modules.keys()
        if broken and self._listing() != self._listed:
            changed |= broken
        if not changed:
            return False
        for name in self._with_importers(changed):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return True

    def _has_changed(self, name: str) -> bool:
        known = self._known[name]
        try:
            signature = file_signature(known.file)
            if known.signature == signature:
                return False
            raw = known.file.read_bytes()
        except OSError:
            del self._known[name]
            return True
        self._known[name] = _Known(known.file, signature, raw)
        return known.raw != raw

    def _listing(self) -> frozenset[Path]:
        return frozenset(file for folder in self.folders() for file in folder.glob("*.py"))

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
        imports = {name: _imports(known.raw) for name, known in self._known.items()}
        affected = set(changed)
        while more := {name for name, found in imports.items() if found & affected} - affected:
            affected |= more
        return affected


def _imports(raw: bytes) -> set[str]:
    try:
        tree = ast.parse(raw)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found
