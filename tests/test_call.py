"""The playbook of one call: `>>` what happened, `<<` what is to be done. Time comes with the events."""

import pytest

from runtime import events as e
from runtime.call import _TABLE, State
from runtime.commands import (
    Accept,
    Attach,
    CancelTimer,
    Finish,
    HangUp,
    Record,
    Reject,
    RunTool,
    StartTimer,
)
from runtime.errors import UnexpectedEvent
from runtime.outcome import Outcome
from runtime.speech import LINE_SECONDS
from tests.house import incoming
from tests.play import Play

GREETS = "greeting: Hello.\n"
GUARDED = "greeting: {text: Hello., interruptible: false}\n"
WAITS = "greeting: {text: Hello., wait_for_caller: true}\n"


# ── the way in ────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_arrived_call_is_accepted_with_the_complete_session_before_anything_slow() -> None:
    """Trap 12: nothing stands between the arrival and the accept."""
    play = Play() >> Play().arrival
    assert [type(command) for command in play.did] == [Record, Record, Accept]
    assert play.done(Accept)[0].session == play.settings.accept()


def test_the_records_tell_who_rang_and_who_answers_by_which_rule() -> None:
    play = Play() >> Play().arrival
    assert play.recorded("incoming").fields == {"called": "+15550100001", "caller": "+15557654321"}
    matched = play.recorded("matched").fields
    assert (matched["agent"], matched["rule"], matched["revision"]) == ("desk", "called +15550100001", "rev1")


def test_the_receipt_and_the_end_carry_revision_and_digest() -> None:
    play = Play(GREETS).active() >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True) >> e.HungUp()
    ended = play.recorded("ended").fields
    assert (ended["revision"], ended["digest"]) == ("rev1", play.arrival.match.agent.digest)
    assert (play.call.receipt.revision, play.call.receipt.digest) == ("rev1", play.arrival.match.agent.digest)


def test_a_call_that_nobody_answers_is_rejected_and_recorded() -> None:
    play = Play() >> e.CallTurnedAway(incoming(), Outcome.NO_AGENT, 404, "no agent answers +1555•••0001")
    assert play.done(Reject) == [Reject(404)]
    assert play.recorded("ended").fields["outcome"] == "no_agent"
    assert play.call.state is State.ENDED


def test_a_stale_call_is_left_alone() -> None:
    play = Play() >> e.CallTurnedAway(incoming(), Outcome.STALE, None, "the call came 3600 s ago")
    assert not play.done(Reject)
    assert play.call.outcome is Outcome.STALE


def test_a_call_that_is_gone_at_accept_is_neither_rejected_nor_hung_up() -> None:
    """Trap 24: another host on the same project may have taken it; ending it would end their call."""
    play = Play() >> Play().arrival >> e.AcceptFailed("404 call_id_not_found", gone=True)
    assert not play.done(Reject)
    assert not play.done(HangUp)
    assert play.call.outcome is Outcome.GONE


def test_a_failed_accept_frees_the_caller() -> None:
    """A refusal may hide an accept that was taken: reject and hang up, whichever finds something to end."""
    play = Play() >> Play().arrival >> e.AcceptFailed("500", gone=False)
    assert play.done(Reject) == [Reject(503)]
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.ACCEPT_FAILED


def test_an_accept_whose_answer_was_lost_is_told_by_attaching() -> None:
    """Trap 10."""
    play = Play() >> Play().arrival >> e.Accepted(certain=False) >> e.AttachFailed("404", gone=True)
    assert play.done(Reject) == [Reject(503)]
    assert play.done(HangUp)


def test_a_call_that_is_accepted_while_draining_is_hung_up() -> None:
    play = Play() >> Play().arrival >> e.DrainEnded() >> e.Accepted()
    assert play.done(HangUp)
    assert play.call.outcome is Outcome.DRAINED


@pytest.mark.parametrize("steps", [2, 3, 4, 5])
def test_a_host_that_stops_hangs_up_at_once(steps: int) -> None:
    play = Play(GREETS)
    events = [play.arrival, e.Accepted(), e.Attached(), play.confirmation(), e.DrainEnded()]
    for event in events[:steps]:
        play >> event
    play >> e.HostStopped()
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.recorded("ended").fields["outcome"] == "drained"


