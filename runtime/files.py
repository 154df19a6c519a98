"""The catalog's folder to sources. Reads files, each once as long as it stays the same; judges nothing."""

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from runtime.draft import Source
from runtime.errors import Problem, SettingsError
from runtime.scenarios import is_scenario_file

DEFAULTS = ("_defaults.yaml", "_defaults.yml")
"""The file whose values a catalog's agents inherit; only in its top folder, and the first of the two."""

_ENDINGS = (".yaml", ".yml")
_USUAL = "agents"

SETTLED_SECONDS = 0.03  # a file that was written so long ago is written to its end
_PATIENCE = 30  # how often we wait for that, a second at most

Signature = tuple[int, ...]


class Folder:
    """A catalog's folder. Asked again, it reads only the files whose signature has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, tuple[Signature, bytes]] = {}

    def sources(self) -> list[Source]:
        """Return the agent files, sorted by path; a file that cannot be read is a source that says so.

        Files and folders that start with `_` or `.` are no agents. Raises `SettingsError` when there is no folder.
        """
        if not self.path.is_dir():
            raise _no_catalog(self.path)
        defaults = self._defaults()
        closed: list[OSError] = []
        found = [self._source(file, defaults) for file in sorted(_agent_files(self.path, closed.append))]
        return found + [_closed(Path(error.filename), error, _nothing_beside, defaults) for error in closed]

    def source(self, file: Path) -> Source:
        """Return one agent file of the catalog."""
        return self._source(file.as_posix(), self._defaults())

    def _defaults(self) -> Source | None:
        files = ((self.path / name).as_posix() for name in DEFAULTS)
        return next((self._source(file, None) for file in files if os.path.lexists(file)), None)

    def _source(self, file: str, defaults: Source | None) -> Source:
        def sibling(relative: str) -> bytes:
            target = (Path(file).parent / PurePosixPath(relative)).resolve()
            if not target.is_relative_to(self.path.resolve()):
                raise PermissionError(relative)
            return self._bytes(target.as_posix())

        try:
            return Source(file, self._bytes(file), sibling, defaults=defaults)
        except OSError as error:
            return _closed(Path(file), error, sibling, defaults)

    def _bytes(self, file: str) -> bytes:
        known = self._read.get(file)
        if known is None or known[0] != file_signature(file):
            known = self._read[file] = settled(Path(file))
        return known[1]


def _closed(path: Path, error: OSError, sibling: Callable[[str], bytes], defaults: Source | None) -> Source:
    """Return the source of a file or folder that cannot be read, with the reason and its cure."""
    return Source(path.as_posix(), b"", sibling, *why_unreadable(path, error), defaults)


def why_unreadable(path: Path, error: OSError) -> tuple[str, str]:
    """Return why a file or folder cannot be read, and the cure."""
    why, cure = (error.strerror or "unknown").lower(), "Put a plain file in its place, or delete it."
    if error.errno in (errno.EACCES, errno.EPERM):
        cure = "Check its rights."
    elif error.errno == errno.EBUSY:
        cure = "Save it once, and let it be."
    elif error.errno == errno.ELOOP:
        why, cure = "it is a link that leads to itself", "Link to the file that is meant, or delete it."
    elif path.is_symlink() and error.errno in (errno.ENOENT, errno.ENOTDIR):
        why, cure = f"it is a link to nothing: {os.readlink(path)}", "Make that file, or delete the link."
    return why, cure


def _nothing_beside(path: str) -> bytes:
    raise FileNotFoundError(path)


def sources(paths: Sequence[Path]) -> list[Source]:
    """Return the agent files of folders, and files named one by one; a file of defaults stands for its folder.

    Scenario files are none. Raises `SettingsError` for a path that is none.
    """
    found: dict[str, Source] = {}
    for path in paths:
        if path.is_file() and is_scenario_file(path.name):
            continue
        if path.is_file() and path.name not in DEFAULTS:
            found[path.as_posix()] = Folder(_catalog_of(path)).source(path)
        else:
            folder = path.parent if path.is_file() else path
            found |= {source.file: source for source in Folder(folder).sources()}
    return [found[name] for name in sorted(found)]


def _catalog_of(file: Path) -> Path:
    """Return the catalog's folder of a file that is named alone: where the nearest defaults are, or its own."""
    with_defaults = (folder for folder in file.parents if any((folder / name).is_file() for name in DEFAULTS))
    return next(with_defaults, file.parent)


def is_agent_file(parts: Sequence[str]) -> bool:
    """Tell whether a path inside the catalog, as its parts, is an agent file."""
    is_yaml = parts[-1].lower().endswith(_ENDINGS) and not is_scenario_file(parts[-1])
    return is_yaml and not any(part[:1] in ("_", ".") for part in parts)


