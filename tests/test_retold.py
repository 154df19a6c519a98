"""A recorded call becomes a scenario that an author can read, run and change."""

from pathlib import Path
from typing import Any

import pytest

from runtime import document, scenarios, schema
from runtime.recorded import Entry, Recording
from runtime.rehearsal import rehearse
from runtime.retold import scenario_from
from runtime.simulator import Behavior, Keys, Silence, ToolUse, Turn
from tests.house import MINIMAL, catalog
from tests.test_replay import STEPS, record

HAS_SCHEMA = (Path(__file__).parents[1] / "schemas" / "scenario.schema.json").is_file()


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Recording]:
    """One call with everything in it, recorded with its words and without."""
    return {speech: record(tmp_path_factory.mktemp("r"), speech=speech, hangs_up=False) for speech in (True, False)}


def scenario(recording: Recording) -> dict[str, Any]:
    """Return the scenario as `test` reads it."""
    read, problems = document.read(scenario_from(recording).encode(), "agents/desk.scenarios.yaml")
    assert read is not None, problems
    if HAS_SCHEMA:
        assert schema.load("scenario").check(read) == []
    (made,) = read.data
    return dict(made)


def played(recording: Recording, agent: str) -> list[tuple[str, str]]:
    """Return what goes otherwise than it was recorded, when it is played."""
    file, problems = scenarios.read(scenario_from(recording).encode(), "x.scenarios.yaml")
    assert problems == []
    assert file is not None
    run = rehearse(file.scenarios[0], catalog(agent))
    return [(each.field, each.instead) for each in run.differences]


def test_a_call_is_told_turn_by_turn(rich: dict[bool, Recording]) -> None:
    made = scenario(rich[True])
    assert made["call"]["called"] == "+15550100001"
    assert made["call"]["caller"] == "+15557654321"
    assert made["turns"][:3] == [
        {"expect": {"agent": "desk", "greeting": {"contains": "Casa Nova, hello +15557654321."}}},
        {
            "caller": {"says": "Napoleon wants a table."},
            "model": [
                {"calls": {"tool": "find_table", "arguments": {"guest": "Napoleon"}}},
                {"says": "Yes, at eight."},
            ],
            "expect": {"calls": {"tool": "find_table", "arguments": {"guest": "Napoleon"}}},
        },
        {
            "caller": {"interrupts": "Wait, at nine."},
            "model": {"says": "At nine, then, and I will say so at some length so that you can hear it all."},
        },
    ]
    assert made["tools"] == {"find_table": {"result": "a table for Napoleon"}}


def test_each_kind_of_turn_is_there(rich: dict[bool, Recording]) -> None:
    turns = scenario(rich[True])["turns"]
    assert [turn["caller"] for turn in turns if "caller" in turn] == [
        {"says": "Napoleon wants a table."},
        {"interrupts": "Wait, at nine."},
        {"says": "A reference?"},
        {"keys": "123"},
        {"keys": "4#"},
        {"silent": pytest.approx(10.5, abs=1.2)},  # beside the moments in which turns end
        {"says": "Ring me."},
        {"says": "Is it sure?"},
        {"says": "My invoice is wrong."},
        {"says": "The office, please."},
    ]
    silent, handed, transferred = turns[6], turns[-2], turns[-1]
    assert silent["expect"] == {"says": {"contains": "Are you still there?"}}
    assert handed["model"] == [{"hands_off": "billing"}, {"says": "Which invoice?"}]
    assert handed["expect"]["handoff"] == "billing"
    assert (transferred["expect"]["transfer"], transferred["expect"]["ended_by"]) == ("office", "transfer")


def test_keys_that_come_in_a_few_seconds_are_pressed_in_one_go(rich: dict[bool, Recording]) -> None:
    head, webhook = rich[True].head, rich[True].entries[0]
    pressed = [
        Entry(at, "in", {"type": "input_audio_buffer.dtmf_event_received", "event": key})
        for at, key in ((10.0, "1"), (14.9, "2"), (20.0, "3"))
    ]
    made = scenario(Recording("a.jsonl", head, (webhook, *pressed)))
    assert made["turns"][1:] == [{"caller": {"keys": "12"}}, {"caller": {"keys": "3"}}]


