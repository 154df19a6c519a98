"""What a conversation does, as a playbook: our own tools, limits, slow tools, handoffs, failures, guards, lookups."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from runtime import events as e
from runtime.call import State
from runtime.commands import CheckWords, HangUp, LookUp, Record, Refer, Reject, RunTool, StartTimer
from runtime.definition import ToolDefinition
from runtime.outcome import Outcome
from tests.play import Play

HANGS_UP = "tools: [{use: hang_up}]\n"
SAYS_GOODBYE = "tools: [{use: hang_up, farewell: 'Thank you. Goodbye.'}]\n"
KITCHEN = """
tools:
  - use: transfer
    destinations:
      - name: kitchen
        to: tel:+15550123456
        when: The caller asks about an order.
        announce: I am putting you through.
        if_it_fails: The kitchen does not pick up.
      - {name: bar, to: 'sip:bar@example.com', when: The caller wants a drink.}
"""
NO_SILENCE = "limits: {silence: null}\n"


def read_tool(written: Mapping[str, Any]) -> ToolDefinition:
    takes = {"words": {"type": "string"}} if written["name"].startswith("rule") else {}
    return ToolDefinition(written["name"], "", {"properties": takes}, written, lambda context, arguments: None)


def ended(play: Play) -> Outcome | None:
    """Let the hang-up be carried out, and return how the call ended."""
    play >> e.HungUp()
    assert play.call.state is State.ENDED
    return play.call.outcome


# ── hang_up ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_goodbye_that_the_model_says_itself_is_heard_before_the_call_ends() -> None:
    """Trap 19: the end of generation is not the end of speech."""
    play = Play(HANGS_UP).talking() >> e.ResponseCreated("resp_9") >> e.AgentSaid("resp_9", "item_9", "Goodbye!")
    play >> e.PlaybackStarted("resp_9") >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    assert not play.done(HangUp)
    play >> e.ResponseDone("resp_9", "completed")
    assert play.started("heard farewell") == 12
    assert not play.done(HangUp)
    play >> e.PlaybackEnded("resp_9")
    assert play.done(HangUp)
    assert ended(play) is Outcome.AGENT_HUNG_UP


def test_a_goodbye_that_was_heard_already_ends_the_call_at_once() -> None:
    play = Play(HANGS_UP).talking() >> e.ResponseCreated("resp_9") >> e.AgentSaid("resp_9", "item_9", "Goodbye!")
    (
        play
        >> e.PlaybackStarted("resp_9")
        >> e.PlaybackEnded("resp_9")
        >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    )
    play >> e.ResponseDone("resp_9", "completed")
    assert play.done(HangUp)


def test_a_model_that_hangs_up_without_a_word_is_asked_for_a_goodbye() -> None:
    play = Play(HANGS_UP).talking().calls("hang_up")
    assert "say goodbye" in play.says
    play.said("resp_10", "farewell")
    assert play.done(HangUp)


def test_a_declared_farewell_is_said_word_for_word() -> None:
    play = Play(SAYS_GOODBYE).talking().calls("hang_up")
    assert '"""Thank you. Goodbye."""' in play.says
    assert play.call.state is State.ENDING


def test_an_interrupted_goodbye_ends_the_call() -> None:
    play = Play(SAYS_GOODBYE).talking().calls("hang_up") >> e.ResponseCreated("resp_10", "farewell")
    play >> e.PlaybackStarted("resp_10") >> e.PlaybackEnded("resp_10", interrupted=True)
    assert play.done(HangUp)


def test_a_goodbye_that_is_being_heard_is_not_cut_off_when_its_time_is_up() -> None:
    play = Play(HANGS_UP).talking() >> e.ResponseCreated("resp_9") >> e.AgentSaid("resp_9", "item_9", "Goodbye …")
    play >> e.PlaybackStarted("resp_9") >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    play >> e.ResponseDone("resp_9", "completed")
    for _ in range(1):
        play >> e.TimerFired("heard farewell")
        assert play.started("heard farewell") == 12
    play >> e.TimerFired("heard farewell")
    assert play.done(HangUp), "its end may have been lost"


def test_a_goodbye_that_reached_the_limit_of_its_tokens_is_heard_as_far_as_it_goes() -> None:
    play = Play(SAYS_GOODBYE).talking().calls("hang_up") >> e.ResponseCreated("resp_10", "farewell")
    play >> e.PlaybackStarted("resp_10") >> e.ResponseDone("resp_10", "incomplete", line="farewell")
    assert not play.done(HangUp)
    play >> e.PlaybackEnded("resp_10")
    assert play.done(HangUp)


def test_a_goodbye_that_is_never_heard_ends_after_its_time() -> None:
    play = Play(SAYS_GOODBYE).talking().calls("hang_up") >> e.TimerFired("heard farewell")
    assert play.done(HangUp)


ENDS = """
greeting: {text: Hello., interruptible: false}
tools: [{use: hang_up, farewell: Goodbye.}, {entrypoint: 'shop:book', while_running: {after_seconds: 2, lines: [One.]}}]
guardrails: {never_say: [guarantee], rules: ['shop:promises']}
"""


@pytest.mark.parametrize(
    "event",
    [
        e.CallerTurnEnded(),
        e.DigitPressed("1"),
        e.ToolCalled("call_2", "book", "{}", "resp_9"),
        e.ToolFinished("call_1", "book", "1"),
        e.TimerFired("slow call_1"),
        e.TimerFired("silence"),
        e.TimerFired("warning"),
        e.TimerFired("keys"),
        e.AgentSaying("resp_9", "I guarantee that"),
        e.WordsRefused("resp_9", "shop:promises"),
        e.ResponseDone("resp_9", "failed", "server_error"),
    ],
    ids=lambda event: type(event).__name__ + getattr(event, "name", ""),
)
def test_nothing_is_said_or_begun_behind_the_last_words(event: e.Event) -> None:
    play = Play(ENDS, read_tool=read_tool).active().greeted().over() >> e.PlaybackEnded("resp_1")
    play >> e.TimerFired("confirm") >> e.CallerSpoke() >> e.CallerTurnEnded()  # so that each answer is ours to ask for
    play >> e.ResponseCreated("resp_8", "answer") >> e.ToolCalled("call_1", "book", "{}", "resp_8")
    play >> e.ResponseDone("resp_8", "completed") >> e.ResponseCreated("resp_9") >> e.TimerFired("duration")
    asked = []
    over = e.ResponseDone("resp_9", "completed")
    for one in (event, over, e.ResponseCreated("resp_10", "farewell"), e.ResponseDone("resp_10", "completed")):
        play >> one
        asked += [
            *play.types,
            *(timer.name for timer in play.done(StartTimer) if timer.name in ("keys", "slow call_1")),
        ]
        assert not play.done(RunTool)
    assert asked == ["response.create"], "the farewell, and nothing else"


def test_hanging_up_waits_for_a_tool_that_still_runs() -> None:
    play = Play("tools: [{use: hang_up}, {entrypoint: 'shop:book'}]\n", read_tool=read_tool).talking()
    play >> e.ResponseCreated("resp_9") >> e.ToolCalled("call_1", "book", "{}", "resp_9")
    play >> e.ToolCalled("call_2", "hang_up", "{}", "resp_9") >> e.ResponseDone("resp_9", "completed")
    assert "another tool still runs" in play.output
    assert play.call.state is State.ACTIVE


def test_a_tool_that_is_called_after_hanging_up_in_the_same_response_still_runs() -> None:
    play = Play("tools: [{use: hang_up}, {entrypoint: 'shop:book'}]\n", read_tool=read_tool).talking()
    play >> e.ResponseCreated("resp_9") >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    play >> e.ToolCalled("call_2", "book", "{}", "resp_9")
    assert play.done(RunTool)
    play >> e.ResponseDone("resp_9", "completed")
    assert "another tool still runs" in play.output


def test_a_hang_up_in_a_response_whose_end_is_never_told_is_carried_out_after_a_while() -> None:
    play = Play(SAYS_GOODBYE).talking() >> e.ResponseCreated("resp_9")
    play >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    assert play.started("hang up") == 5
    play >> e.TimerFired("hang up")
    assert play.call.state is State.ENDING


# ── transfer ──────────────────────────────────────────────────────────────────────────────────────────────────


def to(name: str) -> str:
    return json.dumps({"destination": name})


def transferring(name: str = "kitchen") -> Play:
    """A transfer that the service has relayed."""
    play = Play(KITCHEN).talking().calls("transfer", to(name))
    if name == "kitchen":
        play.said("resp_10", "announce")
    return play >> e.Referred()


def test_a_transfer_is_announced_and_leaves_when_that_was_heard() -> None:
    play = Play(KITCHEN).talking().calls("transfer", to("kitchen"))
    assert '"""I am putting you through."""' in play.says
    assert not play.done(Refer)
    play.said("resp_10", "announce")
    assert play.done(Refer) == [Refer("tel:+15550123456")]


def test_a_transfer_without_announcement_waits_for_the_models_own_words() -> None:
    play = Play(KITCHEN).talking() >> e.ResponseCreated("resp_9") >> e.AgentSaid("resp_9", "item_9", "One moment.")
    play >> e.PlaybackStarted("resp_9") >> e.ToolCalled("call_1", "transfer", to("bar"), "resp_9")
    assert not play.done(Refer)
    play >> e.ResponseDone("resp_9", "completed") >> e.PlaybackEnded("resp_9")
    assert play.done(Refer) == [Refer("sip:bar@example.com")]


def test_a_transfer_of_which_nothing_is_said_leaves_at_once() -> None:
    assert Play(KITCHEN).talking().calls("transfer", to("bar")).done(Refer)


@pytest.mark.parametrize(
    "arguments", [to("tel:+15559999999"), to(""), "{}", "nonsense", '{"destination": ["kitchen"]}']
)
def test_an_address_that_is_not_in_the_file_cannot_be_reached(arguments: str) -> None:
    play = Play(KITCHEN).talking().calls("transfer", arguments)
    assert not play.done(Refer)
    assert "There is no destination" in play.output


BY_DAY = """
tools:
  - use: transfer
    destinations: [{name: kitchen, to: 'tel:+15550123456', when: The caller is hungry., hours: lunch}]
