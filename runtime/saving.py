"""A conversation as a scenario: what the caller did and the model answered, in the words of scenario files. Pure.

What scenario files cannot hold is left out and told: a model may answer with anything.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime import document, scenarios
from runtime.built_in import HAND_OFF
from runtime.errors import SettingsError
from runtime.foreign import data_in
from runtime.scenarios import ENDED_BY, ScenarioFile
from runtime.session import is_models_own, line_of

MAX_WRITTEN = 10_000  # characters of one answer or one tool's arguments; nobody says so much

_SHOWN = 60  # characters of what was left out
_ENDS_A_CALL = {"hang_up", "transfer"}

Use = tuple[str, str]
"""A tool's name and its arguments as JSON text."""


def outputs_of(response: Mapping[str, Any]) -> list[str | Use]:
    """Return what the model did by itself in a response, as `response.done` tells it: words and uses of tools."""
    items = response.get("output") or () if is_models_own(line_of(response)) else ()
    outputs: list[str | Use] = []
    for item in (item for item in items if isinstance(item, Mapping)):
        if item.get("type") == "function_call":
            outputs.append((str(item.get("name", "")), str(item.get("arguments", ""))))
        elif item.get("type") == "message":
            parts = item.get("content") or ()
            known = (part for part in parts if isinstance(part, Mapping))
            words = " ".join(str(part.get("transcript") or part.get("text") or "") for part in known).strip()
            outputs += [words] if words else []
    return outputs


@dataclass(frozen=True, slots=True)
class Saved:
    """A conversation as a scenario, with a sentence for each thing that is left out of it."""

    scenario: dict[str, Any]
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class _Turn:
    caller: dict[str, Any] = field(default_factory=dict)
    model: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    expect: dict[str, Any] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """Return the turn in the words of scenario files."""
        expect = ({"calls": _one(self.calls)} if self.calls else {}) | self.expect
        fields = {"caller": self.caller, "model": _one(self.model), "expect": expect}
        return {name: value for name, value in fields.items() if value}


class Conversation:
    """Takes down one call as it goes, turn by turn: whatever happens is told when it happens."""

    def __init__(self) -> None:
        self._opening = _Turn()
        self._turns: list[_Turn] = []
        self._tools: Mapping[str, str] = {}
        self._knows_all = False
        self._found: dict[str, Any] = {}
        self._left_out: list[str] = []
        self._is_ending = False

    def answered(self, agent: str, tools: Mapping[str, str], *, has_servers: bool = False) -> None:
        """Who took the call. `tools` are those of its agents: by name, which one of ours it is, or `""`. Servers have
        others, whose names nobody knows."""
        self._opening.expect["agent"] = agent
        self._tools, self._knows_all = tools, not has_servers

    def looked_up(self, found: Mapping[str, Any]) -> None:
        """What the agent's lookup found, which is given again when the scenario is played."""
        if _fits({"tools": {"lookup": {"result": dict(found)}}}):
            self._found = dict(found)
        else:
            self._leave_out("what the lookup found, which no scenario can hold")

    def greeted(self, greeting: str) -> None:
        """The greeting was heard to its end."""
        expected = {"greeting": {"contains": greeting}}
        if _fits({"turns": [{"expect": expected}]}):
            self._opening.expect |= expected

    def caller(self, what: str, value: Any) -> None:
        """What the caller does: `says`, `interrupts`, `keys`, `silent` or `hangs_up`. Words are never blank."""
        self._turns.append(_Turn({what: _plain(value) if isinstance(value, str) else value}))
        self._is_ending = self._is_ending and what == "hangs_up"

    def model(self, outputs: Sequence[str | Use]) -> None:
        """What the model does in one response of its own; lines that the host asks for are none."""
        said = [words for words in map(self._words, (one for one in outputs if isinstance(one, str))) if words]
        used = [use for use in map(self._use, (one for one in outputs if not isinstance(one, str))) if use]
        moves = [use["tool"] for use in used if use["tool"].startswith(HAND_OFF)]
        response: dict[str, Any] = {"says": _one(said)} if said else {}
        if len(moves) == 1 and used[-1]["tool"] == moves[0]:  # otherwise they are written as the tools that they are
            used, response = used[:-1], {**response, "hands_off": moves[0].removeprefix(HAND_OFF)}
        response = {**response, "calls": _one(used)} if used else response
        self._is_ending = any(self._tools.get(use["tool"]) in _ENDS_A_CALL for use in used)
        if not outputs:
            self._leave_out("an empty answer, in which the model does nothing")
        if response:
            self._turn.model.append(response)

    def used(self, tool: str, arguments: str) -> None:
        """A tool was called."""
        use = None if tool.startswith(HAND_OFF) else self._use((tool, arguments))
        self._turn.calls += [use] if use else []

    def handed_off(self, agent: str) -> None:
        """Another agent has the caller."""
        self._turn.expect["handoff"] = agent

    def transferred(self, destination: str) -> None:
        """The caller is being put through."""
        self._turn.expect["transfer"] = destination

    def saved(self, name: str, call: Mapping[str, Any], outcome: str) -> Saved:
        """Return the whole conversation as one scenario; `outcome` is how the call ended.

        A caller who hangs up while the agent is about to end the call is quicker than any scenario can be: who ends
        it is not expected then.
        """
        turns = [turn for turn in (self._opening, *self._turns) if turn.written()] or [_Turn()]
        ended_by = ENDED_BY.get(outcome, "host")
        hung_up = any("hangs_up" in turn.caller for turn in turns) and not self._is_ending
        if ended_by != "caller" or hung_up:
            turns[-1].expect["ended_by"] = ended_by
        written = {"scenario": name, "call": self._call(call), "turns": [turn.written() for turn in turns]}
        written |= {"tools": {"lookup": {"result": self._found}}} if self._found else {}
        return Saved(written, tuple(dict.fromkeys(self._left_out)))

    # ── what scenario files can hold ──────────────────────────────────────────────────────────────────────────

    @property
    def _turn(self) -> _Turn:
        if not self._turns:
            self._turns.append(_Turn())
        return self._turns[-1]

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        kept = {}
        for name, value in call.get("headers", {}).items():
            if _fits({"call": {"called": "+15550100001", "headers": {name: value}}}):
                kept[name] = value
            else:
                self._left_out.append(f"the call: its header {_shown(name)}, whose name or value no scenario can hold")
        return {**call, "headers": kept} if kept else {key: each for key, each in call.items() if key != "headers"}

    def _words(self, words: str) -> str:
        if len(words) > MAX_WRITTEN:
            self._leave_out(f"an answer of {len(words):,} characters, more than {MAX_WRITTEN:,}")
            return ""
        kept = words if words.strip() and _fits({"turns": [{"model": {"says": words}}]}) else _plain(words).strip()
        if not kept:
            self._leave_out("an answer whose words no scenario can hold")
        return kept

    def _use(self, use: Use) -> dict[str, Any] | None:
        name, arguments = use
        written = {"tool": name}
        if not self._is_known(name) or not _fits({"turns": [{"model": {"calls": name}}]}):
            self._leave_out(f"the tool {_shown(name)}, which no agent of this call has")
            return None
        read = _read(arguments)
        whole = {**written, "arguments": read} if read else written
        if read is None or len(arguments) > MAX_WRITTEN or not _fits({"turns": [{"model": {"calls": whole}}]}):
            self._leave_out(f"the arguments of {name}, which no scenario can hold: {_shown(arguments)}")
            return written
        return whole

    def _is_known(self, tool: str) -> bool:
        return tool in self._tools or not (self._knows_all or tool.startswith(HAND_OFF))

    def _leave_out(self, what: str) -> None:
        number = len([turn for turn in (self._opening, *self._turns) if turn.written()])
        self._left_out.append(f"turn {max(1, number)}: {what}")


