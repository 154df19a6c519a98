from runtime.transcript import Transcript


def test_a_turn_that_arrives_late_stands_where_it_was_said() -> None:
    """Trap 32: a tool is called, and its answer spoken, before the caller's words are transcribed."""
    transcript = Transcript()
    transcript.add("caller1", None)
    transcript.add("tool1", "caller1")
    transcript.add("agent1", "tool1")
    transcript.say("agent1", "agent", "We have one at eight.")
    transcript.say("caller1", "caller", "A table please.")
    assert transcript.lines() == [("caller", "A table please."), ("agent", "We have one at eight.")]


def test_an_item_goes_behind_its_previous_one_whenever_it_comes() -> None:
    transcript = Transcript()
    for item, previous in (("a", None), ("c", "a"), ("b", "a"), ("d", "unknown"), ("a", None)):
        transcript.add(item, previous)
        transcript.say(item, "caller", item)
    assert [text for _, text in transcript.lines()] == ["a", "b", "c", "d"]


def test_words_without_a_known_item_come_last() -> None:
    transcript = Transcript()
    transcript.say("x", "agent", "Hello.")
    transcript.add("y", "x")
    assert transcript.lines() == [("agent", "Hello.")]
