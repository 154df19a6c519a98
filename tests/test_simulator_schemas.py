"""Everything the simulator says, held against OpenAI's own types and the published schemas."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from openai.types.realtime import RealtimeServerEvent, session_update_event_param
from openai.types.webhooks import RealtimeCallIncomingWebhookEvent
from pydantic import TypeAdapter

from runtime.simulator import Behavior, Peer, ToolUse, incoming

PUBLISHED = Path(__file__).parents[2] / "shared" / "openapi-realtime.json"
SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "audio": {
        "input": {
            "transcription": {"model": "gpt-realtime-whisper"},
            "turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000},
        },
        "output": {"voice": "marin"},
    },
    "tools": [{"type": "function", "name": "opening_hours", "description": "Hours.", "parameters": {"type": "object"}}],
    "tracing": "auto",
}


def drain(peer: Peer) -> list[dict[str, Any]]:
    events = []
    while (step := peer.next_step()) is not None:
        events += step[1]
    return events


def conversation() -> list[dict[str, Any]]:
    """A call in which every kind of event occurs that the peer can send."""
    behavior = Behavior(
        session_created_on_attach=True, transcription_is_late=True, failed_responses=1, refer_is_relayed=False
    )
    peer = Peer("rtc_u1_abcdef", behavior=behavior)
    peer.accept(SESSION)
    events = peer.attach()
    for message in _host_opens():
        events += peer.receive(message) + drain(peer)
    events += peer.caller_says("When do you open?", (("One moment.", ToolUse("opening_hours")), "At nine."))
    events += drain(peer)
    call_id = next(event["call_id"] for event in events if "call_id" in event)
    output = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
    events += peer.receive({"type": "conversation.item.create", "item": output})
    events += peer.receive({"type": "response.create"}) + drain(peer)
    events += peer.caller_says("Tell me more.", "It is a long story that nobody ever listens to until its end.")
    for _ in range(5):
        step = peer.next_step()
        events += step[1] if step else []
    events += peer.caller_says("Stop!", "Sorry.") + drain(peer)
    events += peer.caller_presses("#") + peer.caller_stays_silent(7) + drain(peer)
    for message in _host_errs():
        events += peer.receive(message) + drain(peer)
    peer.refer({"target_uri": "tel:+15550100"})
    return events + _failed_transcription() + peer.session_expires()


def _host_opens() -> list[dict[str, Any]]:
    note = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Pressed 1."}]}
    return [
        {"type": "session.update", "event_id": "u1", "session": SESSION},
        {"type": "response.create", "response": {"metadata": {"a": "b"}}},  # the one that fails
        {"type": "response.create", "response": {"instructions": 'Say """Good morning to you all."""'}},
        {"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}},
        {"type": "response.create", "response": {"max_output_tokens": 24, "instructions": '"a b c d e f"'}},
        {"type": "conversation.item.create", "item": {**note, "id": "note"}},
        {"type": "conversation.item.retrieve", "item_id": "note"},
        {"type": "conversation.item.delete", "item_id": "note"},
        {"type": "input_audio_buffer.clear"},
    ]


def _host_errs() -> list[Any]:
    return [
        {"type": "session.update", "session": {"type": "realtime", "foo": 1}},
        {"type": "session.update", "session": {}},
        {"type": "response.cancel", "event_id": "x"},
        {"type": "input_audio_buffer.commit"},
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 0},
        {"type": "nonsense"},
        "nonsense",
    ]


def _failed_transcription() -> list[dict[str, Any]]:
    peer = Peer("rtc_u1_ghijkl", behavior=Behavior(transcription_fails=True))
    peer.accept(SESSION)
    return peer.caller_says("Hello")


def _session_without_telephone() -> list[dict[str, Any]]:
    peer = Peer("sess_u1_klmnop", by_telephone=False)
    peer.accept({"type": "realtime", "model": "gpt-realtime-2.1"})
    asked = {"type": "response.create", "response": {"instructions": '"Good morning."'}}
    return peer.attach() + peer.receive(asked) + drain(peer)


EVENTS = conversation() + _session_without_telephone()
SERVER_EVENTS = get_args(get_args(RealtimeServerEvent)[0])
KINDS = sorted({event["type"] for event in EVENTS})


def test_the_conversation_shows_every_kind_of_event_that_the_peer_can_send() -> None:
    source = (Path(__file__).parents[1] / "runtime" / "simulator" / "peer.py").read_text()
    everything = [get_args(model.model_fields["type"].annotation)[0] for model in SERVER_EVENTS]
    assert [kind for kind in sorted(everything) if f'"{kind}"' in source] == KINDS


def test_every_event_is_the_sdk_s_model_of_its_type() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    by_kind = {get_args(model.model_fields["type"].annotation)[0]: model for model in SERVER_EVENTS}
    for event in EVENTS:
        model = adapter.validate_python(event)
        assert type(model) is by_kind[event["type"]]
        assert not model.model_extra, (event["type"], model.model_extra)
        assert model.model_dump(exclude_unset=True, mode="json", by_alias=True) == event


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published OpenAPI schemas are not beside this repository")
def test_every_event_satisfies_the_published_schema() -> None:
    schemas = _published_schemas()
    by_kind = _schemas_by_kind(schemas)
    for kind in KINDS:
        validator = Draft202012Validator({**schemas, "$ref": f"#/$defs/{by_kind[kind]}"})
        for event in EVENTS:
            if event["type"] == kind:
                problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(event)]
                assert not problems, (kind, problems)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published OpenAPI schemas are not beside this repository")
@pytest.mark.parametrize("trunk", ["twilio", "zadarma", "plain"])
def test_a_webhook_satisfies_the_published_schema(trunk: Any) -> None:
    payload = incoming("rtc_1", "+15550100001", "+15557654321", created_at=1_790_000_000, trunk=trunk)
    validator = Draft202012Validator({**_published_schemas(), "$ref": "#/$defs/WebhookRealtimeCallIncoming"})
    assert not list(validator.iter_errors(payload))


@pytest.mark.parametrize("trunk", ["twilio", "zadarma", "plain"])
def test_a_webhook_is_the_sdk_s_model_of_it(trunk: Any) -> None:
    payload = incoming("rtc_1", "+15550100001", "anonymous", created_at=1_790_000_000, trunk=trunk)
    model = RealtimeCallIncomingWebhookEvent.model_validate(payload)
    assert model.model_dump(exclude_unset=True) == payload
    assert model.data.call_id == "rtc_1"


def test_the_sdk_s_session_parameters_are_all_known() -> None:
    known = session_update_event_param.RealtimeSessionCreateRequestParam.__annotations__
    for name in known:
        peer = Peer("rtc_1")
        peer.accept({"type": "realtime"})
        (answer,) = peer.receive({"type": "session.update", "session": {"type": "realtime", name: object()}})
        assert answer["error"]["code"] in ("invalid_type", "invalid_value"), name


def _published_schemas() -> dict[str, Any]:
    """The published document with OpenAPI's way of saying "or null" put into JSON Schema's.

    OpenAPI 3.0 marks it `nullable: true`, or leaves `default: null` as the only sign, which JSON Schema ignores.
    And two fields of the session's echo are null in reality when they are off, which the document does not say.
    """
    document = json.loads(PUBLISHED.read_text())
    session = document["$defs"]["RealtimeSessionCreateResponseGA"]["properties"]
    audio_input = session["audio"]["properties"]["input"]["properties"]
    for holder, name in ((session, "include"), (audio_input, "transcription")):
        holder[name] = {"anyOf": [holder[name], {"type": "null"}]}
    return {"$schema": document["$schema"], "$defs": _or_null(document["$defs"])}


def _or_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_or_null(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _or_null(value) for name, value in schema.items()}
    if schema.get("nullable") is True or ("default" in schema and schema["default"] is None):
        return {"anyOf": [inner, {"type": "null"}]}
    return inner


def _schemas_by_kind(schemas: dict[str, Any]) -> dict[str, str]:
    definitions = schemas["$defs"]
    names = [option["$ref"].rsplit("/", 1)[1] for option in definitions["RealtimeServerEvent"]["anyOf"]]
    return {definitions[name]["properties"]["type"]["enum"][0]: name for name in names}
