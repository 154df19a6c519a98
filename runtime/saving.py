"""A conversation as a scenario: what the caller did and the model answered, in the words of scenario files. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_HAND_OFF = "hand_off_to_"
_ENDED_BY = {
    "caller_hung_up": "caller", "agent_hung_up": "agent", "silent": "silence", "nobody_spoke": "silence",
    "too_long": "duration", "transferred": "transfer", "no_agent": "no_agent", "over_capacity": "capacity",
    "tools_unavailable": "tools",
}  # fmt: skip
"""Who or what ended a call, by its outcome; the host, where it failed."""

Use = tuple[str, str]
"""A tool's name and its arguments as JSON text."""


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
        moves = [name.removeprefix(_HAND_OFF) for name, _ in used if name.startswith(_HAND_OFF)]
        calls = [_call(name, arguments) for name, arguments in used if not name.startswith(_HAND_OFF)]
        response: dict[str, Any] = {"says": _one(said)} if said else {}
        response |= {"calls": _one(calls)} if calls else {}
        response |= {"hands_off": moves[0]} if moves else {}
        if not self._turns or "expect" in self._turns[-1]:
            self._turns.append({})
        self._turns[-1].setdefault("model", []).append(response)

    def scenario(self, name: str, call: Mapping[str, Any], outcome: str) -> dict[str, Any]:
        """Return the whole conversation as one scenario; `outcome` is how the call ended."""
        turns = [_turn(turn) for turn in self._turns] or [{}]
        turns[-1].setdefault("expect", {})["ended_by"] = _ENDED_BY.get(outcome, "host")
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
