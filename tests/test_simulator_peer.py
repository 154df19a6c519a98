"""What the peer takes, refuses, answers and does by itself: the rules of the real service, one claim each."""

from typing import Any

import pytest

from runtime.simulator import Behavior, Peer, Refused, ToolUse, spoken_line

VAD = {"type": "server_vad", "silence_duration_ms": 400}
FULL: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "instructions": "You answer the telephone.",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "transcription": {"model": "gpt-live-transcribe", "languages": ["en"]},
            "turn_detection": VAD,
            "noise_reduction": {"type": "far_field"},
        },
        "output": {"voice": "marin", "speed": 1.1},
    },
    "tools": [{"type": "function", "name": "opening_hours", "description": "", "parameters": {}}],
    "tool_choice": "auto",
    "tracing": {"workflow_name": "front-desk", "group_id": "g", "metadata": {"a": "b"}},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
    "reasoning": {"effort": "low"},
    "parallel_tool_calls": True,
    "max_output_tokens": "inf",
}
GREETING = 'Say exactly this: """Good morning, how can I help?"""'


def live(settings: dict[str, Any] | None = None, **behavior: Any) -> Peer:
    peer = Peer("rtc_test", behavior=Behavior(**behavior))
    peer.accept(FULL if settings is None else {"type": "realtime", **settings})
    return peer