hours: {lunch: {timezone: UTC, weekly: {fri: ["11:00-17:05"]}}}
"""


def test_a_destination_outside_of_its_hours_cannot_be_reached_and_the_model_hears_until_when() -> None:
    assert Play(BY_DAY).talking().calls("transfer", to("kitchen")).done(Refer)  # the call came on a Friday at 17:00
    play = Play(BY_DAY).talking().after(600).calls("transfer", to("kitchen"))
    assert not play.done(Refer)
    assert "cannot be reached now: it is outside of the hours lunch: closed until Friday" in play.output


def test_a_transfer_is_confirmed_by_the_calls_end_and_by_nothing_else() -> None:
    """Trap 22: a 200 from refer means only that it was relayed."""
    play = transferring()
    assert play.started("transfer") == 20
    assert not play.done(HangUp)
    play >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True)
    assert ended(play) is Outcome.TRANSFERRED


def test_a_transfer_that_is_not_confirmed_in_time_is_told_to_the_caller_and_to_the_model() -> None:
    play = transferring() >> e.TimerFired("transfer")
    assert "failed: nobody confirmed it in time. The caller is still on the line." in play.output
    assert '"""The kitchen does not pick up."""' in play.says
    assert play.recorded("the transfer failed").fields["destination"] == "kitchen"
    assert play.call.state is State.ACTIVE


@pytest.mark.parametrize("reason", ["the line is busy", "it was refused", "nobody answered"])
def test_a_transfer_that_is_refused_says_in_words_why(reason: str) -> None:
    play = Play(KITCHEN).talking().calls("transfer", to("kitchen")).said("resp_10", "announce") >> e.ReferFailed(reason)
    assert f"failed: {reason}." in play.output


def test_a_failed_transfer_without_a_line_is_explained_by_the_model() -> None:
    play = transferring("bar") >> e.TimerFired("transfer")
    assert play.line == "after resp_9"


def test_a_caller_who_hangs_up_before_the_transfer_has_not_been_transferred() -> None:
    play = Play(KITCHEN).talking().calls("transfer", to("kitchen")) >> e.SidebandClosed(1006)
    play >> e.AttachFailed("404", gone=True)
    assert ended(play) is Outcome.CALLER_HUNG_UP


def test_a_transfer_whose_answer_comes_after_the_calls_end_was_one() -> None:
    play = Play(KITCHEN).talking().calls("transfer", to("kitchen")).said("resp_10", "announce")
    play >> e.SidebandClosed(1006) >> e.AttachFailed("404", gone=True) >> e.Referred()
    assert ended(play) is Outcome.TRANSFERRED


@pytest.mark.parametrize("answered", [True, False])
def test_a_drain_leaves_a_caller_who_is_being_transferred_to_the_transfer(answered: bool) -> None:
    play = Play(KITCHEN).talking().calls("transfer", to("kitchen")).said("resp_10", "announce")
    for event in [e.Referred(), e.DrainEnded()] if answered else [e.DrainEnded(), e.Referred()]:
        play >> event
        assert not play.sent, "a farewell, and the hang-up after it, would break the transfer"
    play >> e.SidebandClosed(1006)
    assert ended(play) is Outcome.TRANSFERRED


def test_a_drained_call_whose_transfer_fails_ends() -> None:
    play = transferring() >> e.DrainEnded() >> e.TimerFired("transfer")
    assert play.done(HangUp)
    assert play.sent == []
    assert ended(play) is Outcome.DRAINED


def test_a_sideband_lost_for_good_during_a_transfer_sends_no_second_one() -> None:
    fallback = "on_failure: {attach_failed: {transfer: bar}}\n"
    play = Play(KITCHEN + fallback).talking().calls("transfer", to("kitchen")).said("resp_10", "announce")
    play >> e.Referred() >> e.SidebandClosed(1006) >> e.AttachFailed("503", gone=False)
    assert not play.done(Refer)
    assert not play.done(HangUp)
    assert (play >> e.TimerFired("transfer")).done(HangUp)


def test_one_transfer_at_a_time() -> None:
    play = transferring().calls("transfer", to("bar"), "resp_11", "call_2")
    assert play.output == "A transfer is under way already."


def test_a_second_transfer_can_follow_one_that_failed() -> None:
    play = transferring() >> e.TimerFired("transfer")
    play.said("resp_11", "transfer failed").calls("transfer", to("bar"), "resp_12", "call_2")
    assert play.done(Refer) == [Refer("sip:bar@example.com")]


def test_a_late_answer_about_a_transfer_that_was_given_up_changes_nothing() -> None:
    play = transferring() >> e.TimerFired("transfer") >> e.Referred()
    assert play.did == []


# ── keypad ────────────────────────────────────────────────────────────────────────────────────────────────────

SIX = "tools: [{use: keypad, count: 6}]\n"


def press(play: Play, keys: str) -> Play:
    for key in keys:
        play >> e.DigitPressed(key)
    return play


def test_digits_are_collected_up_to_their_count() -> None:
    play = press(Play(SIX).talking().calls("keypad"), "12345")
    assert play.sent == []
    press(play, "6")
    assert play.output == "The caller pressed 1 2 3 4 5 6."
    assert play.line == "after resp_9"


def test_the_end_key_ends_the_collection_and_is_no_digit() -> None:
    play = press(Play("tools: [{use: keypad}]\n").talking().calls("keypad"), "42#")
    assert play.output == "The caller pressed 4 2."


def test_keys_beyond_a_collection_reach_the_model_as_a_message() -> None:
    play = press(Play(SIX).talking(), "1234567").calls("keypad")
    assert play.output == "The caller pressed 1 2 3 4 5 6."
    assert play.started("keys") == 1.5


def test_digits_are_collected_once_at_a_time() -> None:
    play = Play(SIX).talking().calls("keypad").calls("keypad", "{}", "resp_10", "call_2")
    assert play.output == "Digits are being collected already."


def test_a_pause_ends_the_collection_with_what_there_is() -> None:
    play = press(Play(SIX).talking().calls("keypad"), "12") >> e.TimerFired("keypad")
    assert play.output == "The caller pressed 1 2. That is 2 of 6."


def test_a_caller_who_presses_nothing_is_told_to_the_model() -> None:
    play = Play(SIX).talking().calls("keypad")
    assert play.started("keypad") == 10
    play >> e.TimerFired("keypad")
    assert play.output == "The caller pressed no digit within 10 seconds."


def test_each_key_gives_the_caller_the_whole_time_again() -> None:
    play = press(Play(SIX).talking().calls("keypad"), "1")
    assert play.started("keypad") == 10


def test_keys_that_were_pressed_before_the_tool_was_called_count() -> None:
    play = press(Play(SIX).talking(), "123456").calls("keypad")
    assert play.output == "The caller pressed 1 2 3 4 5 6."


def test_keys_outside_a_collection_reach_the_model_as_one_message() -> None:
    play = press(Play().talking(), "12")
    assert play.sent == []
    play >> e.TimerFired("keys")
    (item, _) = play.sent
    assert item["item"]["content"][0]["text"] == "(The caller pressed 1 2 on the keypad.)"
    assert play.types == ["conversation.item.create", "response.create"]


def test_keys_during_a_guarded_greeting_are_answered_after_it() -> None:
    play = press(Play("greeting: {text: Hello., interruptible: false}\n").active().greeted(), "1") >> e.TimerFired(
        "keys"
    )
    assert play.types == ["conversation.item.create"]
    play.over() >> e.PlaybackEnded("resp_1") >> e.SessionConfirmed(play.settings.declared(held=False))
    assert play.types == ["response.create"]


def test_keys_before_the_session_is_confirmed_are_told_afterwards() -> None:
    play = press(Play().attached(), "1") >> e.TimerFired("keys")
    play >> play.confirmation()
    assert play.started("keys") == 1.5
    play >> e.TimerFired("keys")
    assert play.types == ["conversation.item.create", "response.create"]


def test_the_time_for_digits_begins_when_the_caller_has_heard_what_to_press() -> None:
    play = Play(SIX).talking() >> e.ResponseCreated("resp_9") >> e.PlaybackStarted("resp_9")
    play >> e.ToolCalled("call_1", "keypad", "{}", "resp_9") >> e.ResponseDone("resp_9", "completed")
    play >> e.TimerFired("keypad")
    assert play.started("keypad") == 10
    play >> e.PlaybackEnded("resp_9") >> e.TimerFired("keypad")
    assert play.output == "The caller pressed no digit within 10 seconds."


def test_digits_are_private() -> None:
    play = press(Play(SIX).talking().calls("keypad"), "123456")
    assert "1" not in str([record.fields for record in play.done(Record)])


# ── take_message and wait ─────────────────────────────────────────────────────────────────────────────────────

MESSAGE = """
tools:
  - use: take_message
    fields:
      - {name: message, description: What to pass on}
      - {name: number, description: Where to ring back, kind: phone, required: false}
