"""The stand-in: what answers in a simulated call where neither a script nor a model does. It follows simple rules.

It remembers nothing: each answer comes out of the conversation so far, so that the same words get the same answer.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from runtime.built_in import HAND_OFF
from runtime.foreign import data_in, mapping_in, text
from runtime.session import FREELY
from runtime.simulator.mind import Asked
from runtime.simulator.script import Reply, ToolUse
from runtime.understanding import Candidate, arguments_in, matching, properties, required

CONFESSION = "I am a stand-in and no model: I follow simple rules."

_FREELY = {
    "close": "I am sorry, this call ends here. Goodbye.",
    "goodbye": "Goodbye.",
    "silence": "Are you still there?",
    "unheard": "I cannot hear you, so the call ends here. Goodbye.",
    "warning": "This call has to end soon.",
    "instead": "I cannot say anything about that. What else can I do?",
}
_GOODBYE = re.compile(r"\b(good\s?bye|bye(-bye)?|see you|hang up|that('s| is|’s) (all|it)\b(?! right))", re.IGNORECASE)
_MOMENT = re.compile(r"\b(one|a|just a|wait a) (moment|minute|second)\b|\bhold on\b", re.IGNORECASE)
_NO_MORE = re.compile(r"\b(never ?mind|forget it|stop that|leave it)\b", re.IGNORECASE)
_KEYS = re.compile(r"\(The caller pressed (.+) on the keypad\.\)")
_SHOWN = 200  # characters of a result without `say`
_WHEN = "When to use it: "


@dataclass(frozen=True, slots=True)
class _Wish:
    """A tool that the caller wants used, with the arguments so far. `asked` is the one that was asked for."""

    tool: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""

    @property
    def missing(self) -> list[str]:
        return [name for name in required(self.tool) if name not in self.arguments]


class StandIn:
    """A mind of rules. `today` is the day that "tomorrow" is counted from; without one, that of the answer."""

    def __init__(self, today: date | None = None) -> None:
        self._today = today

    async def reply(self, asked: Asked) -> Reply:
        """Answer at once."""
        return answer(asked, self._today or date.today())


def answer(asked: Asked, today: date) -> Reply:
    """Return what the stand-in says or does next."""
    if line := next((_FREELY[name] for name, what in FREELY.items() if asked.instructions.endswith(what)), None):
        return line
    talk = _Talk(asked, today)
    outputs = talk.outputs()
    said = [output for output in outputs if isinstance(output, str)]
    words = " ".join(said if talk.confessed else [CONFESSION, *said])
    uses = [output for output in outputs if isinstance(output, ToolUse)]
    return (words, *uses) if words and uses else words or uses[0]


class _Talk:
    """The conversation so far, gone through once."""

    def __init__(self, asked: Asked, today: date) -> None:
        self.confessed = False
        self._today = today
        self._tools = {str(tool["name"]): tool for tool in asked.tools} if asked.may_use_tools else {}
        self._candidates = [one for tool in self._tools.values() for one in _candidates(tool)]
        self._names: dict[str, str] = {}
        self._known: dict[str, Any] = {}  # arguments of earlier calls, for those that go on from there
        self._wish: _Wish | None = None
        self._alike: list[Candidate] = []
        self._heard: list[str] = []
        self._results: list[str] = []
        for item in asked.items:
            self._take(item)

    def _take(self, item: Mapping[str, Any]) -> None:
        match item["type"], item.get("role"):
            case "message", "assistant":
                self.confessed = self.confessed or CONFESSION in _words(item)
                self._heard, self._results = [], []
            case "message", "user":
                self._hear(_words(item))
            case "function_call", _:
                self._names[item["call_id"]] = item["name"]
                self._known |= mapping_in(text(item, "arguments"))
                self._heard, self._wish = [], None
            case "function_call_output", _:
                self._results.append(_told(self._names.get(item["call_id"], "The tool"), item["output"]))

    def _hear(self, words: str) -> None:
        """Take the caller's words for a new wish, or for what an earlier one still needs."""
        self._heard.append(words)
        keys = _KEYS.fullmatch(words)
        said = re.sub(r"\W", "", keys[1]) if keys else words
        if _NO_MORE.search(said) or _GOODBYE.search(said):
            self._wish, self._alike = None, []
            return
        self._alike = [] if keys else matching(said, self._candidates)
        wish = self._wish
        if len(self._alike) == 1 and (wish is None or self._alike[0].tool is not wish.tool):
            (one,) = self._alike
            found = arguments_in(said, one.tool, properties(one.tool), self._today)
            known = {name: value for name, value in self._known.items() if name in properties(one.tool)}
            self._wish = _asking(_Wish(one.tool, {**known, **found, **one.arguments}))
        elif wish is not None:
            unknown = [name for name in properties(wish.tool) if name not in wish.arguments]
            found = arguments_in(said, wish.tool, unknown, self._today, wish.asked)
            self._wish = _asking(replace(wish, arguments={**wish.arguments, **found}))

    def outputs(self) -> list[str | ToolUse]:
        """Return what is said and used next: first what tools told, then what the caller's last words ask for."""
        told: list[str | ToolUse] = [" ".join(self._results)] if self._results else []
        if not self._heard:
            return told or ["What can I do for you?"]
        return told + self._answer(" ".join(filter(None, self._heard)))

    def _answer(self, words: str) -> list[str | ToolUse]:
        if not words:
            return [_FREELY["silence"]]
        if _GOODBYE.search(words):
            return self._goodbye()
        if _MOMENT.search(words) and "wait" in self._tools:
            return [ToolUse("wait")]
        if self._wish is not None:
            return self._use(self._wish)
        if len(self._alike) > 1:
            return [f"{_repeated(words)} That could be {_either([_label(one) for one in self._alike])}. Which one?"]
        return ["All right."] if _NO_MORE.search(words) else [_repeated(words)]

    def _use(self, wish: _Wish) -> list[str | ToolUse]:
        name = str(wish.tool["name"])
        if missing := wish.missing:
            about = str(properties(wish.tool).get(missing[0], {}).get("description", ""))
            return [f"For {name} I need {missing[0].replace('_', ' ')}. {about}".strip()]
        is_keypad = str(wish.tool.get("description", "")).startswith("Collects ")  # our own
        use = ToolUse(name, json.dumps(dict(wish.arguments), ensure_ascii=False))
        return ["Please press the keys now.", use] if is_keypad else [use]

    def _goodbye(self) -> list[str | ToolUse]:
        tool = self._tools.get("hang_up")
        if tool is None:
            return ["Goodbye."]
        is_said_for_us = "Say no goodbye yourself" in str(tool.get("description", ""))
        return [ToolUse("hang_up")] if is_said_for_us else ["Goodbye.", ToolUse("hang_up")]


