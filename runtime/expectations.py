"""What happened in a played scenario beside what was expected of it: differences in plain words. Pure comparison.

Whoever plays it, script, text model or the real service, hands in the same `Played`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.foreign import data_in
from runtime.receipt import Row
from runtime.scenarios import ENDED_BY, Expectation, Response, Scenario, Turn, Use
from runtime.session import GREETING
from runtime.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent said in one response. `line` names a declared line, such as `greeting`; `""`: the model's own."""

    text: str
    line: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """A tool that the model used: its arguments as the model wrote them, and its result, None when none came."""

    tool: str
    arguments: str = "{}"
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing in a call's conversation, for people: `who` is caller, agent, tool, result, call, host or log."""

    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Received:
    """The receipt as it stands at a turn's end, and the instructions that the service holds then."""

    rows: tuple[Row, ...] = ()
    greeting: str | None = None
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class PlayedTurn:
    """What happened in one turn, until nothing more did. `milliseconds` is the time until the agent was heard.

    `agent` has the caller at the turn's end; `outcome` is `""` while the call goes on then, and `reason` says more of
    it. Not `reached`: the call was over before. `unasked` counts the turn's last model responses that the model was
    never asked for, `impossible` are those that no model can make, each with what stands there and why not, and
    `broken` tells of tools that raised or took too long. `missed` is what the turn's deed should have come upon and
    what was there instead, such as an agent who speaks, or nothing. `not_here` says why the turn cannot be played
    where it was, so that nothing is judged.
    """

    agent: str = ""
    said: tuple[Said, ...] = ()
    used: tuple[Used, ...] = ()
    handoffs: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    milliseconds: float | None = None
    outcome: str = ""
    reason: str = ""
    reached: bool = True
    unasked: int = 0
    impossible: tuple[tuple[Response, str, str], ...] = ()
    broken: tuple[str, ...] = ()
    missed: tuple[str, str] | None = None
    not_here: str = ""
    received: Received = Received()
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """What happened in a scenario's calls. `turns` are its own, one for each; `opening` came before the first.

    `outcome` is that of the last call, `""` when it went on to the scenario's end, and `reason` says more of it.
    `broken` says why what happened is of no worth: who plays the model gave no answer.
    """

    turns: tuple[PlayedTurn, ...]
    opening: PlayedTurn = PlayedTurn()
    outcome: str = ""
    reason: str = ""
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that went otherwise than expected: where that is written, what was expected, and what came instead.

    `turn` counts from 0. One that `is_skipped` could not be judged, for the reason in `instead`, and is never a pass.
    """

    file: str
    line: int
    column: int
    turn: int
    field: str
    expected: str
    instead: str
    is_skipped: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a judging model is asked about one expectation: whether a statement holds.

    `conversation` is all of the call so far, as `caller: …`, `agent: …`, `tool: …` and `result: …`, and what of it the
    statement is about.
    """

    turn: int
    statement: str
    conversation: str


Verdicts = Mapping[Question, Verdict]


def questions(scenario: Scenario, played: Played) -> list[Question]:
    """Return what a judging model must be asked, in the turns' order."""
    asked = [_question(scenario, played, at, each) for at, each in _expectations(scenario) if _is_judged(each)]
    return [one for one in asked if played.turns[one.turn].reached]


def compare(scenario: Scenario, played: Played, verdicts: Verdicts | None = None) -> list[Difference]:
    """Return what went otherwise than expected, by turn, with what could not be judged."""
    found: list[Difference] = []
    for at, turn in enumerate(scenario.turns):
        found += _not_come_about(scenario, played.turns[at], at)
        if played.turns[at].not_here:
            continue
        comparison = _Comparison(scenario, played, at, verdicts or {})
        judged = [comparison.judge(each) for each in turn.expect]
        differing = [each for each in judged if each is not None]
        found += differing or _unreached(scenario, played, at)
    return found


def _not_come_about(scenario: Scenario, played: PlayedTurn, at: int) -> Iterator[Difference]:
    """Yield what the caller and the model could not do as it is written, and the tools that broke."""
    turn = scenario.turns[at]
    field = _field_of(turn)
    if played.missed:
        yield Difference(scenario.file, turn.line, turn.column, at, field, *played.missed)
    if played.not_here:
        told = "the turn is played", played.not_here
        yield Difference(scenario.file, turn.line, turn.column, at, field, *told, is_skipped=True)
    for response, expected, why_not in played.impossible:
        yield Difference(scenario.file, response.line, response.column, at, "model", expected, why_not)
    for number in range(len(turn.model) - played.unasked, len(turn.model)):
        response, why = turn.model[number], _why_unasked(scenario, at, number)
        told = "the model does what stands here", f"the model was not asked for it{why}"
        yield Difference(scenario.file, response.line, response.column, at, "model", *told)
    for broken in played.broken:
        yield Difference(scenario.file, turn.line, turn.column, at, "tools", "every tool gives a result", broken)