"""


def test_a_complete_message_is_kept_and_its_words_are_private() -> None:
    message = {"message": "Ring me.", "number": "+1 555 0123456"}
    play = Play(MESSAGE).talking().calls("take_message", json.dumps(message))
    record = play.recorded("message taken")
    assert record.private["message"] == message
    assert "Ring me" not in str(record.fields)
    assert play.output == "The message is kept."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "message is missing"),
        ({"message": "  "}, "message is missing"),
        ({"message": "Ring me.", "number": "five"}, "number is not a phone number with plus and country code"),
    ],
)
def test_a_message_that_lacks_something_is_asked_for(arguments: dict[str, str], said: str) -> None:
    play = Play(MESSAGE).talking().calls("take_message", json.dumps(arguments))
    assert said in play.output
    assert not [record for record in play.done(Record) if record.what == "message taken"]


def test_waiting_keeps_the_silence_limit_from_counting_until_its_time_is_over() -> None:
    play = Play("tools: [{use: wait, seconds: 90}]\n").talking().calls("wait")
    assert play.started("wait") == 90
    assert "response.create" not in play.types
    assert not [timer for timer in play.done(StartTimer) if timer.name == "silence"]
    play >> e.TimerFired("wait")
    assert play.started("silence") <= 12


def test_a_caller_who_speaks_ends_the_waiting() -> None:
    play = Play("tools: [{use: wait}]\n").talking().calls("wait") >> e.CallerSpoke()
    assert play.stopped("wait")


# ── time and silence ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_warned_before_its_end_and_ended_with_a_line() -> None:
    limits = "limits: {duration: {seconds: 600, warn_seconds: 60, warning: One minute left., farewell: Goodbye.}}\n"
    play = Play(limits).attached() >> Play(limits).confirmation()
    assert play.started("duration") == pytest.approx(597)  # the call began with its arrival, three events ago
    assert play.started("warning") == pytest.approx(537)
    play >> e.TimerFired("warning")
    assert '"""One minute left."""' in play.says
    play.said("resp_2", "warning") >> e.TimerFired("duration")
    assert '"""Goodbye."""' in play.says
    play.said("resp_3", "farewell")
    assert ended(play) is Outcome.TOO_LONG


@pytest.mark.parametrize("duration", ["{seconds: 600, warn_seconds: 0}", "{seconds: 50}"])
def test_a_call_without_time_for_a_warning_has_none(duration: str) -> None:
    play = Play(f"limits: {{duration: {duration}}}\n").active()
    assert not [timer for timer in play.done(StartTimer) if timer.name == "warning"]


def test_nothing_that_was_still_to_be_said_comes_before_the_last_words() -> None:
    play = Play().talking() >> e.ResponseCreated("resp_9") >> e.TimerFired("warning") >> e.TimerFired("duration")
    play >> e.ResponseDone("resp_9", "completed")
    assert play.line == "farewell"


def test_a_call_lasts_half_an_hour_when_nothing_is_declared() -> None:
    play = Play().active()
    assert play.started("duration") == pytest.approx(1797)


def test_a_call_that_is_over_stops_a_long_answer_so_that_its_farewell_is_heard() -> None:
    play = Play("limits: {duration: {farewell: Goodbye.}}\n").talking() >> e.ResponseCreated("resp_3")
    play >> e.PlaybackStarted("resp_3") >> e.TimerFired("duration")
    assert play.types == ["response.cancel", "output_audio_buffer.clear"]
    play >> e.PlaybackEnded("resp_3", interrupted=True) >> e.ResponseDone("resp_3", "cancelled", "client_cancelled")
    assert '"""Goodbye."""' in play.says


def test_a_duration_that_ends_during_a_transfer_waits_for_it() -> None:
    play = transferring() >> e.TimerFired("duration")
    assert play.started("duration") == 32
    assert play.call.state is State.ACTIVE


def test_a_caller_who_is_being_transferred_is_not_warned() -> None:
    assert (transferring() >> e.TimerFired("warning")).did == []


def test_a_duration_that_ends_while_the_sideband_is_lost_hangs_up() -> None:
    play = Play().talking() >> e.SidebandClosed(1006) >> e.TimerFired("duration")
    assert play.done(HangUp)


SILENCE = "limits: {silence: {after_seconds: 10, lines: [Still there?, I cannot hear you.], farewell: Goodbye.}}\n"


def test_silence_is_broken_line_by_line_and_ends_the_call() -> None:
    play = Play(SILENCE).talking()
    assert play.started("silence") == 10
    for number, words in enumerate(["Still there?", "I cannot hear you."], 1):
        play >> e.TimerFired("silence")
        assert f'"""{words}"""' in play.says
        play.said(f"resp_1{number}", f"silence {number}")
        assert play.started("silence") == 10
    play >> e.TimerFired("silence")
    assert '"""Goodbye."""' in play.says
    play.said("resp_20", "farewell")
    assert ended(play) is Outcome.SILENT


def test_a_word_of_the_caller_begins_the_silence_anew() -> None:
    play = Play(SILENCE).talking() >> e.TimerFired("silence")
    play.said("resp_11", "silence 1").turn("resp_12") >> e.TimerFired("silence")
    assert '"""Still there?"""' in play.says


def test_silence_does_not_count_while_the_agent_speaks() -> None:
    play = Play(SILENCE).talking().after(4) >> e.ResponseCreated("resp_3")
    assert play.stopped("silence")
    play >> e.PlaybackStarted("resp_3") >> e.ResponseDone("resp_3", "completed") >> e.PlaybackEnded("resp_3")
    assert play.started("silence") == pytest.approx(6)  # the four seconds before count


def test_an_agent_that_speaks_by_itself_does_not_hide_the_silence() -> None:
    """The service's idle time-out makes it speak again and again: hold music once lasted for 21 minutes so."""
    play = Play(SILENCE).talking()
    left = 10.0
    for number in range(3, 6):
        play.after(3) >> e.ResponseCreated(f"resp_{number}")
        play >> e.PlaybackStarted(f"resp_{number}") >> e.ResponseDone(f"resp_{number}", "completed")
        play >> e.PlaybackEnded(f"resp_{number}")
        left -= 3
        assert play.started("silence") == pytest.approx(left)


