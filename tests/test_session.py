import json
from typing import Any

import pytest

from runtime.session import SessionSettings, leave_out, line_of, settings_for
from tests.house import agent, incoming

GUARDED = "greeting: {text: Hello., interruptible: false}\n"


def settings(more: str = "", **call: Any) -> SessionSettings:
    return settings_for(agent(more), incoming(**call))


def nulls(value: Any, path: str = "session") -> list[str]:
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in nulls(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for inner in value for found in nulls(inner, path + "[]")]
    return []


def payloads(more: str) -> list[dict[str, Any]]:
    made = settings(more)
    return [made.accept(), made.update(held=True), made.update(held=False), made.release()]


def test_accept_carries_the_complete_session() -> None:
    """Traps 1 and 2: voice and tracing are settled at accept, where nothing has spoken yet."""
    body = settings("greeting: Hello.\nvoice: cedar\nnoise_reduction: {type: near_field}\n").accept()
    assert body == {
        "type": "realtime",
        "model": "gpt-realtime-2.1",
        "output_modalities": ["audio"],
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "auto",
                    "create_response": True,
                    "interrupt_response": True,
                },
                "transcription": {"model": "gpt-transcribe"},
                "noise_reduction": {"type": "near_field"},
            },
            "output": {"voice": "cedar", "speed": 1},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": {"workflow_name": "desk", "group_id": "rtc_1"},
    }


def test_no_format_is_ever_sent_on_sip() -> None:
    """Trap 3: a format on SIP gives static or silence; the carrier settles it."""
    for body in payloads("audio: {input: {format: pcm16}, output: {format: g711_alaw}}\n" + GUARDED):
        assert "format" not in json.dumps(body)


def test_every_definition_holds_concrete_formats_all_the_same() -> None:
    assert agent().data["audio"] == {
        "input": {"format": {"type": "audio/pcmu"}},
        "output": {"format": {"type": "audio/pcmu"}},
    }
    declared = agent("audio: {input: {format: pcm16}}\n").data["audio"]
    assert declared["input"]["format"] == {"type": "audio/pcm", "rate": 24000}


@pytest.mark.parametrize("more", ["", GUARDED, "transcription: null\nnoise_reduction: null\ntracing: null\n"])
def test_off_is_left_out_and_nothing_is_null(more: str) -> None:
    """Trap 27, and the forum's «expected an object, but got null instead»."""
    for body in payloads(more):
        assert nulls(body) == []


def test_turn_detection_off_is_a_null_that_is_sent() -> None:
    for body in payloads("turn_detection: null\n"):
        assert nulls(body) == ["session.audio.input.turn_detection"]


def test_an_update_names_neither_model_nor_voice_nor_tracing() -> None:
    """Traps 1, 2 and 5: what was settled at accept is not said again."""
    update = settings("voice: cedar\n").update(held=False)
    assert not {"model", "tracing", "output_modalities"} & update.keys()
    assert update["audio"].keys() == {"input"}


def test_tools_are_the_same_in_accept_and_update() -> None:
    """Trap 6: an update replaces the whole list."""
    made = settings('tools: [{entrypoint: "a:b"}, {entrypoint: "c:d", name: e}]\n')
    assert made.accept()["tools"] == made.update(held=False)["tools"]
    assert [tool["name"] for tool in made.accept()["tools"]] == ["b", "e"]


def test_every_update_of_the_input_carries_the_whole_group() -> None:
    """Trap 9: an update with only turn_detection was seen to lose the transcription."""
    made = settings("noise_reduction: {type: far_field}\n" + GUARDED)
    for body in (made.accept(), made.update(held=True), made.release()):
        assert body["audio"]["input"].keys() == {"turn_detection", "transcription", "noise_reduction"}


@pytest.mark.parametrize(
    ("more", "held"),
    [
        ("", False),
        ("greeting: Hello.\n", False),
        (GUARDED, True),
        ("greeting: {text: Hello., wait_for_caller: true}\n", True),
        ("turn_detection: null\n" + GUARDED, False),
    ],
)
def test_turns_are_held_while_the_greeting_must_come_first(more: str, held: bool) -> None:
    made = settings(more)
    assert made.starts_held is held
    detection = made.accept()["audio"]["input"]["turn_detection"]
    if held:
        assert (detection["create_response"], detection["interrupt_response"]) == (False, False)
        released = made.release()["audio"]["input"]["turn_detection"]
        assert (released["create_response"], released["interrupt_response"]) == (True, True)


def test_templates_are_rendered_for_the_call() -> None:
    more = (
        'greeting: "{{ shop }}, hello {{ call.caller }}"\nvariables: {shop: Nova}\n'
        'tracing: {metadata: {called: "{{ call.called }}", shard: 3, day: "{{ call.started_at.date() }}"}}\n'
    )
    made = settings(more)
    assert made.greeting == "Nova, hello +15557654321"
    assert made.session["tracing"]["metadata"] == {"called": "+15550100001", "shard": 3, "day": "2026-11-27"}


def test_a_line_is_said_in_the_declared_voice_without_tools_and_can_be_recognised() -> None:
    response = settings("voice: {id: voice_1}\n").say('Hello, "you".', "greeting")
    assert response["audio"] == {"output": {"voice": {"id": "voice_1"}}}
    assert response["tool_choice"] == "none"
    assert response["metadata"] == {"switchboard": "greeting"}
    assert '"""Hello, "you"."""' in response["instructions"]


def test_a_refused_parameter_is_left_out_by_the_services_own_name() -> None:
    body = settings("turn_detection: {type: server_vad, threshold: 0.6}\n").accept()
    less = leave_out(body, "session.audio.input.turn_detection.threshold")
    assert "threshold" not in less["audio"]["input"]["turn_detection"]
    assert body["audio"]["input"]["turn_detection"]["threshold"] == 0.6
    assert leave_out(body, "session.nothing.such") == body


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ({"switchboard": "greeting"}, "greeting"),
        ({"switchboard": None}, ""),
        ({"other": "x"}, ""),
        (None, ""),
        ("x", ""),
    ],
)
def test_a_response_tells_which_line_of_ours_it_says(metadata: Any, line: str) -> None:
    assert line_of({"id": "resp_1", "metadata": metadata}) == line


def test_a_response_without_metadata_says_no_line_of_ours() -> None:
    assert line_of({}) == ""