def _why_unasked(scenario: Scenario, at: int, number: int) -> str:
    """Return what an author may have taken for granted who wrote a response that nobody asked for, or `""`."""
    turn, following = scenario.turns[at], scenario.turns[at + 1 : at + 2]
    if number and not turn.model[number - 1].uses:
        return ": what it only says ends its part. Write both in one response"
    if following and following[0].cuts_in:
        return f": the turn in line {following[0].line} came first. Write it there"
    return ""


def _unreached(scenario: Scenario, played: Played, at: int) -> Iterator[Difference]:
    """Yield that a turn was never played, whatever it expects, but for one that judges the end and does nothing else.

    To say nothing, and to hang up, changes no call that is over; a reload happens without one.
    """
    turn = scenario.turns[at]
    judges_end = any(each.field == "ended_by" for each in turn.expect)
    deed = turn.deed.kind if turn.deed else ""
    does_nothing = deed in ("", "reload") or (judges_end and deed in ("silent", "hangs_up"))
    if not played.turns[at].reached and (turn.model or not does_nothing):
        told = "the turn is played", f"the call was over before: {_how_it_ended(played.turns[at])}"
        yield Difference(scenario.file, turn.line, turn.column, at, _field_of(turn), *told)


def _field_of(turn: Turn) -> str:
    """Return the field in which a turn says what is done."""
    return "connection" if turn.deed and turn.deed.kind == "connection" else "caller"


def _expectations(scenario: Scenario) -> list[tuple[int, Expectation]]:
    return [(at, each) for at, turn in enumerate(scenario.turns) for each in turn.expect]


def _is_judged(expectation: Expectation) -> bool:
    return expectation.field.rpartition(".")[2] == "judge"


def _question(scenario: Scenario, played: Played, at: int, expectation: Expectation) -> Question:
    so_far = [
        moment
        for turn in _of_the_same_call(scenario, played, at, until=at + 1)
        for moment in turn.moments
        if moment.who in ("caller", "agent", "tool", "result")
    ]
    told = "\n".join(f"{moment.who}: {moment.what}" for moment in so_far)
    turn = played.turns[at]
    match expectation.field:
        case "greeting.judge":
            greetings = " ".join(_greetings(scenario, played, at))
            told += f"\n\nJudge nothing but the agent's greeting: {greetings or '(none)'}"
        case "says.judge":
            said = " ".join(said.text for said in turn.said)
            told += f"\n\nJudge nothing but these words of the agent: {said or '(none)'}"
        case "receipt.instructions.judge":
            told = f"The agent's instructions, which alone are to be judged:\n{turn.received.instructions}"
    return Question(at, expectation.wanted, told)


def _greetings(scenario: Scenario, played: Played, at: int) -> list[str]:
    """Return the greetings of the call that a turn belongs to."""
    turns = _of_the_same_call(scenario, played, at)
    return [said.text for turn in turns for said in turn.said if said.line == GREETING]


def _of_the_same_call(
    scenario: Scenario, played: Played, at: int, *, until: int | None = None
) -> tuple[PlayedTurn, ...]:
    """Return what was played of the call that a turn belongs to: from one ringing to the next, or before `until`."""
    rings = [number for number, turn in enumerate(scenario.turns) if turn.rings]
    first = max((number for number in rings if number <= at), default=None)
    end = until or min((number for number in rings if number > at), default=len(played.turns))
    return (played.opening, *played.turns[:end]) if first is None else played.turns[first:end]


