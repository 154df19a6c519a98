"""An agent as the runtime uses it: frozen values made from checked, complete data. Decides nothing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runtime.context import CallContext
from runtime.document import Path, Place
from runtime.hours import ALWAYS, Hours, Opening, hours_in, opening
from runtime.incoming import IncomingCall
from runtime.phone import matches
from runtime.template import Template, template


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of `answers`: every condition must hold. `caller` is any of its patterns, or all when empty.

    `file` is where it is written, `""` for its agent's own file.
    """

    called: str
    caller: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    opening: Opening = ALWAYS
    line: int = 1
    column: int = 1
    file: str = ""

    @property
    def conditions(self) -> int:
        """How many conditions the rule has beside the called number."""
        return bool(self.caller) + len(self.headers) + self.opening.conditions

    def unmet(self, call: IncomingCall) -> str | None:
        """Return the condition that does not hold for a call whose called number fits, or None."""
        if self.caller and not any(matches(pattern, call.caller) for pattern in self.caller):
            return f"the caller is not {' or '.join(self.caller)}"
        for name, pattern in self.headers:
            value = call.headers.get(name)
            if value is None:
                return f"there is no header {name}"
            if not matches(pattern, value):
                return f"the header {name} is not {pattern}"
        return self.opening.unmet(call.started_at)

    def __str__(self) -> str:
        parts = [f"called {self.called}"]
        if self.caller:
            parts.append(f"caller {' or '.join(self.caller)}")
        parts += [f"header {name}: {value}" for name, value in self.headers]
        parts += [str(self.opening)] if self.opening.conditions else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Greeting:
    """The agent's first words."""

    text: Template
    interruptible: bool
    wait_for_caller: bool


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it, and the callable behind it.

    `parameters` is a JSON Schema of an object, `written` the complete entry of `tools:`. `invoke(context, arguments)`
    takes the model's arguments as JSON text and returns a result as JSON text; it is None for our own tools, which
    the call carries out, and where tools were left alone (`check --no-tools`).
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    written: Mapping[str, Any]
    invoke: Callable[[CallContext, str], Any] | None = field(default=None, compare=False)

    @property
    def use(self) -> str:
        """Which of our own tools it is, or `""`."""
        return str(self.written.get("use", ""))

    @property
    def timeout_seconds(self) -> float:
        """Seconds after which the model is told that the tool took too long."""
        return float(self.written["timeout_seconds"])

    @property
    def max_parallel(self) -> int | None:
        """How often it may run at the same time on one host, None for no limit."""
        return self.written.get("max_parallel")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an agent can do: its tools, servers of tools by their complete entries of `tools:`, the question asked
    while the call is answered, and the rules of what must never be said."""

    tools: tuple[ToolDefinition, ...] = ()
    servers: tuple[Mapping[str, Any], ...] = ()
    lookup: ToolDefinition | None = None
    rules: tuple[ToolDefinition, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class AgentDefinition:
    """One agent. `data` is the complete document, defaults filled, in the API's own words; never changed.

    `digest` identifies the content of its file, and of the instructions file where it has one.
    """

    name: str
    file: str
    digest: str
    data: Mapping[str, Any] = field(repr=False)
    answers: tuple[Rule, ...]
    instructions: Template
    greeting: Greeting | None
    abilities: Abilities
    hours: Mapping[str, Hours] = field(default_factory=dict)

    @property
    def tools(self) -> tuple[ToolDefinition, ...]:
        """The tools that the model sees."""
        return self.abilities.tools

    @property
    def variables(self) -> Mapping[str, Any]:
        """The author's names and values for templates."""
        return dict(self.data["variables"])

    def with_tools(self, more: Iterable[ToolDefinition]) -> "AgentDefinition":
        """Return the agent with more tools: those that its servers offer when a call arrives.

        A `tool_choice` of a tool that is not among them becomes auto: the service would refuse the call for it.
        """
        tools = (*self.tools, *more)
        choice, data = self.data.get("tool_choice"), self.data
        named = choice["name"] if isinstance(choice, dict) else None
        if (choice == "required" and not tools) or (named and named not in {tool.name for tool in tools}):
            data = {**data, "tool_choice": "auto"}
        return replace(self, data=data, abilities=replace(self.abilities, tools=tools))

    def names(self, call: IncomingCall) -> dict[str, Any]:
        """Return what the templates of this agent see in a call, with the lookup's defaults."""
        return names(self.data, call)


def names(data: Mapping[str, Any], call: IncomingCall) -> dict[str, Any]:
    """Return what templates see: the variables, what a lookup may find, `call` and `agent`."""
    looked_up = (data.get("lookup") or {}).get("defaults", {})
    return {**data.get("variables", {}), **looked_up, "call": call, "agent": {"name": data.get("name", "")}}


def construct(
    data: Mapping[str, Any],
    *,
    file: str,
    digest: str,
    instructions: str,
    answers: tuple[Rule, ...],
    abilities: Abilities,
) -> AgentDefinition:
    """Make a definition from checked and complete data."""
    greeting = data["greeting"]
    if isinstance(greeting, str):
        greeting = {"text": greeting, "interruptible": True, "wait_for_caller": False}
    return AgentDefinition(
        name=data["name"],
        file=file,
        digest=digest,
        data=data,
        answers=answers,
        instructions=template(instructions),
        greeting=None
        if greeting is None
        else Greeting(template(greeting["text"]), greeting["interruptible"], greeting["wait_for_caller"]),
        abilities=abilities,
        hours=hours_in(data),
    )


def rules_of(
    answers: Iterable[str | Mapping[str, Any]],
    hours: Mapping[str, Hours],
    place: Callable[[Path], Place],
) -> tuple[Rule, ...]:
    """Return the rules of checked `answers`, each with its place, without those that name unknown hours."""
    return tuple(
        rule for index, written in enumerate(answers) for rule in _rules(written, hours, place(("answers", index)))
    )


def _rules(written: str | Mapping[str, Any], hours: Mapping[str, Hours], place: Place) -> list[Rule]:
    """Return one rule for each called number that a written rule names."""
    if isinstance(written, str):
        return [Rule(written, line=place.line, column=place.column, file=place.file)]
    if not {written[key] for key in ("hours", "outside") if key in written} <= hours.keys():
        return []  # with a condition less it would clash with rules that it never meets
    callers = tuple(dict.fromkeys(_as_list(written.get("caller", ()))))
    headers = tuple(sorted((name.lower(), value) for name, value in written.get("headers", {}).items()))
    every_caller = () if "*" in callers else callers
    called = dict.fromkeys(_as_list(written.get("called", "*")))
    counts = opening(written, hours)
    at = place.line, place.column, place.file
    return [Rule(number, every_caller, headers, counts, *at) for number in called]


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
