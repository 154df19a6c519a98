"""What people say and their numbers never survive a redaction, and its shape always does."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import commands as c
from runtime import events as e
from runtime import recorded, redaction
from runtime.realtime.tools import read_tool
from tests.house import incoming
from tests.play import Play

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
        {"type": "attach_failed", "reason": three, "gone": False},
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
    assert redaction.text("+15557654321") == "+11111111111"
    assert redaction.text("2026-11-27") == "1111-11-11"
    assert redaction.text("ann@casa.example") == "xxx@xxxx.xxxxxxx"
    assert redaction.text("") == ""


def test_signs_stay_where_they_structure_a_text_and_pictures_do_not() -> None:
    assert redaction.text("«Ann» — 12 + 3…\u00a0½ €, 🙂 ☎") == "«xxx» — 11 + 1…\u00a01 x, x x"


def test_the_keys_that_structure_a_call_stay_and_digits_do_not() -> None:
    pressed = {"type": "input_audio_buffer.dtmf_event_received", "event": "7", "received_at": 5}
    assert redaction.event(pressed) == {**pressed, "event": "1"}
    for key in "*#":
        assert redaction.event({**pressed, "event": key})["event"] == key


def test_an_error_keeps_the_id_of_the_response_that_is_active() -> None:
    error = {
        "message": "There is one already: resp_1aB. Wait, Ann.",
        "code": "conversation_already_has_active_response",
    }
    message = redaction.event({"type": "error", "error": error})["error"]["message"]
    assert message == "xxxxx xx xxx xxxxxxx: resp_1aB. xxxx, xxx."
    message = redaction.event({"type": "error", "error": {**error, "code": "other"}})["error"]["message"]
    assert message == "xxxxx xx xxx xxxxxxx: xxxx_1xx. xxxx, xxx."


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


# ── a secret at every place of every kind ─────────────────────────────────────────────────────────────────────

TOOL = {"type": "function", "name": "book", "description": "Books.", "parameters": {"type": "object"}}
SESSION = {
    "type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime",
    "instructions": "Be brief.",
    "output_modalities": ["audio"], "tool_choice": {"type": "function", "name": "book"}, "include": ["some.thing"],
    "audio": {
        "input": {"turn_detection": {"type": "semantic_vad"}, "transcription": {"model": "whisper"}},
        "output": {"voice": "marin", "speed": 1.0, "format": {"type": "audio/pcmu"}},
    },
    "tools": [TOOL],
    "tracing": {"workflow_name": "desk", "group_id": "ann", "metadata": {"guest": "ann"}},
    "prompt": {"id": "pmpt_1", "variables": {"guest": "ann"}},
    "truncation": {"type": "retention_ratio"}, "reasoning": {"effort": "low"}, "max_output_tokens": "inf",
}  # fmt: skip
RESPONSE = {
    "object": "realtime.response", "id": "resp_1", "conversation_id": "conv_1", "status": "failed",
    "status_details": {"type": "failed", "reason": "turn_detected", "error": {"type": "server", "code": "bad"}},
    "metadata": {"switchboard": "while call_1 1", "topic": "hats"}, "instructions": "Say it.",
    "output": [
        {"type": "message", "id": "item_1", "role": "assistant", "content": [{"type": "audio", "transcript": "Yes."}]},
        {"type": "function_call", "name": "book", "call_id": "call_1", "arguments": '{"guest": "ann"}'},
    ],
    "usage": {"total_tokens": 3, "details": {"kind": "cached"}},
}  # fmt: skip
TOLD = {"item_id": "item_1", "response_id": "resp_1", "event_id": "event_1", "previous_item_id": None}
FROM_THE_SERVICE: list[dict[str, Any]] = [
    {"type": "session.created", "session": SESSION},
    {"type": "session.updated", "session": SESSION},
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.done", "response": RESPONSE},
    *({"type": "conversation.item.added", **TOLD, "item": item} for item in RESPONSE["output"]),
    {"type": "response.output_item.done", **TOLD, "item": {"name": "book", "arguments": {"guest": ["ann"]}}},
    {"type": "response.output_audio_transcript.delta", **TOLD, "delta": "Hello", "obfuscation": "aaa"},
    {"type": "response.function_call_arguments.done", **TOLD, "name": "book", "arguments": "no JSON"},
    {
        "type": "conversation.item.input_audio_transcription.completed", **TOLD, "transcript": "Hello.",
        "logprobs": [{"token": "Hello", "bytes": [72], "top_logprobs": [{"token": "Hi"}]}], "usage": {"type": "tokens"},
    },
    {"type": "conversation.item.input_audio_transcription.failed", **TOLD, "error": {"message": "No.", "param": "a"}},
    {"type": "input_audio_buffer.dtmf_event_received", "event": "7", "received_at": 5, "note": "x"},
    {"type": "rate_limits.updated", "rate_limits": [{"name": "requests", "limit": 3}]},
    {"type": "error", **TOLD, "error": {"type": "invalid", "code": "no", "message": "call_1?", "param": "a.voice"}},
    {"type": "unreadable", "characters": 5},
]  # fmt: skip
OURS: list[e.Event] = [
    e.Accepted(("session.tracing.metadata.guest",)), e.AcceptFailed("No.", gone=False, cause="quota"),
    e.Attached(), e.AttachFailed("No.", gone=True), e.SidebandClosed(1006, "No."), e.HungUp("No."), e.Referred(),
    e.ReferFailed("busy"), e.LookedUp({"guest": {"name": "ann", "by": {"bob": 1}}, "notes": ["vip"]}, "No."),
    e.TimerFired("slow call_1"), e.HandedOff("billing"), e.ToolFinished("call_1", "book", "A table."),
    e.WordsRefused("resp_1", "rules:kind"), e.DrainEnded(), e.HostStopped(), e.Failed("KeyError"),
]  # fmt: skip
WANTED: list[c.Command] = [
    c.Accept(SESSION), c.Reject(404), c.Attach(), c.Refer("tel:+15550123456"), c.HangUp(), c.LookUp(),
    c.RunTool("call_1", "book", "{}"),
    c.Send({"type": "session.update", "event_id": "update_1", "session": SESSION}),
    c.Send({"type": "response.create", "event_id": "response_1", "response": RESPONSE}),
    c.Send({"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "A table."}}),
    c.Record("ended", {"outcome": "failed", "reason": "No."}),
]  # fmt: skip
ARRIVALS: list[e.Event] = [
    e.CallTurnedAway(incoming(headers={"X-Guest": "ann"}), "no_agent", 404, "No."), Play(unable="quota").arrival,
]  # fmt: skip


def written() -> list[Mapping[str, Any]]:
    """Return an event of each kind that is recorded."""
    entries = [entry for event in (*ARRIVALS, *OURS) for entry in recorded.entries_of(event, (), 0)]
    entries += recorded.entries_of(e.CallerSpoke(), WANTED, 0)
    return [json.loads(entry.line())["event"] for entry in entries] + FROM_THE_SERVICE


def test_there_is_an_event_of_each_kind_that_is_recorded() -> None:
    assert {type(one) for one in OURS} == set(recorded._HAPPENED)
    assert {type(one) for one in WANTED} == {*recorded._WANTED, c.Send, c.Record}


def with_secret(value: Any, secret: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield data with a secret at each of its texts and keys, with the place where it stands."""
    if isinstance(value, str):
        yield path, secret
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for place, made in with_secret(inner, secret, path):
                yield place, [*value[:index], made, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}, a key", {**value, secret: inner}
            for place, made in with_secret(inner, secret, f"{path}.{key}"):
                yield place, {**value, key: made}


