"""A conversation as a scenario: what the caller did and the model answered, in the words of scenario files. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.built_in import HAND_OFF
from runtime.scenarios import ENDED_BY
from runtime.session import LINE, is_models_own

Use = tuple[str, str]
"""A tool's name and its arguments as JSON text."""


def outputs_of(response: Mapping[str, Any]) -> list[str | Use]:
    """Return what the model did by itself in a response, as `response.done` tells it: words and uses of tools."""
    line = (response.get("metadata") or {}).get(LINE)
    items = response.get("output") or () if is_models_own(line) else ()
    outputs: list[str | Use] = []
    for item in items:
        if item.get("type") == "function_call":
            outputs.append((str(item.get("name", "")), str(item.get("arguments", ""))))
        elif item.get("type") == "message":
            parts = item.get("content") or ()
            words = " ".join(str(part.get("transcript") or part.get("text") or "") for part in parts).strip()
            outputs += [words] if words else []
    return outputs


class Conversation:
    """Takes down one call as it goes, turn by turn."""

    def __init__(self) -> None:
        self._turns: list[dict[str, Any]] = []

    def greeted(self, agent: str, greeting: str | None) -> None:
        """Who took the call, and with which words."""
        expected = {"agent": agent} | ({"greeting": {"contains": greeting}} if greeting else {})
        self._turns.append({"expect": expected})

    def caller(self, what: str, value: Any) -> None:
        """What the caller does: `says`, `interrupts`, `keys`, `silent` or `hangs_up`."""
        self._turns.append({"caller": {what: value}})

    def model(self, outputs: Sequence[str | Use]) -> None:
        """What the model does in one response of its own; lines that the host asks for are none."""
        said = [output for output in outputs if isinstance(output, str)]
        used = [output for output in outputs if not isinstance(output, str)]
        moves = [name.removeprefix(HAND_OFF) for name, _ in used if name.startswith(HAND_OFF)]
        calls = [_call(name, arguments) for name, arguments in used if not name.startswith(HAND_OFF)]
        response: dict[str, Any] = {"says": _one(said)} if said else {}
        response |= {"calls": _one(calls)} if calls else {}
        response |= {"hands_off": moves[0]} if moves else {}
        if not self._turns or "expect" in self._turns[-1]:
            self._turns.append({})
        self._turns[-1].setdefault("model", []).append(response)

    def scenario(self, name: str, call: Mapping[str, Any], outcome: str) -> dict[str, Any]:
        """Return the whole conversation as one scenario; `outcome` is how the call ended."""
        turns = [_turn(turn) for turn in self._turns] or [{}]
        turns[-1].setdefault("expect", {})["ended_by"] = ENDED_BY.get(outcome, "host")
        return {"scenario": name, "call": dict(call), "turns": turns}


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn with what is to be expected of any model: the tools that were used, and where the call went."""
    responses = turn.get("model", [])
    told = {**turn, "model": _one(responses)} if responses else dict(turn)
    calls = [one for response in responses for one in _listed(response.get("calls"))]
    transfers = [one.get("arguments", {}) for one in calls if one["tool"] == "transfer"]
    places = [arguments["destination"] for arguments in transfers if "destination" in arguments]
    moves = [response["hands_off"] for response in responses if "hands_off" in response]
    expected = {"calls": _one(calls)} if calls else {}
    expected |= {"handoff": moves[-1]} if moves else {}
    expected |= {"transfer": places[-1]} if places else {}
    return {**told, "expect": expected} if expected else told


def _call(name: str, arguments: str) -> dict[str, Any]:
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        read = {}
    return {"tool": name} | ({"arguments": read} if isinstance(read, dict) and read else {})


def _one(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []
