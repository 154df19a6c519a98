"""The effective session: what the service fills in, and what an update makes of it.

Pure functions over plain data; settings come in checked. A session is never changed, an update makes a new
one, so an event may carry it without a copy.
"""

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

# The echo of the real service names every field, with null for what is off (protocol 2.2).
_DEFAULTS: dict[str, Any] = {
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "instructions": "You are a helpful assistant.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "include": None,
}
_G711 = {"type": "audio/pcmu"}
_ANSWERING = {"create_response": True, "interrupt_response": True}
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    **_ANSWERING,
}
_SEMANTIC_VAD = {"type": "semantic_vad", "eagerness": "auto", **_ANSWERING}
_INPUT = {"transcription": None, "noise_reduction": None, "turn_detection": _SERVER_VAD}
_OUTPUT = {"voice": "alloy", "speed": 1.0}


def first_session(settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
    """The session that an accept starts, defaults filled in."""
    start = {"id": session_id, "object": "realtime.session", "type": "realtime", "expires_at": expires_at}
    audio = {"input": {"format": _G711, **_INPUT}, "output": {"format": _G711, **_OUTPUT}}
    return updated_session({**start, **_DEFAULTS, "audio": audio}, settings, depth="deep")


def updated_session(session: Settings, settings: Settings, *, depth: str) -> dict[str, Any]:
    """The session after an update; `depth` "group" takes the whole of `audio.input` from the update.

    The SDK's text promises "deep"; "group" was measured on SIP, where an update with turn detection alone
    switched transcription off (protocol 2.4).
    """
    audio = settings.get("audio", {})
    before = session["audio"]
    result = {**session, **settings}
    result["audio"] = {
        "input": _input(before["input"], audio["input"], depth) if "input" in audio else before["input"],
        "output": {**before["output"], **audio.get("output", {})},
    }
    return result


def _input(before: Settings, given: Settings, depth: str) -> dict[str, Any]:
    start = before if depth == "deep" else {"format": before["format"], **_INPUT}
    result = {**start, **given}
    if result["turn_detection"] is not None:
        result["turn_detection"] = _filled(result["turn_detection"])
    if given.get("noise_reduction"):
        strength = (before["noise_reduction"] or {}).get("strength", 1)
        result["noise_reduction"] = {"strength": strength, **given["noise_reduction"]}
    return result


def _filled(turn_detection: Settings) -> dict[str, Any]:
    return {**(_SERVER_VAD if turn_detection["type"] == "server_vad" else _SEMANTIC_VAD), **turn_detection}


def overlaid(session: Settings, over: Settings) -> dict[str, Any]:
    """The session with some values told differently, at any depth: an echo that does not match."""
    result = dict(session)
    for name, value in over.items():
        inner = result.get(name)
        nested = isinstance(inner, dict) and isinstance(value, dict)
        result[name] = overlaid(inner, value) if nested and inner is not None else value
    return result