OF_THE_AUTHOR = (".tools", ".turn_detection", ".transcription.model", ".format")  # no template fills them in


def readable(secret: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the place of each event from which a secret that was put there can still be read."""
    for event in written():
        without = set(survives(secret, json.dumps(redaction.event(event), ensure_ascii=False)))  # as 202 of a year
        for place, told in with_secret(event, secret):
            kept = redaction.event(told)
            assert redaction.event(kept) == kept, (event["type"], place)
            if set(survives(secret, json.dumps(kept, ensure_ascii=False))) - without:
                yield str(event["type"]), place


def is_the_authors(place: str) -> bool:
    return any(part in place for part in OF_THE_AUTHOR)


@pytest.mark.parametrize(
    "secret", ["Anna", "Anna Smith", "ann@casa.example", "+4915112345", "4915112345", "2027-04-09"]
)
def test_a_secret_is_readable_nowhere(secret: str) -> None:
    assert [one for one in readable(secret) if not is_the_authors(one[1])] == []


@settings(max_examples=5)
@given(SAID)
def test_words_and_numbers_of_any_kind_are_readable_nowhere(said: str) -> None:
    assert [one for one in readable(said) if not is_the_authors(one[1])] == []


WORDS_OF_THE_API = (
    "type", "object", "role", "status", "code", "model", "voice", "output_modalities", "tool_choice", "effort", "cause",
    "max_output_tokens", "outcome", "unable",
)  # fmt: skip
IDS = ("id", "event_id", "item_id", "response_id", "call_id", "tool_call_id", "conversation_id", "switchboard")


def test_what_looks_like_a_word_of_the_api_or_an_id_is_readable_only_where_one_stands() -> None:
    for secret, may_stand in (("anna", WORDS_OF_THE_API), ("call_me_anna_at_4915112345", IDS)):
        for kind, place in readable(secret):
            where = place.rpartition(".")[2]
            is_protocols = where.endswith("a key") and not re.search(r"\.(found|headers|metadata|variables)\.", place)
            is_timers = kind == "timer_fired" and where == "name"
            assert is_protocols or is_timers or where in may_stand or is_the_authors(place), (kind, place)


def test_the_keys_and_names_that_an_author_wrote_stay_readable() -> None:
    found = {"guest": {"name": "Ann", "Ann": 1}, "since": 2020}
    lookup = "lookup: {entrypoint: 'tests.test_redaction:find', defaults: {guest: {name: you}, since: 0}}\n"
    greets = "greeting: \"{{ guest.name }}{{ call.headers['X-Tier'] | default('') }}\"\n"
    declared = recorded.declared_by(Play(lookup + greets, read_tool=read_tool).arrival.roles)
    assert redaction.event({"type": "looked_up", "found": found}, declared)["found"] == {
        "guest": {"name": "xxx", "xxx": 1}, "since": 1,
    }  # fmt: skip
    headers = {"From": "Ann", "x-tier": "gold", "X-Ann": "1"}
    assert redaction.event({"type": "webhook", "headers": headers}, declared)["headers"] == {
        "From": "xxx", "x-tier": "xxxx", "x-xxx": "1",
    }  # fmt: skip
    assert redaction.event({"type": "handed_off", "agent": "desk"}, declared)["agent"] == "desk"


def find() -> dict[str, Any]:
    """Finds who is calling."""
    return {}
