"""A schema's three uses: find every problem, fill in defaults, choose variants; with schemas made for the test."""

import copy
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing.jsonschema import DRAFT202012

from runtime import document, schema
from runtime.document import Document, Place
from runtime.schema import Schema
from tests.house import calls_made

steady = settings(max_examples=100)


def problems(raw: dict[str, Any], text: str) -> list[str]:
    read, unreadable = document.read(text.encode(), "a.yaml")
    assert read is not None, unreadable
    return [str(problem) for problem in Schema(raw).check(read)]


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


VARIANT = fields(
    kind={"enum": ["near", "far"]},
) | {
    "additionalProperties": True,
    "if": {"properties": {"kind": {"const": "near"}}, "required": ["kind"]},
    "then": {"properties": {"depth": {"type": "integer", "default": 1}}},
    "else": {"properties": {"width": {"type": "integer", "default": 2}}},
}


def test_defaults_come_from_the_chosen_variant_only() -> None:
    assert Schema(VARIANT).fill({"kind": "near"}) == {"kind": "near", "depth": 1}
    assert Schema(VARIANT).fill({"kind": "far"}) == {"kind": "far", "width": 2}


def test_a_default_is_filled_itself_and_never_shared() -> None:
    made = Schema(fields(group={"type": "object", "default": {}, "properties": {"list": {"default": [1]}}}))
    one, other = made.fill({}), made.fill({})
    assert one == {"group": {"list": [1]}}
    one["group"]["list"].append(2)
    assert other == made.fill({}) == {"group": {"list": [1]}}


def test_what_is_filled_shares_nothing_with_what_it_was_made_of_nor_with_another() -> None:
    made = Schema(fields(group=fields(list={"type": "array"}, more={"default": [1]})))
    data = {"group": {"list": [0]}, "other": {}}
    one, other = made.fill(data), made.fill(data)
    one["group"]["list"].append(2)
    one["group"]["more"].append(2)
    one["other"]["x"] = 2
    assert other == made.fill(data) == {"group": {"list": [0], "more": [1]}, "other": {}}
    assert data == {"group": {"list": [0]}, "other": {}}


def test_what_a_family_shares_is_checked_and_filled_once() -> None:
    agent = schema.load("agent")
    inherited = {"tools": [{"entrypoint": f"module:function_{number}"} for number in range(50)]}
    members = [{"name": name, "instructions": "x", **inherited} for name in ("one", "two", "three")]
    checks = [calls_made(partial(agent.check, Document("a.yaml", data, {}, {}))) for data in members]
    fills = [calls_made(partial(agent.fill, data)) for data in members]
    assert 20 * checks[2] < checks[0]
    assert 2 * fills[2] < fills[0], "each has a copy of its own"


def test_one_value_is_judged_by_each_field_that_holds_it() -> None:
    made, word = Schema(fields(one={"type": "string"}, other={"enum": ["a"]})), {"type": "b"}
    places = {("one",): Place(1, 1), ("other",): Place(2, 1)}
    for data, found in (({"one": "b"}, []), ({"other": "b"}, ["other"]), ({"one": word, "other": "a"}, ["one"])):
        assert [problem.field for problem in made.check(Document("a.yaml", data, places, {}))] == found


def test_a_shorthand_becomes_what_it_stands_for() -> None:
    made = Schema(fields(format={"x-shorthand": {"short": {"type": "long"}}}))
    assert made.fill({"format": "short"}) == {"format": {"type": "long"}}
    assert made.fill({"format": "other"}) == {"format": "other"}


def test_items_of_lists_are_filled() -> None:
    made = Schema(fields(tools={"type": "array", "items": fields(timeout={"default": 20})}))
    assert made.fill({"tools": [{}, {"timeout": 5}]}) == {"tools": [{"timeout": 20}, {"timeout": 5}]}


def test_a_reference_is_read_with_the_words_beside_it() -> None:
    raw = {**fields(n={"$ref": "#/$defs/n", "x-cure": "Count again."}), "$defs": {"n": {"type": "array"}}}
    assert problems(raw, "n: 1") == ["a.yaml:1:4: n: 1 is not a list. Count again."]


def test_one_misspelt_required_field_is_one_problem() -> None:
    raw = {**fields(voice={"type": "string"}), "required": ["voice"]}
    assert problems(raw, "vioce: a") == ["a.yaml:1:1: vioce: is not a field here. Did you mean 'voice'?"]
    assert len(problems(raw, "other: a")) == 2


def test_a_value_of_the_wrong_kind_is_one_problem() -> None:
    raw = fields(kind={"type": "string", "enum": ["near", "far"], "examples": ["far"]})
    assert problems(raw, "kind: 1") == ["a.yaml:1:7: kind: 1 is not text. For example: kind: far"]


