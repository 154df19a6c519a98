"""One agent file, with the defaults that it inherits, to a draft: a definition, or its problems.

Reads no file itself: a source brings its bytes, and tools come from a function that the caller gives.
"""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from runtime import document as documents
from runtime import layers, request
from runtime import schema as schemas
from runtime.abilities import ToolReader, read_abilities
from runtime.agreements import disagreements
from runtime.conflicts import ALONE, Handing, Standing
from runtime.definition import AgentDefinition, Rule, construct, names, rules_of
from runtime.document import Document, Path
from runtime.errors import Problem, errors
from runtime.hours import hours_in
from runtime.incoming import SAMPLE_CALL
from runtime.lines import lines_in
from runtime.teams import handing_of
from runtime.template import template


@dataclass(frozen=True, slots=True)
class Source:
    """One agent file as bytes. `sibling(path)` returns the bytes of a file beside it, or raises `OSError`.

    `unreadable` says why there are no bytes, `cure` what to do about it. `defaults` is the file
    whose values the agent inherits, and `edit` what is written over the file, as by a rehearsal's reload.
    """

    file: str
    raw: bytes
    sibling: Callable[[str], bytes] = field(repr=False)
    unreadable: str = ""
    cure: str = ""
    defaults: "Source | None" = None
    edit: Document | None = field(default=None, repr=False)


Beside = Mapping[tuple[str, str], bytes | None]
"""What was read beside files, by the file and the path from it; None for what cannot be read."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What became of one source: a definition when it has no errors, its problems, its name when readable.

    `environments` are those that the agent may differ in, None when a file that may name some cannot be read. `beside`
    is what was read beside the source and its defaults.
    """

    file: str
    definition: AgentDefinition | None
    problems: tuple[Problem, ...]
    name: str | None = None
    name_at: tuple[int, int] = (1, 1)
    environments: frozenset[str] | None = frozenset()
    rules: tuple[Rule, ...] = ()
    handing: Handing = ALONE
    beside: Beside = field(default_factory=dict, repr=False)

    @property
    def standing(self) -> Standing:
        """What of this agent can conflict with others, whether or not the rest of it is well."""
        return Standing(self.file, self.name, self.name_at, self.rules, self.handing)


def draft(source: Source, read_tool: ToolReader | None, environment: str = "") -> Draft:
    """Read, check and construct one agent as it is in an environment. Never raises for what an author wrote.

    What only other environments would see is not judged.
    """
    return _drafted(source, _read(source, environment), read_tool, environment)


def in_every_environment(source: Source, read_tool: ToolReader | None) -> dict[str, Draft]:
    """Return the agent's draft in each environment that its files name, and under `""` in none of them."""
    written = _read(source, None)
    return {name: _drafted(source, written, read_tool, name) for name in ("", *sorted(written.environments or ()))}


def document_of(source: Source, environment: str = "") -> Document:
    """Return the document, over its defaults, of an agent that has a definition."""
    written = _read(source, environment)
    assert written.document is not None, f"{source.file} cannot be read"
    return layers.layered(written.document, written.defaults, environment)


class _Written(NamedTuple):
    """What a source's files say, each on its own: the agent's document, its defaults, their problems, and the
    environments that they name; None where one of the two cannot be read."""

    document: Document | None
    defaults: Document | None
    problems: tuple[Problem, ...]
    environments: frozenset[str] | None


def _read(source: Source, environment: str | None) -> _Written:
    """Read a source's files, and judge what an environment sees of each; None for all that they say."""
    document, found = _read_file(source.file, source.raw, source.unreadable, source.cure)
    if document is not None and source.edit is not None:
        document = layers.merge(document, source.edit)
    defaults, theirs = _defaults(source.defaults, environment)
    is_whole = document is not None and (defaults is not None or source.defaults is None)
    named = layers.environments(document) | layers.environments(defaults) if is_whole else None
    if document is not None and (not is_whole or layers.ENVIRONMENTS in _mapping(document.data)):
        found = schemas.load("agent").check(_seen(document, environment), complete=False)
    return _Written(document, defaults, (*found, *theirs), named)


def _read_file(file: str, raw: bytes, unreadable: str, cure: str) -> tuple[Document | None, list[Problem]]:
    if unreadable:
        return None, [Problem(file, 0, 0, "", f"it cannot be read ({unreadable})", cure)]
    return documents.read(raw, file)