def test_a_setting_that_accept_refused_is_told_loudly_and_tried_again_with_the_update() -> None:
    """Trap 26."""
    more = "turn_detection: {type: server_vad, threshold: 0.6}\n"
    play = Play(more) >> Play(more).arrival >> e.Accepted(("session.audio.input.turn_detection.threshold",))
    assert "refused a setting" in play.done(Record)[1].what
    play >> e.Attached()
    assert play.sent[0]["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.6


# ── attached, not yet believed ────────────────────────────────────────────────────────────────────────────────


def test_after_attaching_our_own_update_is_sent_and_its_answer_awaited() -> None:
    """Trap 8: `session.created` may never come, so nobody waits for it."""
    play = Play(GREETS).attached()
    assert play.types == ["session.update"]
    assert play.sent[0]["event_id"] == "update_1"
    assert StartTimer("confirm", 5.0) in play.did
    assert play.call.state is State.ATTACHING


def test_only_the_confirmed_session_makes_a_call_active() -> None:
    play = Play(GREETS).active()
    assert play.call.state is State.ACTIVE
    assert play.recorded("confirmed").fields == {"differences": 0}
    assert CancelTimer("confirm") in play.did


def test_a_session_that_is_never_confirmed_ends_the_call() -> None:
    play = Play(GREETS).attached() >> e.TimerFired("confirm")
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.NOT_CONFIRMED


def test_each_difference_is_a_loud_line_with_field_declared_and_confirmed() -> None:
    play = Play().attached()
    play >> play.confirmation(tools=[{"name": "x"}])
    record = play.recorded("the service holds a setting otherwise than declared")
    assert record.fields == {"field": "tools", "declared": [], "confirmed": ["x"]}
    assert record.level > 20


def test_an_update_is_sent_again_without_what_the_service_refused() -> None:
    play = Play("speed: 1.1\nparallel_tool_calls: true\n").attached()
    play >> e.ServiceRefused("unknown_parameter", "Unknown parameter", "session.parallel_tool_calls", "update_1")
    assert play.types == ["session.update"]
    assert "parallel_tool_calls" not in play.sent[0]["session"]
    play >> play.confirmation()
    assert play.call.state is State.ACTIVE


@pytest.mark.parametrize("code", ["response_cancel_not_active", "conversation_already_has_active_response"])
def test_other_errors_do_not_pass_for_the_updates_refusal(code: str) -> None:
    play = Play(GREETS).attached() >> e.ServiceRefused(code, "no")
    assert play.call.state is State.ATTACHING


def test_a_voice_that_may_not_change_any_more_is_left_out() -> None:
    """Trap 1."""
    play = Play().attached() >> e.ServiceRefused("cannot_update_voice", "no", None, "update_1")
    assert play.types == ["session.update"]


def test_an_update_that_stays_refused_leaves_the_call_with_what_accept_settled() -> None:
    play = Play(GREETS).attached() >> e.ServiceRefused("invalid_request_error", "no")
    assert play.types == ["response.create"]
    assert play.done(Record)[0].level > 30


def test_a_call_that_cannot_be_attached_is_hung_up() -> None:
    play = Play() >> Play().arrival >> e.Accepted() >> e.AttachFailed("404", gone=True)
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.ATTACH_FAILED


# ── the greeting ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_greeting_is_asked_for_as_soon_as_the_session_is_confirmed() -> None:
    play = Play(GREETS).active()
    (event,) = play.sent
    assert event["type"] == "response.create"
    assert event["response"]["metadata"] == {"switchboard": "greeting"}


def test_without_a_greeting_the_agent_waits() -> None:
    assert Play().active().sent == []


def test_what_was_said_is_compared_with_the_declared_greeting() -> None:
    play = Play(GREETS).active().greeted().over()
    assert play.recorded("greeting").fields == {"likeness": "exact"}
    assert play.call.receipt.greeting == "exact"
    play = Play(GREETS).active() >> e.ResponseCreated("resp_1", "greeting")
    play >> e.AgentSaid("resp_1", "item_1", "Something else entirely here.")
    play.over()
    assert play.recorded("greeting").level > 20


def test_a_guarded_greeting_holds_the_callers_turns_until_it_was_heard() -> None:
    """Trap 19: the end of generation is not the end of speaking."""
    play = Play(GUARDED).active().greeted() >> e.ResponseDone("resp_1", "completed")
    assert play.sent == []
    play >> e.PlaybackEnded("resp_1")
    (update,) = play.sent
    assert update["session"]["audio"]["input"]["turn_detection"]["create_response"] is True
    assert update["session"]["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}


def test_an_interrupted_greeting_is_not_judged() -> None:
    play = Play(GREETS).active().greeted().over("cancelled")
    assert play.recorded("the greeting was broken off").level == 20
    assert play.call.receipt.greeting is None


def test_a_greeting_that_fails_is_asked_for_again_after_a_rest() -> None:
    play = Play(GUARDED).active().greeted().over("failed")
    assert play.sent == []
    assert StartTimer("response", 1.5) in play.did
    play >> e.TimerFired("response")
    assert play.types == ["response.create"]


def test_an_answer_of_the_services_own_that_fails_is_asked_for() -> None:
    play = Play().active() >> e.ResponseCreated("resp_1") >> e.ResponseDone("resp_1", "failed", "rate_limit_exceeded")
    assert play.sent[0]["response"] == {"metadata": {"switchboard": "answer"}}


@pytest.mark.parametrize("end", ["cancelled", "incomplete"])
def test_a_guarded_greeting_that_breaks_off_gives_the_caller_the_word(end: str) -> None:
    play = Play(GUARDED).active().greeted() >> e.ResponseDone("resp_1", end, "x")
    assert play.types == ["session.update"]


def test_a_guarded_greeting_that_never_ends_gives_the_caller_the_word_after_a_while() -> None:
    play = Play(GUARDED).active() >> e.TimerFired("heard greeting")
    assert play.types == ["session.update"]


def test_a_greeting_may_wait_for_the_callers_first_turn() -> None:
    play = Play(WAITS).active()
    assert play.sent == []
    play >> e.CallerSpoke() >> e.CallerTurnEnded()
    assert play.types == ["response.create"]
    play >> e.ResponseCreated("resp_1", "greeting")
    assert play.types == ["session.update"]
    play >> e.CallerTurnEnded()
    assert play.sent == []


@pytest.mark.parametrize("late", [False, True])
def test_a_turn_that_comes_while_turns_are_held_is_answered_after_the_release(late: bool) -> None:
    play = Play(GUARDED).active().greeted()
    early = [] if late else [e.CallerTurnEnded()]
    for event in [*early, e.ResponseDone("resp_1", "completed"), e.PlaybackEnded("resp_1")]:
        play >> event
    if late:
        play >> e.CallerTurnEnded()
    play >> e.SessionConfirmed(play.settings.declared(held=False))
    assert play.types == ["response.create"]
    assert play.sent[0]["response"] == {"metadata": {"switchboard": "answer"}}
    play >> e.CallerTurnEnded() >> e.SessionConfirmed(play.settings.declared(held=False))
    assert play.sent == []


def test_a_release_that_is_refused_is_sent_again_without_what_was_refused() -> None:
    play = Play(GUARDED).active().greeted() >> e.ResponseDone("resp_1", "cancelled")
    parameter = "session.audio.input.turn_detection.eagerness"
    play >> e.ServiceRefused("unknown_parameter", "Unknown parameter", parameter, "update_2")
    assert "eagerness" not in play.sent[0]["session"]["audio"]["input"]["turn_detection"]


def test_when_the_service_will_not_answer_turns_again_we_ask_for_each_answer() -> None:
    play = Play(GUARDED).active().greeted() >> e.ResponseDone("resp_1", "cancelled")
    play >> e.ServiceRefused("invalid_request_error", "no") >> e.CallerTurnEnded()
    assert play.types == ["response.create"]


def test_a_harmless_error_while_the_release_is_unconfirmed_changes_nothing() -> None:
    play = Play(GUARDED).active().greeted().over("cancelled") >> e.ServiceRefused("response_cancel_not_active", "no")
    play >> e.SessionConfirmed(play.settings.declared(held=False)) >> e.CallerTurnEnded()
    assert play.sent == []


def test_an_error_about_another_event_is_not_the_releases_refusal() -> None:
    play = Play(GUARDED).active().greeted().over("cancelled")
    play >> e.ServiceRefused("invalid_value", "no", None, "response_1") >> e.CallerTurnEnded()
    assert play.sent == []


def test_a_release_that_is_confirmed_as_still_held_makes_us_answer() -> None:
    play = Play(GUARDED).active().greeted().over("cancelled")
    play >> e.SessionConfirmed(play.settings.declared(held=True)) >> e.CallerTurnEnded()
    assert play.types == ["response.create"]


def test_a_release_that_is_never_confirmed_makes_us_answer() -> None:
    play = Play(GUARDED).active().greeted().over("cancelled") >> e.CallerTurnEnded() >> e.TimerFired("confirm")
    assert play.types == ["response.create"]


def test_a_release_that_is_confirmed_late_is_answered_by_the_service_alone() -> None:
    play = Play(GUARDED).active().greeted().over("cancelled") >> e.TimerFired("confirm")
    play >> e.SessionConfirmed(play.settings.declared(held=False)) >> e.CallerTurnEnded()
    assert play.sent == []


def test_an_agent_that_declares_no_answers_gets_none_from_us() -> None:
    silent = "turn_detection: {type: semantic_vad, create_response: false}\n"
    play = Play(GUARDED + silent).active().greeted() >> e.CallerTurnEnded()
    play.over("cancelled") >> e.SessionConfirmed(play.settings.declared(held=False)) >> e.CallerTurnEnded()
    assert play.sent == []


def test_a_hello_that_nobody_told_us_of_does_not_leave_the_caller_in_silence() -> None:
    play = Play(WAITS).active()
    assert StartTimer("hello", 6.0) in play.did
    play >> e.TimerFired("hello")
    assert play.types == ["response.create"]
    play >> e.CallerTurnEnded()
    assert play.sent == []


def test_a_call_that_waits_for_a_hello_is_not_ended_before_it_was_greeted() -> None:
    play = Play(WAITS + "limits: {first_words_seconds: 5}\n").active() >> e.TimerFired("first words")
    assert not play.done(HangUp)
    play >> e.TimerFired("hello")
    assert play.types == ["response.create"]


def test_a_caller_who_only_presses_a_key_is_greeted() -> None:
    play = Play(WAITS).active() >> e.DigitPressed("1")
    assert play.types == ["response.create"]


def test_a_caller_who_spoke_before_the_session_was_confirmed_is_greeted_at_once() -> None:
    play = Play(WAITS).attached() >> e.CallerSpoke() >> e.CallerTurnEnded()
    play >> play.confirmation()
    assert play.types == ["response.create"]


def test_a_refused_greeting_is_said_when_the_active_response_is_done() -> None:
    """Trap 7."""
    play = Play(GREETS).active()
    said = "Conversation already has an active response in progress: resp_0."
    play >> e.ServiceRefused("conversation_already_has_active_response", said)
    assert play.sent == []
    play >> e.ResponseDone("resp_0", "completed")
    assert play.types == ["response.create"]


def test_a_greeting_that_the_service_never_begins_is_told_loudly() -> None:
    play = Play(GUARDED).active()
    for _ in range(4):
        play >> e.TimerFired("response")
    assert play.recorded("the service never gave a response").level > 30
    assert play.types == ["session.update"]


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tool_runs_beside_the_conversation_and_the_model_goes_on_exactly_once() -> None:
    play = Play().active() >> e.ResponseCreated("resp_1") >> e.ToolCalled("call_1", "find", '{"a": 1}')
    assert play.done(RunTool) == [RunTool("call_1", "find", '{"a": 1}')]
    play >> e.ResponseDone("resp_1", "completed") >> e.ToolFinished("call_1", "find", '{"b": 2}')
    assert play.types == ["conversation.item.create", "response.create"]
    assert play.sent[0]["item"] == {
        "id": "switchboard_1",
        "type": "function_call_output",
        "call_id": "call_1",
        "output": '{"b": 2}',
    }
    play >> e.ResponseCreated("resp_2", "after call_1") >> e.ResponseDone("resp_2", "completed")
    assert play.sent == []


def test_a_result_that_comes_while_the_agent_speaks_is_told_afterwards() -> None:
    play = Play().active() >> e.ToolCalled("call_1", "find", "{}") >> e.ResponseCreated("resp_2")
    play >> e.ToolFinished("call_1", "find", "1")
    assert play.types == ["conversation.item.create"]
    play >> e.ResponseDone("resp_2", "completed")
    assert play.types == ["response.create"]


def test_two_tools_of_one_response_are_followed_by_one_answer() -> None:
    play = (
        Play().active()
        >> e.ToolCalled("call_1", "find", "{}", "resp_1")
        >> e.ToolCalled("call_2", "find", "{}", "resp_1")
    )
    play >> e.ToolFinished("call_1", "find", "1")
    assert play.types == ["conversation.item.create"]
    play >> e.ToolFinished("call_2", "find", "2")
    assert play.types == ["conversation.item.create", "response.create"]


def test_a_slow_tool_of_an_earlier_response_holds_up_no_other() -> None:
    play = (
        Play().active()
        >> e.ToolCalled("call_1", "slow", "{}", "resp_1")
        >> e.ToolCalled("call_2", "fast", "{}", "resp_2")
    )
    play >> e.ToolFinished("call_2", "fast", "2")
    assert play.types == ["conversation.item.create", "response.create"]


def test_a_result_that_was_sent_into_a_dying_socket_is_sent_again() -> None:
    """Trap 18."""
    play = Play().active() >> e.ToolCalled("call_1", "find", "{}") >> e.ToolFinished("call_1", "find", "1")
    play >> e.SidebandClosed(1006) >> e.Attached()
    assert play.types == ["session.update", "conversation.item.create", "response.create"]
    play >> e.ItemAdded("switchboard_1", None) >> e.SidebandClosed(1006) >> e.Attached()
    assert "conversation.item.create" not in play.types


def test_arguments_and_results_are_private_in_the_records() -> None:
    play = Play().active() >> e.ToolCalled("call_1", "find", '{"name": "Ann"}')
    record = play.recorded("tool called")
    assert "Ann" not in str(record.fields)
    assert "Ann" in str(record.private)


# ── the way out ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006])
def test_a_closed_sideband_is_attached_again_to_learn_whether_the_call_is_over(code: int) -> None:
    """Trap 17: 1006 is how a caller hangs up, and no error; the code alone tells nothing."""
    play = Play().active() >> e.SidebandClosed(code)
    assert play.done(Attach) == [Attach(again=True)]
    play >> e.AttachFailed("404", gone=True)
    assert play.done(HangUp)
    assert not [record for record in play.done(Record) if record.level > 20]
    play >> e.HungUp()
    assert play.call.outcome is Outcome.CALLER_HUNG_UP
    assert play.recorded("ended").level == 20
    assert play.done(Finish)


def test_a_call_that_lives_on_keeps_its_settings_and_its_tool_results() -> None:
    """Trap 18: a lost sideband leaves a model without tools on the line."""
    play = Play().active() >> e.ToolCalled("call_1", "find", "{}") >> e.SidebandClosed(1006)
    play >> e.ToolFinished("call_1", "find", "1")
    assert play.sent == []
    play >> e.Attached()
    assert play.types == ["session.update", "conversation.item.create", "response.create"]


def test_a_sideband_that_will_not_hold_is_not_attached_for_ever() -> None:
    play = Play().active()
    for _ in range(5):
        play >> e.SidebandClosed(1006) >> e.Attached()
    play >> e.SidebandClosed(1006)
    assert play.done(HangUp)
    assert play.call.outcome is Outcome.CONNECTION_LOST


def test_a_confirmed_session_forgets_earlier_losses() -> None:
    play = Play().active()
    for _ in range(20):
        play >> e.SidebandClosed(1006) >> e.Attached() >> play.confirmation()
    assert play.call.state is State.ACTIVE


def test_a_sideband_that_cannot_be_had_again_ends_the_call() -> None:
    """Trap 18."""
    play = Play().active() >> e.SidebandClosed(1006) >> e.AttachFailed("no answer", gone=False)
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.CONNECTION_LOST


def test_the_services_own_limit_is_an_outcome_of_its_own() -> None:
    play = Play().active() >> e.ServiceRefused("session_expired", "60 minutes") >> e.SidebandClosed(1001)
    play >> e.AttachFailed("404", gone=True) >> e.HungUp()
    assert play.call.outcome is Outcome.EXPIRED


def test_a_caller_who_left_while_it_rang_is_not_talked_to_for_ever() -> None:
    """Trap 23."""
    play = Play().active()
    assert StartTimer("first words", 30.0) in play.did
    play >> e.TimerFired("first words")
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.NOBODY_SPOKE


@pytest.mark.parametrize("event", [e.CallerSpoke(), e.DigitPressed("1")])
def test_a_caller_who_was_heard_may_be_silent(event: e.Event) -> None:
    play = Play().active() >> event
    assert CancelTimer("first words") in play.did


def test_first_words_that_came_just_before_the_timer_count() -> None:
    play = Play().active() >> e.CallerSpoke() >> e.TimerFired("first words")
    assert play.did == []


def test_nobody_is_hung_up_on_while_the_agent_is_still_heard() -> None:
    play = Play(GREETS).active().greeted() >> e.PlaybackStarted("resp_1")
    play.over() >> e.TimerFired("first words")
    assert not play.done(HangUp)


def test_nobody_is_hung_up_on_while_a_tool_runs() -> None:
    play = Play().active() >> e.ToolCalled("call_1", "slow", "{}") >> e.TimerFired("first words")
    assert not play.done(HangUp)


@pytest.mark.parametrize("event", [e.SidebandClosed(1006), e.AttachFailed("404", gone=True)])
def test_a_sideband_that_closes_during_the_goodbye_ends_it(event: e.Event) -> None:
    play = Play().active() >> e.DrainEnded() >> event
    assert play.done(HangUp)
    assert CancelTimer("heard farewell") in play.did


def test_a_lost_sideband_stops_the_wait_for_a_response() -> None:
    play = Play(GREETS).active() >> e.SidebandClosed(1006)
    assert CancelTimer("response") in play.did


def test_a_drain_while_the_sideband_is_lost_hangs_up_at_once() -> None:
    play = Play().active() >> e.SidebandClosed(1006) >> e.DrainEnded()
    assert play.done(HangUp)


def test_a_caller_who_leaves_before_the_session_is_confirmed_has_hung_up() -> None:
    """Trap 17."""
    play = Play().attached() >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True) >> e.HungUp()
    assert play.call.outcome is Outcome.CALLER_HUNG_UP


def test_a_hang_up_that_was_not_taken_is_told_loudly() -> None:
    play = Play().active() >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True) >> e.HungUp("503")
    assert play.recorded("ended").level == 40