def test_silence_does_not_count_while_a_tool_runs_or_digits_are_collected_or_the_caller_speaks() -> None:
    tools = "tools: [{use: keypad}, {entrypoint: 'shop:book'}]\n"
    for name in ("keypad", "book"):
        play = Play(SILENCE + tools, read_tool=read_tool).talking().calls(name)
        assert not [timer for timer in play.done(StartTimer) if timer.name == "silence"]
    play = Play(SILENCE).talking() >> e.CallerSpoke()
    assert not [timer for timer in play.done(StartTimer) if timer.name == "silence"]


def test_silence_does_not_count_before_anybody_was_heard_or_while_the_sideband_is_lost() -> None:
    play = Play(SILENCE).active()
    assert not [timer for timer in play.done(StartTimer) if timer.name == "silence"]
    play = Play(SILENCE).talking() >> e.SidebandClosed(1006)
    assert play.stopped("silence")
    play >> e.Attached()
    assert play.started("silence") > 0


@pytest.mark.parametrize("begun", [(e.ResponseCreated("resp_3"), e.PlaybackStarted("resp_3")), (e.CallerSpoke(),)])
def test_what_ended_while_the_sideband_was_lost_does_not_keep_silence_from_counting(begun: tuple[e.Event, ...]) -> None:
    play = Play(SILENCE).talking()
    for event in (*begun, e.SidebandClosed(1006), e.Attached()):
        play >> event
    assert play.started("silence") > 0


