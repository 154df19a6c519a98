"""What the words of verbs name: the catalog in a folder, a recording in a file, a running host. Judges none of it."""

import argparse
import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import catalog as catalogs
from runtime import files, git, recorded
from runtime.abilities import ToolReader
from runtime.catalog import Catalog, demand_environment
from runtime.draft import Draft, Source, draft
from runtime.errors import CatalogError, SettingsError, errors

if TYPE_CHECKING:
    from runtime.recording import Recorder


def existing(written: str, command: str = "") -> Path:
    """Return a path that exists. Raises `SettingsError`, which says how the command is told of another."""
    path = Path(written)
    if not path.exists():
        how = f": {command}" if command else " with --agents"
        raise SettingsError(str(path), "is no file or folder", f"Name the folder that holds the agents{how}.")
    return path


def placed(option: str, written: str) -> Path:
    """Return a file that is there or can be made. Raises `SettingsError`, which names the option."""
    path = Path(written)
    if not path.absolute().parent.is_dir():
        raise SettingsError(option, f"cannot be written: there is no folder for '{written}'", "Make it first.")
    return path


def catalog_of(arguments: argparse.Namespace, read_tool: ToolReader | None) -> Catalog:
    """Return the catalog of a folder; warnings go to standard error. Raises `CatalogError`."""
    folder, found = sources_of(arguments)
    drafts = drafts_of(found, read_tool, arguments.environment)
    return assembled(drafts, git.stand(folder, found).revision(drafts))


def sources_of(arguments: argparse.Namespace) -> tuple[Path, list[Source]]:
    """Return the catalog's folder and its sources; its tools can be imported from now on. Raises `CatalogError`."""
    folder = existing(arguments.agents)
    files.let_import([folder])
    found = files.sources([folder])
    if problems := files.without_agents([folder], found):
        raise CatalogError(problems)
    return folder, found


def drafts_of(sources: Sequence[Source], read_tool: ToolReader | None, environment: str) -> list[Draft]:
    """Return the drafts of an environment. Raises `SettingsError` when no file names it."""
    drafts = [draft(source, read_tool, environment) for source in sources]
    demand_environment(environment, drafts)
    return drafts


def assembled(drafts: Sequence[Draft], revision: str) -> Catalog:
    """Return drafts as a catalog; warnings go to standard error. Raises `CatalogError`."""
    problems = catalogs.problems(drafts)
    if errors(problems):
        raise CatalogError(problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    return catalogs.assemble((made.definition for made in drafts if made.definition), revision)


def recording_in(written: str) -> recorded.Recording:
    """Return the recording in a file. Raises `SettingsError`."""
    file = Path(written)
    if not file.is_file():
        raise SettingsError(written or "''", "is no file", "Name one that 'switchboard serve --record' wrote.")
    return recorded.read(file.read_bytes().decode("utf-8", "replace"), written)


def recorder_of(arguments: argparse.Namespace) -> "Recorder | None":
    """Return what records calls, where that is asked for. Raises `SettingsError`."""
    if arguments.record is None:
        return None
    from runtime.recording import Recorder, folder_for

    return Recorder(folder_for(arguments.record), arguments.environment, speech=arguments.record_speech)


def ask(url: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """Ask a running host and return its answer as data. Raises `SettingsError` when nobody answers."""
    try:
        request = urllib.request.Request(url.rstrip("/") + path, body, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return json.load(error)
        raise SettingsError(url, f"answered {error.code}", "Is a Switchboard host there?") from error
    except (OSError, ValueError) as error:
        cure = "Start one with 'switchboard serve', or say where it is with --url."
        raise SettingsError(url, f"is no running host ({getattr(error, 'reason', error)})", cure) from error
