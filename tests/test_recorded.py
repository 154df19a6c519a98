"""The lines of a recording are read as they were written, or the first that cannot be is told in a sentence."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from runtime import recorded
from runtime.errors import SettingsError
from runtime.realtime.tools import read_tool
from runtime.replay import as_json, as_text, replay
from runtime.retold import scenario_from
from tests.house import catalog
from tests.test_replay import BILLING, DESK, record, written

Path = tuple[str | int, ...]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The lines of one call with everything in it, as data."""
    recording = record(tmp_path_factory.mktemp("r"), hangs_up=False)
    return [json.loads(line) for line in written(recording).splitlines()]


def used(lines: list[Any]) -> None:
    """Do with a file what commands do. Raises `SettingsError`."""
    recording = recorded.read("".join(f"{json.dumps(line)}\n" for line in lines), "a.jsonl")
    replayed = [replay(recording, catalog(DESK, BILLING, read_tool=read_tool))]
    for text in (as_text(replayed), as_json(replayed), scenario_from(recording)):
        assert text.encode("utf-8")


def put(data: Any, path: Path, value: Any) -> Any:
    """Return data with another value at a path; `...` takes away what stands there."""
    if not path:
        return value
    place, *deeper = path
    made = dict(data) if isinstance(data, dict) else list(data)
    if deeper:
        made[place] = put(data[place], tuple(deeper), value)
    elif value is ...:
        del made[place]
    else:
        made[place] = value
    return made


def first(lines: list[dict[str, Any]], kind: str) -> int:
    return next(number for number, line in enumerate(lines) if line.get("event", {}).get("type") == kind)


REFUSED = {"type": "accept_failed", "reason": "", "gone": False, "cause": "weather"}
RESPONSE_ITEM = ("event", "response", "output", 0)
SESSION = ("event", "session")


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("webhook", ("event", "started_at"), ..., "does not tell when the call came"),
        ("webhook", ("event", "started_at"), "yesterday", "does not tell when the call came"),
        ("webhook", ("event", "started_at"), "2026-11-27T18:00:00", "does not tell when the call came"),
        ("webhook", ("event", "started_at"), "9999-12-31T23:59:59Z", "does not tell when the call came"),
        ("webhook", ("event", "headers"), ["From"], "has no usable 'headers'"),
        ("accept", SESSION, {}, "has no usable 'session.instructions'"),
        ("accept", (*SESSION, "audio", "input"), None, "has no usable 'session.audio.input'"),
        ("accept", (*SESSION, "tools", 0), 1, "has no usable 'session.tools.*'"),
        ("accept", (*SESSION, "tools", 0, "name"), ..., "has no usable 'session.tools.*.name'"),
        ("session.updated", (*SESSION, "audio"), None, "has no usable 'session.audio'"),
        ("response.done", (*RESPONSE_ITEM, "content"), "words", "has no usable 'response.output.*.content'"),
        ("response.done", ("event", "response", "metadata"), [1], "has no usable 'response.metadata'"),
        ("response.create", ("event", "response"), ..., "has no usable 'response'"),
        ("conversation.item.create", ("event", "item"), {"content": [1]}, "has no usable 'item.content.*'"),
        ("run_tool", ("event", "tool_call_id"), ["call_1"], "has no usable 'tool_call_id'"),
        ("tool_finished", ("event", "tool_call_id"), ["call_1"], "has no usable 'tool_call_id'"),
        ("tool_finished", ("event", "seconds"), None, "has no usable 'seconds'"),
        ("tool_finished", ("event", "failed"), 1, "has no usable 'failed'"),
        ("timer_fired", ("event", "name"), ..., "has no usable 'name'"),
        ("ended", ("event", "outcome"), True, "has no usable 'outcome'"),
        ("ended", ("at",), float("nan"), "is no event of a recording"),
        ("ended", ("at",), 10**400, "is no event of a recording"),
        ("ended", ("event",), {"type": "accept_failed", "reason": "", "gone": 0}, "has no usable 'gone'"),
        ("ended", ("event",), REFUSED, "has no usable 'cause'"),
        ("ended", ("event", "why"), json.loads("[" * 300 + "]" * 300), "is no event of a recording"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_told_with_its_number(
    whole: list[dict[str, Any]], kind: str, path: Path, value: Any, said: str
) -> None:
    number = first(whole, kind)
    with pytest.raises(SettingsError) as told:
        used(put(whole, (number, *path), value))
    assert str(told.value).startswith(f"a.jsonl:{number + 1} {said}. Is it a file that")


@pytest.mark.parametrize(
    "name", ["speech", "call_id", "called", "caller", "agent", "revision", "digest", "environment"]
)
def test_a_head_that_was_damaged_is_told(whole: list[dict[str, Any]], name: str) -> None:
    with pytest.raises(SettingsError, match=f"a.jsonl:1 has no usable '{name}'"):
        used(put(whole, (0, name), [1]))


def test_half_an_emoji_is_read_as_a_sign_that_can_be_shown(whole: list[dict[str, Any]]) -> None:
    path = (first(whole, "response.create"), "event", "response", "instructions")
    made = put(whole, path, 'Say """hi \ud83d""" \ud83d\ude00.')
    recording = recorded.read("".join(f"{json.dumps(line)}\n" for line in made), "a.jsonl")
    assert recording.entries[path[0] - 1].event["response"]["instructions"] == 'Say """hi ?""" 😀.'
    used(made)


def places(data: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each value; of a long list, of the first ones."""
    yield path
    inner = data.items() if isinstance(data, dict) else enumerate(data[:2]) if isinstance(data, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


JUNK = [
    ..., None, [], {}, 0, 1, -1, float("inf"), float("nan"), 10**30, True, "", "x", "2026", "session", "\ud83d",
    [1], [None], [{"a": []}], {"a": 1}, {"type": "accept"},
]  # fmt: skip


@settings(max_examples=200, phases=[Phase.generate])
@given(st.data())
def test_whatever_stands_in_a_file_is_played_or_told(whole: list[dict[str, Any]], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted({line["event"]["type"] for line in whole[1:]})))
    number = data.draw(st.sampled_from([0, first(whole, kind)]))
    way = data.draw(st.sampled_from(["value"] * 8 + ["lost", "twice", "swapped"]))
    made: list[Any] = list(whole)
    if way == "value":
        path = data.draw(st.sampled_from(list(places(whole[number]))))
        made = put(whole, (number, *path), data.draw(st.sampled_from(JUNK[1:] if not path else JUNK)))
    elif way == "lost":
        del made[number]
    else:
        made.insert(number, made[number] if way == "twice" else made.pop())
    with contextlib.suppress(SettingsError):
        used(made)