@pytest.mark.parametrize("event", [e.CallerSpoke(), e.ResponseCreated("resp_3"), e.ToolCalled("call_1", "book", "{}")])
def test_silence_that_was_broken_at_the_last_moment_is_none(event: e.Event) -> None:
    play = Play(SILENCE).talking() >> event >> e.TimerFired("silence")
    assert play.did == []


def test_silence_can_be_switched_off() -> None:
    play = Play(NO_SILENCE).talking()
    assert not [timer for timer in play.done(StartTimer) if timer.name == "silence"]


def test_without_declared_lines_the_agent_finds_its_own_words() -> None:
    play = Play().talking() >> e.TimerFired("silence")
    assert "whether the caller is still there" in play.says


def test_a_call_in_which_nobody_ever_spoke_ends_without_a_word() -> None:
    """Trap 23: whoever left while it rang would be talked to for ever."""
    play = Play("limits: {first_words_seconds: 20}\n").active()
    assert play.started("first words") == 20
    play >> e.TimerFired("first words")
    assert play.done(HangUp)
    assert ended(play) is Outcome.NOBODY_SPOKE


def test_tools_beyond_the_limit_are_refused_and_the_model_is_told() -> None:
    play = Play("limits: {tool_calls: 1}\ntools: [{entrypoint: 'shop:book'}]\n", read_tool=read_tool).talking()
    play.calls("book") >> e.ToolFinished("call_1", "book", "1")
    play.said("resp_10", "after resp_9").calls("book", "{}", "resp_11", "call_2")
    assert not play.done(RunTool)
    assert "No more tools" in play.output
    (asked,) = [sent["response"] for sent in play.sent if sent["type"] == "response.create"]
    assert asked["tool_choice"] == "none", "or it could ask, and be refused, for ever"


def test_a_call_can_be_ended_however_many_tools_were_called() -> None:
    tools = "limits: {tool_calls: 1}\ntools: [{use: hang_up}, {entrypoint: 'shop:book'}]\n"
    play = Play(tools, read_tool=read_tool).talking().calls("book") >> e.ToolFinished("call_1", "book", "1")
    play.said("resp_10", "after resp_9").calls("hang_up", "{}", "resp_11", "call_2")
    assert play.call.state is State.ENDING


# ── slow tools ────────────────────────────────────────────────────────────────────────────────────────────────

SLOW = """
tools:
  - entrypoint: "shop:book"
    on_timeout: Our book does not open.
    while_running: {after_seconds: 2, lines: [One moment., Still looking.], repeat: 3}
"""


def slow() -> Play:
    return Play(SLOW, read_tool=read_tool).talking().calls("book")


def test_a_slow_tool_is_covered_with_lines_one_after_another_as_often_as_declared() -> None:
    play = slow()
    assert play.started("slow call_1") == 2
    for number, words in enumerate(["One moment.", "Still looking.", "One moment."], 1):
        play >> e.TimerFired("slow call_1")
        assert f'"""{words}"""' in play.says
        play.said(f"resp_1{number}", f"while call_1 {number}")
    play >> e.TimerFired("slow call_1")
    assert play.did == []


def test_a_line_for_a_slow_tool_waits_while_somebody_speaks() -> None:
    play = slow() >> e.CallerSpoke() >> e.TimerFired("slow call_1")
    assert play.sent == []
    assert play.started("slow call_1") == 2


def test_a_quick_tool_is_covered_with_no_line() -> None:
    play = slow() >> e.ToolFinished("call_1", "book", "1")
    assert play.stopped("slow call_1")
    play >> e.TimerFired("slow call_1")
    assert play.did == []


def test_a_tool_that_took_too_long_is_told_with_its_line_and_the_model_knows() -> None:
    play = slow() >> e.ToolFinished("call_1", "book", "The tool took too long.", 20, failed=True, too_slow=True)
    assert play.output == "The tool took too long."
    assert '"""Our book does not open."""' in play.says


@pytest.mark.parametrize("slow_one_is_last", [True, False])
def test_what_one_tool_found_is_told_though_another_took_too_long(slow_one_is_last: bool) -> None:
    tools = "tools: [{entrypoint: 'shop:find'}, {entrypoint: 'shop:book', on_timeout: No book.}]\n"
    play = Play(tools, read_tool=read_tool).talking() >> e.ResponseCreated("resp_9")
    play >> e.ToolCalled("call_1", "find", "{}", "resp_9") >> e.ToolCalled("call_2", "book", "{}", "resp_9")
    play >> e.ResponseDone("resp_9", "completed")
    results = [
        e.ToolFinished("call_1", "find", "a table"),
        e.ToolFinished("call_2", "book", "It took too long.", failed=True, too_slow=True),
    ]
    asked = []
    more = [e.ResponseCreated("resp_10", "timeout call_2"), e.ResponseDone("resp_10", "completed")]
    for event in [*(results if slow_one_is_last else reversed(results)), *more]:
        play >> event
        asked += [sent["response"]["metadata"]["switchboard"] for sent in play.sent if "response" in sent]
    assert asked == ["timeout call_2", "after resp_9"]