def _asking(wish: _Wish) -> _Wish:
    return replace(wish, asked=next(iter(wish.missing), ""))


def _candidates(tool: Mapping[str, Any]) -> list[Candidate]:
    """Return what can be asked for with one tool: itself, or each of the places that it puts callers through to."""
    name, about = str(tool["name"]), str(tool.get("description") or "")
    if name in ("hang_up", "wait"):
        return []  # which have words of their own
    if name.startswith(HAND_OFF):
        return [Candidate(tool, name.removeprefix(HAND_OFF), about.partition(_WHEN)[2], by_purpose=2)]
    places = re.findall(r"^- ([^:\n]+): (.+)$", about, re.MULTILINE)
    if name == "transfer" and places:
        return [Candidate(tool, place, when, {"destination": place}, by_purpose=2) for place, when in places]
    return [Candidate(tool, name, about)]


def _label(one: Candidate) -> str:
    return " ".join([str(one.tool["name"]), *map(str, one.arguments.values())])


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _repeated(words: str) -> str:
    keys = _KEYS.fullmatch(words)
    return f"You pressed {keys[1]}." if keys else f"You said: “{words}”"


def _words(item: Mapping[str, Any]) -> str:
    """Return what a message says."""
    parts = (part.get("transcript") or part.get("text") or "" for part in item.get("content", ()))
    return " ".join(parts).strip()


def _told(name: str, output: str) -> str:
    """Return a tool's result as a sentence for the caller: what it says, or its content, shortly."""
    if name.startswith(HAND_OFF):
        return f"You are with {name.removeprefix(HAND_OFF)} now. What can I do for you?"
    result = data_in(output)
    if isinstance(result, dict) and isinstance(result.get("say"), str) and result["say"]:
        return str(result["say"])
    if isinstance(result, dict):
        fields = (f"{key.replace('_', ' ')} {_value(value)}" for key, value in result.items())
        return _short(f"{name} answers: {', '.join(fields) or 'nothing'}.")
    said = _value(output if result is None else result)
    return _short(f"{name} answers: {said.rstrip('.')}.")


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2].rstrip()} …"