def _read(arguments: str) -> dict[str, Any] | None:
    read = data_in(arguments or "{}")
    return read if isinstance(read, dict) else None


def _fits(part: Mapping[str, Any]) -> bool:
    """Tell whether a scenario with this part can be written, and is read as the same."""
    whole = [{"scenario": "x", "call": {"called": "+15550100001"}, "turns": [{"expect": {"agent": "x"}}], **part}]
    try:
        read = _understood(document.write(whole).encode("utf-8", "replace"), "")
    except RecursionError:  # a model may nest as deeply as it likes
        return False
    return isinstance(read, ScenarioFile) and bool(read.document.data == whole)


def _plain(text: str) -> str:
    """Return words without signs that do not belong into a text file."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _shown(text: str) -> str:
    """Return something that a model invented as it can stand in a comment: in one line, and short."""
    return json.dumps(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _one(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def demand_scenarios(before: bytes, file: str) -> None:
    """Raise `SettingsError` for a file that no scenario can be added to."""
    if not _is_blank(before):
        _indent(_demanded(before, file), before, file)


def addition(before: bytes, file: str, saved: Saved) -> bytes:
    """Return what to write behind a file's bytes, so that its last scenario is the saved one, by a name of its own.

    What the file holds stays as it is, with its comments and its layout. Raises `SettingsError` for a file that no
    scenario can be added to.
    """
    read = None if _is_blank(before) else _demanded(before, file)
    indent = _indent(read, before, file) if read else ""
    names = {scenario.name for scenario in read.scenarios} if read else set()
    scenario = {**saved.scenario, "scenario": _new_name(str(saved.scenario["scenario"]), names)}
    comments = [f"# Left out here, in {told}." for told in saved.left_out]
    lines = [*comments, *document.write([scenario]).rstrip("\n").split("\n")]
    gap = "" if not before else "\n" if before.endswith(b"\n") else "\n\n"
    text = gap + "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
    more = text.replace("\n", "\r\n" if b"\r\n" in before else "\n").encode()
    after = _understood(before + more, file)
    if isinstance(after, str) or after.document.data != [*(read.document.data if read else ()), scenario]:
        raise _refused(file, "has no room for this conversation" if isinstance(after, str) else "cannot be added to")
    return more


def _is_blank(text: bytes) -> bool:
    """Tell whether a file has nothing but comments."""
    return all(not line.strip() or line.lstrip().startswith(b"#") for line in text.splitlines())


def _demanded(before: bytes, file: str) -> ScenarioFile:
    read = _understood(before, file)
    if isinstance(read, str):
        raise _refused(file, f"is no scenario file that could be added to: {read}")
    return read


def _indent(read: ScenarioFile, before: bytes, file: str) -> str:
    """Return what stands before each scenario of the list. Raises `SettingsError` for a list in brackets."""
    place = read.document.place(())
    line = before.decode("utf-8-sig").split("\n")[place.line - 1]
    if not re.match(r" *-\s", line):
        raise _refused(file, "is a list in brackets, which nothing can be added to")
    return " " * (place.column - 1)


def _understood(raw: bytes, file: str) -> ScenarioFile | str:
    """Return what scenario file some bytes are, or why they are none."""
    read, problems = scenarios.read(raw, file)
    if read is not None:
        return read
    first = problems[0]
    return f"line {first.line}: {first.field}: {first.message}" if first.field else first.message


def _refused(file: str, why: str) -> SettingsError:
    return SettingsError(f"'{file}'", why, "Name another file.")


def _new_name(name: str, names: set[str]) -> str:
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name}, {number}"
    return found