@dataclass(slots=True)
class _Comparison:
    """One turn's expectations beside what happened, judged one after the other."""

    scenario: Scenario
    played: Played
    at: int
    verdicts: Verdicts
    turn: PlayedTurn = field(init=False)
    wishes: list[Use] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.turn = self.played.turns[self.at]

    def judge(self, each: Expectation) -> Difference | None:
        """Return the difference of one expectation, or None where all is as it should be."""
        if _is_judged(each):
            return self._judged(each)
        name, _, how = each.field.partition(".")
        told = _TOLD[name](self, how, each.wanted)
        if not self.turn.reached and name not in _OF_THE_CALL:  # nothing happened, so nothing can be as it should
            told = (told[0] if told else "the turn is played", self._over())
        return self._difference(each, *told) if told else None

    def _difference(self, each: Expectation, expected: str, instead: str, *, is_skipped: bool = False) -> Difference:
        where = self.scenario.file, each.line, each.column, self.at, each.field
        return Difference(*where, expected, instead, is_skipped)

    def _over(self) -> str:
        return f"the call was over before this turn: {_how_it_ended(self.turn)}"

    def _judged(self, each: Expectation) -> Difference | None:
        expected = f"the judge agrees: “{each.wanted}”"
        if not self.turn.reached:
            return self._difference(each, expected, self._over())
        verdict = self.verdicts.get(_question(self.scenario, self.played, self.at, each))
        if verdict is None or verdict.passed is None:
            why = verdict.reason if verdict else ""
            return self._difference(each, expected, why or "there is no judging model here", is_skipped=True)
        return None if verdict.passed else self._difference(each, expected, f"the judge does not: {verdict.reason}")

    # ── each returns what was expected and what came instead, or None ─────────────────────────────────────────

    def agent(self, _: str, wanted: str) -> "_Told":
        has = self.turn.agent
        instead = f"{has} has the caller" if has else f"nobody has: {_how_it_ended(self.turn)}"
        return None if has == wanted else (f"{wanted} has the caller", instead)

    def greeting(self, how: str, wanted: str) -> "_Told":
        said = _greetings(self.scenario, self.played, self.at)
        return words_differ(how, wanted, said, "the greeting says", "no greeting was said")

    def says(self, how: str, wanted: str) -> "_Told":
        return words_differ(how, wanted, [said.text for said in self.turn.said], "the agent says", "it said nothing")

    def calls(self, _: str, wanted: Use) -> "_Told":
        expected = f"{wanted.tool} is called{_with(wanted.arguments)}"
        same = [used for used in self.turn.used if used.tool == wanted.tool]
        if any(_fits(wanted, used) for used in same):
            return None if self._has_its_own(wanted) else (f"{expected}, beside the others", _often(len(same)))
        if same:
            return expected, "; ".join(f"it was called{arguments_told(used.arguments)}" for used in same)
        others = ", ".join(dict.fromkeys(used.tool for used in self.turn.used))
        instead = f"only {others} was called" if others else "no tool was called"
        return expected, instead + self._used_before(wanted.tool)

    def _used_before(self, tool: str) -> str:
        """Return in which turn before this one a tool was used last, for who looks for it where its result came."""
        before = [at for at in range(self.at) if any(used.tool == tool for used in self.played.turns[at].used)]
        return f"; {tool} was called in the turn in line {self.scenario.turns[before[-1]].line}" if before else ""

    def _has_its_own(self, wanted: Use) -> bool:
        """Tell whether there is a use for each that was expected so far: what is expected twice is called twice.

        `taken` says by the use's place which of the `wishes` has it.
        """
        self.wishes.append(wanted)
        return _assigned(len(self.wishes) - 1, self.wishes, self.turn.used, self.taken, set())

    def not_called(self, _: str, wanted: str) -> "_Told":
        found = [used for used in self.turn.used if used.tool == wanted]
        told = "; ".join(f"it was called{arguments_told(used.arguments)}" for used in found)
        return (f"{wanted} is not called", told) if found else None

    def handoff(self, _: str, wanted: str) -> "_Told":
        return _among(
            wanted, self.turn.handoffs, f"the caller is handed over to {wanted}", "the caller was handed over to nobody"
        )

    def transfer(self, _: str, wanted: str) -> "_Told":
        return _among(
            wanted,
            self.turn.transfers,
            f"the caller is put through to {wanted}",
            "the caller was put through to nobody",
        )

    def ended_by(self, _: str, wanted: str) -> "_Told":
        expected = f"the call has ended, {_BY[wanted]}"
        if not self.turn.outcome:
            return expected, "it had not ended"
        return None if ENDED_BY[self.turn.outcome] == wanted else (expected, _how_it_ended(self.turn))

    def within_ms(self, _: str, wanted: float) -> "_Told":
        took, expected = self.turn.milliseconds, f"the agent is heard within {wanted:g} ms"
        if took is None:
            return expected, "it was not heard"
        return None if took <= wanted else (expected, f"it took {took:,.0f} ms")

    def receipt(self, how: str, wanted: Any) -> "_Told":
        name, _, below = how.partition(".")
        received = self.turn.received
        if name == "greeting":
            told = f"it is {received.greeting}" if received.greeting else "no greeting was said to its end"
            return None if received.greeting == wanted else (f"the greeting is {wanted}, compared with the file", told)
        if not received.rows:
            return _receipt_words(name, wanted), "the service confirmed nothing"
        if name == "agrees":
            return _agreement(received.rows, wanted)
        if name == "instructions":
            return words_differ(below, wanted, [received.instructions], "the instructions say", "there are none")
        confirmed = next(row.confirmed for row in received.rows if row.field == name)
        if name == "tools":
            there = f"it has {', '.join(confirmed)}" if confirmed else "it has none"
            return None if wanted in confirmed else (f"the model has the tool {wanted}", there)
        return None if _covers(wanted, confirmed) else (_receipt_words(name, wanted), f"it is {_json(confirmed)}")


_Told = tuple[str, str] | None

