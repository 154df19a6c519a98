"""Many documents to one immutable catalog, or to problems; and the rules that hold between files.

Reads no file itself: sources bring their bytes, and tools come from a function that the caller gives.
"""

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runtime import document as documents
from runtime import schema as schemas
from runtime.conflicts import Standing, conflicts
from runtime.definition import AgentDefinition, Rule, ToolDefinition, construct, names
from runtime.document import Document, Path
from runtime.errors import CatalogError, EntrypointError, Problem, did_you_mean, errors, listing
from runtime.incoming import SAMPLE_CALL
from runtime.template import template

ToolReader = Callable[[Mapping[str, Any]], ToolDefinition]
"""Makes a tool out of one entry of `tools:`; raises `EntrypointError`."""


@dataclass(frozen=True, slots=True)
class Source:
    """One agent file as bytes. `sibling(path)` returns the bytes of a file beside it, or raises `OSError`.

    `unreadable` says why there are no bytes.
    """

    file: str
    raw: bytes
    sibling: Callable[[str], bytes] = field(repr=False)
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What became of one source: a definition when it has no errors, its problems, its name when readable."""

    file: str
    definition: AgentDefinition | None
    problems: tuple[Problem, ...]
    name: str | None = None
    name_at: tuple[int, int] = (1, 1)

    @property
    def standing(self) -> Standing:
        """What of this agent can conflict with others."""
        return Standing(self.file, self.name, self.name_at, self.definition.answers if self.definition else ())


class Candidate(NamedTuple):
    """A rule with the agent that it belongs to."""

    rule: Rule
    agent: AgentDefinition


@dataclass(frozen=True, slots=True)
class Catalog:
    """All agents, by name, at one revision. Immutable: a reload makes another."""

    agents: Mapping[str, AgentDefinition]
    revision: str = ""
    _by_called: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict, repr=False)

    def candidates(self, number: str) -> Iterator[Candidate]:
        """Yield the rules whose called number fits, the most specific first.

        Exact, then the longer beginning before the shorter, then `*`; at equal called number more conditions
        first.
        """
        beginnings = (number[:length] + "*" for length in range(len(number), 0, -1))
        for pattern in (number, *beginnings, "*"):
            yield from self._by_called.get(pattern, ())


def build(sources: Iterable[Source], read_tool: ToolReader | None, revision: str = "") -> Catalog:
    """Return the catalog of the sources. Raises `CatalogError` with every problem of every file."""
    drafts = [draft(source, read_tool) for source in sources]
    found = problems(drafts)
    if errors(found):
        raise CatalogError(found)
    return assemble((made.definition for made in drafts if made.definition), revision)


def assemble(definitions: Iterable[AgentDefinition], revision: str = "") -> Catalog:
    """Return a catalog of definitions that are known to have no problems between them."""
    agents = {definition.name: definition for definition in definitions}
    by_called: dict[str, list[Candidate]] = {}
    for agent in agents.values():
        for rule in agent.answers:
            by_called.setdefault(rule.called, []).append(Candidate(rule, agent))
    for candidates in by_called.values():
        candidates.sort(key=lambda candidate: -candidate.rule.conditions)
    return Catalog(agents, revision, {pattern: tuple(found) for pattern, found in by_called.items()})


def problems(drafts: Sequence[Draft]) -> list[Problem]:
    """Return all problems of all drafts, and those between them, sorted by file and line."""
    between = (conflict.problem_at(conflict.other.file) for conflict in conflicts(made.standing for made in drafts))
    return sorted({problem for made in drafts for problem in made.problems} | set(between))


def draft(source: Source, read_tool: ToolReader | None) -> Draft:
    """Read, check and construct one agent. Never raises for what an author may have written."""
    if source.unreadable:
        message = f"the file cannot be read ({source.unreadable.lower()})"
        return Draft(source.file, None, (Problem(source.file, 1, 1, "", message, "Check the file's rights."),))
    document, found = documents.read(source.raw, source.file)
    if document is None:
        return Draft(source.file, None, tuple(found))
    schema = schemas.load("agent")
    found = schema.check(document)
    name, place = _name_of(document)
    if errors(found):
        found += _template_problems(document, _mapping(document.data), None)
        return Draft(source.file, None, tuple(sorted(found)), name, place)
    data = schema.fill(document.data)
    text, raw, unreadable = _instructions(source, document)
    found += unreadable
    found += _template_problems(document, data, text)
    tools, broken = _tools(document, data, read_tool)
    found += broken
    if errors(found):
        return Draft(source.file, None, tuple(sorted(found)), name, place)
    definition = construct(
        data,
        file=source.file,
        digest=hashlib.sha256(source.raw + raw).hexdigest()[:12],
        instructions=text or "",
        places=lambda path: document.place(path)[:2],
        tools=tools,
    )
    return Draft(source.file, definition, tuple(sorted(found)), name, place)


def _name_of(document: Document) -> tuple[str | None, tuple[int, int]]:
    name = _mapping(document.data).get("name")
    return (name if isinstance(name, str) else None), document.place(("name",))[:2]


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def _instructions(source: Source, document: Document) -> tuple[str | None, bytes, list[Problem]]:
    """Return the instructions' text, the bytes of their file, and why they could not be read."""
    if "instructions" in document.data:
        return document.data["instructions"], b"", []
    path: Path = ("instructions_file",)
    relative = document.data["instructions_file"]
    if posixpath.isabs(relative) or "\\" in relative or ":" in relative or "\0" in relative:
        cure = "Write a path relative to this file, with '/' between folders."
        return None, b"", [document.problem(path, f"'{relative}' is not a relative path", cure)]
    try:
        raw = source.sibling(relative)
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
    variables = data.get("variables", {})
    samples = names({**data, "variables": variables if isinstance(variables, dict) else {}}, SAMPLE_CALL)
    found = []
    for path, written in _templates(data):
        if path in document.places:
            for fault in template(written).faults(samples):
                found.append(document.problem_in(path, fault.line, fault.message, fault.cure, near=fault.near))
    if text is not None and "instructions_file" in data:
        relative = data["instructions_file"]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(document.file), relative))
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
    return ((path, value) for path, value in written if isinstance(value, str))


