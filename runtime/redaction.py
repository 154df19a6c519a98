"""What people say, and their numbers, made unreadable with its shape kept: lengths, punctuation, structure. Pure.

Letters become `x` and digits `1`, so that what was a number, a date or an address still is one. Every text is made
unreadable but those that are known to be the service's or the author's own words: ids, the API's words under the keys
below, the parts of a session that no template fills in, and what the author declares, such as the names of tools and
the words that their schemas list. The keys of what people fill, such as headers, are texts like others.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_IDS = {
    "id", "event_id", "item_id", "response_id", "call_id", "tool_call_id", "previous_item_id", "conversation_id",
}  # fmt: skip
_WORDS = {  # of the API, and ours of the same kind: nobody fills them with what was said
    "type", "object", "role", "status", "code", "model", "voice", "output_modalities", "tool_choice", "truncation",
    "max_output_tokens", "effort", "cause", "outcome", "unable",
}  # fmt: skip
_NAMES = {"name", "agent", "rule"}  # the author's, where the model did not make them up
_PATHS = {"param", "parameter", "dropped"}  # where in a session something stands
_REASONS = {"turn_detected", "client_cancelled", "max_output_tokens", "content_filter"}  # the API's own, of a response

_WHOLE = {"tools", "turn_detection", "transcription", "noise_reduction", "format"}  # of a session or a response
_SETTINGS = {"session", "response"}
_PRIVATE = {"tracing", "found", "headers", "metadata", "logprobs", "variables", "arguments"}  # numbers tell words, too
_FREE = {"found", "headers", "metadata", "variables", "arguments"}  # and so do keys

_LINE = "switchboard"  # the key of `metadata` under which our own lines stand
_OUR_WORDS = {  # of which the names of lines and timers are made, beside ids and small numbers
    "greeting", "farewell", "answer", "announce", "warning", "instead", "transfer", "failed", "silence", "timeout",
    "while", "after", "confirm", "hello", "first", "words", "duration", "wait", "hang", "up", "slow", "heard",
    "response", "keypad", "keys", "lookup",
}  # fmt: skip
_OF_PATHS = {
    "session", "type", "model", "output_modalities", "instructions", "audio", "input", "output", "format", "rate",
    "turn_detection", "threshold", "prefix_padding_ms", "silence_duration_ms", "create_response", "interrupt_response",
    "idle_timeout_ms", "eagerness", "transcription", "language", "prompt", "noise_reduction", "voice", "speed",
    "tools", "tool_choice", "parallel_tool_calls", "name", "description", "parameters", "tracing", "workflow_name",
    "group_id", "metadata", "truncation", "max_output_tokens", "reasoning", "effort", "include", "response", "item",
    "id", "event_id", "item_id", "response_id", "call_id", "content", "text", "role", "status", "arguments",
    "previous_item_id", "content_index", "audio_end_ms",
}  # fmt: skip
_SIP_HEADERS = {  # names that carriers and standards give; whoever rings may send others
    "accept", "allow", "call-id", "contact", "content-length", "content-type", "cseq", "date", "diversion", "expires",
    "from", "history-info", "identity", "max-forwards", "min-se", "organization", "p-asserted-identity",
    "p-called-party-id", "p-charging-vector", "p-preferred-identity", "privacy", "reason", "record-route",
    "remote-party-id", "require", "route", "session-expires", "subject", "supported", "to", "user-agent", "via",
    "x-original-to", "x-twilio-accountsid", "x-twilio-callsid",
}  # fmt: skip

_KEY_PRESSED = "input_audio_buffer.dtmf_event_received"
_TIMER_FIRED = "timer_fired"
_BUSY = "conversation_already_has_active_response"  # its message names the response, which a call needs to know
_ID = re.compile(r"[a-z]+_[A-Za-z0-9_-]+")
_PART = re.compile(rf"{_ID.pattern}|[0-9]{{1,2}}")  # of a line's name
_RESPONSE_ID = re.compile(r"\bresp_[A-Za-z0-9_]+")
_WORD = re.compile(r"(?!.*[0-9]{5})[a-z][a-z0-9_.:-]*")  # a model's name holds a date at most
_KEY = re.compile(r"[a-z_]+")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?")


def text(said: str) -> str:
    """Return a text of the same length in which no letter and no digit is readable. Idempotent."""
    return "".join(map(_sign, said))


def _sign(sign: str) -> str:
    if sign.isascii():
        return "1" if sign.isdigit() else "x" if sign.isalpha() else sign
    kind = unicodedata.category(sign)[0]
    return "1" if kind == "N" else sign if kind in "PZ" else "x"


def arguments(written: str, declared: frozenset[str] = frozenset()) -> str:
    """Return a tool's arguments as JSON text of the same shape. `declared` are the words that may stay."""
    try:
        data = json.loads(written)
    except (ValueError, RecursionError):
        return text(written)
    return json.dumps(_argument(data, declared), ensure_ascii=False)