@pytest.mark.parametrize(
    ("node", "text", "said"),
    [
        ({"type": "boolean"}, "n: yes", "'yes' is not true or false. Write true."),
        ({"type": ["object", "null"]}, "n: off", "'off' is not a mapping of fields or null. Write null."),
        ({"type": "number"}, "n: '1.5'", "'1.5' is not a number. Write it without quotes: 1.5."),
        ({"type": "number"}, "n: 1,5", "'1,5' is not a number. Write it with a point: 1.5."),
        ({"type": "string"}, "n: 007", '007 is not text. Put it in quotes: "007".'),
        ({"type": "string"}, "n: +49", '+49 is not text. Put it in quotes, or its plus is lost: "+49".'),
        ({"type": "string"}, "n:", "has no value. Write a value, or remove the field."),
        ({"const": 2}, "n: 1", "1 is not 2."),
        ({"enum": [24000]}, "n: 1", "1 is not 24000. Write 24000."),
        ({"minimum": 5}, "n: 4", "4 is too small. Write at least 5."),
        ({"exclusiveMinimum": 5}, "n: 5", "5 is too small. Write more than 5."),
        ({"maximum": 5}, "n: 6", "6 is too large. Write at most 5."),
        ({"maxLength": 3}, "n: four", "has 4 characters. Write at most 3."),
        ({"minItems": 1}, "n: []", "is empty. Write something, or remove the field."),
        ({"pattern": "^a+$"}, "n: A A", "'A A' is not of the expected form."),
        ({"pattern": "^a+$"}, "n: 'A '", "'A ' is not of the expected form. Write \"a\"."),
        ({"pattern": "^[a-z-]+$", "x-means": "a name"}, "n: A b", "'A b' is not a name. Write \"a-b\"."),
        ({"not": {}, "x-problem": "may not be", "x-cure": "Go."}, "n: 1", "may not be. Go."),
        ({"uniqueItems": True}, "n: [a, b, a]", "'a' stands there already. Remove one of them."),
        ({"multipleOf": 2}, "n: 3", "3 is not a multiple of 2."),
        ({"propertyNames": {"pattern": "^a", "x-means": "an a"}}, "n: {b: 1}", "'b' is not an a."),
    ],
)
def test_a_problem_says_what_was_found_and_what_to_type(node: dict[str, Any], text: str, said: str) -> None:
    (found,) = problems(fields(n=node), text)
    assert found.partition(": n")[2].partition(": ")[2] == said


def test_a_value_with_an_announced_end_is_a_warning() -> None:
    raw = fields(model={"x-shutdown": {"old": {"date": "2027-01-20", "use": "new"}}})
    assert problems(raw, "model: old") == ["a.yaml:1:8: warning: model: 'old' shuts down on 2027-01-20. Use 'new'."]
    assert problems(raw, "model: newer") == []
    assert problems(raw, "model: [old]") == []


def test_a_long_value_is_shown_by_its_beginning() -> None:
    (found,) = problems(fields(n={"type": "number"}), f"n: {'x' * 500}")
    assert len(found) < 120


def test_the_schema_of_agents_is_loaded_once() -> None:
    assert schema.load("agent") is schema.load("agent")


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for key, inner in node.items():
            if key not in ("default", "examples", "if", "x-shorthand", "x-shutdown"):
                yield from _nodes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _nodes(inner)


def test_every_default_and_example_of_an_agents_field_fits_its_own_schema() -> None:
    for node in _nodes(schema.load("agent").raw):
        written = [node["default"]] if "default" in node else []
        for value in [*written, *node.get("examples", [])] if isinstance(node.get("examples", []), list) else []:
            read, _ = document.read(json.dumps({"n": value}).encode(), "a.yaml")
            assert read is not None
            assert not Schema(fields(n=node)).check(read), f"{value} in {node.get('description')}"


# ── agents made by chance ─────────────────────────────────────────────────────────────────────────────────────


def some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


def of(kind: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=optional)


