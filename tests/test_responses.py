"""Trap 7: a `response.create` that is overtaken, dropped or stuck."""

from typing import Any

from runtime.commands import CancelTimer, Command, Send
from runtime.responses import MAX_TRIES, TIMER, Responses


def asked(commands: list[Command]) -> list[Any]:
    return [command.event["response"] for command in commands if isinstance(command, Send)]


def event_id(commands: list[Command]) -> str:
    return next(str(command.event["event_id"]) for command in commands if isinstance(command, Send))


def test_a_response_is_asked_for_at_once_when_none_is_active() -> None:
    assert asked(Responses().want("greeting", {"a": 1})) == [{"a": 1}]


def test_a_response_waits_for_the_active_one() -> None:
    responses = Responses()
    responses.created("resp_auto", None)
    assert asked(responses.want("greeting", {"a": 1})) == []
    assert asked(responses.done("resp_other")) == []
    assert asked(responses.done("resp_auto")) == [{"a": 1}]


def test_a_second_response_waits_until_the_first_was_confirmed_and_done() -> None:
    responses = Responses()
    responses.want("one", {"a": 1})
    assert asked(responses.want("two", {"a": 2})) == []
    assert asked(responses.created("resp_1", "one")) == []
    assert asked(responses.done("resp_1")) == [{"a": 2}]


def test_a_refused_request_is_asked_again_when_the_active_response_is_done() -> None:
    responses = Responses()
    sent = responses.want("greeting", {"a": 1})
    said = "Conversation already has an active response in progress: resp_auto. Wait until …"
    assert asked(responses.refused(event_id(sent), said)) == []
    assert asked(responses.done("resp_auto")) == [{"a": 1}]


def test_a_refusal_without_an_event_id_counts_too() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    responses.refused(None, "Conversation already has an active response in progress: resp_auto.")
    assert asked(responses.done("resp_auto")) == [{"a": 1}]


def test_a_refusal_that_names_no_response_is_tried_again_after_a_while() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    responses.refused(None, "busy")
    assert asked(responses.waited()) == [{"a": 1}]


def test_a_request_that_is_swallowed_is_sent_again_with_another_id() -> None:
    responses = Responses()
    first = responses.want("greeting", {"a": 1})
    second = responses.waited()
    assert asked(second) == [{"a": 1}]
    assert event_id(first) != event_id(second)


def test_a_request_that_is_never_answered_is_given_up_and_the_next_goes_on() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    responses.want("next", {"a": 2})
    for _ in range(MAX_TRIES - 1):
        assert asked(responses.waited()) == [{"a": 1}]
    assert asked(responses.waited()) == [{"a": 2}]
    assert responses.lost == ["greeting"]


def test_a_late_confirmation_of_a_first_try_does_not_greet_twice() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    second = responses.waited()
    responses.created("resp_1", "greeting")
    said = "Conversation already has an active response in progress: resp_1."
    assert asked(responses.refused(event_id(second), said)) == []
    assert asked(responses.done("resp_1")) == []
    assert responses.idle


def test_a_response_that_began_by_itself_does_not_confirm_ours() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    responses.created("resp_auto", None)
    assert not responses.idle
    assert asked(responses.waited()) == []
    assert asked(responses.done("resp_auto")) == [{"a": 1}]


def test_after_a_lost_sideband_what_was_asked_for_is_asked_again() -> None:
    responses = Responses()
    responses.created("resp_auto", None)
    responses.want("one", {"a": 1})
    responses.detach()
    assert asked(responses.attach()) == [{"a": 1}]


def test_a_timer_that_fires_late_forgets_nothing() -> None:
    responses = Responses()
    responses.created("resp_auto", None)
    assert responses.waited() == []
    assert responses.active == "resp_auto"


def test_what_was_asked_for_when_the_sideband_was_lost_is_asked_again() -> None:
    responses = Responses()
    responses.want("one", {"a": 1})
    responses.detach()
    assert asked(responses.attach()) == [{"a": 1}]


def test_a_confirmed_request_is_waited_for_no_more() -> None:
    responses = Responses()
    responses.want("one", {"a": 1})
    assert responses.created("resp_1", "one") == [CancelTimer(TIMER)]


def test_nothing_is_asked_for_while_the_sideband_is_lost() -> None:
    responses = Responses()
    responses.detach()
    assert asked(responses.want("one", {"a": 1})) == []
    assert asked(responses.attach()) == [{"a": 1}]


def test_a_response_whose_beginning_was_missed_is_known_by_its_end() -> None:
    responses = Responses()
    responses.want("greeting", {"a": 1})
    responses.detach()
    responses.attach()
    assert asked(responses.done("resp_1", "greeting")) == []
    assert responses.idle


def test_a_response_that_fails_is_asked_for_again_after_a_rest_and_not_for_ever() -> None:
    responses = Responses()
    responses.want("one", {"a": 1})
    for number in range(MAX_TRIES - 1):
        responses.created(f"resp_{number}", "one")
        assert asked(responses.done(f"resp_{number}", "one", failed=True)) == []
        assert asked(responses.waited()) == [{"a": 1}]
    responses.created("resp_last", "one")
    responses.done("resp_last", "one", failed=True)
    assert responses.lost == ["one"]
    assert responses.idle


def test_any_end_frees_a_response_that_was_never_named() -> None:
    responses = Responses()
    responses.want("one", {"a": 1})
    responses.refused(None, "busy")
    assert asked(responses.done("resp_7")) == [{"a": 1}]


def test_one_wish_is_kept_once() -> None:
    responses = Responses()
    responses.created("resp_auto", None)
    responses.want("answer", {})
    responses.want("answer", {})
    assert len(asked(responses.done("resp_auto"))) == 1
    responses.created("resp_1", "answer")
    assert asked(responses.done("resp_1", "answer")) == []
