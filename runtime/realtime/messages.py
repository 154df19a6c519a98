"""The service's messages to our events. Distrusts every value; what it does not know, it leaves out."""

from collections.abc import Callable, Mapping
from typing import Any

from runtime import events as e
from runtime.foreign import inner, mapping_in, text
from runtime.session import line_of

# The most frequent messages, and the ones that we have no use for: not worth parsing.
_UNUSED = (
    "response.output_audio_transcript.delta",
    "response.function_call_arguments.delta",
    "conversation.item.input_audio_transcription.delta",
)
_SAYING = _UNUSED[0]
_UNUSED_STARTS = tuple(f'{{"type":{space}"{name}"' for name in _UNUSED for space in ("", " "))


def read(message: str | bytes, *, hear_all: bool = False) -> e.Event | None:
    """Return the event that a message tells of, or None. Never raises, whatever comes.

    `hear_all`: also each few words that the agent says, for those who have rules about them.
    """
    if isinstance(message, str) and message.startswith(_UNUSED_STARTS) and not (hear_all and _SAYING in message[:80]):
        return None
    data = mapping_in(message)
    reader = _READERS.get(text(data, "type"))
    return reader(data) if reader else None


def _or_none(data: Mapping[str, Any], key: str) -> str | None:
    return text(data, key) or None


def _error(data: Mapping[str, Any]) -> e.Event:
    error = inner(data, "error")
    code = text(error, "code") or text(error, "type")
    event_id = _or_none(error, "event_id")
    return e.ServiceRefused(code, text(error, "message"), _or_none(error, "param"), event_id)


def _created(data: Mapping[str, Any]) -> e.Event:
    response = inner(data, "response")
    return e.ResponseCreated(text(response, "id"), line_of(response) or None)


def _done(data: Mapping[str, Any]) -> e.Event:
    response = inner(data, "response")
    details = inner(response, "status_details")
    reason = text(details, "reason") or text(inner(details, "error"), "code")
    usage = inner(response, "usage")
    line = line_of(response) or None
    return e.ResponseDone(text(response, "id"), text(response, "status"), reason, usage, line)


def _output_item(data: Mapping[str, Any]) -> e.Event | None:
    item = inner(data, "item")
    if text(item, "type") != "function_call" or not text(item, "call_id"):
        return None
    if (text(item, "status") or "completed") != "completed":
        return None  # the caller interrupted while the arguments were written: half a wish is no wish
    arguments = text(item, "arguments") or "{}"
    return e.ToolCalled(text(item, "call_id"), text(item, "name"), arguments, text(data, "response_id"))


_KEYS = set("0123456789*#ABCD")

_READERS: dict[str, Callable[[Mapping[str, Any]], e.Event | None]] = {
    "error": _error,
    "session.updated": lambda data: e.SessionConfirmed(inner(data, "session")),
    "input_audio_buffer.speech_started": lambda data: e.CallerSpoke(),
    "input_audio_buffer.committed": lambda data: e.CallerTurnEnded(),
    "input_audio_buffer.dtmf_event_received": lambda data: (
        e.DigitPressed(key) if (key := text(data, "event")) in _KEYS else None
    ),
    "conversation.item.added": lambda data: e.ItemAdded(
        text(inner(data, "item"), "id"), _or_none(data, "previous_item_id")
    ),
    "conversation.item.input_audio_transcription.completed": lambda data: e.Transcribed(
        text(data, "item_id"), text(data, "transcript")
    ),
    "conversation.item.input_audio_transcription.failed": lambda data: e.TranscriptionFailed(
        text(inner(data, "error"), "message")
    ),
    _SAYING: lambda data: e.AgentSaying(text(data, "response_id"), text(data, "delta")),
    "response.output_audio_transcript.done": lambda data: e.AgentSaid(
        text(data, "response_id"), text(data, "item_id"), text(data, "transcript")
    ),
    "response.created": _created,
    "response.done": _done,
    "response.output_item.done": _output_item,
    "output_audio_buffer.started": lambda data: e.PlaybackStarted(text(data, "response_id")),
    "output_audio_buffer.stopped": lambda data: e.PlaybackEnded(text(data, "response_id")),
    "output_audio_buffer.cleared": lambda data: e.PlaybackEnded(text(data, "response_id"), interrupted=True),
}