def test_the_wait_for_first_words_begins_when_the_greeting_was_heard() -> None:
    play = Play(GREETS).active().greeted() >> e.TimerFired("first words")
    assert not play.done(HangUp)
    play >> e.ResponseDone("resp_1", "completed") >> e.PlaybackEnded("resp_1")
    assert StartTimer("first words", 30.0) in play.did


def test_a_drained_call_ends_after_the_goodbye_was_heard() -> None:
    """Trap 19."""
    play = Play().active() >> e.DrainEnded()
    assert play.types == ["response.create"]
    assert StartTimer("heard farewell", LINE_SECONDS) in play.did
    play >> e.ResponseCreated("resp_1", "farewell") >> e.ResponseDone("resp_1", "completed")
    assert not play.done(HangUp)
    play >> e.PlaybackEnded("resp_1")
    assert play.done(HangUp)
    play >> e.HungUp()
    assert play.call.outcome is Outcome.DRAINED


def test_a_goodbye_that_is_never_heard_does_not_keep_the_call() -> None:
    play = Play().active() >> e.DrainEnded() >> e.TimerFired("heard farewell")
    assert play.done(HangUp)


@pytest.mark.parametrize("state", [State.ACCEPTING, State.ATTACHING, State.ACTIVE, State.ENDING])
def test_a_failure_of_ours_ends_the_call_from_everywhere(state: State) -> None:
    play = Play(GREETS)
    steps = [play.arrival, e.Accepted(), e.Attached(), play.confirmation(), e.DrainEnded()]
    for step in steps[: {"accepting": 1, "attaching": 2, "active": 4, "ending": 5}[state.value]]:
        play >> step
    assert play.call.state is state
    play >> e.Failed("ValueError: x")
    if play.call.state is not State.ENDED:
        play >> e.HungUp()
    assert play.call.outcome in (Outcome.FAILED, Outcome.DRAINED)


