"""What people say, and their numbers, made unreadable with its shape kept: lengths, punctuation, structure. Pure.

Letters become `x` and digits `1`, so that what was a number, a date or an address still is one. Every text is made
unreadable but those that are known to be the service's or the author's own words: the names and ids under the keys
below, the parts of a session that no template fills in, and words that the schema of a tool lists.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_KEPT = {
    "type", "object", "id", "event_id", "item_id", "response_id", "call_id", "tool_call_id", "previous_item_id",
    "conversation_id", "role", "status", "code", "param", "parameter", "reason", "cause", "name", "names", "rule",
    "model", "voice", "switchboard", "output_modalities", "tool_choice", "truncation", "max_output_tokens", "effort",
    "agent", "outcome", "started_at", "revision", "digest", "dropped", "unable", "environment",
}  # fmt: skip
_WHOLE = {"tools", "turn_detection", "transcription", "noise_reduction", "format", "usage", "rate_limits"}
_PRIVATE = {"tracing", "found", "headers", "metadata", "logprobs"}  # below them numbers can tell words, too
_OURS = {"switchboard"}  # the one metadata key that is never a caller's
_KEY_PRESSED = "input_audio_buffer.dtmf_event_received"
_FROM_THE_SERVICE = {"accept_failed", "ended"}  # their reasons quote what it said, and it what we sent
_ID = re.compile(r"\b(?:resp|item|event|call)_\w+")


def text(said: str) -> str:
    """Return a text of the same length in which no letter and no digit is readable. Idempotent."""
    return "".join(map(_sign, said))


def _sign(sign: str) -> str:
    if sign.isascii():
        return "1" if sign.isdigit() else "x" if sign.isalpha() else sign
    kind = unicodedata.category(sign)[0]
    return "1" if kind == "N" else sign if kind in "PZ" else "x"


def number(known: str) -> str:
    """Return a phone number of the same length, or `""` where none is known."""
    return text(known)


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
    """Return an event of a recording, the service's or ours, without anything that people said. Idempotent."""
    kind = data.get("type")
    if kind == _KEY_PRESSED:
        return {**data, "event": text(str(data.get("event", ""))).replace("x", "A")}
    redacted = {key: _value(key, value, declared) for key, value in data.items()}
    if kind in _FROM_THE_SERVICE and "reason" in data:
        redacted["reason"] = text(str(data["reason"]))
    return redacted


def _value(key: str, value: Any, declared: frozenset[str], *, private: bool = False) -> Any:
    if isinstance(value, str):
        if not private and key in _KEPT:
            return value
        if private and key in _OURS:
            return value
        if key == "arguments":
            return arguments(value, declared)
        return _message(value) if key == "message" else text(value)
    if isinstance(value, Mapping):
        if key in _WHOLE and not private:
            return value
        private = private or key in _PRIVATE
        return {name: _value(name, inner, declared, private=private) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        if key in _WHOLE and not private:
            return value
        return [_value("" if private else key, inner, declared, private=private or key in _PRIVATE) for inner in value]
    return 1 if private and isinstance(value, int | float) and not isinstance(value, bool) else value


def _message(said: str) -> str:
    """Return what the service said of an error with its ids: one of them tells which response is active."""
    kept, at = [], 0
    for found in _ID.finditer(said):
        kept += [text(said[at : found.start()]), found.group()]
        at = found.end()
    return "".join([*kept, text(said[at:])])


def declared_in(tools: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the words that tools declare for their arguments: names, and the values that a schema lists.

    `tools` are those of a session, in the service's words.
    """
    return frozenset(word for tool in tools for word in _words(tool.get("parameters")))


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