def test_words_that_were_not_recorded_leave_a_place_for_the_authors_own(rich: dict[bool, Recording]) -> None:
    text, made = scenario_from(rich[False]), scenario(rich[False])
    assert "# Words and numbers were not recorded: x stands for a letter" in text
    assert "a number that desk answers" in text
    assert made["turns"][1]["caller"] == {"says": "xxxxxxxx xxxxx x xxxxx."}
    expected = [turn["expect"] for turn in made["turns"] if "expect" in turn]
    assert not any({"says", "greeting"} & set(one) for one in expected), "nothing is expected of words"
    assert expected[0] == {"agent": "desk"}
    assert [turn["caller"].keys() for turn in made["turns"][1:]] == [
        turn["caller"].keys() for turn in scenario(rich[True])["turns"][1:]
    ]


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ((Turn("Hello.", ("Yes?",)),), {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller"}}),
        (
            (Turn("Bye.", (("Goodbye!", ToolUse("hang_up")),)),),
            {
                "caller": {"says": "Bye."},
                "model": {"says": "Goodbye!", "calls": "hang_up"},
                "expect": {"calls": "hang_up", "ended_by": "agent"},
            },
        ),
        (
            (Turn("Hello.", ("Yes?",)), Silence(600)),
            {
                "caller": {"silent": 24},
                "expect": {"says": {"contains": ["There?", "Nobody is there."]}, "ended_by": "silence"},
            },
        ),
    ],
)  # fmt: skip
def test_the_end_is_expected(tmp_path: Path, steps: Any, last: dict[str, Any]) -> None:
    agent = (
        MINIMAL
        + "tools: [{use: hang_up}]\n"
        + "limits: {silence: {after_seconds: 10, lines: [There?], farewell: Nobody is there.}}\n"
    )
    recording = record(tmp_path, agent, steps=steps, hangs_up=last.get("caller", {}).get("hangs_up", False))
    assert scenario(recording)["turns"][-1] == last


def test_a_connection_that_was_lost_is_lost_in_the_scenario_too(tmp_path: Path) -> None:
    agent = MINIMAL + "greeting: Hello.\n"
    lost = Behavior(sideband_lost_after=2)
    recording = record(tmp_path, agent, steps=(Turn("Hm.", ("Yes?",)),), behavior=lost)
    made = scenario(recording)
    assert made["turns"] == [
        {"expect": {"agent": "desk", "greeting": {"contains": "Hello."}}},
        {"connection": "lost"},
        {"caller": {"says": "Hm."}, "model": {"says": "Yes?"}},
        {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller"}},
    ]
    assert played(recording, agent) == []


def test_a_connection_that_was_lost_in_a_silence_ends_it(tmp_path: Path) -> None:
    agent = MINIMAL + "greeting: Hello.\nlimits: {silence: {after_seconds: 12, lines: [There?], farewell: Bye.}}\n"
    steps = (Turn("Hm.", ("Yes?",)), Silence(22), Turn("I am here.", ("Good.",)))
    recording = record(tmp_path, agent, steps=steps, behavior=Behavior(sideband_lost_after=3))
    done = [next(iter(turn.get("caller", turn))) for turn in scenario(recording)["turns"][1:]]
    assert done == ["says", "silent", "connection", "says", "hangs_up"]
    assert played(recording, agent) == []


def test_a_connection_that_never_came_back_ends_the_scenario(rich: dict[bool, Recording]) -> None:
    head, webhook = rich[True].head, rich[True].entries[0]
    ended = Entry(9.0, "host", {"type": "ended", "outcome": "connection_lost"})
    made = scenario(Recording("a.jsonl", head, (webhook, ended)))
    assert made["turns"][1:] == [{"connection": "lost_for_good", "expect": {"ended_by": "service"}}]


def test_a_call_that_nobody_answered_is_a_scenario_too(tmp_path: Path) -> None:
    made = scenario(record(tmp_path, MINIMAL.replace("+15550100001", "+15550100009"), steps=STEPS[:1]))
    assert made["scenario"].startswith("nobody on 2")
    assert made["turns"] == [{"expect": {"ended_by": "no_agent"}}]


def test_a_scenario_of_a_silence_that_the_caller_broke_passes_when_it_is_played(tmp_path: Path) -> None:
    agent = MINIMAL + "greeting: Hello.\nlimits: {silence: {after_seconds: 12, lines: [There?], farewell: Bye.}}\n"
    steps = (Turn("Hm.", ("Yes?",)), Keys("12", ("Twelve.",)), Silence(22), Turn("I am here.", ("Good.",)))
    assert played(record(tmp_path, agent, steps=steps), agent) == []