text = st.text("abc {}%|\n", min_size=1, max_size=12).map(lambda written: f"x{written}")
number = st.from_regex(r"\+[1-9][0-9]{5,12}\*?", fullmatch=True)
audio_format = st.sampled_from(["g711_ulaw", "g711_alaw", "pcm16", "audio/pcmu"]) | of("audio/pcma") | of("audio/pcm")
rule = number | st.fixed_dictionaries(
    {"called": number | st.lists(number, min_size=1, max_size=2)},
    optional={"caller": number, "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), text, min_size=1)},
)
agents = st.fixed_dictionaries(
    {"name": st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True), "instructions": text},
    optional={
        "answers": st.lists(rule, max_size=3),
        "voice": st.sampled_from(["marin", "cedar"]) | st.just({"id": "voice_1"}),
        "speed": st.floats(0.25, 1.5),
        "greeting": st.none() | text | text.map(lambda written: {"text": written}),
        "variables": st.dictionaries(st.sampled_from(["a", "b"]), text | st.integers() | st.lists(st.integers())),
        "turn_detection": st.none()
        | of("semantic_vad", eagerness=st.sampled_from(["low", "auto"]), create_response=st.booleans())
        | of("server_vad", threshold=st.floats(0, 1), idle_timeout_ms=st.integers(5000, 30000)),
        "noise_reduction": st.none() | of("far_field", strength=st.floats(0, 2)),
        "transcription": st.none() | st.just({"model": "gpt-transcribe", "languages": ["en"]}),
        "audio": some(input=some(format=audio_format), output=some(format=audio_format)),
        "tools": st.lists(st.fixed_dictionaries({"entrypoint": st.just("m:f")}), max_size=2),
        "tracing": st.none() | st.just("auto") | some(workflow_name=text, metadata=st.just({"n": 1})),
        "max_output_tokens": st.just("inf") | st.integers(1, 4096),
        "truncation": st.just("disabled") | st.just({"type": "retention_ratio", "retention_ratio": 0.5}),
    },
)


@steady
@given(agents)
def test_filling_is_done_once_and_leaves_its_input_alone(data: dict[str, Any]) -> None:
    agent, before = schema.load("agent"), copy.deepcopy(data)
    filled = agent.fill(data)
    assert data == before
    assert agent.fill(filled) == filled
    assert all(filled[key] == data[key] for key in ("name", "instructions"))


@steady
@given(agents)
def test_a_filled_agent_is_checked_as_its_file_was(data: dict[str, Any]) -> None:
    agent = schema.load("agent")
    read, unreadable = document.read(document.write(data).encode(), "a.yaml")
    assert read is not None, unreadable
    found = agent.check(read)
    if not found:
        again, unreadable = document.read(document.write(agent.fill(data)).encode(), "a.yaml")
        assert again is not None, unreadable
        assert agent.check(again) == []


# ── layers ────────────────────────────────────────────────────────────────────────────────────────────────────


def layer(name: str, text: str) -> list[str]:
    read, unreadable = document.read(text.encode(), "a.yaml")
    assert read is not None, unreadable
    return [problem.field for problem in schema.load(name).check(read, complete=False)]


@pytest.mark.parametrize(
    "part",
    [
        "turn_detection: {eagerness: low}",
        "greeting: {interruptible: false}",
        "transcription: {keywords: [a], delay: low}",
        "truncation: {retention_ratio: 0.5}",
    ],
)
def test_a_layer_may_say_a_part_of_an_object_and_a_complete_agent_may_not(part: str) -> None:
    assert layer("defaults", part) == []
    assert layer("agent", f"name: a\nenvironments: {{staging: {{{part}}}}}") == []
    assert any("is missing" in found for found in problems(dict(schema.load("agent").raw), f"name: a\n{part}"))


def test_an_environment_and_the_defaults_know_every_field_of_an_agent_by_its_own_schema() -> None:
    fields_of = schema.load("agent").raw["properties"]
    for overrides in (fields_of["environments"]["additionalProperties"], schema.load("defaults").raw):
        assert overrides["properties"].keys() == fields_of.keys()
        for name, node in fields_of.items():
            if name not in ("name", "environments"):
                assert overrides["properties"][name] == node


@pytest.mark.parametrize(
    ("text", "is_fine"),
    [
        ("voice: cedar\nvariables: {a: 1}\nenvironments: {staging: {speed: 1.1}}", True),
        ("voice: nobody", False),
        ("name: a", False),
        ("answers: []", False),
        ("voise: cedar", False),
        ("environments: {staging: {voise: cedar}}", False),
        ("environments: {staging: {answers: []}}", False),
        ("environments: {staging: {environments: {}}}", False),
    ],
)
def test_editors_that_know_json_schema_only_judge_defaults_as_we_do(text: str, is_fine: bool) -> None:
    """Editors follow the relative reference from the file's own address."""
    at = "file:///schemas/{}.schema.json"
    raw = {name: json.loads(schema.text(name)) for name in ("agent", "defaults")}
    known = referencing.Registry().with_resources(
        (at.format(name), DRAFT202012.create_resource(node)) for name, node in raw.items()
    )
    editor = Draft202012Validator({"$ref": at.format("defaults")}, registry=known)
    read, _ = document.read(text.encode(), "a.yaml")
    assert read is not None
    assert editor.is_valid(read.data) is is_fine
    assert (layer("defaults", text) == []) is is_fine
