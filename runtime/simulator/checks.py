"""What the Realtime service takes and what it refuses: sessions, responses, items and client events.

Plain closures, built once at import and called on every message, because the simulator shares its machine
with the host it measures. A check is `check(value, path)`: it returns nothing or raises `Refused`. It never
holds state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Check = Callable[[Any, str], None]


@dataclass(eq=False)
class Refused(Exception):
    """The service says no: an HTTP error body at a control endpoint, an `error` event on the sideband."""

    status: int
    code: str | None
    message: str
    param: str | None = None

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    @property
    def error(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"type": kind, "code": self.code, "message": self.message, "param": self.param}


def unknown(path: str) -> Refused:
    return Refused(400, "unknown_parameter", f"Unknown parameter: '{path}'.", path)


def missing(path: str) -> Refused:
    return Refused(400, "missing_required_parameter", f"Missing required parameter: '{path}'.", path)


def wrong_value(path: str, message: str) -> Refused:
    return Refused(400, "invalid_value", message, path)


def wrong_type(path: str, wanted: str, value: object) -> Refused:
    # The sentence of protocol 2.5: "expected an object, but got null instead."
    message = f"Invalid type for '{path}': expected {wanted}, but got {_kind(value)} instead."
    return Refused(400, "invalid_type", message, path)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


# --- the building blocks ---


def flag(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        raise wrong_type(path, "a boolean", value)


def text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise wrong_type(path, "a string", value)


def plain(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object", value)


def _short(longest: int) -> Check:
    def check(value: Any, path: str) -> None:
        text(value, path)
        if not 0 < len(value) <= longest:
            raise wrong_value(path, f"Invalid '{path}': expected 1 to {longest} characters, got {len(value)}.")

    return check


def _number(low: float, high: float, *, whole: bool = False) -> Check:
    kinds, wanted = ((int,), "an integer") if whole else ((int, float), "a decimal")

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise wrong_type(path, wanted, value)
        if not low <= value <= high:
            raise wrong_value(path, f"Invalid '{path}': expected a value from {low} to {high}, but got {value}.")

    return check


def _choice(*values: str) -> Check:
    known = frozenset(values)

    def check(value: Any, path: str) -> None:
        text(value, path)
        if value not in known:
            raise wrong_value(path, f"Invalid value: '{value}'. Supported values are: {_listed(values)}.")

    return check


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _null_or(check: Check) -> Check:
    return lambda value, path: None if value is None else check(value, path)


def _text_or(words: Check, otherwise: Check) -> Check:
    return lambda value, path: words(value, path) if isinstance(value, str) else otherwise(value, path)


def _list(of: Check, *, longest: int = 10_000) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(path, "an array", value)
        if len(value) > longest:
            raise wrong_value(path, f"Invalid '{path}': expected at most {longest} items, got {len(value)}.")
        for index, item in enumerate(value):
            of(item, f"{path}[{index}]")

    return check


def _map(of: Check, *, longest: int) -> Check:
    def check(value: Any, path: str) -> None:
        plain(value, path)
        if len(value) > longest:
            raise wrong_value(path, f"Invalid '{path}': expected at most {longest} entries, got {len(value)}.")
        for name, inner in value.items():
            of(inner, f"{path}.{name}")

    return check


def _record(fields: Mapping[str, Check], *required: str) -> Check:
    def check(value: Any, path: str) -> None:
        plain(value, path)
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise missing(prefix + name)
        for name, inner in value.items():
            known = fields.get(name)
            if known is None:
                raise unknown(prefix + name)
            known(inner, prefix + name)

    return check


def _variant(variants: Mapping[str, Check], *, by: str = "type") -> Check:
    kind = _choice(*variants)

    def check(value: Any, path: str) -> None:
        plain(value, path)
        inner = f"{path}.{by}" if path else by
        if by not in value:
            raise missing(inner)
        kind(value[by], inner)
        variants[value[by]](value, path)

    return check


# --- the session (RealtimeSessionCreateRequestGA) ---

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
# Reasoning and parallel tool calls are for the gpt-realtime-2 family only (protocol 2.4).
_NO_REASONING = frozenset(
    {
        "gpt-realtime",
        "gpt-realtime-1.5",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15",
    }
)
_LISTS_WORDS = frozenset({"gpt-transcribe", "gpt-live-transcribe"})

_voice = _text_or(_choice(*VOICES), _record({"id": _short(128)}, "id"))
_max_output_tokens = _text_or(_choice("inf"), _number(1, 4096, whole=True))
_modalities = _list(_choice("text", "audio"), longest=1)  # "not possible to request both at the same time"
_prompt = _null_or(_record({"id": text, "version": _null_or(text), "variables": _null_or(plain)}, "id"))
_metadata = _null_or(_map(text, longest=16))
_reasoning = _record({"effort": _choice("minimal", "low", "medium", "high", "xhigh")})


def _tool_name(value: Any, path: str) -> None:
    _short(64)(value, path)
    if not value.replace("_", "a").replace("-", "a").isalnum() or not value.isascii():
        raise wrong_value(path, f"Invalid '{path}': only letters, digits, underscores and dashes are allowed.")


_function = {"type": text, "name": _tool_name, "description": text, "parameters": plain}
_mcp = {
    "type": text,
    "server_label": text,
    "server_url": text,
    "server_description": text,
    "connector_id": text,
    "tunnel_id": text,
    "authorization": text,
    "defer_loading": flag,
    "headers": _null_or(plain),
    "allowed_callers": _null_or(_list(text)),
    "allowed_tools": _null_or(lambda value, path: None),
    "require_approval": _null_or(lambda value, path: None),
}
_tools = _list(_variant({"function": _record(_function, "name"), "mcp": _record(_mcp, "server_label")}), longest=128)
_tool_choice = _text_or(
    _choice("none", "auto", "required"),
    _variant(
        {
            "function": _record({"type": text, "name": text}, "name"),
            "mcp": _record({"type": text, "server_label": text, "name": _null_or(text)}, "server_label"),
        }
    ),
)
_answering = {"type": text, "create_response": flag, "interrupt_response": flag}
_turn_detection = _variant(
    {
        "server_vad": _record(
            {
                **_answering,
                "threshold": _number(0, 1),
                "prefix_padding_ms": _number(0, 60_000, whole=True),
                "silence_duration_ms": _number(0, 60_000, whole=True),
                "idle_timeout_ms": _null_or(_number(5_000, 30_000, whole=True)),
            }
        ),
        "semantic_vad": _record({**_answering, "eagerness": _choice("low", "medium", "high", "auto")}),
    }
)
_transcription_fields = _record(
    {
        "model": text,
        "language": text,
        "languages": _list(text),
        "keywords": _list(text),
        "prompt": text,
        "delay": _choice("minimal", "low", "medium", "high", "xhigh"),
    }
)


def _transcription(value: Any, path: str) -> None:
    _transcription_fields(value, path)
    model = value.get("model")
    for name in value:  # which field goes with which model: protocol 7.3
        fits = {
            "delay": model == "gpt-realtime-whisper",
            "keywords": model in _LISTS_WORDS,
            "languages": model in _LISTS_WORDS,
            "prompt": model != "gpt-realtime-whisper",
        }.get(name, True)
        if not fits:
            raise wrong_value(f"{path}.{name}", f"Invalid '{path}.{name}': not supported with model '{model}'.")


_any_format = _variant(
    {
        "audio/pcm": _record({"type": text, "rate": _number(24_000, 24_000, whole=True)}),
        "audio/pcmu": _record({"type": text}),
        "audio/pcma": _record({"type": text}),
    }
)


def _no_format(value: Any, path: str) -> None:
    # A telephone call negotiates G.711 itself; formats belong to the other transports (protocol 2.4). A null
    # is refused as a null first, as in the error that the old SDK provoked (protocol 2.5).
    plain(value, path)
    raise unknown(path)


def _session(format_check: Check) -> Check:
    noise_reduction = {"type": _choice("near_field", "far_field"), "strength": _number(0, 1)}
    audio_input = {
        "format": format_check,
        "noise_reduction": _null_or(_record(noise_reduction)),
        "transcription": _null_or(_transcription),
        "turn_detection": _null_or(_turn_detection),
    }
    audio_output = {"format": format_check, "speed": _number(0.25, 1.5), "voice": _voice}
    tracing = {"workflow_name": text, "group_id": text, "metadata": _map(text, longest=16)}
    retention = {
        "type": text,
        "retention_ratio": _number(0, 1),
        "token_limits": _record({"post_instructions": _number(0, 1_000_000, whole=True)}),
    }
    return _record(
        {
            "type": _choice("realtime"),
            "model": _short(256),
            "instructions": text,
            "output_modalities": _modalities,
            "audio": _record({"input": _record(audio_input), "output": _record(audio_output)}),
            "tools": _tools,
            "tool_choice": _tool_choice,
            "parallel_tool_calls": flag,
            "reasoning": _reasoning,
            "max_output_tokens": _max_output_tokens,
            "tracing": _null_or(_text_or(_choice("auto"), _record(tracing))),
            "truncation": _text_or(
                _choice("auto", "disabled"),
                _variant({"retention_ratio": _record(retention, "retention_ratio")}),
            ),
            "prompt": _prompt,
            "include": _list(_choice("item.input_audio_transcription.logprobs")),
        },
        "type",
    )


_SESSIONS = {"refuse": _session(_no_format), "distort": _session(_any_format)}


def check_session(settings: Any, *, formats: str) -> None:
    """Refuses what `accept` and `session.update` refuse alike; both name their paths 'session.…'."""
    _SESSIONS[formats](settings, "session")


def check_reasoning(settings: Mapping[str, Any], model: str) -> None:
    """Refuses reasoning for a model without it; that error was seen with neither code path nor ids (2.4)."""
    for name in ("reasoning", "parallel_tool_calls"):
        if name in settings and model in _NO_REASONING:
            raise Refused(400, None, f"'{name}' is not supported with model '{model}'.")


def present(settings: Any, path: str) -> bool:
    """Whether 'session.a.b' leads to something in the settings."""
    for name in path.split(".")[1:]:
        if not isinstance(settings, dict) or name not in settings:
            return False
        settings = settings[name]
    return True


# --- client events ---

_event_id = _short(512)
_status = _choice("completed", "incomplete", "in_progress")
_common = {"type": text, "id": _short(64), "object": _choice("realtime.item"), "status": _status}


def _message(role: str, *kinds: str) -> Check:
    part = {"type": _choice(*kinds), "text": text, "audio": text, "transcript": text}
    if "input_image" in kinds:
        part |= {"image_url": text, "detail": _choice("auto", "low", "high")}
    content = _list(_record(part, "type"))
    return _record({**_common, "role": _choice(role), "content": content}, "content")


_ITEMS: dict[str, Check] = {
    "message": _variant(
        {
            "system": _message("system", "input_text"),
            "user": _message("user", "input_text", "input_audio", "input_image"),
            "assistant": _message("assistant", "output_text", "output_audio"),
        },
        by="role",
    ),
    "function_call": _record({**_common, "name": text, "arguments": text, "call_id": text}, "name", "arguments"),
    "function_call_output": _record({**_common, "call_id": text, "output": text}, "call_id", "output"),
    "mcp_approval_response": _record(
        {**_common, "approval_request_id": text, "approve": flag, "reason": _null_or(text)},
        "approval_request_id",
        "approve",
    ),
}
_item = _variant(_ITEMS)
_reference = _record({"type": text, "id": text}, "id")
_response = _record(
    {
        "instructions": text,
        "metadata": _metadata,
        "conversation": text,
        "input": _list(_variant({**_ITEMS, "item_reference": _reference})),
        "output_modalities": _modalities,
        "audio": _record({"output": _record({"voice": _voice, "format": _no_format})}),
        "tools": _tools,
        "tool_choice": _tool_choice,
        "parallel_tool_calls": flag,
        "reasoning": _reasoning,
        "max_output_tokens": _max_output_tokens,
        "prompt": _prompt,
    }
)


def _event(*required: str, **fields: Check) -> Check:
    return _record({"type": text, "event_id": _event_id, **fields}, *required)


_EVENTS: dict[str, Check] = {
    "session.update": _event("session", session=plain),  # its contents are checked with `check_session`
    "response.create": _event(response=_response),
    "response.cancel": _event(response_id=text),
    "conversation.item.create": _event("item", item=_item, previous_item_id=text),
    "conversation.item.delete": _event("item_id", item_id=text),
    "conversation.item.retrieve": _event("item_id", item_id=text),
    "conversation.item.truncate": _event(
        "item_id",
        "content_index",
        "audio_end_ms",
        item_id=text,
        content_index=_number(0, 1_000, whole=True),
        audio_end_ms=_number(0, 3_600_000, whole=True),
    ),
    "input_audio_buffer.append": _event("audio", audio=text),
    "input_audio_buffer.clear": _event(),
    "input_audio_buffer.commit": _event(),
    "output_audio_buffer.clear": _event(),
}
_check_event = _variant(_EVENTS)


def check_event(event: Any) -> None:
    """Refuses a client event that is no object, of an unknown type, or with fields that do not belong."""
    _check_event(event, "")


_reject = _record({"status_code": _number(300, 699, whole=True)})  # the range that Live publishes (1.5)
_refer = _record({"target_uri": _short(1_024)}, "target_uri")


def check_reject(body: Any) -> None:
    _reject(body, "")


def check_refer(body: Any) -> None:
    _refer(body, "")
    uri: str = body["target_uri"]
    if not uri.startswith(("tel:", "sip:", "sips:")):
        raise wrong_value("target_uri", f"Invalid value: '{uri}'. Expected a 'tel:' or 'sip:' URI.")