def audio(**groups: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": groups}


def refusal(settings: Any, **behavior: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        Peer("rtc_test", behavior=Behavior(**behavior)).accept(settings)
    return caught.value


def drain(peer: Peer) -> list[dict[str, Any]]:
    events = []
    while (step := peer.next_step()) is not None:
        events += step[1]
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def update(peer: Peer, **session: Any) -> dict[str, Any]:
    (answer,) = peer.receive({"type": "session.update", "event_id": "u1", "session": {"type": "realtime", **session}})
    return answer


def create(peer: Peer, **response: Any) -> list[dict[str, Any]]:
    return peer.receive({"type": "response.create", "event_id": "c1", "response": response})


def error_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    assert event["type"] == "error", event
    error: dict[str, Any] = event["error"]
    return error


def until(peer: Peer, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while kind not in kinds(events):
        step = peer.next_step()
        assert step is not None, kinds(events)
        events += step[1]
    return events


# --- accept ---


def test_a_complete_session_is_accepted_and_recorded() -> None:
    peer = live()
    assert peer.state == "accepted"
    assert peer.accepted == FULL
    assert peer.session["tools"] == FULL["tools"]
    assert not peer.distorted


def test_defaults_are_filled_in_around_what_accept_says() -> None:
    session = live(audio(input={"turn_detection": VAD})).session
    assert session["model"] == "gpt-realtime-2.1"
    assert session["tracing"] is None
    assert session["audio"]["output"]["voice"] == "alloy"
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 400,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize(
    ("settings", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        (None, "invalid_type", "session"),
        ([], "invalid_type", "session"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": "realtime", "foo": 1}, "unknown_parameter", "session.foo"),
        ({"type": "realtime", "voice": "ash"}, "unknown_parameter", "session.voice"),
        ({"type": "realtime", "model": 3}, "invalid_type", "session.model"),
        ({"type": "realtime", "instructions": None}, "invalid_type", "session.instructions"),
        ({"type": "realtime", "max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "max_output_tokens": "all"}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "max_output_tokens": True}, "invalid_type", "session.max_output_tokens"),
        (
            {"type": "realtime", "output_modalities": ["audio", "text"]},
            "invalid_value",
            "session.output_modalities",
        ),
        ({"type": "realtime", "tracing": "on"}, "invalid_value", "session.tracing"),
        ({"type": "realtime", "tracing": {"name": "x"}}, "unknown_parameter", "session.tracing.name"),
        ({"type": "realtime", "truncation": {"type": "retention_ratio"}}, "missing_required_parameter", None),
        ({"type": "realtime", "tool_choice": {"type": "function"}}, "missing_required_parameter", None),
        ({"type": "realtime", "tools": [{"type": "function"}]}, "missing_required_parameter", None),
        (
            {"type": "realtime", "tools": [{"name": "x"}]},
            "missing_required_parameter",
            "session.tools[0].type",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function", "name": "a b"}]},
            "invalid_value",
            "session.tools[0].name",
        ),
        (
            {"type": "realtime", "tools": [{"type": "function", "name": "a", "strict": True}]},
            "unknown_parameter",
            "session.tools[0].strict",
        ),
        (audio(output={"voice": "siri"}), "invalid_value", "session.audio.output.voice"),
        (
            audio(output={"voice": {"name": "x"}}),
            "missing_required_parameter",
            "session.audio.output.voice.id",
        ),
        (audio(output={"speed": 2}), "invalid_value", "session.audio.output.speed"),
        (audio(output={"speed": "fast"}), "invalid_type", "session.audio.output.speed"),
        (audio(output={"voice": None}), "invalid_type", "session.audio.output.voice"),
        (audio(input=None), "invalid_type", "session.audio.input"),
        (
            audio(input={"turn_detection": {"type": "sever_vad"}}),
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            audio(input={"turn_detection": {"threshold": 0.5}}),
            "missing_required_parameter",
            "session.audio.input.turn_detection.type",
        ),
        (
            audio(input={"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}),
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            audio(input={"turn_detection": {**VAD, "create_response": None}}),
            "invalid_type",
            "session.audio.input.turn_detection.create_response",
        ),
        (
            audio(input={"turn_detection": {**VAD, "idle_timeout_ms": 1000}}),
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            audio(input={"transcription": {"model": "gpt-live-transcribe", "delay": "low"}}),
            "invalid_value",
            "session.audio.input.transcription.delay",
        ),
        (
            audio(input={"transcription": {"model": "whisper-1", "keywords": ["Acme"]}}),
            "invalid_value",
            "session.audio.input.transcription.keywords",
        ),
    ],
)
def test_accept_refuses_what_the_service_refuses(settings: Any, code: str, param: str | None) -> None:
    refused = refusal(settings)
    assert (refused.status, refused.code) == (400, code)
    assert param is None or refused.param == param


def test_a_refused_accept_leaves_the_call_incoming() -> None:
    peer = Peer("rtc_test")
    with pytest.raises(Refused):
        peer.accept({"type": "realtime", "foo": 1})
    peer.accept(FULL)
    assert peer.state == "accepted"


def test_a_null_format_is_refused_in_the_words_of_the_service() -> None:
    refused = refusal(audio(input={"format": None}))
    assert refused.message == (
        "Invalid type for 'session.audio.input.format': expected an object, but got null instead."
    )


def test_null_switches_off_what_the_api_lets_it() -> None:
    off = {"turn_detection": None, "transcription": None, "noise_reduction": None}
    peer = live({"audio": {"input": off}, "tracing": None, "prompt": None})
    assert peer.session["audio"]["input"]["turn_detection"] is None


def test_an_audio_format_is_refused_because_a_sip_call_negotiates_its_own() -> None:
    refused = refusal(audio(output={"format": {"type": "audio/pcm", "rate": 24000}}))
    assert refused.message == "Unknown parameter: 'session.audio.output.format'."


def test_an_audio_format_distorts_where_it_is_not_refused() -> None:
    pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
    assert live(audio(input=pcm), formats="distort").distorted
    peer = live(formats="distort")
    update(peer, audio={"output": pcm})
    assert peer.distorted


def test_a_parameter_can_be_unknown_at_accept_only() -> None:
    path = "session.audio.input.turn_detection.silence_duration_ms"
    refused = refusal(FULL, refused_at_accept=frozenset({path}))
    assert (refused.code, refused.param) == ("unknown_parameter", path)
    peer = live({}, refused_at_accept=frozenset({path}))
    assert update(peer, audio=FULL["audio"])["type"] == "session.updated"


@pytest.mark.parametrize("name", ["reasoning", "parallel_tool_calls"])
def test_reasoning_is_refused_for_a_model_without_it(name: str) -> None:
    refused = refusal({"type": "realtime", "model": "gpt-realtime-1.5", name: FULL[name]})
    assert (refused.status, refused.code, refused.param) == (400, None, None)


def test_accept_fails_as_often_as_told_and_then_succeeds() -> None:
    peer = Peer("rtc_test", behavior=Behavior(accept_fails=(500, 503)))
    for status in (500, 503):
        with pytest.raises(Refused) as caught:
            peer.accept(FULL)
        assert caught.value.status == status
        assert caught.value.error["type"] == "server_error"
    peer.accept(FULL)


def test_a_second_decision_about_a_call_is_refused() -> None:
    peer = live()
    for verb in (lambda: peer.accept(FULL), lambda: peer.reject({"status_code": 486})):
        with pytest.raises(Refused) as caught:
            verb()
        assert (caught.value.status, caught.value.code) == (400, "decision_already_made")


# --- the other verbs ---


def test_reject_says_603_unless_told_another_code() -> None:
    one, other = Peer("rtc_1"), Peer("rtc_2")
    one.reject()
    other.reject({"status_code": 404})
    assert (one.rejected, other.rejected) == (603, 404)
    assert one.state == "ended"


@pytest.mark.parametrize("body", [{"status_code": "486"}, {"status_code": 200}, {"code": 486}])
def test_reject_takes_one_number_that_is_a_sip_failure(body: Any) -> None:
    with pytest.raises(Refused):
        Peer("rtc_test").reject(body)


def test_a_call_that_is_over_is_not_found() -> None:
    peer = live()
    peer.hang_up()
    assert peer.hung_up_by == "host"
    verbs = [peer.hang_up, peer.attach, lambda: peer.accept(FULL), peer.reject, lambda: peer.refer({})]
    for verb in verbs:
        with pytest.raises(Refused, match="404 call_id_not_found: No session found"):
            verb()


def test_a_call_that_is_not_accepted_cannot_be_attached_referred_or_hung_up() -> None:
    peer = Peer("rtc_test")
    for verb in (peer.attach, peer.hang_up, lambda: peer.refer({"target_uri": "tel:+1555"})):
        with pytest.raises(Refused, match="No session found"):
            verb()


def test_refer_hands_the_caller_over_to_the_carrier() -> None:
    peer = live()
    peer.refer({"target_uri": "tel:+15550100"})
    assert (peer.referred, peer.hung_up_by, peer.state) == ("tel:+15550100", "carrier", "ended")


def test_refer_may_answer_ok_and_do_nothing() -> None:
    peer = live(refer_is_relayed=False)
    peer.refer({"target_uri": "sip:desk@example.com"})
    assert peer.state == "accepted"


def test_refer_may_fail_where_the_carrier_does_not_support_it() -> None:
    with pytest.raises(Refused, match="500"):
        live(refer_status=500).refer({"target_uri": "tel:+15550100"})


@pytest.mark.parametrize("body", [None, {}, {"target_uri": "+15550100"}, {"target_uri": "tel:+1", "x": 1}])
def test_refer_takes_one_uri_and_nothing_else(body: Any) -> None:
    with pytest.raises(Refused):
        live().refer(body)


def test_nothing_is_sent_at_attach_unless_told() -> None:
    assert live().attach() == []
    (event,) = live(session_created_on_attach=True).attach()
    assert event["type"] == "session.created"


def test_attach_can_be_too_early_or_never_work() -> None:
    early, dead = live(attach_not_found=1), live(accept_then_dead=True)
    for peer in (early, dead, dead):
        with pytest.raises(Refused, match="404"):
            peer.attach()
    assert early.attach() == []


# --- session.update ---


def test_an_update_is_answered_by_the_whole_effective_session() -> None:
    peer = live()
    answer = update(peer, instructions="Be brief.")
    assert answer["type"] == "session.updated"
    assert answer["session"] == peer.session
    assert answer["session"]["instructions"] == "Be brief."
    assert answer["session"]["audio"]["output"]["voice"] == "marin"
    assert answer["session"]["object"] == "realtime.session"
    assert peer.updates == [{"type": "realtime", "instructions": "Be brief."}]


def test_an_update_needs_its_type() -> None:
    error = error_of(live().receive({"type": "session.update", "session": {"instructions": "x"}}))
    assert error["code"] == "missing_required_parameter"
    assert error["message"] == "Missing required parameter: 'session.type'."


def test_one_bad_field_loses_the_whole_update() -> None:
    peer = live()
    error = error_of([update(peer, instructions="Lost.", tools=[], foo=1)])
    assert (error["code"], error["param"], error["event_id"]) == ("unknown_parameter", "session.foo", "u1")
    assert peer.session["instructions"] == FULL["instructions"]
    assert peer.session["tools"] == FULL["tools"]


def test_an_update_of_the_input_group_removes_what_it_leaves_out() -> None:
    peer = live()
    update(peer, audio={"input": {"turn_detection": VAD}})
    assert peer.session["audio"]["input"]["transcription"] is None
    assert peer.session["audio"]["output"]["voice"] == "marin"


def test_an_update_of_the_input_group_keeps_the_rest_where_the_merge_is_deep() -> None:
    peer = live(merge_depth="deep")
    update(peer, audio={"input": {"turn_detection": None}})
    assert peer.session["audio"]["input"]["transcription"] == FULL["audio"]["input"]["transcription"]
    assert peer.session["audio"]["input"]["turn_detection"] is None


def test_noise_reduction_keeps_its_strength_and_starts_at_one() -> None:
    peer = live()
    assert peer.session["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 1}
    update(peer, audio={"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}})
    update(peer, audio={"input": {"noise_reduction": {"type": "far_field"}}})
    assert peer.session["audio"]["input"]["noise_reduction"]["strength"] == 0.5


def test_the_model_cannot_change_but_may_be_repeated() -> None:
    peer = live()
    assert update(peer, model="gpt-realtime-2.1")["type"] == "session.updated"
    assert error_of([update(peer, model="gpt-realtime-2")])["param"] == "session.model"


def test_the_voice_can_change_only_before_it_was_heard() -> None:
    peer = live()
    assert update(peer, audio={"output": {"voice": "cedar"}})["type"] == "session.updated"
    create(peer, instructions=GREETING)
    drain(peer)
    assert update(peer, audio={"output": {"voice": "cedar"}})["type"] == "session.updated"
    error = error_of([update(peer, audio={"output": {"voice": "ash"}}, tools=[])])
    assert error["code"] == "cannot_update_voice"
    assert peer.session["tools"] == FULL["tools"]


def test_tracing_cannot_change_once_it_is_on() -> None:
    peer = live()
    assert update(peer, tracing=FULL["tracing"])["type"] == "session.updated"
    for tracing in ("auto", None):
        assert error_of([update(peer, tracing=tracing)])["param"] == "session.tracing"
    off = live({})
    assert update(off, tracing="auto")["session"]["tracing"] == "auto"


def test_reasoning_is_refused_by_an_error_that_names_neither_event_nor_field() -> None:
    peer = live({"model": "gpt-realtime-1.5"})
    error = error_of([update(peer, reasoning={"effort": "low"})])
    assert (error["event_id"], error["param"]) == (None, None)


def test_an_update_can_stay_unanswered() -> None:
    peer = live(ignore_session_update=True)
    assert peer.receive({"type": "session.update", "session": {"type": "realtime"}}) == []
    assert len(peer.updates) == 1


def test_the_echo_can_differ_from_what_was_set() -> None:
    peer = live(echo_overrides={"audio": {"output": {"voice": "ash"}}, "tools": []})
    echo = update(peer)["session"]
    assert (echo["audio"]["output"]["voice"], echo["tools"]) == ("ash", [])
    assert echo["audio"]["output"]["speed"] == 1.1
    assert peer.session["audio"]["output"]["voice"] == "marin"


# --- responses ---


def test_a_response_says_the_given_line_word_for_word() -> None:
    peer = live()
    events = create(peer, instructions=GREETING, metadata={"switchboard_line": "greeting"}) + drain(peer)
    assert kinds(events) == [
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "output_audio_buffer.started",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "output_audio_buffer.stopped",
    ]
    assert events[8]["transcript"] == "Good morning, how can I help?"
    assert events[5]["delta"] + events[7]["delta"] == events[8]["transcript"]
    assert events[0]["response"]["metadata"] == events[-2]["response"]["metadata"]
    assert events[-2]["response"]["usage"]["output_tokens"] > 0
    (response,) = peer.responses
    assert (response.said, response.status) == ("Good morning, how can I help?", "completed")
    assert (response.voice, response.metadata) == ("marin", {"switchboard_line": "greeting"})


def test_a_line_can_be_said_differently() -> None:
    peer = live(says_instead=str.upper)
    create(peer, instructions=GREETING)
    drain(peer)
    assert peer.responses[0].said == "GOOD MORNING, HOW CAN I HELP?"


def test_generation_ends_before_the_caller_has_heard_it() -> None:
    peer = live()
    create(peer, instructions=GREETING)
    assert not peer.quiet
    until(peer, "response.done")
    assert peer.audible
    assert peer.delay is not None
    assert peer.delay > 1
    drain(peer)
    assert peer.quiet


def test_every_event_has_an_id_of_its_own_but_a_tone() -> None:
    peer = live()
    events = create(peer, instructions=GREETING) + drain(peer) + peer.caller_says("Hello") + drain(peer)
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    assert all("event_id" not in tone for tone in peer.caller_presses("5"))


def test_a_second_response_waits_for_the_first() -> None:
    peer = live()
    create(peer)
    error = error_of(create(peer))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["message"] == (
        f"Conversation already has an active response in progress: {peer.responses[0].id}. "
        "Wait until the response is finished before creating a new one."
    )
    assert error["event_id"] == "c1"
    until(peer, "response.done")
    assert kinds(create(peer))[0] == "response.created"


def test_an_out_of_band_response_runs_beside_and_leaves_no_item() -> None:
    peer = live()
    create(peer)
    assert kinds(create(peer, conversation="none", output_modalities=["text"]))[0] == "response.created"
    events = drain(peer)
    assert kinds(events).count("response.done") == 2
    assert kinds(events).count("conversation.item.added") == 1
    assert "response.output_text.done" in kinds(events)


def test_errors_can_come_without_the_event_id() -> None:
    peer = live(refuse_create_without_event_id=True)
    create(peer)
    assert error_of(create(peer))["event_id"] is None
    assert error_of([update(peer, foo=1)])["event_id"] == "u1"
    assert error_of([update(live(error_without_event_id=True), foo=1)])["event_id"] is None


def test_a_response_request_can_be_lost() -> None:
    peer = live(drop_first_response_create=1)
    assert create(peer) == []
    assert kinds(create(peer))[0] == "response.created"


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"foo": 1}, "response.foo"),
        ({"voice": "ash"}, "response.voice"),
        ({"tool_choice": "never"}, "response.tool_choice"),
        ({"audio": {"output": {"speed": 1}}}, "response.audio.output.speed"),
        ({"input": [{"type": "message"}]}, "response.input[0].role"),
        ({"metadata": {"a": 1}}, "response.metadata.a"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
    ],
)
def test_a_response_takes_only_its_own_parameters(response: dict[str, Any], param: str) -> None:
    assert error_of(create(live(), **response))["param"] == param


def test_a_response_may_carry_its_own_voice_until_one_was_heard() -> None:
    peer = live()
    create(peer, audio={"output": {"voice": "cedar"}}, input=[], tool_choice="none", max_output_tokens=500)
    drain(peer)
    assert peer.responses[0].voice == "cedar"
    assert error_of(create(peer, audio={"output": {"voice": "ash"}}))["code"] == "cannot_update_voice"


def test_a_response_is_cut_at_its_token_limit() -> None:
    peer = live()
    peer.cue("One two three four five six seven eight nine ten.")
    create(peer, max_output_tokens=24)
    done = drain(peer)[-2]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert peer.responses[0].said == "One two three four "


def test_a_response_can_fail_and_the_session_lives() -> None:
    peer = live(failed_responses=1)
    create(peer)
    (done,) = drain(peer)
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["code"] == "rate_limit_exceeded"
    create(peer)
    drain(peer)
    assert peer.responses[1].status == "completed"


# --- tools ---


def test_a_tool_call_is_announced_and_the_answer_follows_its_output() -> None:
    peer = live()
    events = peer.caller_says("When do you open?", (ToolUse("opening_hours", '{"day":1}'), "At nine."))
    events += drain(peer)
    assert kinds(events)[-8:] == [
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    call_id = events[-4]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": '{"open":9}'}
    assert kinds(peer.receive({"type": "conversation.item.create", "item": output})) == [
        "conversation.item.added",
        "conversation.item.done",
    ]
    create(peer)
    drain(peer)
    assert peer.responses[-1].said == "At nine."
    assert peer.tool_outputs == [{"call_id": call_id, "name": "opening_hours", "output": '{"open":9}'}]


def test_one_response_can_speak_and_call_a_tool() -> None:
    peer = live()
    peer.caller_says("When?", (("One moment.", ToolUse("opening_hours")),))
    drain(peer)
    assert (peer.responses[0].said, peer.responses[0].tool_uses) == ("One moment.", ["opening_hours"])


def test_a_tool_that_was_lost_from_the_session_is_not_called() -> None:
    peer = live()
    update(peer, tools=[])
    peer.caller_says("When?", ToolUse("opening_hours"))
    drain(peer)
    assert peer.responses[0].said == "I have no tool named opening_hours."


def test_a_tool_that_never_was_can_be_made_up() -> None:
    peer = live()
    peer.caller_says("When?", ToolUse("open_safe", undeclared=True))
    drain(peer)
    assert peer.responses[0].tool_uses == ["open_safe"]


def test_tool_choice_none_keeps_the_model_from_tools() -> None:
    peer = live()
    peer.cue((ToolUse("opening_hours"), "Goodbye."))
    create(peer, tool_choice="none")
    drain(peer)
    assert peer.responses[0].said == "Goodbye."


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ({"call_id": "call_9", "output": "{}"}, "invalid_tool_call_id"),
        ({"call_id": "call_9", "output": {}}, "invalid_type"),
        ({"call_id": "call_9"}, "missing_required_parameter"),
    ],
)
def test_a_tool_output_must_belong_to_a_call_and_be_text(output: dict[str, Any], code: str) -> None:
    event = {"type": "conversation.item.create", "item": {"type": "function_call_output", **output}}
    assert error_of(live().receive(event))["code"] == code


# --- interruption ---


def test_the_caller_interrupts_what_is_being_generated() -> None:
    peer = live()
    create(peer, instructions='Say """One two three four five six seven eight nine ten eleven twelve."""')
    until(peer, "output_audio_buffer.started")
    peer.next_step()
    events = peer.caller_starts_speaking()
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert events[3]["item"]["status"] == "incomplete"
    assert events[5]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert events[7]["audio_end_ms"] == 200
    assert peer.quiet
    assert (peer.responses[0].status, peer.responses[0].reason) == ("cancelled", "turn_detected")


def test_the_caller_interrupts_what_is_only_still_heard() -> None:
    peer = live()
    create(peer, instructions=GREETING)
    until(peer, "response.done")
    events = peer.caller_starts_speaking()
    assert kinds(events)[1:] == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    assert peer.responses[0].status == "completed"


def test_a_guarded_greeting_is_not_interrupted_and_no_turn_answered() -> None:
    guard = {**VAD, "create_response": False, "interrupt_response": False}
    peer = live({"audio": {"input": {"turn_detection": guard}}})
    create(peer, instructions=GREETING)
    until(peer, "output_audio_buffer.started")
    events = peer.caller_says("Hello?")
    assert kinds(events)[:3] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    drain(peer)
    assert [response.status for response in peer.responses] == ["completed"]


def test_a_turn_over_an_active_response_that_may_not_be_interrupted_fails() -> None:
    peer = live({"audio": {"input": {"turn_detection": {**VAD, "interrupt_response": False}}}})
    create(peer, instructions=GREETING)
    error = peer.caller_says("Hello?")[-1]["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", None)


def test_a_cancelled_response_is_heard_to_the_end_unless_the_buffer_is_cleared() -> None:
    for clears in (False, True):
        peer = live()
        create(peer, instructions=GREETING)
        until(peer, "output_audio_buffer.started")
        events = peer.receive({"type": "response.cancel"})
        assert events[-1]["response"]["status_details"]["reason"] == "client_cancelled"
        if clears:
            events = peer.receive({"type": "output_audio_buffer.clear"})
            assert kinds(events) == ["output_audio_buffer.cleared"]
        assert kinds(drain(peer)) == ([] if clears else ["output_audio_buffer.stopped"])


def test_there_must_be_something_to_cancel() -> None:
    error = error_of(live().receive({"type": "response.cancel", "event_id": "x"}))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"] == "Cancellation failed: no active response found"


def test_clearing_a_silent_buffer_does_nothing() -> None:
    assert live().receive({"type": "output_audio_buffer.clear"}) == []


# --- the caller ---


def test_a_turn_is_heard_committed_transcribed_and_answered() -> None:
    peer = live()
    create(peer, instructions=GREETING)
    greeting_item = drain(peer)[0]["item"]["id"]
    events = peer.caller_says("I need an appointment.", "Gladly.")
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "rate_limits.updated",
    ]
    assert events[3]["previous_item_id"] == events[4]["previous_item_id"] == greeting_item
    assert len({event["item_id"] for event in (*events[:3], *events[5:7])}) == 1
    assert events[6]["transcript"] == "I need an appointment."
    drain(peer)
    assert peer.responses[-1].said == "Gladly."


def test_nothing_is_transcribed_while_transcription_is_off() -> None:
    assert not any("transcription" in kind for kind in kinds(live({}).caller_says("Hello")))


def test_a_transcript_can_come_late_or_fail() -> None:
    late, failing = live(transcription_is_late=True), live(transcription_fails=True)
    assert not any("transcription" in kind for kind in kinds(late.caller_says("Hello")))
    assert "conversation.item.input_audio_transcription.completed" in kinds(drain(late))
    assert "conversation.item.input_audio_transcription.failed" in kinds(failing.caller_says("Hello"))


def test_nobody_notices_the_caller_without_turn_detection() -> None:
    peer = live({"audio": {"input": {"turn_detection": None}}})
    assert peer.caller_says("Hello") == []


def test_without_a_cue_the_model_says_i_see() -> None:
    peer = live()
    peer.caller_says("Hello")
    drain(peer)
    assert peer.responses[0].said == "I see."


def test_the_service_speaks_by_itself_when_the_idle_timeout_runs_out() -> None:
    peer = live({"audio": {"input": {"turn_detection": {**VAD, "idle_timeout_ms": 5000}}}})
    assert peer.caller_stays_silent(4) == []
    assert kinds(peer.caller_stays_silent(6))[0] == "input_audio_buffer.timeout_triggered"
    assert len(peer.responses) == 1
    assert live().caller_stays_silent(60) == []


def test_no_event_tells_that_the_caller_hung_up() -> None:
    peer = live()
    create(peer, instructions=GREETING)
    peer.caller_hangs_up()
    assert (peer.state, peer.hung_up_by) == ("ended", "caller")
    assert peer.next_step() is None
    assert create(peer) == peer.caller_presses("1") == peer.caller_says("x") == []


def test_the_session_expires_with_an_error() -> None:
    peer = live()
    assert error_of(peer.session_expires())["code"] == "session_expired"
    assert peer.hung_up_by == "service"


# --- items and other client events ---


def test_messages_become_items_in_order() -> None:
    peer = live()
    note = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Pressed 1."}]}
    first = peer.receive({"type": "conversation.item.create", "item": {**note, "id": "note_1"}})
    second = peer.receive({"type": "conversation.item.create", "item": note})
    assert kinds(first) == ["conversation.item.added", "conversation.item.done"]
    assert second[0]["previous_item_id"] == second[1]["previous_item_id"] == "note_1"
    assert first[0]["item"]["object"] == "realtime.item"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"item": {"type": "message", "role": "robot", "content": []}}, "invalid_value"),
        ({"item": {"type": "message", "role": "user"}}, "missing_required_parameter"),
        ({"item": {"type": "message", "role": "user", "content": [{"type": "text"}]}}, "invalid_value"),
        ({"item": {"type": "thought"}}, "invalid_value"),
        ({"item": None}, "invalid_type"),
        ({}, "missing_required_parameter"),
        (
            {"item": {"type": "message", "role": "user", "content": []}, "previous_item_id": "x"},
            "item_not_found",
        ),
    ],
)
def test_a_bad_item_is_refused(event: dict[str, Any], code: str) -> None:
    assert error_of(live().receive({"type": "conversation.item.create", **event}))["code"] == code


def test_an_item_id_is_used_once() -> None:
    peer = live()
    item = {"type": "message", "role": "user", "content": [], "id": "a"}
    peer.receive({"type": "conversation.item.create", "item": item})
    again = peer.receive({"type": "conversation.item.create", "item": item})
    assert error_of(again)["param"] == "item.id"


def test_items_are_retrieved_and_deleted_once() -> None:
    peer = live()
    item = {"type": "message", "role": "user", "content": [], "id": "a"}
    peer.receive({"type": "conversation.item.create", "item": item})
    assert kinds(peer.receive({"type": "conversation.item.retrieve", "item_id": "a"})) == [
        "conversation.item.retrieved"
    ]
    deleted = peer.receive({"type": "conversation.item.delete", "item_id": "a"})
    assert kinds(deleted) == ["conversation.item.deleted"]
    again = peer.receive({"type": "conversation.item.delete", "item_id": "a"})
    assert error_of(again)["code"] == "item_not_found"


def test_the_client_cannot_truncate_on_a_telephone_call() -> None:
    peer = live()
    user = {"type": "message", "role": "user", "content": [], "id": "a"}
    peer.receive({"type": "conversation.item.create", "item": user})
    create(peer, instructions=GREETING)
    spoken = drain(peer)[0]["item"]["id"]
    cut = {"type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": 100}
    errors = [error_of(peer.receive({**cut, "item_id": item})) for item in ("x", "a", spoken)]
    assert [error["code"] for error in errors] == ["item_not_found", "invalid_value", "invalid_value"]
    assert errors[1]["message"] == "Only model output audio messages can be truncated"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value"),
        ({"type": "session.delete"}, "invalid_value"),
        ({"type": "response.cancel", "foo": 1}, "unknown_parameter"),
        ({"event_id": "x"}, "missing_required_parameter"),
        ({"type": "response.cancel", "event_id": 7}, "invalid_type"),
        ({"type": "response.cancel", "event_id": "x" * 513}, "invalid_value"),
        ("hello", "invalid_type"),
        (None, "invalid_type"),
    ],
)
def test_a_bad_client_event_is_refused(event: Any, code: str) -> None:
    peer = live()
    assert error_of(peer.receive(event))["code"] == code
    assert peer.errors[0]["code"] == code
    assert peer.state == "accepted"


def test_what_is_not_json_is_refused() -> None:
    assert error_of(live().receive_text("{"))["code"] == "invalid_json"


def test_the_input_buffer_can_be_cleared() -> None:
    assert kinds(live().receive({"type": "input_audio_buffer.clear"})) == ["input_audio_buffer.cleared"]


# --- lines ---


@pytest.mark.parametrize(
    ("instructions", "line"),
    [
        ('Say """Hello."""', "Hello."),
        ('Not """this""" but """that "quoted" one""", please.', 'that "quoted" one'),
        ("Sage «Guten Tag».", "Guten Tag"),
        ('Say "one" and then “two”.', "two"),
        ("Greet the caller.", None),
    ],
)
def test_the_line_to_say_is_the_last_one_in_quotes(instructions: str, line: str | None) -> None:
    assert spoken_line(instructions) == line


def test_a_marked_response_without_quotes_says_its_instructions() -> None:
    peer = live()
    create(peer, instructions="Good morning.", metadata={"switchboard_line": "greeting"})
    drain(peer)
    assert peer.responses[0].said == "Good morning."
