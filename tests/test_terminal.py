import io

from runtime.terminal import Paint, beside, wrapped


def test_a_text_is_wrapped_between_words_and_a_long_word_stays_whole() -> None:
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("one incomprehensibilities two", 7) == ["one", "incomprehensibilities", "two"]
    assert wrapped(" one \n two ", 70) == ["one two"]
    assert wrapped("", 7) == [""]


def test_colors_take_no_room() -> None:
    assert wrapped("\x1b[31mone\x1b[0m two", 7) == ["\x1b[31mone\x1b[0m two"]


def test_two_texts_stand_beside_each_other() -> None:
    assert beside("one two", "\x1b[32myes\x1b[0m it is", 5) == ["one     \x1b[32myes\x1b[0m", "two     it is"]
    assert beside("one", "four five", 5, "✓") == ["one   ✓ four", "        five"]
    assert beside("one two", "no", 5) == ["one     no", "two"]


def test_words_that_are_too_long_do_not_stand_beside_each_other() -> None:
    assert beside("incomprehensibilities", "x", 5) is None


def test_colors_belong_to_terminals() -> None:
    assert Paint(io.StringIO())("x", "red") == "x"