_TOLD: dict[str, Callable[[_Comparison, str, Any], _Told]] = {
    "agent": _Comparison.agent,
    "greeting": _Comparison.greeting,
    "says": _Comparison.says,
    "calls": _Comparison.calls,
    "not_called": _Comparison.not_called,
    "handoff": _Comparison.handoff,
    "transfer": _Comparison.transfer,
    "ended_by": _Comparison.ended_by,
    "within_ms": _Comparison.within_ms,
    "receipt": _Comparison.receipt,
}
_OF_THE_CALL = {"agent", "greeting", "ended_by", "receipt"}

_BY = {
    "caller": "by the caller",
    "agent": "by the agent",
    "silence": "by silence",
    "duration": "because it was too long",
    "transfer": "by a transfer",
    "no_agent": "because no agent answers",
    "capacity": "because there are too many calls",
    "tools": "because a server of tools is away",
    "service": "by the service",
    "host": "by the host",
}


def how_it_ended(outcome: str, reason: str) -> str:
    """Return how a call ended in a few words, with the reason where there is one."""
    if not outcome:
        return "it went on to the scenario's end"
    return f"it ended {_BY[ENDED_BY[outcome]]}" + (f" ({reason})" if reason else "")


def _how_it_ended(turn: PlayedTurn) -> str:
    return how_it_ended(turn.outcome, turn.reason)


def words_differ(how: str, wanted: str, said: Sequence[str], says: str, nothing: str) -> tuple[str, str] | None:
    """Compare what was said with words that it should contain, a regular expression, or words that are absent.

    `says` begins the sentence about it: `the agent says`.
    """
    text, shown = _plain(" ".join(said)), _shortened(" ".join(wanted.split()))
    instead = f"it was “{_shortened(' '.join(' '.join(said).split()))}”" if said else nothing
    if how == "contains":
        return None if _plain(wanted) in text else (f"{says} “{shown}”", instead)
    if how == "matches":
        fits = re.search(wanted, " ".join(" ".join(said).split()), re.IGNORECASE) is not None
        return None if fits else (f"{says} what fits {shown}", instead)
    assert how == "absent", f"nothing compares words by '{how}'"
    return (f"{says} nothing of “{shown}”", instead) if _plain(wanted) in text else None


_CURLED = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "\u00a0": " "})
_LONGEST = 400  # characters of what was said, in a sentence about it


def _plain(text: str) -> str:
    return " ".join(text.translate(_CURLED).casefold().split())


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _among(wanted: str, found: Iterable[str], expected: str, nobody: str) -> tuple[str, str] | None:
    names = list(found)
    return None if wanted in names else (expected, f"it was {', '.join(names)}" if names else nobody)


def _covers(wanted: Any, found: Any) -> bool:
    """Tell whether what is wanted is there: mappings by key, numbers by value, anything else as it is."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(key in found and _covers(value, found[key]) for key, value in wanted.items())
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(wanted == found)


def _fits(wanted: Use, used: Used) -> bool:
    return used.tool == wanted.tool and _covers(wanted.arguments, data_in(used.arguments, used.arguments))


def _assigned(wish: int, wishes: Sequence[Use], used: Sequence[Used], taken: dict[int, int], seen: set[int]) -> bool:
    """Give a wish a use that fits it, if need be one of another wish that can take a third."""
    for at, each in enumerate(used):
        if at not in seen and _fits(wishes[wish], each):
            seen.add(at)
            if at not in taken or _assigned(taken[at], wishes, used, taken, seen):
                taken[at] = wish
                return True
    return False


def _often(times: int) -> str:
    return "it was called only once" if times == 1 else f"it was called only {times} times"


def arguments_told(written: str) -> str:
    """Return a tool's arguments, written as JSON, for people: ` with people: 4`, or `""` for none."""
    return _with(data_in(written, written))


def _with(arguments: Any) -> str:
    if not isinstance(arguments, Mapping):
        return f" with {arguments!s}"
    told = ", ".join(f"{name}: {_json(value)}" for name, value in arguments.items())
    return f" with {told}" if told else ""


def _agreement(rows: Iterable[Row], wanted: bool) -> _Told:
    differing = [row for row in rows if not row.agrees]
    if (not differing) is wanted:
        return None
    told = [f"{row.field} is {_json(row.confirmed)}, declared {_json(row.declared)}" for row in differing]
    all_or_not = "all as declared" if wanted else "something otherwise than declared"
    return f"the service confirmed {all_or_not}", "; ".join(told) or "all is as declared"


def _receipt_words(name: str, wanted: Any) -> str:
    return (
        "the service confirmed the session" if name == "agrees" else f"the {name.replace('_', ' ')} is {_json(wanted)}"
    )


def _json(value: Any) -> str:
    return value if isinstance(value, str) else "off" if value is None else json.dumps(value, ensure_ascii=False)