def _seen(document: Document, environment: str | None) -> Document:
    """Return one file without what an environment does not see: others' overrides, and what its own replace."""
    named = _mapping(document.data).get(layers.ENVIRONMENTS)
    if environment is None or not isinstance(named, dict):
        return document
    replaced = _mapping(named.get(environment)).keys() - {"name"}
    data = {field: value for field, value in document.data.items() if field not in replaced}
    chosen = {name: overrides if name == environment else {} for name, overrides in named.items()}
    return replace(document, data={**data, layers.ENVIRONMENTS: chosen})


def _defaults(source: Source | None, environment: str | None) -> tuple[Document | None, tuple[Problem, ...]]:
    if source is None:
        return None, ()
    return _checked_defaults(source.file, source.raw, source.unreadable, source.cure, environment)


@lru_cache(maxsize=8)  # a family of ten thousand agents has one file of defaults
def _checked_defaults(
    file: str, raw: bytes, unreadable: str, cure: str, environment: str | None
) -> tuple[Document | None, tuple[Problem, ...]]:
    document, found = _read_file(file, raw, unreadable, cure)
    if document is None:
        cure = "Write what all agents share, or delete the file."
        return None, tuple(replace(each, cure=cure) if each.message == documents.EMPTY else each for each in found)
    found = schemas.load("defaults").check(_seen(document, environment), complete=False)
    return (document if isinstance(document.data, dict) else None), tuple(found)


def _drafted(source: Source, written: _Written, read_tool: ToolReader | None, environment: str) -> Draft:
    """Make the draft of what was read. An agent whose defaults cannot be read is not judged as a whole."""
    if written.document is None:
        return Draft(source.file, None, written.problems, environments=None)
    if written.environments is None:
        return Draft(source.file, None, tuple(sorted(written.problems)), *_name_of(written.document), None)
    environment = environment if environment in written.environments else ""
    document = layers.layered(written.document, written.defaults, environment)
    beside: dict[tuple[str, str], bytes | None] = {}
    definition, found, rules, handing = _judged(_noting(source, beside), document, read_tool, environment)
    found = [*written.problems, *_without(found, written.problems)]
    definition = None if errors(found) else definition
    name, place = _name_of(document)
    told = tuple(sorted(set(found)))
    return Draft(source.file, definition, told, name, place, written.environments, rules, handing, beside)


def _noting(source: Source, beside: dict[tuple[str, str], bytes | None]) -> Source:
    """Return a source that notes what is read beside it and beside its defaults."""

    def sibling(path: str) -> bytes:
        beside[source.file, path] = read_beside(source, path)
        return source.sibling(path)

    return replace(source, sibling=sibling, defaults=source.defaults and _noting(source.defaults, beside))


def read_beside(source: Source, path: str) -> bytes | None:
    """Return the bytes of a file beside a source, or None when it cannot be read."""
    try:
        return source.sibling(path)
    except OSError:
        return None


def _without(found: list[Problem], known: tuple[Problem, ...]) -> list[Problem]:
    """Return the problems that a layer did not have on its own, where it may have had another path."""
    told = {(problem.file, problem.line, problem.column, problem.message) for problem in known}
    return [each for each in found if (each.file, each.line, each.column, each.message) not in told]


def _judged(
    source: Source, document: Document, read_tool: ToolReader | None, environment: str
) -> tuple[AgentDefinition | None, list[Problem], tuple[Rule, ...], Handing]:
    """Check the whole of an agent, construct it if it has no errors, and read how it stands to other agents."""
    schema = schemas.load("agent")
    found = schema.check(document)
    data = _sound(schema, document.data, found)
    text, raw, unreadable = _instructions(source, document, data)
    found += unreadable
    lookup = _mapping(document.data).get("lookup")
    fields = _mapping(lookup).get("defaults")
    if lookup is None or isinstance(fields, dict):  # else nobody knows which names there are: all would be blamed
        found += _template_problems(document, _mapping(document.data) if errors(found) else data, text)
        found += request.problems(document, data if "lookup" in data else {**data, "lookup": {"defaults": fields}})
    abilities, broken = read_abilities(document, data, read_tool)
    handing = handing_of(document, data)
    rules = rules_of(data.get("answers", ()), hours_in(data), document.written_at)
    found += [*broken, *disagreements(document, data)]
    if errors(found):
        return None, found, rules, handing
    definition = construct(
        data,
        file=source.file,
        digest=_digest(source, raw, environment),
        instructions=text or "",
        answers=rules,
        abilities=abilities,
    )
    return definition, found, rules, handing


