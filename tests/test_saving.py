"""A conversation as a scenario: each turn in the words of scenario files, and what is expected of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import cast, scenarios
from runtime.errors import SettingsError
from runtime.saving import MAX_WRITTEN, Conversation, Saved, addition, demand_scenarios
from tests.house import company

CALL = {"called": "+15550100001", "caller": "+15557654321", "at": "2026-11-27T18:00:00+01:00"}
FILE = "agents/x.scenarios.yaml"
TOOLS = {
    "find_table": "", "wait": "wait", "transfer": "transfer", "hang_up": "hang_up", "hand_off_to_billing": "hand_off",
    "hand_off_to_orders": "hand_off",
}  # fmt: skip


def conversation() -> Conversation:
    talk = Conversation()
    talk.answered("front-desk", TOOLS)
    return talk


def saved(talk: Conversation, outcome: str = "caller_hung_up") -> Saved:
    return talk.saved("a call", CALL, outcome)


def turns(talk: Conversation, outcome: str = "caller_hung_up") -> list[dict[str, Any]]:
    """Return the turns after the one that tells who took the call."""
    first, *found = saved(talk, outcome).scenario["turns"]
    assert first["expect"].pop("agent") == "front-desk"
    return found if found else [first]


def left_out(talk: Conversation) -> list[str]:
    return [told.partition(": ")[2] for told in saved(talk).left_out]


def booking() -> Conversation:
    talk = conversation()
    talk.greeted("Casa Nova, hello.")
    talk.caller("says", "A table for four?")
    talk.model(["One moment.", ("find_table", '{"people": 4}')])
    talk.used("find_table", '{"people": 4}')
    talk.model(["We have one."])
    talk.caller("keys", "1#")
    talk.caller("hangs_up", True)
    return talk


def test_a_conversation_is_told_turn_by_turn() -> None:
    used = {"tool": "find_table", "arguments": {"people": 4}}
    assert booking().saved("books a table", CALL, "caller_hung_up") == Saved(
        {
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
    )


def test_an_agent_without_a_greeting_may_speak_first() -> None:
    talk = conversation()
    talk.model(["Hello?"])
    talk.caller("hangs_up", True)
    assert turns(talk) == [
        {"model": {"says": "Hello?"}},
        {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller"}},
    ]


def test_an_end_that_nobody_took_down_is_not_expected_of_the_caller() -> None:
    talk = conversation()
    talk.model(["Hello?"])
    assert turns(talk) == [{"model": {"says": "Hello?"}}]


def test_handoffs_and_transfers_are_expected_where_they_happened() -> None:
    talk = conversation()
    talk.caller("says", "My invoice is wrong.")
    talk.model([("hand_off_to_billing", "{}")])
    talk.used("hand_off_to_billing", "{}")
    talk.handed_off("billing")
    talk.caller("says", "Put me through.")
    talk.model([("transfer", '{"destination": "kitchen"}')])
    talk.used("transfer", '{"destination": "kitchen"}')
    talk.transferred("kitchen")
    first, second = turns(talk, "transferred")
    assert first == {
        "caller": {"says": "My invoice is wrong."},
        "model": {"hands_off": "billing"},
        "expect": {"handoff": "billing"},
    }
    used = {"tool": "transfer", "arguments": {"destination": "kitchen"}}
    assert second["expect"] == {"calls": used, "transfer": "kitchen", "ended_by": "transfer"}


def test_what_the_model_wanted_and_nobody_did_is_not_expected() -> None:
    talk = conversation()
    talk.caller("says", "Put me through.")
    talk.model(["One moment.", ("transfer", '{"destination": 5}')])
    talk.caller("interrupts", "Wait!")
    assert turns(talk)[0] == {
        "caller": {"says": "Put me through."},
        "model": {"says": "One moment.", "calls": {"tool": "transfer", "arguments": {"destination": 5}}},
    }


@pytest.mark.parametrize(
    ("names", "response"),
    [
        (["find_table", "hand_off_to_billing"], {"calls": {"tool": "find_table"}, "hands_off": "billing"}),
        (["hand_off_to_billing", "wait"], {"calls": [{"tool": "hand_off_to_billing"}, {"tool": "wait"}]}),
        (
            ["hand_off_to_billing", "hand_off_to_orders"],
            {"calls": [{"tool": "hand_off_to_billing"}, {"tool": "hand_off_to_orders"}]},
        ),
    ],
    ids=["a tool first", "a tool after it", "two"],
)
def test_no_handoff_of_one_response_is_lost(names: list[str], response: dict[str, Any]) -> None:
    talk = conversation()
    talk.caller("says", "My invoice, and my order.")
    talk.model([(name, "{}") for name in names])
    assert turns(talk)[0]["model"] == response


def test_what_was_looked_up_is_given_again() -> None:
    """Who rings is known from data that a rehearsal does not have."""
    talk = booking()
    talk.looked_up({"guest": "Rivera"})
    assert saved(talk).scenario["tools"] == {"lookup": {"result": {"guest": "Rivera"}}}


@pytest.mark.parametrize(
    ("outcome", "by"),
    [("agent_hung_up", "agent"), ("no_agent", "no_agent"), ("nobody_spoke", "silence"), ("failed", "host")],
)
def test_a_call_in_which_nothing_was_said_still_tells_its_end(outcome: str, by: str) -> None:
    assert saved(Conversation(), outcome).scenario["turns"] == [{"expect": {"ended_by": by}}]


@pytest.mark.parametrize(("tool", "expected"), [("hang_up", {}), ("find_table", {"expect": {"ended_by": "caller"}})])
def test_who_was_quicker_than_the_agent_s_own_end_is_not_expected(tool: str, expected: dict[str, Any]) -> None:
    talk = conversation()
    talk.caller("says", "Goodbye.")
    talk.model(["Goodbye.", (tool, "{}")])
    talk.caller("hangs_up", True)
    assert turns(talk)[-1] == {"caller": {"hangs_up": True}, **expected}


# ── what scenario files cannot hold ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outputs", "model", "told"),
    [
        ([], None, "an empty answer, in which the model does nothing"),
        (["  "], None, "an answer whose words no scenario can hold"),
        (["\ud800"], None, "an answer whose words no scenario can hold"),
        (["x" * (MAX_WRITTEN + 1)], None, "an answer of 10,001 characters, more than 10,000"),
        ([("find.table", "{}")], None, 'the tool "find.table", which no agent of this call has'),
        ([("find_tables", "{}")], None, 'the tool "find_tables", which no agent of this call has'),
        (
            ["Yes.", ("hand_off_to_Billing Dept", "{}")],
            {"says": "Yes."},
            'the tool "hand_off_to_Billing Dept", which no agent of this call has',
        ),
        ([("a\n- b" * 20, "{}")], None, f'the tool {json.dumps(("a" + chr(10) + "- b") * 12)[:-1]}…", which no agent'),
        *(
            (
                [("find_table", arguments)],
                {"calls": {"tool": "find_table"}},
                f"the arguments of find_table, which no scenario can hold: {json.dumps(arguments)}",
            )
            for arguments in ("{", "[4]", '{"x": NaN}', '{"x": 1e999}', '{"x": "\\ud800"}')
        ),
        *(
            (
                [("find_table", f'{{"x": {"[" * depth}{"]" * depth}}}')],
                {"calls": {"tool": "find_table"}},
                "the arguments",
            )
            for depth in (70, 400, 900, 2000)
        ),
    ],
)
def test_what_a_scenario_cannot_hold_is_left_out_and_told(outputs: Any, model: Any, told: str) -> None:
    talk = conversation()
    talk.caller("says", "Now.")
    talk.model(outputs)
    assert turns(talk)[0].get("model") == model
    (why,) = left_out(talk)
    assert why.replace("\\u2026", "…").startswith(told)


def test_headers_that_no_scenario_can_hold_are_left_out() -> None:
    headers = {"X-Tenant": "acme", "X Tenant": "acme", "X-Empty": ""}
    found = booking().saved("a call", {**CALL, "headers": headers}, "caller_hung_up")
    assert found.scenario["call"] == {**CALL, "headers": {"X-Tenant": "acme"}}
    assert found.left_out == tuple(
        f'the call: its header "{name}", whose name or value no scenario can hold' for name in ("X Tenant", "X-Empty")
    )


def test_tools_of_servers_are_not_known_and_agents_are() -> None:
    talk = Conversation()
    talk.answered("front-desk", TOOLS, has_servers=True)
    talk.caller("says", "Now.")
    talk.model([("of_a_server", "{}"), ("no.name", "{}"), ("hand_off_to_nobody", "{}")])
    assert turns(talk)[0]["model"] == {"calls": {"tool": "of_a_server"}}
    assert len(left_out(talk)) == 2


def test_the_file_says_what_is_left_out() -> None:
    talk = conversation()
    talk.caller("says", "Now.")
    talk.model([("find.table", "{}")])
    text = addition(b"", FILE, saved(talk)).decode()
    first = '# Left out here, in turn 2: the tool "find.table", which no agent of this call has.\n- scenario: a call\n'
    assert text.startswith(first)


DESK = """\
name: front-desk
answers: ["+15550100001"]
instructions: Be brief.
tools: [{use: wait}, {use: hang_up}, {use: transfer, destinations: [{name: kitchen, to: "tel:+15550100009", when: x}]}]
handoffs: [{agent: billing, when: x}, {agent: orders, when: x}]
"""
TEAM = company(DESK, *(f"name: {name}\ninstructions: x\n" for name in ("billing", "orders")))
OWN = {tool.name: tool.use for tool in TEAM.catalog.agents["front-desk"].tools}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), st.lists, max_leaves=4
)
NAMES = st.sampled_from([*OWN, "find.table", "hand_off_to_Billing Dept", "hand_off_to_nobody", ""]) | st.text(
    max_size=9
)
USES = st.tuples(NAMES, st.dictionaries(st.text(max_size=5), JSON, max_size=3).map(json.dumps) | st.text(max_size=9))
ANSWERS = st.lists(st.text(max_size=20) | USES, max_size=4)
WORDS = st.text(min_size=1, max_size=30).filter(lambda text: any(sign.isprintable() and sign != " " for sign in text))
SAYS = st.tuples(st.sampled_from(["says", "interrupts"]), WORDS)
DEEDS = SAYS | st.tuples(st.just("keys"), st.text("0123456789*#ABCD", min_size=1, max_size=9))


def tell(talk: Conversation, deeds: list[Any], before: list[Any], greeting: str) -> None:
    talk.answered("front-desk", OWN)
    talk.looked_up({"guest": greeting})
    talk.greeted(greeting)
    for deed, answers in [(None, before), *deeds]:
        if deed:
            talk.caller(*deed)
        for answer in answers:
            talk.model(answer)
            for each in answer:
                if isinstance(each, tuple):
                    talk.used(*each)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(DEEDS, st.lists(ANSWERS, max_size=2)), max_size=4),
    st.lists(ANSWERS, max_size=1),
    st.text(max_size=20),
)
def test_whatever_is_answered_and_typed_is_saved_as_what_checks(
    deeds: list[Any], before: list[Any], greeting: str
) -> None:
    talk = Conversation()
    tell(talk, deeds, before, greeting)
    text = addition(b"", FILE, saved(talk))
    file, problems = scenarios.read(text, FILE)
    assert problems == []
    assert file is not None
    assert [one for one in cast.problems(file, TEAM) if "lookup" not in one.field] == []
    done = [turn.deed for turn in file.scenarios[0].turns if turn.deed]
    assert [(deed.kind, deed.value) for deed in done] == [
        (kind, "".join(sign if sign.isprintable() else " " for sign in value)) for (kind, value), _ in deeds
    ]


# ── files that are there already ──────────────────────────────────────────────────────────────────────────────

ONE = """\
# yaml-language-server: $schema=../schemas/scenario.schema.json

