"""What people say and their numbers never survive a redaction, and its shape always does."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import redaction

NUMBERS = st.from_regex(r"\+[2-9][0-9]{6,14}", fullmatch=True)
# Words without small letters, so that none is one of the format's own.
WORDS = st.lists(st.text(st.characters(categories=["Lu", "Lt", "Lo", "Mn", "Nd"]), min_size=2, max_size=12), min_size=1)
SAID = st.builds(lambda words, number: " ".join([*words, number]), WORDS, NUMBERS)
JSON = st.recursive(SAID | st.integers() | st.booleans() | st.none(), lambda inner: st.lists(inner, max_size=3))


def survives(said: str, kept: str) -> list[str]:
    """Return the words and the runs of digits of a text that can still be read."""
    words = [word for word in said.split() if set(word) - set("x1+") and word in kept]
    runs = [said[at : at + 3] for at in range(len(said) - 2) if said[at : at + 3].isdecimal()]
    return words + [run for run in runs if set(run) != {"1"} and run in kept]


@given(SAID)
def test_no_word_and_no_digit_of_a_text_survives_and_its_length_does(said: str) -> None:
    kept = redaction.text(said)
    assert survives(said, kept) == []
    assert len(kept) == len(said)
    assert redaction.text(kept) == kept


@settings(max_examples=50)
@given(SAID, SAID, SAID, SAID)
def test_no_spoken_word_of_an_event_survives(one: str, two: str, three: str, four: str) -> None:
    arguments = json.dumps({"note": one, "people": 123456})
    events: list[dict[str, Any]] = [
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1", "transcript": one},
        {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": two},
        {"type": "response.output_item.done", "item": {"name": "book", "arguments": arguments}},
        {"type": "response.function_call_arguments.delta", "delta": arguments},
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": three}},
        {"type": "conversation.item.create", "item": {"content": [{"type": "input_text", "text": four}]}},
        {"type": "session.update", "session": {"instructions": two}},
        {"type": "accept", "session": {"tracing": {"group_id": three, "metadata": {"name": one}}}},
        {"type": "response.create", "response": {"instructions": one, "metadata": {"switchboard": "a", "x": two}}},
        {"type": "error", "error": {"code": "invalid_value", "message": f"Invalid value: '{one}'."}},
        {"type": "looked_up", "found": {"name": one, "id": two, "visits": 123456}, "problem": three},
        {"type": "tool_finished", "name": "book", "output": four},
        {"type": "refer", "to": f"tel:{one}"},
        {"type": "webhook", "headers": {"From": four}, "turned_away": {"outcome": "no_agent", "why": one}},
        {"type": "ended", "outcome": "failed", "reason": two},
        {"type": "nobody.knows", "anything": {"inside": [one, {"deeper": two}]}},
    ]  # fmt: skip
    for event in events:
        kept = json.dumps(redaction.event(event), ensure_ascii=False)
        assert survives(f"{one} {two} {three} {four}", kept) == [], event["type"]
        assert "123456" not in kept
        assert redaction.event(redaction.event(event)) == redaction.event(event)


@settings(max_examples=50)
@given(st.dictionaries(SAID, JSON, max_size=4))
def test_arguments_stay_arguments_and_lose_what_was_said(arguments: dict[str, Any]) -> None:
    kept = json.loads(redaction.arguments(json.dumps(arguments)))
    assert isinstance(kept, dict)
    assert survives(" ".join(arguments), json.dumps(kept, ensure_ascii=False)) == []


def test_what_an_author_declares_stays_readable() -> None:
    tools = [{"name": "transfer", "parameters": {"properties": {"destination": {"enum": ["kitchen"]}}}}]
    declared = redaction.declared_in(tools)
    written = '{"destination": "kitchen", "why": "cold pizza", "sure": true, "times": 12}'
    assert json.loads(redaction.arguments(written, declared)) == {
        "destination": "kitchen", "xxx": "xxxx xxxxx", "xxxx": True, "xxxxx": 1,
    }  # fmt: skip


def test_a_number_is_still_a_number_a_date_a_date_and_an_address_an_address() -> None:
    assert redaction.number("+15557654321") == "+11111111111"
    assert redaction.text("2026-11-27") == "1111-11-11"
    assert redaction.text("ann@casa.example") == "xxx@xxxx.xxxxxxx"
    assert redaction.number("") == ""


def test_the_keys_that_structure_a_call_stay_and_digits_do_not() -> None:
    pressed = {"type": "input_audio_buffer.dtmf_event_received", "event": "7", "received_at": 5}
    assert redaction.event(pressed) == {**pressed, "event": "1"}
    for key in "*#":
        assert redaction.event({**pressed, "event": key})["event"] == key


def test_an_error_keeps_the_id_of_the_response_that_is_active() -> None:
    error = {"type": "error", "error": {"message": "There is one already: resp_1aB. Wait, Ann.", "code": "busy"}}
    message = redaction.event(error)["error"]["message"]
    assert "resp_1aB" in message
    assert "Ann" not in message


def test_the_bytes_of_a_word_do_not_tell_it() -> None:
    heard = {"type": "transcribed", "logprobs": [{"token": "Ann", "logprob": -0.5, "bytes": [65, 110, 110]}]}
    assert redaction.event(heard)["logprobs"] == [{"token": "xxx", "logprob": 1, "bytes": [1, 1, 1]}]


def test_the_settings_that_no_template_fills_in_stay_readable() -> None:
    session = {
        "model": "gpt-realtime-2.1",
        "tools": [{"name": "book", "description": "Books a table."}],
        "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "marin", "speed": 1}},
    }
    assert redaction.event({"type": "accept", "session": session})["session"] == session
