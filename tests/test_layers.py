"""Layers as one document: who wins, what is dropped, and that each value keeps the place where it was written."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import document
from runtime.document import Document
from runtime.layers import environments, layered, merge, origins

steady = settings(max_examples=60)


def read(text: str, file: str = "desk.yaml") -> Document:
    found, problems = document.read(text.encode(), file)
    assert found is not None, problems
    return found


def family(agent: str, defaults: str, environment: str = "") -> Document:
    return layered(read(agent), read(defaults, "_defaults.yaml"), environment)


def place(found: Document, *path: str | int) -> tuple[str, int, str]:
    at = found.places[path]
    return at.file or found.file, at.line, at.environment


# ── who wins ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_strongest_layer_wins_down_to_the_defaults() -> None:
    agent = "b: agent\nc: agent\nd: agent\nenvironments: {staging: {d: agent in staging}}\n"
    defaults = "a: defaults\nb: defaults\nc: defaults\nenvironments: {staging: {b: family, c: family, e: family}}\n"
    assert family(agent, defaults, "staging").data == {
        "a": "defaults", "b": "agent", "c": "agent", "d": "agent in staging", "e": "family",
    }  # fmt: skip
    assert family(agent, defaults).data == {"a": "defaults", "b": "agent", "c": "agent", "d": "agent"}
    assert family(agent, defaults, "other").data == family(agent, defaults).data


@pytest.mark.parametrize(
    ("weaker", "stronger", "merged"),
    [
        ("m: {a: 1, b: 2}", "m: {b: 3, c: 4}", {"m": {"a": 1, "b": 3, "c": 4}}),
        ("m: {a: {b: {c: 1}}}", "m: {a: {b: {d: 2}}}", {"m": {"a": {"b": {"c": 1, "d": 2}}}}),
        ("m: [1, 2]", "m: [3]", {"m": [3]}),
        ("m: {a: 1}", "m: null", {"m": None}),
        ("m: null", "m: {a: 1}", {"m": {"a": 1}}),
        ("m: {text: Hi, wait: true}", "m: Hello", {"m": "Hello"}),
        ("m: {type: x, a: 1}", "m: {type: y, b: 2}", {"m": {"type": "y", "b": 2}}),
        ("m: {type: x, a: 1}", "m: {type: x, b: 2}", {"m": {"type": "x", "a": 1, "b": 2}}),
        ("m: {type: x, a: 1}", "m: {b: 2}", {"m": {"type": "x", "a": 1, "b": 2}}),
        ("on_failure: {quota: {reject: 1}, x: {say: a}}", "on_failure: {quota: {transfer: b}}",
         {"on_failure": {"quota": {"transfer": "b"}, "x": {"say": "a"}}}),
        ("lookup: {entrypoint: a, defaults: {g: 1}}", "lookup: {http: {url: b}, defaults: {h: 2}}",
         {"lookup": {"http": {"url": "b"}, "defaults": {"h": 2}}}),
        ("lookup: {entrypoint: a, defaults: {g: 1}}", "lookup: {entrypoint: b, defaults: {h: 2}}",
         {"lookup": {"entrypoint": "b", "defaults": {"g": 1, "h": 2}}}),
        ("limits: {silence: {lines: [a], farewell: b}}", "limits: {silence: {lines: [c]}}",
         {"limits": {"silence": {"lines": ["c"], "farewell": "b"}}}),
        ("instructions: a", "instructions_file: b", {"instructions_file": "b"}),
        ("instructions_file: a", "instructions: b", {"instructions": "b"}),
        ("{}", "instructions: a\ninstructions_file: b", {"instructions": "a", "instructions_file": "b"}),
    ],
)  # fmt: skip
def test_mappings_merge_and_everything_else_replaces(weaker: str, stronger: str, merged: dict[str, Any]) -> None:
    found = merge(read(weaker, "_defaults.yaml"), read(stronger))
    assert found.data == merged
    assert found.places.keys() == read(document.write(merged)).places.keys(), "lost values lose their places"


def test_an_agent_without_layers_is_the_document_itself() -> None:
    agent = read("a: 1\n")
    assert layered(agent, None, "staging") is agent


@pytest.mark.parametrize("agent", ["[1]", "text", "environments: 3", "environments: {staging: 3}", "environments:"])
def test_what_is_no_mapping_is_left_for_the_schema_to_tell(agent: str) -> None:
    assert family(agent, "a: 1\n", "staging").file == "desk.yaml"


def test_the_environments_of_a_document_are_named() -> None:
    assert environments(read("environments: {staging: {}, test: {a: 1}}\n")) == {"staging", "test"}
    assert environments(read("a: 1\n")) == environments(read("environments: [a]\n")) == environments(None) == set()


def test_hours_merge_by_name_and_by_what_they_have() -> None:
    defaults = "hours: {office: {timezone: UTC, weekly: {mon: [a], tue: [b]}, holidays: [c]}, bar: {timezone: UTC}}\n"
    agent = "hours: {office: {weekly: {tue: []}, exceptions: {d: [e]}}, lunch: {timezone: UTC}}\n"
    assert family(agent, defaults).data["hours"] == {
        "office": {
            "timezone": "UTC",
            "weekly": {"mon": ["a"], "tue": []},
            "holidays": ["c"],
            "exceptions": {"d": ["e"]},
        },
        "bar": {"timezone": "UTC"},
        "lunch": {"timezone": "UTC"},
    }


# ── where it was written ──────────────────────────────────────────────────────────────────────────────────────


def test_each_value_keeps_its_file_line_and_environment() -> None:
    agent = "m:\n  b: 1\nenvironments:\n  staging:\n    m:\n      c: 1\n"
    defaults = "m:\n  a: 1\nenvironments:\n  staging:\n    n: 1\n"
    found = family(agent, defaults, "staging")
    assert place(found, "m", "a") == ("_defaults.yaml", 2, "")
    assert place(found, "m", "b") == ("desk.yaml", 2, "")
    assert place(found, "m", "c") == ("desk.yaml", 6, "staging")
    assert place(found, "n") == ("_defaults.yaml", 5, "staging")
    assert place(found) == ("desk.yaml", 1, "")


def test_a_problem_stands_in_the_file_where_its_value_was_written() -> None:
    found = family("b: 1\n", "# a family\ntext: |\n  one\n  two {{ x }}\n")
    assert str(found.problem(("text",), "is wrong")).startswith("_defaults.yaml:2:7: ")
    assert str(found.problem(("text",), "is wrong", key=True)).startswith("_defaults.yaml:2:1: ")
    assert str(found.problem_in(("text",), 2, "is unknown", near="x }}")).startswith("_defaults.yaml:4:10: ")
    assert str(found.problem((), "is missing")).startswith("desk.yaml:1:1: ")


def test_origins_tell_written_values_from_those_of_the_schema() -> None:
    found = family("a: {b: 1}\nshort: word\nempty: {}\n", "c: 2\n")
    data = {"a": {"b": 1, "filled": 2}, "short": {"long": 3}, "c": 2, "d": [], "empty": {}, "list": [{"x": 1}]}
    told = {document.dotted(path): at and (at.file or found.file, at.line) for path, _, at in origins(found, data)}
    assert told == {
        "a.b": ("desk.yaml", 1), "a.filled": None, "short.long": ("desk.yaml", 2), "c": ("_defaults.yaml", 1),
        "d": None, "empty": ("desk.yaml", 3), "list[1].x": None,
    }  # fmt: skip


# ── whatever is merged ────────────────────────────────────────────────────────────────────────────────────────

leaf = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2) | st.sampled_from(["x", "y"])
keys = st.sampled_from(["a", "b", "c"])
value = st.recursive(leaf | st.none(), lambda inner: st.dictionaries(st.sampled_from(["a", "b", "type"]), inner))
anything = st.dictionaries(keys | st.sampled_from(["instructions", "instructions_file"]), value)
plain = st.fixed_dictionaries(  # each key has one kind: where layers disagree about it, the order of merging counts
    {}, optional={"a": st.integers(), "b": st.dictionaries(keys, st.integers()), "c": st.lists(st.integers())}
)


def written(data: dict[str, Any], file: str) -> Document:
    return read(document.write(data), file)


@steady
@given(anything, anything)
def test_merging_changes_neither_document_and_every_value_has_a_place(one: Any, other: Any) -> None:
    weaker, stronger = written(one, "one.yaml"), written(other, "other.yaml")
    before = copy.deepcopy((weaker, stronger))
    merged = merge(weaker, stronger)
    assert (weaker, stronger) == before
    assert merged.places.keys() == written(merged.data, "x").places.keys()
    assert merged.keys.keys() == written(merged.data, "x").keys.keys()


@steady
@given(anything)
def test_merging_with_itself_or_with_nothing_changes_nothing(data: Any) -> None:
    one, nothing = written(data, "one.yaml"), written({}, "one.yaml")
    assert merge(one, one).data == merge(one, nothing).data == merge(nothing, one).data == data
    assert merge(one, one).places == one.places


@steady
@given(plain, plain, plain)
def test_three_layers_are_the_same_in_whatever_pairs_they_are_merged(one: Any, two: Any, three: Any) -> None:
    a, b, c = written(one, "a.yaml"), written(two, "b.yaml"), written(three, "c.yaml")
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert (left.data, left.places, left.texts) == (right.data, right.places, right.texts)