- scenario: a call   # the first
  call: {called: "+15550100001"}
  turns: [{caller: {hangs_up: true}, expect: {ended_by: caller}}]
"""


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.rstrip(),
        lambda text: text + "\n\n  # the end\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n-", "\n    -").replace("\n  c", "\n      c").replace("\n  t", "\n      t"),
        lambda text: text.replace("- s", "-   s").replace("\n  ", "\n    "),
        lambda text: "",
        lambda text: "# nothing yet",
    ],
    ids=["plain", "no last line", "comment", "CRLF", "mark", "indented", "wide", "empty", "comments"],
)
def test_a_conversation_is_added_behind_what_a_file_holds(change: Callable[[str], str]) -> None:
    before = change(ONE).encode()
    held = before
    for _ in range(3):
        demand_scenarios(before, FILE)
        before += addition(before, FILE, saved(booking()))
    read, problems = scenarios.read(before, FILE)
    assert problems == []
    assert read is not None
    names = ["a call", "a call, 2", "a call, 3", "a call, 4"]
    assert [one.name for one in read.scenarios] == names[: 4 if b"a call" in held else 3]
    assert before.startswith(held)
    assert before.count(b"\n") == before.count(b"\r\n") or b"\r" not in held


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("# Switchboard\n\nVoice agents.\n", "is no scenario file that could be added to: the file is one text"),
        ("name: desk\n", "is no scenario file that could be added to"),
        (ONE + "- scenario: a call\n", "is no scenario file that could be added to: line 6"),
        ('[{scenario: x, call: {called: "+15550100001"}, turns: [{caller: {hangs_up: true}}]}]', "in brackets"),
        ("\udcff", "is no scenario file that could be added to: the file is not UTF-8 text"),
    ],
    ids=["text", "agent", "problem", "brackets", "bytes"],
)
def test_a_file_that_nothing_can_be_added_to_is_refused(before: str, why: str) -> None:
    raw = before.encode("utf-8", "surrogateescape")
    with pytest.raises(SettingsError, match=why) as raised:
        demand_scenarios(raw, FILE)
    assert str(raised.value).startswith(f"'{FILE}' ")
    assert str(raised.value).endswith("Name another file.")
    with pytest.raises(SettingsError):
        addition(raw, FILE, saved(booking()))


def test_a_file_without_room_is_refused() -> None:
    full = ONE + "# x\n" * 249_900
    with pytest.raises(SettingsError, match="has no room for this conversation"):
        addition(full.encode(), FILE, saved(booking()))


def test_a_file_that_ends_with_three_dots_cannot_be_added_to() -> None:
    with pytest.raises(SettingsError):
        addition(f"{ONE}...\n".encode(), FILE, saved(booking()))