def test_a_result_that_comes_after_an_interruption_is_still_told() -> None:
    play = slow() >> e.CallerSpoke() >> e.CallerTurnEnded() >> e.ResponseCreated("resp_10")
    play >> e.ToolFinished("call_1", "book", "at eight")
    assert play.output == "at eight"
    play >> e.ResponseDone("resp_10", "completed")
    assert play.line == "after resp_9"


# ── handoffs ──────────────────────────────────────────────────────────────────────────────────────────────────

BILLING = """name: billing
voice: cedar
instructions: You know every invoice.
tools: [{use: hang_up}]
limits: {duration: {seconds: 60}}
"""
HANDS_OFF = """voice: sage
handoffs:
  - {agent: billing, when: About an invoice., announce: Let me hand you over.}
"""


def handing() -> Play:
    return Play(HANDS_OFF, BILLING).talking().calls("hand_off_to_billing")


def test_a_handoff_is_announced_and_then_run() -> None:
    play = handing()
    assert '"""Let me hand you over."""' in play.says
    assert not play.done(RunTool)
    play.said("resp_10", "announce")
    assert play.done(RunTool) == [RunTool("call_1", "hand_off_to_billing", "{}")]


SHOP = "name: shop\ninstructions: You know every ware.\n"
TO_SHOP = "  - {agent: shop, when: About a ware., announce: To the shop.}\n"


@pytest.mark.parametrize("second", ["hand_off_to_shop", "transfer"])
def test_a_caller_is_put_through_to_one_place_however_many_a_response_names(second: str) -> None:
    """A second announcement once took the first one's place, and who waited for the first waited for ever."""
    play = Play(HANDS_OFF + TO_SHOP + KITCHEN, BILLING, SHOP).talking() >> e.ResponseCreated("resp_9")
    play >> e.ToolCalled("call_1", "hand_off_to_billing", "{}", "resp_9")
    play >> e.ToolCalled("call_2", second, to("kitchen"), "resp_9")
    assert "to one place only" in play.output
    play >> e.ResponseDone("resp_9", "completed")
    play.said("resp_10", "announce")
    assert play.done(RunTool) == [RunTool("call_1", "hand_off_to_billing", "{}")]
    play >> e.HandedOff("billing") >> e.ToolFinished("call_1", "hand_off_to_billing", "{}")
    assert play.line == "after resp_9"


def test_a_caller_who_is_being_transferred_is_not_handed_off() -> None:
    play = Play(HANDS_OFF + KITCHEN, BILLING).talking() >> e.ResponseCreated("resp_9")
    play >> e.ToolCalled("call_1", "transfer", to("kitchen"), "resp_9")
    play >> e.ToolCalled("call_2", "hand_off_to_billing", "{}", "resp_9")
    assert "to one place only" in play.output
    play >> e.ResponseDone("resp_9", "completed")
    assert play.said("resp_10", "announce").done(Refer)


def test_a_handoff_tells_the_service_the_other_agents_session_before_the_result() -> None:
    play = handing().said("resp_10", "announce") >> e.HandedOff("billing")
    (update,) = play.sent
    assert update["session"]["instructions"] == "You know every invoice."
    assert [tool["name"] for tool in update["session"]["tools"]] == ["hang_up"]
    play >> e.ToolFinished("call_1", "hand_off_to_billing", "{}")
    assert play.types == ["conversation.item.create", "response.create"]


def test_one_voice_holds_for_the_whole_call() -> None:
    """Trap 1: the service cannot change the voice once it was heard."""
    play = handing().said("resp_10", "announce") >> e.HandedOff("billing")
    assert "output" not in play.sent[0]["session"]["audio"]
    play >> e.SessionConfirmed(play.talk.scene.settings.declared(held=False))
    assert not [record for record in play.done(Record) if record.level > 20]
    play >> e.ToolFinished("call_1", "hand_off_to_billing", "{}")
    play.said("resp_11", "after resp_9").calls("hang_up", "{}", "resp_12", "call_2")
    (farewell,) = [sent["response"] for sent in play.sent if sent["type"] == "response.create"]
    assert farewell["audio"]["output"]["voice"] == "sage"


def test_the_limits_of_who_took_the_call_survive_a_handoff() -> None:
    play = handing().said("resp_10", "announce") >> e.HandedOff("billing")
    assert not [timer for timer in play.done(StartTimer) if timer.name == "duration"]
    play >> e.TimerFired("duration")
    assert "1800 s" in play.recorded("saying goodbye").fields["reason"]


# ── when something is down ────────────────────────────────────────────────────────────────────────────────────


def test_a_call_that_cannot_be_attached_is_put_through_where_the_file_says() -> None:
    play = Play(KITCHEN + "on_failure: {attach_failed: {transfer: kitchen}}\n")
    play >> play.arrival >> e.Accepted() >> e.AttachFailed("503", gone=False)
    assert play.done(Refer) == [Refer("tel:+15550123456")]
    play >> e.Referred()
    assert play.started("transfer") == 20
    play >> e.TimerFired("transfer")
    assert play.done(HangUp)
    assert ended(play) is Outcome.ATTACH_FAILED


def test_a_fallback_that_fails_too_ends_the_call() -> None:
    play = Play(KITCHEN + "on_failure: {attach_failed: {transfer: kitchen}}\n")
    play >> play.arrival >> e.Accepted() >> e.AttachFailed("503", gone=False) >> e.ReferFailed("the line is busy")
    assert play.done(HangUp)


def test_a_session_that_is_never_confirmed_is_a_failed_attach() -> None:
    play = Play(KITCHEN + "on_failure: {attach_failed: {transfer: bar}}\n").attached() >> e.TimerFired("confirm")
    assert play.done(Refer) == [Refer("sip:bar@example.com")]
    play >> e.Referred() >> e.SidebandClosed(1006)
    assert ended(play) is Outcome.TRANSFERRED


@pytest.mark.parametrize(("cause", "status"), [("quota", 503), ("model_unreachable", 480), ("", 503)])
def test_before_the_call_is_answered_a_failure_is_a_code_for_the_carrier(cause: str, status: int) -> None:
    play = Play("on_failure: {model_unreachable: {reject: 480}}\n")
    play >> play.arrival >> e.AcceptFailed("no", gone=False, cause=cause)
    assert play.done(Reject) == [Reject(status)]
    assert ended(play) == (cause or "accept_failed")


