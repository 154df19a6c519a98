import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import events as e
from runtime.realtime.messages import _READERS, read

READ = [
    ({"type": "input_audio_buffer.speech_started", "item_id": "i"}, e.CallerSpoke()),
    ({"type": "input_audio_buffer.committed", "item_id": "i"}, e.CallerTurnEnded()),
    ({"type": "input_audio_buffer.dtmf_event_received", "event": "5", "received_at": 1}, e.DigitPressed("5")),
    ({"type": "conversation.item.added", "previous_item_id": "a", "item": {"id": "b"}}, e.ItemAdded("b", "a")),
    (
        {"type": "response.created", "response": {"id": "r", "metadata": {"switchboard": "greeting"}}},
        e.ResponseCreated("r", "greeting"),
    ),
    ({"type": "response.created", "response": {"id": "r", "metadata": None}}, e.ResponseCreated("r", None)),
    (
        {
            "type": "response.done",
            "response": {
                "id": "r",
                "status": "failed",
                "status_details": {"type": "failed", "error": {"code": "rate_limit_exceeded"}},
                "usage": {"total_tokens": 3},
            },
        },
        e.ResponseDone("r", "failed", "rate_limit_exceeded", {"total_tokens": 3}),
    ),
    (
        {
            "type": "response.output_item.done",
            "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        },
        e.ToolCalled("c", "f", "{}"),
    ),
    ({"type": "response.output_item.done", "item": {"type": "message"}}, None),
    (
        {
            "type": "response.output_item.done",
            "response_id": "r",
            "item": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "status": "incomplete"},
        },
        None,  # the caller interrupted: half a wish is no wish
    ),
    ({"type": "output_audio_buffer.cleared", "response_id": "r"}, e.PlaybackEnded("r", True)),
    ({"type": "session.created", "session": {}}, None),
    ({"type": "something.new"}, None),
]


@pytest.mark.parametrize(("message", "event"), READ)
def test_the_services_messages_are_told_by_their_type(message: dict[str, object], event: e.Event | None) -> None:
    """Trap 16: by the word, never by the class that an SDK would build."""
    assert read(json.dumps(message)) == event


def test_an_error_may_lack_everything_but_its_message() -> None:
    """Protocol 2.4: some errors carry neither event_id nor param."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no", "param": None}}
    assert read(json.dumps(error)) == e.ServiceRefused("invalid_request_error", "no")


def test_text_deltas_are_not_even_parsed() -> None:
    assert read('{"type": "response.output_audio_transcript.delta", broken') is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["item", "response", "error", "session", "metadata", "usage", "id", "status_details", "type", "call_id"]
    ), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(_READERS)), st.dictionaries(st.sampled_from(["item", "response", "error", "session"]), JSON)
)
def test_no_message_can_raise(kind: str, body: dict[str, object]) -> None:
    read(json.dumps({**body, "type": kind}))


@pytest.mark.parametrize("nonsense", ["", "x", "[]", "3", b"\xff", "[" * 100_000])
def test_nonsense_is_no_event(nonsense: str | bytes) -> None:
    assert read(nonsense) is None