def scenario_files(paths: Sequence[Path]) -> list[Path]:
    """Return the scenario files of folders, and those named one by one, sorted.

    Files and folders that start with `_` or `.` are passed over. A path that is neither is nothing.
    """
    found = {path for path in paths if path.is_file() and is_scenario_file(path.name)}
    for folder in (path for path in paths if path.is_dir()):
        for parent, names in _walked(folder):
            found |= {Path(parent, name) for name in names if is_scenario_file(name) and name[0] not in "_."}
    return sorted(found)


def catalog_of(file: Path) -> Path:
    """Return the catalog's folder of a scenario file that is named alone.

    It is `agents`, if the file is in there or beside it; else the file's own folder, if it holds agents, or the nearest
    one around it with defaults; else `agents`.
    """
    usual, here = Path(_USUAL), file.absolute().parent
    if file.resolve().is_relative_to(usual.resolve()) or (here == Path.cwd() and usual.is_dir()):
        return usual
    if any(is_agent_file([name]) for name in os.listdir(here)):
        return file.parent
    found = _catalog_of(file)
    return usual if found == file.parent else found


def without_agents(paths: Sequence[Path], sources: Sequence[Source]) -> list[Problem]:
    """Return a problem for each of these folders that holds no agent file."""
    cure = "Agent files end in .yaml or .yml, and neither they nor their folders begin with _ or a dot."
    return [
        Problem(path.as_posix(), 0, 0, "", "there is no agent file in this folder", cure)
        for path in paths
        if path.is_dir() and not any(Path(source.file).is_relative_to(path) for source in sources)
    ]


def ignored_defaults(paths: Sequence[Path]) -> list[Problem]:
    """Return a warning for each file of defaults in these folders that no agent inherits from."""
    found = []
    for top in (path for path in paths if path.is_dir()):
        for parent, names in _walked(top):
            here = [name for name in DEFAULTS if name in names]
            if Path(parent) not in paths:
                message = "it is ignored: defaults are read only in the catalog's top folder"
                cure = f"Write what it says in {(top / DEFAULTS[0]).as_posix()}, or delete it."
            else:
                message, cure = f"it is ignored: {DEFAULTS[0]} stands beside it", "Keep one of the two."
                here = here[1:]
            found += [Problem(Path(parent, name).as_posix(), 0, 0, "", message, cure, "warning") for name in here]
    return found


def _agent_files(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[str]:
    """Yield the paths of agent files, as words: a look at ten thousand has no time for as many `Path` objects."""
    for parent, files in _walked(folder, on_error):
        beginning = Path(parent, "x").as_posix()[:-1]
        yield from (beginning + name for name in files if is_agent_file([name]))


def _walked(folder: Path, on_error: Callable[[OSError], object] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder that may hold agents, with the names of its files."""
    for parent, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = [name for name in folders if name[0] not in "_."]
        yield parent, files


def file_signature(file: Path | str) -> Signature:
    about = os.stat(file)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "not a plain file")  # a pipe would be waited for
    return about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino, about.st_mode


def settled(file: Path) -> tuple[Signature, bytes]:
    """Return a file's signature and content when nobody is writing to it any more. Raises `OSError`."""
    signature = file_signature(file)
    for _ in range(_PATIENCE):
        age = time.time() - signature[0] / 1e9
        if age < SETTLED_SECONDS:
            time.sleep(min(SETTLED_SECONDS, SETTLED_SECONDS - age))  # its time may lie in the future
        raw = file.read_bytes()
        before, signature = signature, file_signature(file)
        if signature == before:
            return signature, raw
    raise OSError(errno.EBUSY, "somebody writes to it without end")


def _no_catalog(path: Path) -> SettingsError:
    return SettingsError(str(path), "is no file or folder", "Name the folder that holds the agents.")


def let_import(paths: Sequence[Path]) -> None:
    """Let tool modules be imported from where they are found, before what is installed, behind the standard library."""
    installed = (at for at, path in enumerate(sys.path) if Path(path).name in ("site-packages", "dist-packages"))
    at = next(installed, len(sys.path))
    sys.path[at:at] = [folder for folder in import_folders(paths) if folder not in sys.path]


def import_folders(paths: Sequence[Path]) -> list[str]:
    """Return where tool modules are found: the working directory, and the folders that hold the catalog."""
    holders = [(path if path.is_dir() else path.parent).resolve().parent for path in paths]
    return list(dict.fromkeys(str(folder) for folder in (Path.cwd(), *holders)))
