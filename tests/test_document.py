"""YAML as JSON's model: what is read, where it stands, and that nothing makes the reader fall."""

import re
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import document
from runtime.document import Document, Place
from runtime.errors import Problem

steady = settings(max_examples=150)


def read(text: str) -> Document:
    found, problems = document.read(text.encode(), "a.yaml")
    assert found is not None, problems
    return found


def refused(raw: bytes) -> Problem:
    found, problems = document.read(raw, "a.yaml")
    assert found is None
    return problems[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("17:30", "17:30"),
        ("2026-11-27", "2026-11-27"),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("-7", -7),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ('!!float "1"', 1.0),
        ("[]", []),
        ("{}", {}),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(written: str, meant: object) -> None:
    value = read(f"a: {written}\n").data["a"]
    assert (value, type(value)) == (meant, type(meant))


def test_every_value_and_key_has_its_place() -> None:
    found = read('name: desk\nanswers:\n  - "+1"\n  - called: +15550100001\n')
    assert found.place(("name",)) == Place(1, 7, "desk", 1)
    assert found.place(("answers", 1, "called")) == Place(4, 13, "+15550100001", 4)
    assert found.place(("answers", 1, "called"), key=True)[:2] == (4, 5)
    assert found.place(("answers", 0))[:3] == (3, 5, "")


def test_a_value_that_was_not_written_stands_where_its_parent_does() -> None:
    assert read("a:\n  b: 1\n").place(("a", "c", "d"))[:2] == (2, 3)
    assert read("a: 1\n").place(("x",))[:2] == (1, 1)


def test_an_alias_is_where_it_is_written_and_not_where_its_anchor_is() -> None:
    found = read("a: &x [1]\nb: *x\n")
    assert found.data == {"a": [1], "b": [1]}
    assert found.place(("b",))[:2] == (2, 4)


def test_paths_are_said_as_authors_count() -> None:
    assert document.dotted(("tools", 0, "entrypoint")) == "tools[1].entrypoint"
    assert document.dotted(()) == ""


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("a: |\n  one\n  two {{ x }}\n", 2, (3, 10)),
        ("a: |+\n\n  two {{ x }}\n", 2, (3, 10)),
        ("a: >-\n  one\n  two\n  and {{ x }}\n", 1, (4, 10)),
        ('a: "one\n\n  {{ x }}"\n', 2, (3, 6)),
        ("a: one\n  and {{ x }}\n", 1, (2, 10)),
        ("a: {c: 'x {{ x }}'}\n", 1, (1, 4)),
    ],
)
def test_a_problem_inside_a_text_stands_where_its_word_is_written(
    text: str, line: int, expected: tuple[int, int]
) -> None:
    found = read(text).problem_in(("a",), line, "is unknown", near="x }}")
    assert (found.line, found.column) == expected


def test_a_word_that_is_not_found_leaves_the_problem_at_its_value() -> None:
    found = read("a: >\n  one\n").problem_in(("a",), 7, "is unknown", near="absent")
    assert (found.line, found.column) == (1, 4)
    assert read("a: |\n  one\n").problem_in(("a",), 99, "is unknown").line == 2


def test_a_file_of_more_than_a_megabyte_is_refused_by_its_size() -> None:
    said = str(refused(b"a: " + b"x" * document.MAX_BYTES))
    assert said == "a.yaml:1:1: the file has 1,000,003 bytes. A file may have 1,000,000."


def test_a_megabyte_of_text_is_read() -> None:
    assert len(read("a: " + "x" * 999_000).data["a"]) == 999_000


@pytest.mark.parametrize(("bracket", "column"), [("[", 62), ("{a: ", 239), ("- ", 122)])
def test_deep_nesting_is_refused_with_its_place(bracket: str, column: int) -> None:
    found = refused(("a:\n " + bracket * 100_000).encode())
    assert (found.line, found.column, found.message) == (2, column, "the file is nested too deeply")


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
    assert "through its aliases" in refused("\n".join(lines).encode()).message


def test_a_mark_at_the_beginning_and_the_line_ends_of_windows_are_fine() -> None:
    found = read("\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\n")
    assert found.data == {"a": 1, "b": "x\ny\n"}
    assert found.place(("b",))[:2] == (2, 4)


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029"])
def test_a_line_separator_of_unicode_ends_no_line(sign: str) -> None:
    found = read(f"a: one{sign}two # and{sign}more\nb: |\n  one{sign}two\nc{sign}: 1\n")
    assert found.data == {"a": f"one{sign}two", "b": f"one{sign}two\n", f"c{sign}": 1}
    assert found.place(("b",)).line == 2


@pytest.mark.parametrize("line", ["\t", "  \t ", "\t# nothing", "\t\r"])
def test_a_tab_on_an_empty_line_or_before_a_comment_is_fine(line: str) -> None:
    assert read(f"a: 1\n{line}\nb: 2\n").data == {"a": 1, "b": 2}


def test_a_tab_behind_a_dash_is_fine_and_changes_no_column() -> None:
    found = read("a:\n  -\t1\n  - 2\n")
    assert found.data == {"a": [1, 2]}
    assert found.place(("a", 0)).column == 5


def test_a_tab_that_indents_is_refused_wherever_the_allowed_ones_are() -> None:
    problem = refused(b"a:\n\t\n\tb: 1\n")
    assert (problem.line, problem.message) == (3, "a tab stands where YAML wants spaces")


def test_tabs_without_end_are_refused_soon() -> None:
    assert refused(b"a: 1\n" + b"\t\n" * 10_000 + b"b: 2\n").message == "a tab stands where YAML wants spaces"


def test_a_byte_that_is_not_utf_8_is_named_by_line_and_column() -> None:
    found = refused("a: 1\nb: café\n".encode("latin-1"))
    assert (found.line, found.column) == (2, 7)


def test_all_repeated_keys_are_told_at_once() -> None:
    found, problems = document.read(b"a: 1\na: 2\nb:\n  c: 1\n  c: 2\n", "a.yaml")
    assert found is None
    assert [(problem.line, problem.field) for problem in problems] == [(2, "a"), (5, "b.c")]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n :#'\"|>-"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@steady
@given(st.dictionaries(words.filter(bool), values, min_size=1, max_size=4))
def test_what_is_written_is_read_back_the_same(data: dict[str, Any]) -> None:
    found, problems = document.read(document.write(data).encode(), "a.yaml")
    assert found is not None, problems
    assert found.data == data


yaml_like = st.lists(
    st.sampled_from(
        ["a", "b: ", "- ", "\n", "  ", "{", "}", "[", "]", '"', "'", "&x ", "*x", "!t ", "|\n", ">\n", "? "]
    )
    | st.sampled_from(
        ["#", "%", "---\n", "...\n", "\t", ",", "<<: ", "{{ ", "\\", "\x00", "\u2028", "\x85", "é", "1e9"]
    )
    | st.sampled_from(string.printable),
    max_size=25,
).map("".join)


@steady
@given(st.binary(max_size=200) | yaml_like.map(str.encode))
def test_any_bytes_give_a_document_or_problems_within_the_file(raw: bytes) -> None:
    found, problems = document.read(raw, "a.yaml")
    assert (found is None) == bool(problems)
    lines = [*re.split(r"\r\n?|\n", raw.decode("utf-8", "replace")), ""]
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1].encode()) + 2
        assert problem.message
        assert problem.cure
