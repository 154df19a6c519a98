"""Make a catalog repository out of the files in `runtime/scaffold/`. Writes new files only; asks nothing."""

from collections.abc import Iterator
from pathlib import Path

from runtime import files, schema
from runtime.errors import SettingsError

_SCAFFOLD = Path(__file__).parent / "scaffold"
_SCHEMAS = ("agent", "defaults", "scenario")
_SAMPLE = ("agents", "tools")  # the agent and its tool: for a catalog that has no agent yet


def init(folder: Path) -> Iterator[tuple[str, bool]]:
    """Write each file that the folder lacks. Yield its path, and whether it was made; if not, it was there and stays.

    A folder that has agents gets no sample agent. Raises `SettingsError` when the folder cannot be one.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(str(folder), "is a file", "Name a folder, new or not.")
    has_agents = (folder / "agents").is_dir() and bool(files.sources([folder / "agents"]))
    for path, content in _contents():
        target = folder / path
        if has_agents and path.split("/")[0] in _SAMPLE and not target.exists():
            continue
        yield path, _write(target, content)


def _contents() -> Iterator[tuple[str, bytes]]:
    """Yield the path and content of each file, those for people first."""
    templates = [file for file in _SCAFFOLD.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    contents = {file.relative_to(_SCAFFOLD).as_posix(): file.read_bytes() for file in templates}
    contents |= {f"schemas/{name}.schema.json": schema.text(name).encode() for name in _SCHEMAS}
    yield from sorted(contents.items(), key=lambda item: (item[0].startswith("."), "/" in item[0], item[0]))


def _write(target: Path, content: bytes) -> bool:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(content)
    except OSError as error:
        if target.is_symlink() or target.is_file():
            return False
        cure = "Name a folder that is new, or yours to write to."
        raise SettingsError(str(error.filename or target), f"cannot be written ({error.strerror})", cure) from error
    return True
