"""The catalog in git: which commit a folder stands at, and the sources of any other, without touching the work tree."""

import hashlib
import posixpath
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.draft import Draft, Source
from runtime.errors import SettingsError
from runtime.files import DEFAULTS, Folder, is_agent_file

_TIMEOUT_SECONDS = 60
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository around a catalog's folder. `prefix` is the folder's path inside it, `""` or ending in `/`."""

    folder: Path
    prefix: str

    def commit(self, revision: str) -> str:
        """Return the short commit id of a commit, tag or branch. Raises `SettingsError`."""
        found = _git(self.folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if not found:
            raise SettingsError(f"'{revision}'", "is no commit, tag or branch of this repository")
        return found.strip()[:_SHORT]

    def sources(self, revision: str) -> list[Source]:
        """Return the catalog's sources as they stand at a revision, with the paths of the work tree."""
        listed = _git(self.folder, "ls-tree", "-r", "-z", "--full-tree", self.commit(revision), self.prefix or ".")
        blobs: dict[str, str] = {}
        for entry in (listed or "").split("\0"):
            about, tab, path = entry.partition("\t")
            if tab and about.startswith("100"):  # plain files; links lead out of what was committed
                blobs[path.removeprefix(self.prefix)] = about.split()[2]
        contents = self._read(blobs)
        above = next((_source(self.folder, path, contents, None) for path in DEFAULTS if path in contents), None)
        agents = (path for path in sorted(blobs) if is_agent_file(path.split("/")))
        return [_source(self.folder, path, contents, above) for path in agents]

    def changed_since(self, revision: str) -> set[Path]:
        """Return the repository's files that differ from a revision, new ones too. Raises `SettingsError`."""
        commit = self.commit(revision)
        top = Path((_git(self.folder, "rev-parse", "--show-toplevel") or "").strip())
        told = _git(self.folder, "diff", "--name-only", "--no-relative", "--no-renames", "-z", commit) or ""
        new = _git(top, "ls-files", "--others", "--exclude-standard", "-z") or ""
        return {top / path for path in (told + new).split("\0") if path}

    def _read(self, blobs: dict[str, str]) -> dict[str, bytes]:
        """Return the blobs' contents, from one process for all of them."""
        asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
        done = subprocess.run(
            ["git", "-C", str(self.folder), "cat-file", "--batch"],
            input=asked, capture_output=True, timeout=_TIMEOUT_SECONDS, check=True,
        )  # fmt: skip
        contents, at = {}, 0
        for path in blobs:
            end = done.stdout.index(b"\n", at)
            size = int(done.stdout[at:end].split()[2])
            contents[path] = done.stdout[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return contents


def around(folder: Path) -> Repository | None:
    """Return the repository around a folder, or None where there is none."""
    prefix = _git(folder, "rev-parse", "--show-prefix") if folder.is_dir() else None
    return None if prefix is None else Repository(folder, prefix.strip())


@dataclass(frozen=True, slots=True)
class Reading:
    """A catalog's sources, and the commit that they stand at; `""` outside a repository."""

    sources: Sequence[Source]
    commit: str
    is_changed: bool = False

    def revision(self, drafts: Iterable[Draft]) -> str:
        """Return the commit, with `+` and a content digest where the folder differs from it.

        Outside a repository, the digest alone. The content is that of the sources, and what their drafts read beside.
        """
        if not self.commit:
            return self._digest(drafts)
        return f"{self.commit}+{self._digest(drafts)}" if self.is_changed else self.commit

    def _digest(self, drafts: Iterable[Draft]) -> str:
        digest = hashlib.sha256()
        shared = {source.defaults.file: source.defaults for source in self.sources if source.defaults}
        for source in (*shared.values(), *self.sources):
            digest.update(_as_bytes(source.file) + b"\0" + source.raw + b"\0")
        beside = {place: raw for made in drafts for place, raw in made.beside.items()}
        for (file, path), raw in sorted(beside.items()):
            digest.update(_as_bytes(f"{file}\0{path}\0") + (raw or b"") + b"\0")
        return digest.hexdigest()[:8]


def _as_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")  # which stand in a name for what is not UTF-8


def stand(folder: Path, sources: Sequence[Source]) -> Reading:
    """Return the sources of a work tree with the commit that their folder stands at, and whether it differs."""
    state = _git(folder, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--", ".")
    lines = (state or "").splitlines()
    commit = re.search(r"^# branch\.oid ([0-9a-f]+)$", state or "", re.MULTILINE)
    return Reading(sources, commit[1][:_SHORT] if commit else "", any(line[0] != "#" for line in lines))


def reader(folder: Path, revision: str | None) -> Callable[[str | None], Reading]:
    """Return what reads the catalog: the work tree's, or that of `revision`; at another one when it is asked to.

    What it returns raises `SettingsError` when there is no such folder or revision.
    """
    work_tree = Folder(folder)
    known: dict[str, Reading] = {}

    def read(other: str | None) -> Reading:
        wanted = other or revision
        if wanted is None:
            return stand(folder, work_tree.sources())
        repository = around(folder)
        if repository is None:
            raise SettingsError(str(folder), "is in no git repository", "A revision needs one.")
        commit = repository.commit(wanted)
        if commit not in known:
            known.clear()
            known[commit] = Reading(repository.sources(commit), commit)
        return known[commit]

    return read


def fetcher(folder: Path, remote: str, branch: str) -> Callable[[], str]:
    """Return what brings a remote's branch and moves the local one to it; it says what failed, or `""`."""

    def fetch() -> str:
        done = _run(folder, "fetch", "--quiet", "--update-head-ok", remote, f"{branch}:{branch}")
        return "" if done is not None and done.returncode == 0 else (done.stderr.strip() if done else "git hangs")

    return fetch


def _source(folder: Path, path: str, contents: dict[str, bytes], defaults: Source | None) -> Source:
    def sibling(relative: str) -> bytes:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
        if target.startswith("../"):
            raise PermissionError(relative)
        try:
            return contents[target]
        except KeyError:
            raise FileNotFoundError(relative) from None

    return Source((folder / path).as_posix(), contents[path], sibling, defaults=defaults)


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None when it refuses or is not there."""
    done = _run(folder, *words)
    return done.stdout if done is not None and done.returncode == 0 else None


def _run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True, text=True, errors="surrogateescape", timeout=_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
