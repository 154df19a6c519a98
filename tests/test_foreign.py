"""Data from outside is read without trust: nothing that it may be raises."""

import pytest

from runtime.foreign import data_in, inner, mapping_in, text

DEEP = "[" * 100_000


@pytest.mark.parametrize("broken", ["", "{", "[DONE]", "nothing", "\ud800", DEEP, b"\xff\xfe\xff"])
def test_what_is_no_json_reads_as_nothing_or_as_what_is_given_for_it(broken: str | bytes) -> None:
    assert data_in(broken) is None
    assert data_in(broken, broken) is broken
    assert mapping_in(broken) == {}


def test_json_reads_as_what_it_says() -> None:
    assert data_in("[1, null]") == [1, None]
    assert data_in("null", "otherwise") is None
    assert mapping_in('{"people": 4}') == {"people": 4}


@pytest.mark.parametrize("other", ["[1]", "null", '"{}"', "1"])
def test_what_is_no_object_reads_as_an_empty_one(other: str) -> None:
    assert mapping_in(other) == {}


def test_what_is_missing_or_of_another_kind_reads_as_nothing() -> None:
    data = {"id": 1, "item": [], "name": "find_table", "session": {"audio": {}}}
    assert (text(data, "name"), text(data, "id"), text(data, "none")) == ("find_table", "", "")
    assert (inner(data, "session"), inner(data, "item"), inner(data, "none")) == ({"audio": {}}, {}, {})
