"""Two sides of a call, put side by side: what is otherwise is told once, in a sentence."""

from typing import Any

from runtime.deviations import compare
from runtime.recorded import Entry


def asked(line: str, at: float) -> Entry:
    return Entry(at, "out", {"type": "response.create", "response": {"metadata": {"switchboard": line}}})


def result(at: float) -> Entry:
    item = {"type": "function_call_output", "call_id": "call_1", "output": "A table."}
    return Entry(at, "out", {"type": "conversation.item.create", "item": item})


def told(then: list[Entry], now: list[Entry], **more: Any) -> list[str]:
    found, _ = compare(then, now, speech=True, **more)
    return [one.text for one in found]


def test_an_answer_after_a_tool_comes_later_with_its_result_and_is_not_told_again() -> None:
    then, now = ([result(at), asked("after resp_1", at)] for at in (4.0, 7.0))
    assert told(then, now) == ["The result of a tool is given to the model 3.0 s later now."]


def test_an_answer_that_the_caller_waits_for_is_told_when_it_comes_later() -> None:
    assert told([asked("answer", 4.0)], [asked("answer", 7.0)]) == [
        "An answer to the caller is asked for 3.0 s later now."
    ]


def test_an_answer_that_is_missing_is_told_by_what_it_follows() -> None:
    assert told([asked("after resp_1", 4.0), asked("", 9.0)], []) == [
        "The model's answer after its tools was asked for then, and is not now.",
        "An answer to the caller was asked for then, and is not now.",
    ]


def test_words_that_are_not_stopped_any_more_are_told() -> None:
    stopped = Entry(4.0, "out", {"type": "output_audio_buffer.clear"})
    assert told([stopped], []) == ["What the agent says was stopped then, and is not now."]
    assert told([stopped], [stopped]) == []


def test_a_text_that_is_doubtful_is_no_difference_and_is_named() -> None:
    def greeting(words: str) -> Entry:
        said = {"instructions": f'Say """{words}""".', "metadata": {"switchboard": "greeting"}}
        return Entry(1.0, "out", {"type": "response.create", "response": said})

    doubtful = frozenset({"xxxxx.", ""})
    for then, now in (([greeting("xx.")], [greeting("xxxxx.")]), ([greeting("xx.")], []), ([], [greeting("xxxxx.")])):
        assert compare(then, now, speech=False, doubtful=doubtful) == ([], ["the greeting"])
    assert told([greeting("xx.")], [greeting("xxxx.")], doubtful=doubtful) != []
