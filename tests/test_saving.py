"""A conversation as a scenario: each turn in the words of scenario files, and what is expected of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from runtime import document
from runtime.saving import Conversation

CALL = {"called": "+15550100001", "caller": "+15557654321", "at": "2026-11-27T18:00:00+01:00"}
SCHEMA = Path(__file__).parents[1] / "schemas" / "scenario.schema.json"


def turns(conversation: Conversation, outcome: str = "caller_hung_up") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = conversation.scenario("x", CALL, outcome)["turns"]
    return found


def booking() -> Conversation:
    talk = Conversation()
    talk.greeted("front-desk", "Casa Nova, hello.")
    talk.caller("says", "A table for four?")
    talk.model(["One moment.", ("find_table", '{"people": 4}')])
    talk.model(["We have one."])
    talk.caller("keys", "1#")
    talk.caller("hangs_up", True)
    return talk


def test_a_conversation_is_told_turn_by_turn() -> None:
    used = {"tool": "find_table", "arguments": {"people": 4}}
    assert booking().scenario("books a table", CALL, "caller_hung_up") == {
        "scenario": "books a table",
        "call": CALL,
        "turns": [
            {"expect": {"agent": "front-desk", "greeting": {"contains": "Casa Nova, hello."}}},
            {
                "caller": {"says": "A table for four?"},
                "model": [{"says": "One moment.", "calls": used}, {"says": "We have one."}],
                "expect": {"calls": used},
            },
            {"caller": {"keys": "1#"}},
            {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller"}},
        ],
    }


def test_an_agent_without_a_greeting_may_speak_first() -> None:
    talk = Conversation()
    talk.greeted("desk", None)
    talk.model(["Hello?"])
    assert turns(talk) == [
        {"expect": {"agent": "desk"}},
        {"model": {"says": "Hello?"}, "expect": {"ended_by": "caller"}},
    ]


def test_handoffs_and_transfers_are_expected_where_they_happened() -> None:
    talk = Conversation()
    talk.caller("says", "My invoice is wrong.")
    talk.model([("hand_off_to_billing", "{}")])
    talk.caller("says", "Put me through.")
    talk.model([("transfer", '{"destination": "kitchen"}')])
    first, second = turns(talk, "transferred")
    assert first == {
        "caller": {"says": "My invoice is wrong."},
        "model": {"hands_off": "billing"},
        "expect": {"handoff": "billing"},
    }
    used = {"tool": "transfer", "arguments": {"destination": "kitchen"}}
    assert second["expect"] == {"calls": used, "transfer": "kitchen", "ended_by": "transfer"}


def test_arguments_that_cannot_be_read_are_left_out() -> None:
    talk = Conversation()
    talk.caller("says", "Now.")
    talk.model([("find_table", "{"), ("wait", "{}")])
    assert turns(talk)[0]["model"] == {"calls": [{"tool": "find_table"}, {"tool": "wait"}]}


@pytest.mark.parametrize(
    ("outcome", "by"),
    [("agent_hung_up", "agent"), ("no_agent", "no_agent"), ("nobody_spoke", "silence"), ("failed", "host")],
)
def test_a_call_in_which_nothing_was_said_still_tells_its_end(outcome: str, by: str) -> None:
    assert turns(Conversation(), outcome) == [{"expect": {"ended_by": by}}]


@pytest.mark.skipif(not SCHEMA.exists(), reason="scenario files come with the rehearsals")
def test_what_is_saved_is_a_scenario_file() -> None:
    from runtime import schema as schemas

    text = document.write([booking().scenario("books a table", CALL, "caller_hung_up")])
    read, problems = document.read(text.encode(), "agents/x.scenarios.yaml")
    assert problems == []
    assert read is not None
    assert json.dumps(read.data)
    assert schemas.load("scenario").check(read) == []
