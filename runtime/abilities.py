"""The tools, the lookup and the rules of one agent, read out of its checked data. Pure but for the reader given.

How a Python function or a request becomes a tool is the reader's business; our own tools are made here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from runtime.built_in import built_in, handoff_tools, name_of
from runtime.definition import Abilities, ToolDefinition
from runtime.document import Document, Path
from runtime.errors import EntrypointError, Problem, did_you_mean

ToolReader = Callable[[Mapping[str, Any]], ToolDefinition]
"""Makes a tool out of one complete entry of `tools:` with a name; raises `EntrypointError`."""

_RULE_SECONDS = 2.0  # a rule that is asked for every few words must be quick


def read_abilities(
    document: Document, data: Mapping[str, Any], read_tool: ToolReader | None
) -> tuple[Abilities, list[Problem]]:
    """Return what an agent can do, and what is wrong with it. Without a reader tools are described, not read."""
    reading = _Reading(document, read_tool or _unread)
    tools, servers, names = _tools(reading, data.get("tools", ()))
    handoffs = handoff_tools(data)
    _check_handoffs(reading, handoffs, names)
    lookup = _lookup(reading, data.get("lookup"))
    rules = _rules(reading, data.get("guardrails"))
    if "tools" in data and "handoffs" in data:
        known = names.keys() | {tool.name for tool in handoffs}
        _check_choice(reading, data.get("tool_choice"), known, bool(servers))
    return Abilities((*tools, *handoffs), tuple(servers), lookup, tuple(rules)), reading.found


class _Reading:
    """One document's tools while they are read: the reader, and the problems so far."""

    def __init__(self, document: Document, read: ToolReader) -> None:
        self.document = document
        self.found: list[Problem] = []
        self._read = read

    def tell(self, path: Path, message: str, cure: str) -> None:
        self.found.append(self.document.problem(path, message, cure))

    def read(self, path: Path, written: Mapping[str, Any]) -> list[ToolDefinition]:
        """Return the tool of an entry, or tell why there is none."""
        try:
            return [self._read(written)]
        except EntrypointError as error:
            for one in (error, *error.others):
                self.tell((*path, *one.path), one.message, one.cure)
            return []


def _tools(reading: _Reading, entries: Any) -> tuple[list[ToolDefinition], list[Mapping[str, Any]], dict[str, int]]:
    """Return the tools that could be read, the servers, and the line of every name, also of tools with problems."""
    tools: list[ToolDefinition] = []
    servers: list[Mapping[str, Any]] = []
    seen: dict[str, int] = {}
    for index, written in enumerate(entries):
        kind = next(key for key in ("use", "http", "mcp", "entrypoint") if key in written)
        path: Path = ("tools", index, kind)
        if kind == "mcp":
            servers.append(written)
            continue
        name = name_of(written)
        if name in seen:
            message = f"a tool named '{name}' already stands in line {seen[name]}"
            renamed = "Remove one of them." if written.get("use") in ("hang_up", "transfer", "wait") else ""
            reading.tell(path, message, renamed or "Give one of them another name with 'name:'.")
        seen.setdefault(name, reading.document.place(path).line)
        named = {**written, "name": name}
        tools += [built_in(named)] if kind == "use" else reading.read(path, named)
    return tools, servers, seen


_LONGEST_NAME = 64  # of a tool, for the Realtime API


def _check_handoffs(reading: _Reading, handoffs: Sequence[ToolDefinition], taken: Mapping[str, int]) -> None:
    for index, tool in enumerate(handoffs):
        path: Path = ("handoffs", index, "agent")
        if tool.name in taken:
            message = f"the tool '{tool.name}' that stands for it is already there in line {taken[tool.name]}"
            reading.tell(path, message, "Give that tool another name with 'name:'.")
        if (extra := len(tool.name) - _LONGEST_NAME) > 0:
            longest = len(tool.written["agent"]) - extra
            message = f"'{tool.written['agent']}' is too long for the name of a tool, '{tool.name}'"
            reading.tell(path, message, f"Give that agent a name of at most {longest} characters.")


def _lookup(reading: _Reading, written: Mapping[str, Any] | None) -> ToolDefinition | None:
    if written is None:
        return None
    kinds = [kind for kind in ("entrypoint", "http") if kind in written]
    if len(kinds) != 1:
        message = "has both entrypoint and http" if kinds else "has neither entrypoint nor http"
        reading.tell(("lookup",), message, "Write one of the two.")
        return None
    named = {**written, "name": "lookup", "description": "", "timeout_seconds": written["deadline_seconds"]}
    read = reading.read(("lookup", kinds[0]), named)
    for needed in (argument for tool in read for argument in tool.parameters.get("required", ())):
        message = f"'{written['entrypoint']}' needs '{needed}', which nobody knows yet"
        reading.tell(("lookup", kinds[0]), message, "Show this to its engineer: a lookup takes nothing but the call.")
    return next(iter(read), None)


def _rules(reading: _Reading, written: Mapping[str, Any] | None) -> list[ToolDefinition]:
    rules: list[ToolDefinition] = []
    for index, entrypoint in enumerate((written or {}).get("rules", ())):
        path = ("guardrails", "rules", index)
        named = {"entrypoint": entrypoint, "name": f"rule_{index + 1}", "timeout_seconds": _RULE_SECONDS}
        read = reading.read(path, named)
        if any(rule.invoke is not None and len(rule.parameters["properties"]) != 1 for rule in read):
            cure = "Show this to its engineer: a rule takes one text, and returns true when it must not be said."
            reading.tell(path, f"'{entrypoint}' does not take one text alone", cure)
        rules += read
    return rules


def _check_choice(reading: _Reading, choice: Any, names: Collection[str], more: bool) -> None:
    """Check that `tool_choice` can be followed. `more`: a server brings tools that nobody knows yet."""
    if choice == "required" and not names and not more:
        cure = "Name a tool in 'tools:', or write auto."
        reading.tell(("tool_choice",), "'required' has no tool to choose from", cure)
    if isinstance(choice, dict) and choice["name"] not in names and not more:
        cure = did_you_mean(choice["name"], names) or "Name one of this agent's tools."
        reading.tell(("tool_choice", "name"), f"there is no tool '{choice['name']}'", cure)


def _unread(written: Mapping[str, Any]) -> ToolDefinition:
    return ToolDefinition(written["name"], written.get("description", ""), {}, written)