def _tools(
    document: Document, data: Mapping[str, Any], read_tool: ToolReader | None
) -> tuple[tuple[ToolDefinition, ...], list[Problem]]:
    tools: list[ToolDefinition] = []
    found: list[Problem] = []
    seen: dict[str, int] = {}
    for index, written in enumerate(data["tools"]):
        path: Path = ("tools", index, "entrypoint")
        name = written.get("name") or written["entrypoint"].rpartition(":")[2].rpartition(".")[2]
        if name in seen:
            message = f"a tool named '{name}' already stands in line {seen[name]}"
            found.append(document.problem(path, message, "Give one of them another name with 'name:'."))
        seen.setdefault(name, document.place(path).line)
        written = {**written, "name": name}
        try:
            tools.append(read_tool(written) if read_tool else _unread(written))
        except EntrypointError as error:
            found.append(document.problem(path, error.message, error.cure))
    choice = data["tool_choice"]
    if choice == "required" and not seen:
        cure = "Name a tool in 'tools:', or write auto."
        found.append(document.problem(("tool_choice",), "'required' has no tool to choose from", cure))
    if isinstance(choice, dict) and choice["name"] not in seen:
        cure = did_you_mean(choice["name"], seen) or "Name one of this agent's tools."
        found.append(document.problem(("tool_choice", "name"), f"there is no tool '{choice['name']}'", cure))
    return tuple(tools), found


def _unread(written: Mapping[str, Any]) -> ToolDefinition:
    description = written.get("description", "")
    return ToolDefinition(written["entrypoint"], written["name"], description, {}, written["timeout_seconds"])


def unknown_agent(name: str, catalog: Catalog) -> str:
    """Return the sentence for a name that no agent has."""
    near = did_you_mean(name, catalog.agents) or f"There are {listing(sorted(catalog.agents) or ['none'], 'and')}."
    return f"There is no agent '{name}'. {near}"