def _sound(schema: schemas.Schema, data: Any, found: list[Problem]) -> dict[str, Any]:
    """Return the complete data without the fields that have a problem: the others are looked at all the same."""
    broken = {re.split(r"[.\[]", problem.field)[0] for problem in errors(found)}
    filled = schema.fill({field: value for field, value in _mapping(data).items() if field not in broken})
    return {field: value for field, value in filled.items() if field not in broken}


def _digest(source: Source, instructions: bytes, environment: str) -> str:
    """Return what identifies the content that an agent is made of: its file, its instructions, what it inherits."""
    inherited = b"\0" + source.defaults.raw if source.defaults else b""
    chosen = b"\0" + environment.encode() if environment else b""
    edited = b"\0" + documents.write(source.edit.data).encode() if source.edit else b""
    return hashlib.sha256(source.raw + instructions + inherited + chosen + edited).hexdigest()[:12]


def _name_of(document: Document) -> tuple[str | None, tuple[int, int]]:
    name = _mapping(document.data).get("name")
    return (name if isinstance(name, str) else None), document.place(("name",))[:2]


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _instructions(
    source: Source, document: Document, data: Mapping[str, Any]
) -> tuple[str | None, bytes, list[Problem]]:
    """Return the instructions' text, the bytes of their file, and why they could not be read."""
    if "instructions" in data or "instructions_file" not in data:
        return data.get("instructions"), b"", []
    path: Path = ("instructions_file",)
    holder = source.defaults if source.defaults and document.place(path).file else source
    relative = data["instructions_file"]
    if posixpath.isabs(relative) or "\\" in relative or ":" in relative or "\0" in relative:
        cure = "Write a path relative to this file, with '/' between folders."
        return None, b"", [document.problem(path, f"'{relative}' is not a relative path", cure)]
    try:
        raw = holder.sibling(relative)
        text = raw.decode("utf-8-sig")
        if text.strip():
            return text, raw, []
        return None, raw, [document.problem(path, f"'{relative}' is empty", "Write the instructions there.")]
    except PermissionError:
        cure = "Instructions stay inside the catalog's folder, and must be readable."
        return (
            None,
            b"",
            [document.problem(path, f"'{relative}' is outside the catalog, or not readable", cure)],
        )
    except OSError:
        cure = "The path is relative to this file."
        return None, b"", [document.problem(path, f"there is no file '{relative}'", cure)]
    except UnicodeDecodeError:
        return None, b"", [document.problem(path, f"'{relative}' is not UTF-8 text", "Save it as UTF-8.")]


def _template_problems(document: Document, data: Mapping[str, Any], text: str | None) -> list[Problem]:
    """Try every template of the document with a sample call. `text` is what an instructions file holds."""
    looked_up = {"defaults": _mapping(_mapping(data.get("lookup")).get("defaults"))}
    samples = names({**data, "variables": _mapping(data.get("variables")), "lookup": looked_up}, SAMPLE_CALL)
    found = []
    for path, written in _templates(data):
        if path in document.places:
            for fault in template(written).faults(samples):
                found.append(document.problem_in(path, fault.line, fault.message, fault.cure, near=fault.near))
    if text is not None and "instructions_file" in data:
        relative = data["instructions_file"]
        holder = document.written_at(("instructions_file",)).file
        file = posixpath.normpath(posixpath.join(posixpath.dirname(holder), relative))
        lines = text.split("\n")
        for fault in template(text).faults(samples):
            column = documents.column_of(fault.near, lines[fault.line - 1])
            found.append(Problem(file, fault.line, column, "instructions", fault.message, fault.cure))
    return found


def _templates(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    greeting, tracing = data.get("greeting"), _mapping(data.get("tracing"))
    written: list[tuple[Path, Any]] = [
        (("instructions",), data.get("instructions")),
        (("greeting",), greeting),
        (("greeting", "text"), _mapping(greeting).get("text")),
        (("tracing", "workflow_name"), tracing.get("workflow_name")),
        (("tracing", "group_id"), tracing.get("group_id")),
    ]
    written += [(("tracing", "metadata", key), v) for key, v in _mapping(tracing.get("metadata")).items()]
    yield from ((path, value) for path, value in written if isinstance(value, str))
    yield from lines_in(data)
