"""Our own tools as the model sees them: hang_up, transfer, keypad, take_message, wait, hand_off_to_<agent>. Pure.

What they do is the call's business (`runtime.call`); here are their names, descriptions and parameters.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from runtime.definition import ToolDefinition

_KINDS = {
    "text": "",
    "phone": " With plus and country code, such as +15550123456.",
    "number": " A whole number.",
    "date": " As an ISO date, such as 2026-11-27.",
    "email": " An e-mail address.",
}


def name_of(written: Mapping[str, Any]) -> str:
    """Return the name of an entry of `tools:` for the model; `""` for a server of tools, which names its own."""
    if "mcp" in written:
        return ""
    named = written.get("name") or written.get("use")
    return str(named or written.get("entrypoint", "").rpartition(":")[2].rpartition(".")[2])


def built_in(written: Mapping[str, Any]) -> ToolDefinition:
    """Make a tool out of a complete entry of `tools:` that has `use`."""
    description, parameters = _DESCRIBED[written["use"]](written)
    optional = {field["name"] for field in written.get("fields", ()) if not field["required"]}
    required = [name for name in parameters if name not in optional]
    schema = {"type": "object", "properties": parameters, "required": required, "additionalProperties": False}
    return ToolDefinition(name_of(written), written.get("description") or description, schema, written)


def handoff_tools(data: Mapping[str, Any]) -> tuple[ToolDefinition, ...]:
    """Make a tool for each handoff of an agent's complete data. They have no parameters.

    `written` is `{"use": "hand_off", "agent": …}`, with `announce` where the author wrote one.
    """
    return tuple(_handoff(written) for written in data.get("handoffs", ()))


def _handoff(written: Mapping[str, Any]) -> ToolDefinition:
    about = f"Hands the caller over to another agent, {written['agent']}, who goes on with the call. Say nothing more."
    return ToolDefinition(
        name=handoff_name(written["agent"]),
        description=f"{about}\nWhen to use it: {written['when']}",
        parameters={"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        written={"use": "hand_off"} | {key: written[key] for key in ("agent", "announce") if key in written},
    )


HAND_OFF = "hand_off_to_"
"""How the names of handoff tools begin; the agent's follows."""


def handoff_name(agent: str) -> str:
    """Return the name of the tool that hands over to an agent; hyphens may stand in a tool's name."""
    return HAND_OFF + agent


Described = tuple[str, dict[str, dict[str, Any]]]


def _hang_up(written: Mapping[str, Any]) -> Described:
    goodbye = "Say no goodbye yourself: it is said for you." if "farewell" in written else "Say goodbye first."
    return f"Ends the call. Use it when the caller is done or says goodbye. {goodbye}", {}


def _transfer(written: Mapping[str, Any]) -> Described:
    places = "\n".join(f"- {place['name']}: {place['when']}" for place in written["destinations"])
    about = f"Puts the caller through to somebody else:\n{places}\nSay nothing more: the caller is told what happens."
    names = [place["name"] for place in written["destinations"]]
    return about, {"destination": {"type": "string", "enum": names, "description": "Who to put the caller through to."}}


def _keypad(written: Mapping[str, Any]) -> Described:
    count, end_key = written.get("count"), written["end_key"]
    digits = "one digit" if count == 1 else f"{count} digits" if count else "digits"
    end = f" The caller ends with the key {end_key}." if end_key and count != 1 else ""
    return f"Collects {digits} from the caller's keypad. First ask the caller to press them, then use it.{end}", {}


def _take_message(written: Mapping[str, Any]) -> Described:
    fields = {
        field["name"]: {
            "type": "string",
            "description": field["description"].rstrip(".") + "." + _KINDS[field["kind"]],
        }
        for field in written["fields"]
    }
    about = "Keeps a message from the caller. Ask for what is missing, read numbers back, then use it."
    return about, fields


def _wait(written: Mapping[str, Any]) -> Described:
    return "Waits in silence. Use it when the caller asks for a moment, and say nothing until the caller speaks.", {}


_DESCRIBED = {
    "hang_up": _hang_up,
    "transfer": _transfer,
    "keypad": _keypad,
    "take_message": _take_message,
    "wait": _wait,
}


def message_from(written: Mapping[str, Any], arguments: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return the fields of a message, or a sentence for the model about what is missing or does not fit."""
    message: dict[str, str] = {}
    wrong: list[str] = []
    for field in written["fields"]:
        name, value = field["name"], str(arguments.get(field["name"]) or "").strip()
        if value and not _FITS[field["kind"]](value):
            wrong.append(f"{name} is not {_WANTED[field['kind']]}")
        elif value:
            message[name] = value
        elif field["required"]:
            wrong.append(f"{name} is missing")
    return ({}, f"The message is not kept yet: {'; '.join(wrong)}. Ask the caller.") if wrong else (message, "")


def _is_date(value: str) -> bool:
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False


_FITS: Mapping[str, Callable[[str], bool]] = {
    "text": lambda value: True,
    "phone": lambda value: re.fullmatch(r"\+[1-9][0-9]{6,14}", re.sub(r"[ ()./-]", "", value)) is not None,
    "number": lambda value: re.fullmatch(r"-?[0-9]+", value) is not None,
    "date": _is_date,
    "email": lambda value: re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value) is not None,
}
_WANTED = {
    "phone": "a phone number with plus and country code",
    "number": "a whole number",
    "date": "an ISO date such as 2026-11-27",
    "email": "an e-mail address",
}