def test_a_failure_during_the_goodbye_hangs_up_and_a_second_one_ends_the_call() -> None:
    """A call that is not hung up goes on at the service, with a model that nobody steers."""
    play = Play().active() >> e.DrainEnded() >> e.Failed("KeyError")
    assert play.done(HangUp)
    play >> e.Failed("KeyError")
    assert play.call.state is State.ENDED


def test_a_failure_before_a_call_is_understood_frees_the_caller() -> None:
    play = Play() >> e.Failed("KeyError")
    assert play.done(Reject) == [Reject(503)]
    assert (play >> e.HungUp()).done(Finish)


def test_a_call_that_comes_while_the_drain_ends_is_hung_up_once_it_is_accepted() -> None:
    play = Play() >> e.DrainEnded() >> Play().arrival >> e.Accepted()
    assert play.done(HangUp)


def test_usage_is_added_up_as_it_comes() -> None:
    play = Play().active()
    for number in (1, 2):
        play >> e.ResponseCreated(f"resp_{number}")
        play >> e.ResponseDone(f"resp_{number}", "completed", usage={"total_tokens": 10, "input_tokens": 7})
    assert play.talk.answers.usage == {"total_tokens": 20, "input_tokens": 14}


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_that_is_not_in_the_table_raises_and_changes_nothing() -> None:
    play = Play() >> Play().arrival
    with pytest.raises(UnexpectedEvent, match="a call that is accepting knows no Attached"):
        play >> e.Attached()
    assert play.call.state is State.ACCEPTING


