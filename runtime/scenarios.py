"""Scenario files: what a caller does in a call and what should happen, as frozen values with their places. Pure.

Knows neither agents nor tools: whether those that a scenario names exist is told by `runtime.cast`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runtime import document as documents
from runtime import schema as schemas
from runtime import soundness
from runtime.built_in import handoff_name
from runtime.document import Document, Path, each_of
from runtime.errors import Problem, errors
from runtime.incoming import SAMPLE_CALL

ENDINGS = (".scenarios.yaml", ".scenarios.yml")
"""How the names of scenario files end."""

ENDED_BY: Mapping[str, str] = {
    "caller_hung_up": "caller",
    "agent_hung_up": "agent",
    "transferred": "transfer",
    "silent": "silence",
    "nobody_spoke": "silence",
    "too_long": "duration",
    "no_agent": "no_agent",
    "over_capacity": "capacity",
    "tools_unavailable": "tools",
    "expired": "service",
    "gone": "caller",
    "accept_failed": "service",
    "model_unreachable": "service",
    "quota": "service",
    "attach_failed": "service",
    "not_confirmed": "service",
    "connection_lost": "service",
    "drained": "host",
    "not_taken": "host",
    "stale": "host",
    "failed": "host",
}
"""Who or what ended a call in the words of scenarios, by its outcome."""

TRANSFER_FAILURES: Mapping[str, int | None] = {
    "busy": 486,
    "no answer": 480,
    "refused": 403,
    "unknown number": 404,
    "not confirmed": None,
}
"""Why a scenario may let a transfer fail, each with the status that the service answers (protocol 5.5); None: it takes
the transfer, and nobody ever answers (protocol 3.6, trap 22)."""

SETTLED_SECONDS = 2.0
"""Of the call, after which nothing more follows in a turn by itself: longer than keys are gathered."""

_EMPTY_CURE = "Begin with '- scenario: ' and what happens in it."


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that should have happened in a turn, and where it is written.

    `field` is the author's path below `expect`, such as `says.contains` or `receipt.voice`. `wanted` is a text for
    words and names, a `Use` for `calls`, a number for `within_ms`, and a value in the service's words below `receipt`.
    """

    field: str
    wanted: Any
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Use:
    """A tool that is used, with arguments by name."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What the model does in one response: what it says, then the tools that it uses."""

    says: tuple[str, ...]
    uses: tuple[Use, ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Deed:
    """What the caller does in a turn, or what becomes of the call.

    `kind` is says, keys, silent, interrupts, hangs_up, rings_again, connection or reload; `value` its text, keys,
    seconds, text, True, True, lost or lost_for_good, or what agents' files say instead: by name a document, None for a
    file that is deleted. `audio` is a file with the words that are said, relative to the scenario's, or `""`.
    """

    kind: str
    value: Any
    audio: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. Without a deed the caller listens on."""

    deed: Deed | None
    model: tuple[Response, ...]
    expect: tuple[Expectation, ...]
    line: int
    column: int

    @property
    def cuts_in(self) -> bool:
        """Whether it begins in the middle of what happens, and not once nothing more follows."""
        return self._is("interrupts", "connection")

    @property
    def rings(self) -> bool:
        """Whether it begins another call."""
        return self._is("rings_again")

    @property
    def needs_no_call(self) -> bool:
        """Whether it can be played after a call is over."""
        return self._is("rings_again", "reload")

    @property
    def saved(self) -> Mapping[str, Document | None]:
        """What a reload saves in agents' files; nothing in any other turn."""
        return self.deed.value if self.deed and self.deed.kind == "reload" else {}

    def _is(self, *kinds: str) -> bool:
        return self.deed is not None and self.deed.kind in kinds

    @property
    def looks_back(self) -> bool:
        """Whether the turn only judges what has happened since the caller did something."""
        return self.deed is None and not self.model


@dataclass(frozen=True, slots=True)
class Canned:
    """What a tool gives instead of being run, after `delay` seconds. Not `given`: the real one runs then."""

    given: bool = False
    result: Any = None
    error: str = ""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scripted call. Times are aware; `clock` is what the host's clock shows when the call comes in.

    `canned` holds by a tool's name what it gives the first time, the second …; the last goes on. `down` are the causes
    of `on_failure` that hold in the call. `rang_before` counts the caller's calls in the hour before, `other_calls`
    those that the agent has meanwhile; `taken` holds by a tool's name for how many seconds others have all its places.
    """

    name: str
    file: str
    line: int
    column: int
    called: str
    caller: str
    headers: tuple[tuple[str, str], ...]
    at: datetime
    clock: datetime
    turns: tuple[Turn, ...]
    canned: Mapping[str, tuple[Canned, ...]] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    rang_before: int = 0
    other_calls: int = 0
    taken: Mapping[str, float] = field(default_factory=dict)
    runs: int = 1
    must_pass: int = 1


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """One file's scenarios, and its document, for the places of what it names."""

    document: Document = field(repr=False)
    scenarios: tuple[Scenario, ...]

    @property
    def file(self) -> str:
        """The file's path."""
        return self.document.file


def is_scenario_file(name: str) -> bool:
    """Tell whether a file holds scenarios, by its name."""
    return name.lower().endswith(ENDINGS)


def read(raw: bytes, file: str) -> tuple[ScenarioFile | None, list[Problem]]:
    """Read one scenario file's bytes: its scenarios, or None and every problem. Never raises for what an author wrote.

    A problem that is no error leaves the scenarios usable. Of what the schema refuses and we know more about, only the
    latter is told.
    """
    document, found = documents.read(raw, file)
    if document is None:
        return None, [replace(each, cure=_EMPTY_CURE) if each.message == documents.EMPTY else each for each in found]
    schema = schemas.load("scenario")
    exact = soundness.problems(document) if isinstance(document.data, list) else []
    found = [*exact, *(each for each in schema.check(document) if not any(_is_within(each, known) for known in exact))]
    found += [] if errors(found) else soundness.doubts(document)
    if errors(found):
        return None, sorted(set(found))
    data = schema.fill(document.data)
    scenarios = tuple(_Reader(document, index).scenario(each) for index, each in enumerate(data))
    return ScenarioFile(document, scenarios), sorted(set(found))


def _is_within(problem: Problem, other: Problem) -> bool:
    """Tell whether a problem is about the same field as another one, or about a part of that field's value."""
    return problem.field == other.field or problem.field.startswith((f"{other.field}.", f"{other.field}["))


class _Reader:
    """Reads one scenario of checked, complete data. Paths are those of the file's document."""

    def __init__(self, document: Document, index: int) -> None:
        self._document = document
        self._index = index

    def _at(self, *path: str | int, key: bool = False) -> tuple[int, int]:
        place = self._document.place((self._index, *path), key=key)
        return place.line, place.column

    def scenario(self, written: Mapping[str, Any]) -> Scenario:
        call = written["call"]
        times = [datetime.fromisoformat(each) for each in (call.get("at"), written.get("clock")) if each]
        line, column = self._at("scenario", key=True)
        meanwhile = written.get("meanwhile", {})
        return Scenario(
            name=written["scenario"],
            file=self._document.file,
            line=line,
            column=column,
            called=call["called"],
            caller=call["caller"] or "",
            headers=tuple(call["headers"].items()),
            at=times[0] if times else SAMPLE_CALL.started_at,
            clock=times[-1] if times else SAMPLE_CALL.started_at,
            turns=tuple(self._turn(number, turn) for number, turn in enumerate(written["turns"])),
            canned={tool: tuple(map(_canned, _listed(given))) for tool, given in written["tools"].items()},
            down=frozenset(_listed(written.get("down", []))),
            rang_before=written.get("before", {}).get("calls", 0),
            other_calls=meanwhile.get("calls", 0),
            taken=meanwhile.get("tools", {}),
            runs=written["runs"],
            must_pass=written.get("must_pass", written["runs"]),
        )

    def _turn(self, number: int, written: Mapping[str, Any]) -> Turn:
        model = each_of(written.get("model", []), ("turns", number, "model"))
        responses = tuple(self._response(path, each) for path, each in model)
        expect = tuple(self._expectations(number, written.get("expect", {})))
        return Turn(self._deed(number, written), responses, expect, *self._at("turns", number))

    def _deed(self, number: int, turn: Mapping[str, Any]) -> Deed | None:
        if "connection" in turn:
            return Deed("connection", turn["connection"])
        if "reload" in turn:
            return Deed("reload", {name: self._saved(number, name, edit) for name, edit in turn["reload"].items()})
        caller = turn.get("caller", {})
        audio = caller.get("audio", "")
        return next((Deed(kind, value, audio) for kind, value in caller.items() if kind != "audio"), None)

    def _saved(self, number: int, name: str, edit: Mapping[str, Any] | None) -> Document | None:
        """Return what is saved as it was written, with its places in this file."""
        return None if edit is None else self._document.below((self._index, "turns", number, "reload", name))

    def _response(self, path: Path, written: Mapping[str, Any]) -> Response:
        uses = [_use(each) for each in _listed(written.get("calls", []))]
        uses += [Use(handoff_name(written["hands_off"]))] if "hands_off" in written else []
        return Response(tuple(_listed(written.get("says", []))), tuple(uses), *self._at(*path))

    def _expectations(self, number: int, written: Mapping[str, Any]) -> Iterator[Expectation]:
        for name, value in written.items():
            read = _SPLIT.get(name, _one)
            for below, inner, wanted in read(value):
                field_name = ".".join([name, *(part for part in below if isinstance(part, str))])
                within = () if isinstance(value, list) else below  # in short, a list of words is contained
                where = ("turns", number, "expect", name, *within, *inner)
                yield Expectation(field_name, wanted, *self._at(*where))


_Found = Iterator[tuple[Path, Path, Any]]
"""Each expectation in a field: its path below the field, its place in a list, and what is wanted."""


def _one(value: Any) -> _Found:
    yield (), (), value


def _each(make: Callable[[Any], Any]) -> Callable[[Any], _Found]:
    def split(value: Any) -> _Found:
        yield from (((), at, make(each)) for at, each in each_of(value))

    return split


def _words(value: Any) -> _Found:
    """Yield what is expected of words. A text alone is contained, and so is each of a list."""
    if not isinstance(value, dict):
        yield from ((("contains",), inner, text) for _, inner, text in _each(str)(value))
        return
    for how, wanted in value.items():
        for _, inner, text in _each(str)(wanted):
            yield (how,), inner, text


def _receipt(value: Mapping[str, Any]) -> _Found:
    for name, wanted in value.items():
        if name == "instructions":
            yield from (((name, *below), inner, text) for below, inner, text in _words(wanted))
        elif name == "tools":
            yield from (((name,), (at,), tool) for at, tool in enumerate(wanted))
        else:
            yield (name,), (), wanted


def _use(written: str | Mapping[str, Any]) -> Use:
    if isinstance(written, str):
        return Use(written)
    return Use(written["tool"], written.get("arguments", {}))


def _canned(written: Mapping[str, Any]) -> Canned:
    given = "result" in written or "error" in written
    return Canned(given, written.get("result"), written.get("error", ""), float(written.get("delay", 0.0)))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_SPLIT: dict[str, Callable[[Any], _Found]] = {
    "greeting": _words,
    "says": _words,
    "calls": _each(_use),
    "not_called": _each(str),
    "receipt": _receipt,
}