def lost(play: Play, reason: str) -> Play:
    """The service's answer to the caller fails, and every one that we ask for."""
    play >> e.CallerSpoke() >> e.CallerTurnEnded() >> e.ResponseCreated("resp_20")
    play >> e.ResponseDone("resp_20", "failed", reason)
    for number in range(21, 25):
        play >> e.ResponseCreated(f"resp_{number}", "answer")
        play >> e.ResponseDone(f"resp_{number}", "failed", reason, line="answer")
        if number < 24:
            play >> e.TimerFired("response")
    return play


@pytest.mark.parametrize(
    ("reason", "outcome"), [("insufficient_quota", "quota"), ("server_error", "model_unreachable")]
)
def test_a_model_that_does_not_answer_any_more_never_leaves_the_caller_in_silence(reason: str, outcome: str) -> None:
    play = lost(Play().talking(), reason)
    assert play.done(HangUp)
    assert ended(play) == outcome


def test_a_model_that_cannot_even_greet_never_leaves_the_caller_in_silence() -> None:
    play = Play("greeting: Hello.\n").active()
    for number in range(1, 5):
        play >> e.ResponseCreated(f"resp_{number}", "greeting")
        play >> e.ResponseDone(f"resp_{number}", "failed", "insufficient_quota", line="greeting")
        if number < 4:
            play >> e.TimerFired("response")
    assert play.done(HangUp)
    assert ended(play) == "quota"


def test_a_model_that_does_not_answer_any_more_is_replaced_by_somebody_who_does() -> None:
    play = lost(Play(KITCHEN + "on_failure: {quota: {transfer: kitchen}}\n").talking(), "insufficient_quota")
    assert play.done(Refer) == [Refer("tel:+15550123456")]


def test_a_fallback_takes_the_place_of_a_transfer_that_waits_for_its_announcement() -> None:
    play = Play(KITCHEN + "on_failure: {model_unreachable: {transfer: bar}}\n").talking()
    play.calls("transfer", to("kitchen")) >> e.ResponseCreated("resp_10", "announce")
    play >> e.PlaybackStarted("resp_10") >> e.ResponseDone("resp_10", "completed", line="announce")
    play = lost(play, "server_error")
    assert play.done(Refer) == [Refer("sip:bar@example.com")]
    play >> e.TimerFired("heard announce")
    assert not play.done(Refer)


def test_a_busy_agent_that_transfers_never_attaches() -> None:
    play = Play(KITCHEN + "on_failure: {over_capacity: {transfer: kitchen}}\n", unable="over_capacity")
    play >> play.arrival >> e.Accepted()
    assert play.done(Refer) == [Refer("tel:+15550123456")]
    play >> e.Referred() >> e.TimerFired("transfer")
    assert ended(play) is Outcome.OVER_CAPACITY


def test_a_busy_agent_that_says_so_answers_nothing_else() -> None:
    play = Play("greeting: Hello.\non_failure: {over_capacity: {say: All lines are busy.}}\n", unable="over_capacity")
    play >> play.arrival
    assert play.talk.turns.held
    play >> e.Accepted() >> e.Attached() >> play.confirmation()
    assert '"""All lines are busy."""' in play.says
    play.said("resp_1", "farewell")
    assert ended(play) is Outcome.OVER_CAPACITY


def test_a_lost_sideband_is_attached_again_with_settings_and_pending_results() -> None:
    play = Play("tools: [{entrypoint: 'shop:book'}]\n", read_tool=read_tool).talking().calls("book")
    play >> e.SidebandClosed(1006) >> e.ToolFinished("call_1", "book", "at eight")
    assert play.sent == []
    play >> e.Attached()
    assert play.types == ["session.update", "conversation.item.create", "response.create"]
    assert play.output == "at eight"


# ── guardrails ────────────────────────────────────────────────────────────────────────────────────────────────

GUARDED = "guardrails: {never_say: [guarantee, free of charge], instead: I cannot promise that.}\n"


def saying(*words: str, more: str = GUARDED) -> Play:
    play = Play(more, read_tool=read_tool).talking() >> e.CallerSpoke() >> e.CallerTurnEnded()
    play >> e.ResponseCreated("resp_5") >> e.PlaybackStarted("resp_5")
    for word in words:
        play >> e.AgentSaying("resp_5", word)
    return play


def test_what_must_not_be_said_is_stopped_silenced_and_replaced() -> None:
    """Trap 20: what is buffered would still be heard."""
    play = saying("We can ", "guarantee ")
    assert play.types == ["response.cancel", "output_audio_buffer.clear"]
    record = play.recorded("stopped what must not be said")
    assert (record.fields, record.private) == ({"rule": "never_say"}, {"words": "guarantee"})
    play >> e.ResponseDone("resp_5", "cancelled", "client_cancelled")
    assert '"""I cannot promise that."""' in play.says


def test_a_response_is_stopped_once() -> None:
    play = saying("We can ", "guarantee ", "and guarantee ")
    assert play.sent == []


def test_words_are_looked_for_whole_and_in_any_case_and_spacing() -> None:
    assert saying("It is Free", " of", "\ncharge.").types
    assert not saying("He is a guarantee", "ing man").types


def test_a_last_word_is_judged_when_the_response_is_whole() -> None:
    play = saying("I guarantee")
    assert not play.types
    play >> e.AgentSaid("resp_5", "item_5", "I guarantee")
    assert play.types == ["response.cancel", "output_audio_buffer.clear"]


def test_the_lines_of_the_file_are_the_authors_own() -> None:
    play = Play(GUARDED + "limits: {silence: {lines: [I guarantee that I wait.]}}\n").talking()
    play >> e.TimerFired("silence") >> e.ResponseCreated("resp_7", "silence 1")
    play >> e.AgentSaying("resp_7", "I guarantee that")
    assert play.sent == []


def test_a_rule_that_answers_late_silences_no_other_response() -> None:
    play = Play("guardrails: {rules: ['shop:promises'], instead: I take that back.}\n", read_tool=read_tool).talking()
    play.turn("resp_5") >> e.ResponseCreated("resp_6") >> e.PlaybackStarted("resp_6")
    play >> e.WordsRefused("resp_5", "shop:promises")
    assert play.sent == []
    play >> e.ResponseDone("resp_6", "completed")
    assert '"""I take that back."""' in play.says