def _argument(value: Any, declared: frozenset[str]) -> Any:
    if isinstance(value, str):
        return value if value in declared else text(value)
    if isinstance(value, dict):
        return {(key if key in declared else text(key)): _argument(inner, declared) for key, inner in value.items()}
    if isinstance(value, list):
        return [_argument(inner, declared) for inner in value]
    return value if value is None or isinstance(value, bool) else 1


def event(data: Mapping[str, Any], declared: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return an event of a recording, the service's or ours, without anything that people said. Idempotent.

    `declared` are the author's own words for it.
    """
    redacted = _Redaction(declared).mapping(data, "", frozenset())
    if data.get("type") == _KEY_PRESSED:
        redacted["event"] = text(str(data.get("event", ""))).replace("x", "A")
    elif data.get("type") == _TIMER_FIRED:
        redacted["name"] = _phrase(str(data.get("name", "")))
    return redacted


class _Redaction:
    """Walks through one event. `key` is what a value stands under, `under` all the keys above it with that one."""

    def __init__(self, declared: frozenset[str]) -> None:
        self._declared = declared

    def mapping(self, values: Mapping[str, Any], key: str, under: frozenset[str]) -> dict[str, Any]:
        """Return a mapping of the same shape."""
        made: dict[str, Any] = {}
        names_response = key == "error" and values.get("code") == _BUSY
        for name, value in values.items():
            if name == _LINE and isinstance(value, str) and key == "metadata" and under & _PRIVATE == {key}:
                made[name] = _phrase(value)
            elif name == "message" and isinstance(value, str) and names_response and not under & _PRIVATE:
                made[name] = _with_response_id(value)
            else:
                made[self._key(name, key, under)] = self._value(value, name, under)
        return made

    def _key(self, name: str, key: str, under: frozenset[str]) -> str:
        if key == "headers":
            is_known = name.lower() in _SIP_HEADERS or name.lower() in self._declared
        else:
            is_known = name in self._declared or (not under & _FREE and _KEY.fullmatch(name) is not None)
        return name if is_known else text(name)

    def _value(self, value: Any, key: str, above: frozenset[str]) -> Any:
        under = above | {key}
        if isinstance(value, str):
            return text(value) if above & _PRIVATE else self._text(key, value)
        if key in _WHOLE and under & _SETTINGS and not under & _PRIVATE and not isinstance(value, int | float):
            return value
        if isinstance(value, Mapping):
            return self.mapping(value, key, under)
        if isinstance(value, list | tuple):
            return [self._value(inner, key, above) for inner in value]
        return 1 if under & _PRIVATE and isinstance(value, int | float) and not isinstance(value, bool) else value

    def _text(self, key: str, value: str) -> str:
        keeps = _KEEPS.get(key)
        if key == "arguments":
            return arguments(value, self._declared)
        if key in _NAMES:
            return value if value in self._declared else text(value)
        if key in _PATHS:
            return re.sub(r"\w+", self._step, value)
        return value if keeps is not None and keeps(value) else text(value)

    def _step(self, found: re.Match[str]) -> str:
        return found.group() if found.group() in _OF_PATHS | self._declared else text(found.group())


_KEEPS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_IDS, _ID.fullmatch),
    **dict.fromkeys(_WORDS, _WORD.fullmatch),
    "reason": _REASONS.__contains__,
    "started_at": _MOMENT.fullmatch,
}


def _phrase(said: str) -> str:
    """Return the name of a line or a timer: `silence 1`, `after resp_2`."""
    words = said.split(" ")
    if words[0] not in _OUR_WORDS:
        return text(said)
    return " ".join(word if word in _OUR_WORDS or _PART.fullmatch(word) else text(word) for word in words)


def _with_response_id(said: str) -> str:
    """Return what the service said with the id of the response that is active."""
    found = _RESPONSE_ID.search(said)
    if found is None:
        return text(said)
    return text(said[: found.start()]) + found.group() + text(said[found.end() :])


def declared_in(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the words that tools declare: their names, those of their arguments, and the values that a schema lists.

    `tools` are those of a session, in the service's words.
    """
    names = (tool["name"] for tool in tools if isinstance(tool.get("name"), str))
    return frozenset(names) | {word for tool in tools for word in _words(tool.get("parameters"))}


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        properties, values = schema.get("properties"), schema.get("enum")
        yield from properties if isinstance(properties, Mapping) else ()
        yield from (value for value in (values if isinstance(values, list) else ()) if isinstance(value, str))
        for inner in schema.values():
            yield from _words(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _words(inner)
