from typing import Any

import pytest

from runtime.receipt import Receipt, Row, compare, likeness
from runtime.session import settings_for
from tests.house import agent, incoming

DECLARED = settings_for(agent("turn_detection: {type: server_vad, threshold: 0.3}\n"), incoming()).accept()


def echo(**audio_input: Any) -> dict[str, Any]:
    """Return what a service echoes that took everything."""
    heard = {"noise_reduction": None, **DECLARED["audio"]["input"], **audio_input}
    return {**DECLARED, "id": "sess_1", "audio": {**DECLARED["audio"], "input": heard}}


def differing(rows: tuple[Row, ...]) -> list[str]:
    return [row.field for row in Receipt(rows).differences]


def test_a_faithful_echo_agrees() -> None:
    assert differing(compare(DECLARED, echo())) == []


def test_the_services_own_defaults_and_float_rounding_are_no_difference() -> None:
    detection = {**DECLARED["audio"]["input"]["turn_detection"], "threshold": 0.30000001192, "prefix_padding_ms": 300}
    transcription = {"model": "gpt-transcribe", "language": None, "prompt": None}
    assert differing(compare(DECLARED, echo(turn_detection=detection, transcription=transcription))) == []


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("voice", {"audio": {**DECLARED["audio"], "output": {"voice": "alloy"}}}),
        ("tools", {"tools": [{"name": "other"}]}),
        ("model", {"model": "gpt-realtime"}),
        ("tracing", {"tracing": None}),
        ("instructions", {"instructions": "Be long."}),
    ],
)
def test_a_difference_is_named(field: str, changed: dict[str, Any]) -> None:
    assert field in differing(compare(DECLARED, {**echo(), **changed}))


def test_a_setting_of_the_input_that_the_service_dropped_is_named() -> None:
    """Trap 9, seen from the receipt."""
    assert differing(compare(DECLARED, echo(transcription=None))) == ["transcription"]
    assert differing(compare(DECLARED, echo(noise_reduction={"type": "near_field"}))) == ["noise_reduction"]
    held = {**DECLARED["audio"]["input"]["turn_detection"], "create_response": False}
    assert differing(compare(DECLARED, echo(turn_detection=held))) == ["turn_detection"]


@pytest.mark.parametrize("nonsense", [{}, {"audio": None}, {"audio": {"input": 3, "output": []}, "tools": "x"}])
def test_an_echo_of_nonsense_is_a_difference_and_no_exception(nonsense: dict[str, Any]) -> None:
    assert differing(compare(DECLARED, nonsense))


@pytest.mark.parametrize(
    ("spoken", "verdict"),
    [
        ("Casa Nova, good evening. How can I help?", "exact"),
        ("casa nova - good evening how can I help", "exact"),
        ("Casa Nova, good evening. How may I help?", "near"),
        ("Hi there!", "different"),
        ("", "different"),
    ],
)
def test_a_spoken_greeting_is_compared_by_its_words(spoken: str, verdict: str) -> None:
    assert likeness("Casa Nova, good evening. How can I help?", spoken) == verdict


def test_instructions_never_show_in_a_receipt() -> None:
    rows = {row.field: row for row in compare(DECLARED, echo())}
    assert "Be brief" not in str(rows["instructions"])