def test_rules_are_asked_every_few_words_and_at_the_end() -> None:
    rules = "guardrails: {rules: ['shop:promises']}\n"
    play = saying("a" * 70, more=rules)
    assert not play.done(CheckWords)
    play >> e.AgentSaying("resp_5", "b" * 20)
    assert play.done(CheckWords) == [CheckWords("resp_5", "a" * 70 + "b" * 20)]
    play >> e.WordsRefused("resp_5", "shop:promises")
    assert play.types == ["response.cancel", "output_audio_buffer.clear"]


# ── the lookup ────────────────────────────────────────────────────────────────────────────────────────────────

LOOKS_UP = """
greeting: Hello {{ guest }}.
tracing: {metadata: {guest: "{{ guest }}"}}
lookup: {entrypoint: "shop:find_guest", deadline_seconds: 0.5, defaults: {guest: dear guest}}
"""


def looking_up() -> Play:
    return Play(LOOKS_UP, read_tool=read_tool)


def test_a_lookup_runs_beside_the_accept_and_never_delays_it() -> None:
    """Trap 12."""
    play = looking_up()
    play >> play.arrival
    kinds = [type(command).__name__ for command in play.did]
    assert kinds.index("Accept") < kinds.index("LookUp")
    assert play.done(LookUp)
    assert play.started("lookup") == 0.5


def test_what_the_lookup_finds_is_in_greeting_instructions_and_tracing() -> None:
    play = looking_up()
    play >> play.arrival
    assert "tracing" not in play.settings.accept()
    play >> e.LookedUp({"guest": "Mr. Rossi"}) >> e.Accepted() >> e.Attached()
    assert play.sent[0]["session"]["tracing"]["metadata"] == {"guest": "Mr. Rossi"}
    play >> e.SessionConfirmed(play.talk.scene.settings.declared(held=False))
    assert '"""Hello Mr. Rossi."""' in play.says


def test_an_open_sideband_waits_for_the_lookup_until_its_deadline() -> None:
    play = looking_up()
    play >> play.arrival >> e.Accepted() >> e.Attached()
    assert play.sent == []
    play >> e.TimerFired("lookup")
    assert play.types == ["session.update"]
    assert play.sent[0]["session"]["tracing"]["metadata"] == {"guest": "dear guest"}
    play >> e.LookedUp({"guest": "Mr. Rossi"})
    assert play.did == []


def test_a_lookup_that_fails_leaves_the_defaults_and_a_warning() -> None:
    play = looking_up()
    play >> play.arrival >> e.LookedUp({}, "it failed (KeyError)")
    assert play.recorded("looked up").fields == {"problem": "it failed (KeyError)"}
    play >> e.Accepted() >> e.Attached() >> e.SessionConfirmed(play.talk.scene.settings.declared(held=False))
    assert '"""Hello dear guest."""' in play.says


def test_tracing_is_told_once_for_it_cannot_be_changed() -> None:
    play = looking_up()
    play >> play.arrival >> e.LookedUp({"guest": "Mr. Rossi"}) >> e.Accepted() >> e.Attached()
    play >> e.SessionConfirmed(play.talk.scene.settings.declared(held=False)) >> e.SidebandClosed(1006) >> e.Attached()
    assert "tracing" not in play.sent[0]["session"]


# ── two things at once ────────────────────────────────────────────────────────────────────────────────────────


def test_a_hang_up_that_comes_with_a_handoff_is_still_one_when_the_other_agent_has_none() -> None:
    play = Play("tools: [{use: hang_up}]\nhandoffs: [{agent: billing, when: About an invoice.}]\n", BILLING).talking()
    play >> e.ResponseCreated("resp_9") >> e.ToolCalled("call_1", "hang_up", "{}", "resp_9")
    play >> e.ToolCalled("call_2", "hand_off_to_billing", "{}", "resp_9")
    play >> e.HandedOff("billing") >> e.ToolFinished("call_2", "hand_off_to_billing", "{}")
    play >> e.ResponseDone("resp_9", "completed")
    assert play.call.state is State.ENDING


def test_a_result_that_comes_while_the_lookup_is_awaited_is_sent_once_and_after_the_settings() -> None:
    play = Play('tools: [{entrypoint: "shop:book"}]\n' + LOOKS_UP, read_tool=read_tool)
    play >> play.arrival >> e.Accepted() >> e.Attached()
    play >> e.ResponseCreated("resp_1") >> e.ToolCalled("call_1", "book", "{}", "resp_1")
    play >> e.ResponseDone("resp_1", "completed")
    assert (play >> e.ToolFinished("call_1", "book", "at eight")).sent == []
    assert (play >> e.LookedUp({})).types[:2] == ["session.update", "conversation.item.create"]


def test_limits_are_of_who_took_the_call_also_when_the_lookup_answers_after_a_handoff() -> None:
    limits = "limits: {duration: {seconds: 100}}\nhandoffs: [{agent: billing, when: About an invoice.}]\n"
    play = Play(LOOKS_UP + limits, BILLING, read_tool=read_tool)
    play >> play.arrival >> e.Accepted() >> e.Attached() >> e.HandedOff("billing") >> e.LookedUp({})
    play >> play.confirmation()
    assert 60 < play.started("duration") < 100, "billing has 60 s"
    assert play.talk.scene.role.agent.name == "billing"
    assert play.talk.scene.settings.session["audio"]["output"]["voice"] == "marin", "the call's own"


def test_the_model_s_own_words_before_a_transfer_are_guarded_too() -> None:
    bar = "tools: [{use: transfer, destinations: [{name: bar, to: 'sip:bar@example.com', when: Drinks.}]}]\n"
    play = Play("guardrails: {never_say: [guarantee]}\n" + bar).talking()
    play >> e.ResponseCreated("resp_9") >> e.AgentSaid("resp_9", "item_9", "One moment.") >> e.PlaybackStarted("resp_9")
    play >> e.ToolCalled("call_1", "transfer", '{"destination": "bar"}', "resp_9")
    play >> e.AgentSaying("resp_9", "I guarantee that ")
    assert play.recorded("stopped what must not be said")
    assert play.types[:2] == ["response.cancel", "output_audio_buffer.clear"]