def test_every_event_has_a_row_in_every_state_where_it_can_come() -> None:
    """What the service and the caller do may come at any time while a socket is open."""
    conversation = {
        e.CallerSpoke, e.CallerTurnEnded, e.ItemAdded, e.Transcribed, e.AgentSaid, e.ResponseCreated, e.ResponseDone,
        e.PlaybackStarted, e.PlaybackEnded, e.ToolCalled, e.ToolFinished, e.DigitPressed, e.SessionConfirmed,
        e.ServiceRefused, e.SidebandClosed, e.TimerFired, e.DrainEnded, e.Failed, e.Attached, e.AttachFailed,
    }  # fmt: skip
    for state in (State.ATTACHING, State.ACTIVE, State.ENDING):
        assert conversation <= _TABLE[state].keys(), f"{state}: {conversation - _TABLE[state].keys()}"
    assert e.HungUp in _TABLE[State.ENDING]


def test_every_way_to_the_end_records_the_outcome_once() -> None:
    play = Play(GREETS).active().greeted() >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True) >> e.HungUp()
    ended = [record for record in play.done(Record) if record.what == "ended"]
    assert len(ended) == 1
    assert ended[0].fields["seconds"] == pytest.approx(8.0)
    assert ended[0].private["transcript"] == [("agent", "Hello.")]
