"""Three things that must say the same: our schema, our definitions, and the installed `openai` package's types.

Each listed difference stands with its reason.
"""

import typing
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.realtime import (
    audio_transcription,
    realtime_audio_config_input,
    realtime_audio_config_output,
    realtime_audio_formats,
    realtime_audio_input_turn_detection,
    realtime_reasoning_effort,
    realtime_session_create_request,
    realtime_tracing_config,
    realtime_truncation_retention_ratio,
)

from runtime import schema as schemas
from runtime.incoming import SAMPLE_CALL
from runtime.session import settings_for
from tests.house import agent

RAW: dict[str, Any] = dict(schemas.load("agent").raw)
FIELDS = RAW["properties"]

TOP_LEVEL = {
    "name", "description", "answers", "model", "voice", "speed", "instructions", "instructions_file", "greeting",
    "variables", "turn_detection", "noise_reduction", "transcription", "audio", "tools", "tracing",
    "max_output_tokens", "tool_choice", "parallel_tool_calls", "reasoning", "truncation", "environments",
    "handoffs", "limits", "hours", "on_failure", "guardrails", "lookup",
}  # fmt: skip


def literals(annotation: Any) -> set[Any]:
    """Return every value of every Literal inside an annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return {value for inner in typing.get_args(annotation) for value in literals(inner)}


def vad(kind: str) -> dict[str, Any]:
    (variant,) = [
        part["then"]
        for part in FIELDS["turn_detection"]["then"]["allOf"]
        if part["if"]["properties"]["type"]["const"] == kind
    ]
    understood = {name: field for name, field in variant["properties"].items() if field is True or "not" not in field}
    return {**variant, "properties": understood}


def test_the_top_level_names_are_the_agreed_ones() -> None:
    assert set(FIELDS) == TOP_LEVEL


def test_every_field_with_a_default_is_complete_in_a_definition() -> None:
    data = agent().data
    assert {name for name, field in FIELDS.items() if "default" in field} <= data.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (vad("server_vad"), realtime_audio_input_turn_detection.ServerVad),
        (vad("semantic_vad"), realtime_audio_input_turn_detection.SemanticVad),
        (FIELDS["transcription"], audio_transcription.AudioTranscription),
        (FIELDS["noise_reduction"], realtime_audio_config_input.NoiseReduction),
        (FIELDS["tracing"]["else"], realtime_tracing_config.TracingConfiguration),
        (FIELDS["truncation"]["else"], realtime_truncation_retention_ratio.RealtimeTruncationRetentionRatio),
        (FIELDS["voice"]["else"], realtime_audio_config_output.VoiceID),
    ],
    ids=["server_vad", "semantic_vad", "transcription", "noise_reduction", "tracing", "truncation", "voice"],
)
def test_an_object_of_the_api_has_the_fields_of_the_installed_package(ours: dict[str, Any], theirs: Any) -> None:
    assert set(ours["properties"]) == set(theirs.model_fields)


def test_the_sessions_fields_are_ours_or_left_out_for_a_reason() -> None:
    theirs = set(realtime_session_create_request.RealtimeSessionCreateRequest.model_fields)
    left_out = {
        "type": "always realtime",
        "output_modalities": "always audio: this is the telephone",
        "include": "log probabilities, of no use to a call",
        "prompt": "stored prompts end on 2026-11-30 (protocol 7.3)",
    }
    assert theirs - left_out.keys() <= TOP_LEVEL
    assert left_out.keys() <= theirs


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FIELDS["voice"]["then"]["enum"], literals(realtime_audio_config_output.Voice)),
        (vad("semantic_vad")["properties"]["eagerness"]["enum"],
         literals(realtime_audio_input_turn_detection.SemanticVad.model_fields["eagerness"].annotation)),
        (FIELDS["noise_reduction"]["properties"]["type"]["enum"],
         literals(realtime_audio_config_input.NoiseReduction.model_fields["type"].annotation)),
        (FIELDS["transcription"]["properties"]["delay"]["enum"],
         literals(audio_transcription.AudioTranscription.model_fields["delay"].annotation)),
        (FIELDS["reasoning"]["properties"]["effort"]["enum"],
         literals(realtime_reasoning_effort.RealtimeReasoningEffort)),
        (FIELDS["audio"]["properties"]["input"]["properties"]["format"]["else"]["properties"]["type"]["enum"],
         literals(realtime_audio_formats.AudioPCM.model_fields["type"].annotation)
         | literals(realtime_audio_formats.AudioPCMU.model_fields["type"].annotation)
         | literals(realtime_audio_formats.AudioPCMA.model_fields["type"].annotation)),
    ],
    ids=["voice", "eagerness", "noise_reduction", "delay", "effort", "format"],
)  # fmt: skip
def test_a_choice_of_the_api_has_the_values_of_the_installed_package(ours: list[str], theirs: set[str]) -> None:
    assert set(ours) == theirs


def test_our_accept_body_is_a_session_of_the_installed_package() -> None:
    more = 'tools: [{entrypoint: "a:b"}]\ngreeting: Hello.\nspeed: 1.1\nreasoning: {effort: low}\n'
    body = settings_for(agent(more), SAMPLE_CALL).accept()
    session = realtime_session_create_request.RealtimeSessionCreateRequest.model_validate(body)
    assert session.audio is not None
    assert session.audio.output is not None
    assert session.audio.output.voice == "marin"


def test_no_default_is_about_to_be_shut_down() -> None:
    """Trap 28: the SDK's default transcription model dies on 2027-02-26."""
    transcription = FIELDS["transcription"]
    defaults = (
        (FIELDS["model"], FIELDS["model"]["default"]),
        (transcription["properties"]["model"], transcription["default"]["model"]),
    )
    for field, value in defaults:
        assert value not in field["x-shutdown"]
        assert all(end["use"] not in field["x-shutdown"] for end in field["x-shutdown"].values())


def properties(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(node, dict):
        return
    for name, field in node.get("properties", {}).items():
        if isinstance(field, dict) and "type" in field:  # others only narrow what is described elsewhere
            yield f"{path}.{name}", field
    for key, inner in node.items():
        if key == "properties":
            for name, field in inner.items():
                yield from properties(field, f"{path}.{name}")
        elif key not in ("default", "examples", "if"):
            for one in inner if isinstance(inner, list) else [inner]:
                yield from properties(one, path)


@pytest.mark.parametrize(("path", "field"), list(properties(RAW)), ids=lambda value: str(value)[:40])
def test_every_field_tells_an_author_what_it_does_and_shows_one(path: str, field: dict[str, Any]) -> None:
    assert field.get("description", "").endswith("."), f"{path} has no description"
    assert field.get("examples"), f"{path} has no example"
