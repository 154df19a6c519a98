"""The catalog's folder, and the git commit it stands at, to sources. Reads files; judges nothing."""

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from runtime.catalog import Source
from runtime.errors import SettingsError

_ENDINGS = (".yaml", ".yml")


def sources(paths: Sequence[Path]) -> list[Source]:
    """Return the agent files of folders, and files named one by one, sorted by path.

    Files and folders that start with `_` or `.` are no agents. Raises `SettingsError` for a path that is none.
    """
    found: dict[str, Source] = {}
    for path in paths:
        if path.is_dir():
            for file in _agent_files(path):
                found[file.as_posix()] = _source(file, path)
        elif path.is_file():
            found[path.as_posix()] = _source(path, path.parent)
        else:
            raise SettingsError(str(path), "is no file or folder", "Name the folder that holds the agents.")
    return [found[name] for name in sorted(found)]


def _agent_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] not in "_."]
        for name in files:
            if name[0] not in "_." and name.lower().endswith(_ENDINGS):
                yield Path(parent) / name


def _source(file: Path, root: Path) -> Source:
    def sibling(relative: str) -> bytes:
        target = (file.parent / PurePosixPath(relative)).resolve()
        if not target.is_relative_to(root.resolve()):
            raise PermissionError(relative)
        return target.read_bytes()

    return Source(file.as_posix(), _bytes(file), sibling)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(str(file), f"cannot be read ({error.strerror})", "Check the file's rights.") from error


def import_folders(paths: Sequence[Path]) -> list[str]:
    """Return where tool modules are found: the working directory, and the folders that hold the catalog."""
    holders = [(path if path.is_dir() else path.parent).resolve().parent for path in paths]
    return list(dict.fromkeys(str(folder) for folder in (Path.cwd(), *holders)))


def revision(folder: Path) -> str:
    """Return the commit that the folder stands at, with `+` and a digest where it differs from it.

    Outside a git repository, the digest alone.
    """
    digest = hashlib.sha256()
    for source in sources([folder]):
        digest.update(source.file.encode() + b"\0" + source.raw + b"\0")
    short = digest.hexdigest()[:8]
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return short
    changed = _git(folder, "status", "--porcelain", "--", ".")
    return f"{commit}+{short}" if changed else commit


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
