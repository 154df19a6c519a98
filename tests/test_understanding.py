"""Typed words: which tool they ask for, and what they say of its arguments."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.understanding import Candidate, arguments_in, kind_of, matching, required

MONDAY = date(2026, 11, 23)


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "name": name, "description": description, "parameters": schema}


def candidates(*tools: dict[str, Any]) -> list[Candidate]:
    return [Candidate(one, one["name"], one["description"]) for one in tools]


RESTAURANT = candidates(
    tool("find_table", "Look up whether a table is free, and which other times are when it is not. Books nothing."),
    tool("book_table", "Book a table, once the caller has agreed to the day, the time and the number of people."),
    tool("cancel_table", "Cancel a booking, once the caller has said its reference and agreed to cancel it."),
)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("A table for four tonight, please", ["find_table"]),
        ("Do you have a table for six people on Friday?", ["find_table"]),
        ("I would like to book a table", ["book_table"]),
        ("Please make a reservation", ["book_table"]),
        ("I have to cancel", ["cancel_table"]),
        ("My table must be cancelled", ["cancel_table"]),
        ("Hello, can you hear me?", []),
        ("What is your name?", []),
        ("", []),
    ],
)
def test_a_tool_is_matched_where_its_name_or_description_clearly_is(words: str, names: list[str]) -> None:
    assert [one.title for one in matching(words, RESTAURANT)] == names


def test_tools_that_match_alike_are_all_told() -> None:
    both = candidates(tool("book_appointment"), tool("cancel_appointment"))
    assert [one.title for one in matching("It is about an appointment", both)] == [
        "book_appointment", "cancel_appointment",
    ]  # fmt: skip


def test_one_word_of_a_description_is_not_clear_and_two_are() -> None:
    opening = candidates(tool("facts", "Tells the opening hours of the shop."))
    assert matching("Which shop is that?", opening) == []
    assert matching("What are your opening hours?", opening) == opening


def test_one_word_of_a_purpose_that_says_when_is_clear() -> None:
    kitchen = [Candidate(tool("transfer"), "kitchen", "The caller asks about an order.", by_purpose=2)]
    assert matching("Where is my order?", kitchen) == kitchen
    assert matching("Where are you?", kitchen) == []


def test_a_name_in_camel_case_is_read_as_words() -> None:
    weather = candidates(tool("getWeather"))
    assert matching("How is the weather?", weather) == weather


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────────────────

TEXT = {"type": "string"}
PEOPLE = {"type": "integer", "description": "How many people will sit at the table, children included."}
DAY = {"type": "string", "description": "The day as an ISO date, such as 2026-11-27."}
TIME = {"type": "string", "description": "When they want to sit down, on the 24 hour clock."}
REFERENCE = {"type": "string", "description": "The six digits of the booking's reference, such as 481029."}


def found(words: str, asked: str = "", /, **properties: Any) -> dict[str, Any]:
    takes = {"name": "x", "parameters": {"type": "object", "properties": properties}}
    return arguments_in(words, takes, properties, MONDAY, asked)


def test_a_whole_wish_is_taken_out_of_one_sentence() -> None:
    words = "A table for four on Friday at eight, for Rivera"
    assert found(words, people=PEOPLE, day=DAY, time=TIME, name=TEXT) == {
        "people": 4, "day": "2026-11-27", "time": "20:00", "name": "Rivera",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "day"),
    [
        ("on 2026-12-24", "2026-12-24"),
        ("today", "2026-11-23"),
        ("tonight", "2026-11-23"),
        ("tomorrow", "2026-11-24"),
        ("the day after tomorrow", "2026-11-25"),
        ("next Friday", "2026-11-27"),
        ("on Monday", "2026-11-30"),
        ("on 24 December", "2026-12-24"),
        ("December 24th, please", "2026-12-24"),
        ("on the 3rd of March", "2027-03-03"),
        ("am 24.12.", "2026-12-24"),
        ("am 24.12.2027", "2027-12-24"),
        ("on 31 February", None),
        ("some day", None),
    ],
)
def test_days_are_counted_from_a_given_one(words: str, day: str | None) -> None:
    assert found(words, day=DAY).get("day") == day


@pytest.mark.parametrize(
    ("words", "time"),
    [
        ("at 20:00", "20:00"), ("8:30 pm", "20:30"), ("9:20", "09:20"), ("at eight", "20:00"), ("at nine", "09:00"),
        ("at 9 in the evening", "21:00"), ("8 am", "08:00"), ("eight o'clock tonight", "20:00"), ("at noon", "12:00"),
        ("half past seven", "19:30"), ("quarter to 9", "08:45"), ("12 am", "00:00"), ("at 25:00", None),
        ("for eight", None),
    ],
)  # fmt: skip
def test_times_are_on_the_24_hour_clock(words: str, time: str | None) -> None:
    assert found(words, time=TIME).get("time") == time


@pytest.mark.parametrize(
    ("words", "schema", "value"),
    [
        ("it is 3.5 meters", {"type": "number"}, 3.5),
        ("for a dozen", {"type": "integer"}, 12),
        ("minus -2", {"type": "integer"}, -2),
        ("zero", {"type": "integer"}, 0),
        ("2.5", {"type": "integer"}, 2),
        ("it is 12345678901234567890", {"type": "integer"}, 12345678901234567890),
        ("it is 12345678901234567890.0", {"type": "number"}, 12345678901234567890),
        ("1" * 400, {"type": "integer"}, int("1" * 400)),
        ("1" * 400 + ".5", {"type": "number"}, None),
        ("1" * 5000, {"type": "integer"}, None),
        ("twenty", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 20),
        ("with Dr. Osei, please", {"enum": ["Dr. Adams", "Dr. Osei"]}, "Dr. Osei"),
        ("a follow up", {"enum": ["checkup", "follow-up"]}, "follow-up"),
        ("write to ann@example.com now", {"type": "string", "format": "email"}, "ann@example.com"),
        ('it says "ring me"', {"type": "string"}, "ring me"),
        ('red "and" "blue"', {"type": "array", "items": {"type": "string"}}, ["and", "blue"]),
        ('{"a": 1}', {"type": "object"}, {"a": 1}),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("whatever", {"type": "string"}, None),
        ("whatever", {"type": "object"}, None),
    ],
)
def test_values_are_taken_by_the_type(words: str, schema: dict[str, Any], value: Any) -> None:
    assert found(words, thing=schema).get("thing") == value


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("callback_number", "on +1 (555) 010-2000", "+15550102000"),
        ("phone", "0301234567", "0301234567"),
        ("name", "my name is ann lee", "ann"),
        ("name", "under the name Jo van Dyke", "Jo van Dyke"),
        ("name", "I am here", None),
        ("name", "for Friday", None),
        ("city", "the weather in New York", "New York"),
    ],
)
def test_texts_are_taken_by_the_name(name: str, words: str, value: str | None) -> None:
    schema = {"type": "string", "format": "phone"} if name == "callback_number" else TEXT
    assert found(words, **{name: schema}).get(name) == value


def test_digits_may_be_said_in_groups() -> None:
    assert found("it is 48 10 29", reference=REFERENCE) == {"reference": "481029"}


def test_a_number_beside_the_argument_s_name_is_that_argument_s() -> None:
    whole = {"type": "integer"}
    assert found("room 12 for 3 nights", nights=whole, room=whole) == {"nights": 3, "room": 12}


def test_a_day_of_birth_lies_in_the_past_and_a_day_to_come_does_not() -> None:
    words = "on 14 March 2027, born on 14 March 1958"
    assert found(words, date_of_birth=TEXT, day=DAY) == {"date_of_birth": "1958-03-14", "day": "2027-03-14"}


@pytest.mark.parametrize(
    ("name", "schema", "words", "value"),
    [
        ("message", TEXT, "I shall be late.", "I shall be late."),
        ("name", TEXT, "rivera.", "rivera"),
        ("time", TIME, "eight", "20:00"),
        ("day", DAY, "2020-01-01", "2020-01-01"),
        ("reference", REFERENCE, "12", "12"),
        ("sure", {"type": "boolean"}, "Yes, please", True),
        ("sure", {"type": "boolean"}, "no", False),
        ("colors", {"type": "array"}, "red, green and blue", ["red", "green", "blue"]),
        ("phone", {"type": "string", "description": "The number, or an empty text."}, "the same", ""),
    ],
)
def test_what_was_asked_for_is_taken_from_fewer_words(name: str, schema: Any, words: str, value: Any) -> None:
    assert found(words, name, **{name: schema}) == {name: value}


def test_only_named_arguments_are_looked_for() -> None:
    assert arguments_in("for four", tool("x", people=PEOPLE), [], MONDAY) == {}


def test_what_must_be_there_is_read_from_the_schema() -> None:
    assert required(tool("x", people=PEOPLE)) == ["people"]
    assert required({"name": "x"}) == []


def test_an_unknown_type_counts_as_an_object() -> None:
    assert kind_of("x", {"type": "wish"}) == "object"


def test_letters_that_only_look_like_english_ones_mean_nothing() -> None:
    assert found("ſix people on ſunday, ſep 3, half paſt ſix", people=PEOPLE, day=DAY, time=TIME) == {"people": 3}


def test_what_an_author_named_is_found_in_capitals_of_any_language() -> None:
    assert found("bei der ÄRZTIN", who={"enum": ["Ärztin", "Arzt"]}) == {"who": "Ärztin"}


NUMBERS_AND_DAYS = "six 12345678901234567890 6.5 31 feb sep ſep 0000-13-99 99:99 half past ſix K @ . , / : “ ” ' ( ["
WORDS = st.lists(st.sampled_from(NUMBERS_AND_DAYS.split()) | st.text(max_size=12), max_size=8).map(" ".join)
EVERY_KIND = {
    "email": TEXT, "date_of_birth": TEXT, "day": DAY, "time": TIME, "phone": TEXT, "reference": REFERENCE,
    "with": {"enum": ["Dr. Osei", 4, None]}, "name": TEXT, "city": TEXT, "people": PEOPLE, "size": {"type": "number"},
    "sure": {"type": "boolean"}, "list": {"type": "array"}, "map": {"type": "object"}, "message": TEXT,
}  # fmt: skip


@given(WORDS | st.text(), st.sampled_from(list(EVERY_KIND)))
def test_no_words_whatever_are_too_much(words: str, asked: str) -> None:
    for only in (EVERY_KIND, {asked: EVERY_KIND[asked]}):
        assert (
            arguments_in(words, {"name": "x", "parameters": {"properties": only}}, only, MONDAY, asked).keys()
            <= only.keys()
        )
    assert len(matching(words, RESTAURANT)) <= len(RESTAURANT)
