"""Scenarios, played on the real host: three agents that are wrong on purpose, and each feature of a call."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import errors
from runtime.expectations import Question
from runtime.realtime.tools import read_tool
from runtime.rehearsal import rehearse
from runtime.repertoire import open_repertoires
from runtime.results import Result, Run, told
from runtime.simulator.mind import Asked
from runtime.simulator.script import Reply, ToolUse
from runtime.verdict import Verdict
from tests.house import MINIMAL, company
from tests.test_scenarios import scenario_of

DATA = Path(__file__).parent / "data" / "rehearsals"
WRONG = sorted(path for path in DATA.iterdir() if path.is_dir())
GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"


def play(agents: str | tuple[str, ...], turns: Sequence[Mapping[str, Any]], **more: Any) -> Run:
    """Play turns with agents, each given as YAML text; `mind` and `judge` are handed on, the rest is the scenario's."""
    handed = {name: more.pop(name) for name in ("mind", "judge") if name in more}
    written = [{"scenario": "a call", "call": {"called": "+15550100001"}, "turns": turns, **more}]
    texts = [agents] if isinstance(agents, str) else agents
    scenario = scenario_of(json.dumps(written))
    catalog, *reloads = company(*texts, read_tool=read_tool).catalogs(scenario)
    return rehearse(scenario, catalog, reloads=reloads, **handed)


def differences(run: Run) -> list[str]:
    return [f"{each.field}: {each.expected}; {each.instead}" for each in run.differences]


def moments(run: Run) -> list[tuple[str, str]]:
    assert run.played is not None
    turns = (run.played.opening, *run.played.turns)
    return [(moment.who, moment.what) for turn in turns for moment in turn.moments]


# ── wrong on purpose ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("folder", WRONG, ids=lambda folder: folder.name)
def test_a_wrong_agent_fails_its_scenarios_with_exactly_these_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (opened,) = open_repertoires([Path()], "")
    assert errors(opened.problems) == []
    results = [Result(scenario, (rehearse(scenario, opened.catalog),)) for scenario in opened.scenarios]
    assert {result.judgment for result in results} == {"failed"}
    assert "\n".join(told(result, lambda words, _: words) for result in results) == Path("told.txt").read_text("utf-8")


# ── what a call can do ────────────────────────────────────────────────────────────────────────────────────────

HANDS_OVER = GREETS + "voice: sage\nhandoffs: [{agent: billing, when: An invoice., announce: Let me hand you over.}]\n"
BILLING = """name: billing
voice: sage
instructions: You know every invoice.
tools: [{use: hang_up, farewell: Billing says goodbye.}]
"""
TRANSFERS = """
tools:
  - use: transfer
    destinations:
      - {name: kitchen, to: "tel:+15550123456", when: An order., announce: I put you through.}
"""


def test_a_caller_is_handed_over_and_hung_up_on() -> None:
    steps = [
        {"expect": {"agent": "desk", "greeting": "Casa Nova", "receipt": {"agrees": True, "greeting": "exact"}}},
        {
            "caller": {"says": "My invoice is wrong."},
            "model": [{"hands_off": "billing"}, {"says": "Which invoice?"}],
            "expect": {
                "handoff": "billing",
                "agent": "billing",
                "says": {"contains": ["hand you over", "Which"]},
                "receipt": {"agrees": True, "tools": ["hang_up"], "instructions": "every invoice"},
            },
        },
        {"caller": {"says": "Never mind."}, "model": {"calls": "hang_up"}, "expect": {"ended_by": "agent"}},
    ]
    run = play((HANDS_OVER, BILLING), steps)
    assert differences(run) == []
    assert moments(run) == [
        ("agent", "Casa Nova, hello."),
        ("caller", "My invoice is wrong."),
        ("tool", "hand_off_to_billing"),
        ("agent", "Let me hand you over."),
        ("call", "handed over to billing"),
        ("result", '{"assistant": "billing"}'),
        ("agent", "Which invoice?"),
        ("caller", "Never mind."),
        ("tool", "hang_up"),
        ("agent", "Billing says goodbye."),
        ("call", "it ended by the agent"),
    ]


def test_a_caller_is_put_through() -> None:
    model = {"calls": {"tool": "transfer", "arguments": {"destination": "kitchen"}}}
    expect = {"transfer": "kitchen", "says": "put you through", "ended_by": "transfer", "not_called": "hang_up"}
    run = play(GREETS + TRANSFERS, [{"caller": {"says": "My pizza."}, "model": model, "expect": expect}])
    assert differences(run) == []


def test_silence_is_asked_about_and_then_ends_the_call_and_takes_no_time() -> None:
    silence = "limits: {silence: {after_seconds: 12, lines: [Are you there?], farewell: I cannot hear you.}}\n"
    steps = [
        {"caller": {"says": "Hm."}, "model": {"says": "Yes?"}},
        {"caller": {"silent": 14}, "expect": {"says": {"contains": "Are you there", "absent": "cannot hear"}}},
        {"caller": {"silent": 600}, "expect": {"says": "cannot hear", "ended_by": "silence"}},
    ]
    began = time.monotonic()
    assert differences(play(GREETS + silence, steps)) == []
    assert time.monotonic() - began < 10


def test_keys_reach_the_tool_that_waits_for_them() -> None:
    keypad = "tools: [{use: keypad, name: reference, count: 6}]\n"
    steps = [
        {"caller": {"says": "Cancel it."}, "model": {"says": "Press six digits.", "calls": "reference"}},
        {
            "caller": {"keys": "123456"},
            "model": {"says": "Thank you."},
            "expect": {"says": "Thank you", "within_ms": 2500},
        },
    ]
    run = play(GREETS + keypad, steps)
    assert differences(run) == []
    assert ("result", "The caller pressed 1 2 3 4 5 6.") in moments(run)


def test_keys_that_nobody_asked_for_reach_the_model() -> None:
    steps = [{"caller": {"keys": "1#"}, "model": {"says": "You pressed one."}, "expect": {"says": "pressed one"}}]
    assert differences(play(GREETS, steps)) == []


def test_the_caller_speaks_over_the_agent() -> None:
    long = "Once upon a time there was a telephone that never stopped telling of itself and of the whole world."
    steps = [
        {"caller": {"says": "Tell me."}, "model": {"says": long}, "expect": {"says": {"absent": "whole world"}}},
        {"caller": {"interrupts": "Stop!"}, "model": {"says": "I stop."}, "expect": {"says": "I stop"}},
    ]
    assert differences(play(GREETS, steps)) == []


def test_what_was_interrupted_was_said_in_the_turn_before() -> None:
    long = "Once upon a time there was a telephone that never stopped telling of itself and of the whole world."
    steps = [
        {"caller": {"says": "Tell me."}, "model": {"says": long}, "expect": {"says": "Once upon a time"}},
        {"caller": {"interrupts": "Stop!"}, "model": {"says": "I stop."}, "expect": {"says": {"absent": "Once upon"}}},
    ]
    assert differences(play(GREETS, steps)) == []


def test_nobody_interrupts_an_agent_that_is_silent() -> None:
    steps = [{"caller": {"interrupts": "Stop!"}, "model": {"says": "Yes?"}, "expect": {"says": "Yes"}}]
    assert differences(play(GREETS, steps)) == []
    assert differences(play(MINIMAL, steps)) == ["caller: the caller speaks over the agent; the agent was not speaking"]


def test_nobody_answers_another_number() -> None:
    call = {"called": "+15550109999"}
    run = play(GREETS, [{"expect": {"ended_by": "no_agent"}}, {"expect": {"agent": "desk"}}], call=call)
    assert differences(run) == [
        "agent: desk has the caller; nobody has: it ended because no agent answers (no agent answers +1555•••9999)"
    ]


def test_a_call_without_a_number_is_taken() -> None:
    call = {"called": "+15550100001", "caller": None}
    agent = GREETS.replace("Casa Nova, hello.", "\"{{ call.caller or 'Who are you?' }}\"")
    assert differences(play(agent, [{"expect": {"greeting": "Who are you?"}}], call=call)) == []


def test_headers_reach_the_rules_and_the_templates() -> None:
    agent = """name: acme
answers: [{called: "+15550100001", headers: {X-Tenant: acme}}]
greeting: "{{ call.headers['X-Tenant'] | default('') }}"
instructions: Be brief.
"""
    call = {"called": "+15550100001", "headers": {"X-Tenant": "acme"}}
    assert differences(play((agent, MINIMAL), [{"expect": {"agent": "acme", "greeting": "acme"}}], call=call)) == []


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

HOURS = """name: day
answers: [{called: "+15550100001", hours: office}]
hours: {office: {timezone: Europe/Berlin, weekly: {fri: ["09:00-17:00"]}}}
greeting: '{{ call.started_at.strftime("%A %H:%M") }}'
instructions: Be brief.
"""
NIGHT = MINIMAL.replace("desk", "night") + "greeting: We are closed.\n"


@pytest.mark.parametrize(
    ("at", "agent", "greeting"),
    [
        ("2026-11-27T16:59:00+01:00", "day", "Friday 16:59"),
        ("2026-11-27T17:01:00+01:00", "night", "We are closed."),
        ("2026-11-27T10:59:00-05:00", "day", "Friday 10:59"),
    ],
)
def test_a_call_has_its_own_time_in_its_own_zone(at: str, agent: str, greeting: str) -> None:
    call = {"called": "+15550100001", "at": at}
    assert differences(play((HOURS, NIGHT), [{"expect": {"agent": agent, "greeting": greeting}}], call=call)) == []


def test_a_call_that_comes_late_by_the_clock_is_not_taken() -> None:
    call = {"called": "+15550100001", "at": "2026-11-27T18:00:00Z"}
    run = play(GREETS, [{"expect": {"ended_by": "agent"}}], call=call, clock="2026-11-27T18:05:00Z")
    assert run.differences[0].instead.startswith("it ended by the host (the call came 300 s ago")


def test_a_line_into_the_silence_is_counted_from_its_beginning() -> None:
    silence = "limits: {silence: {after_seconds: 12, lines: [Are you there?], farewell: I cannot hear you.}}\n"
    steps = [
        {"caller": {"says": "Hm."}, "model": {"says": "Yes?"}},
        {"caller": {"silent": 14}, "expect": {"says": "Are you there", "within_ms": 12_000}},
    ]
    assert differences(play(GREETS + silence, steps)) == []


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────────────

_asked: list[int] = []


def find(people: int) -> dict[str, bool]:
    """Find a table."""
    _asked.append(people)
    return {"available": True}


async def find_slowly() -> str:
    """Find a table, after a moment of real time."""
    await asyncio.sleep(0.3)
    return "found"


def who_rings() -> dict[str, str]:
    """Tell who rings."""
    return {"guest": "Mr. Rossi"}


def breaks() -> str:
    """Break."""
    raise ValueError("no such table")


def tool(name: str, **more: Any) -> str:
    return GREETS + f"tools: {json.dumps([{'entrypoint': f'tests.test_rehearsal:{name}', **more}])}\n"


FINDS = [{"caller": {"says": "A table?"}, "model": [{"calls": {"tool": "find", "arguments": {"people": 4}}}]}]


def test_a_tool_runs_for_real_where_nothing_else_is_said() -> None:
    _asked.clear()
    run = play(tool("find"), [{**FINDS[0], "expect": {"calls": {"tool": "find", "arguments": {"people": 4}}}}])
    assert differences(run) == []
    assert _asked == [4]
    assert ("result", '{"available":true}') in moments(run)


def test_results_errors_and_delays_take_the_place_of_a_tool_one_after_the_other() -> None:
    _asked.clear()
    canned = {"find": [{"result": {"available": False}}, {"error": "The book does not open."}, {"delay": 1}]}
    steps = [{**FINDS[0], "expect": {"calls": "find"}} for _ in range(3)]
    run = play(tool("find"), steps, tools=canned)
    assert differences(run) == []
    results = [what for who, what in moments(run) if who == "result"]
    assert results == ['{"available": false}', "The book does not open.", '{"available":true}']
    assert _asked == [4], "a delay alone is followed by the real tool"


def test_a_slow_tool_is_covered_and_its_delay_takes_no_time() -> None:
    covered = {"after_seconds": 2, "lines": ["One moment."]}
    steps = [{**FINDS[0], "expect": {"says": "One moment", "within_ms": 4000}}]
    began = time.monotonic()
    run = play(
        tool("find", timeout_seconds=60, while_running=covered), steps, tools={"find": {"result": 1, "delay": 50}}
    )
    assert differences(run) == []
    assert time.monotonic() - began < 10


def test_an_asynchronous_tool_runs_in_real_time_and_is_waited_for() -> None:
    steps = [{"caller": {"says": "A table?"}, "model": [{"calls": "find_slowly"}, {"says": "Found."}]}]
    run = play(tool("find_slowly", timeout_seconds=5), [{**steps[0], "expect": {"says": "Found."}}])
    assert differences(run) == []
    assert ("result", '"found"') in moments(run)


def test_a_lookup_can_be_told_what_it_finds() -> None:
    agent = GREETS.replace("hello.", "'hello {{ guest }}.'").replace("Casa Nova, 'hello", "'Casa Nova, hello")
    agent += "lookup: {entrypoint: 'tests.test_rehearsal:who_rings', defaults: {guest: you}}\n"
    assert differences(play(agent, [{"expect": {"greeting": "hello Mr. Rossi"}}])) == []
    canned = {"lookup": {"result": {"guest": "Ms. Bianchi"}}}
    assert differences(play(agent, [{"expect": {"greeting": "hello Ms. Bianchi"}}], tools=canned)) == []
    fails = {"lookup": {"error": "The order book is down."}}
    assert differences(play(agent, [{"expect": {"greeting": "hello you"}}], tools=fails)) == []


def leaves() -> None:
    """Leave the process, or try to."""
    sys.exit(3)


@pytest.mark.parametrize(
    ("name", "raised"), [("breaks", "ValueError: no such table (test_rehearsal.py:"), ("leaves", "RuntimeError: ")]
)
def test_a_tool_that_breaks_fails_the_scenario_and_is_told_with_its_exception(name: str, raised: str) -> None:
    steps = [
        {"caller": {"says": "A table?"}, "model": [{"calls": name}, {"says": "Sorry."}], "expect": {"calls": name}}
    ]
    run = play(tool(name), steps)
    (logged, *_) = [what for who, what in moments(run) if who == "log"]
    assert logged.startswith(f"a tool failed: {raised}")
    (broken,) = differences(run)
    assert broken.startswith(f"tools: every tool gives a result; {name} raised {raised}")
    assert differences(play(tool(name), steps, tools={name: {"error": "It is broken today."}})) == []


def test_tools_of_a_server_can_be_told_what_they_give() -> None:
    agent = GREETS + f"tools: [{{mcp: {{command: [{sys.executable}, -c, 'raise SystemExit(9)']}}}}]\n"
    steps = [{"caller": {"says": "Will it rain?"}, "model": [{"calls": "forecast"}, {"says": "It will."}]}]
    steps[0]["expect"] = {"calls": "forecast", "says": "It will"}
    run = play(agent, steps, tools={"forecast": {"result": "rain"}})
    assert differences(run) == []
    assert ("result", '"rain"') in moments(run)


async def promises(said: str) -> bool:
    """Take a moment of real time to find a promise."""
    await asyncio.sleep(0.3)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    return "promise" in said


def test_a_rule_runs_in_real_time_and_is_waited_for() -> None:
    agent = GREETS + "guardrails: {rules: ['tests.test_rehearsal:promises'], instead: I cannot say that.}\n"
    steps = [
        {"caller": {"says": "Hm?"}, "model": {"says": "I promise."}, "expect": {"says": "I cannot say that"}},
        {"caller": {"says": "Hm?"}, "model": {"says": "I do not."}, "expect": {"says": {"absent": "cannot say"}}},
    ]
    assert differences(play(agent, steps)) == []


def test_a_line_with_a_tool_that_the_model_does_not_have_is_a_difference() -> None:
    steps = [
        {"caller": {"says": "My invoice."}, "model": {"hands_off": "billing"}},
        {"caller": {"says": "Bye."}, "model": {"calls": "hang_up"}},
    ]
    assert differences(play((GREETS, BILLING), steps)) == [
        "model: the model uses hand_off_to_billing; the model does not have it",
        "model: the model uses hang_up; the model does not have it",
    ]


def test_a_tool_of_one_agents_keypads_name_is_waited_for_where_it_is_another_agents_own() -> None:
    desk = HANDS_OVER + "tools: [{use: keypad, name: find}]\n"
    billing = BILLING.replace("tools: [", "tools: [{entrypoint: 'tests.test_rehearsal:find', timeout_seconds: 60}, ")
    steps = [
        {"caller": {"says": "My invoice."}, "model": {"hands_off": "billing"}},
        {
            "caller": {"says": "4."},
            "model": [{"calls": {"tool": "find", "arguments": {"people": 4}}}, {"says": "Done."}],
        },
        {"expect": {"says": "Done"}},
    ]
    assert differences(play((desk, billing), steps, tools={"find": {"delay": 5}})) == []


def test_an_argument_that_a_tool_does_not_have_is_told_with_the_nearest() -> None:
    steps = [
        {"caller": {"says": "Four."}, "model": [{"calls": {"tool": "find", "arguments": {"peple": 4}}}, {"says": "?"}]}
    ]
    steps[0]["expect"] = {"calls": "find"}
    assert differences(play(tool("find"), steps)) == [
        "model: the model uses find with peple; it has no such argument. Did you mean 'people'?"
    ]


def test_a_tool_that_takes_too_long_fails_the_scenario_unless_it_is_told_to() -> None:
    steps = [{"caller": {"says": "A table?"}, "model": [{"calls": "find_slowly"}, {"says": "Sorry."}]}]
    late = tool("find_slowly", timeout_seconds=0.1)
    assert differences(play(late, steps)) == ["tools: every tool gives a result; find_slowly took too long"]
    assert differences(play(late, steps, tools={"find_slowly": {"delay": 1}})) == []


def test_a_tool_that_the_limit_refused_was_not_used() -> None:
    limited = tool("find") + "limits: {tool_calls: 1}\n"
    asks = {"caller": {"says": "A table?"}, "model": [{"calls": {"tool": "find", "arguments": {"people": 4}}}]}
    steps = [{**asks, "expect": {"calls": "find"}}, {**asks, "expect": {"not_called": "find"}}]
    assert differences(play(limited, steps)) == []
    assert [each.field for each in play(tool("find"), steps).differences] == ["not_called"]


# ── what is down ──────────────────────────────────────────────────────────────────────────────────────────────

FALLS_BACK = """
on_failure: {model_unreachable: {transfer: kitchen}, quota: {transfer: kitchen}, attach_failed: {transfer: kitchen}}
"""


@pytest.mark.parametrize("cause", ["model_unreachable", "quota", "attach_failed"])
@pytest.mark.parametrize("greeting", ["greeting: Hello.\n", ""], ids=["greets", "listens"])
def test_a_service_that_is_down_makes_the_agent_do_what_it_declares(cause: str, greeting: str) -> None:
    agent = MINIMAL + greeting + TRANSFERS + FALLS_BACK
    ended_by = "service" if cause == "attach_failed" else "transfer"  # without a sideband nobody confirms it
    speaks = [] if greeting or cause == "attach_failed" else [{"caller": {"says": "Hello?"}}]
    steps = [*speaks, {"expect": {"transfer": "kitchen", "ended_by": ended_by}}]
    assert differences(play(agent, steps, down=cause)) == []
    well = play(agent, [{"caller": {"says": "Hello?"}, "model": {"says": "Yes?"}}])
    assert differences(well) == []
    assert well.played is not None
    assert well.played.outcome == ""


def test_a_service_that_is_down_ends_a_call_that_declares_nothing_for_it() -> None:
    assert differences(play(GREETS, [{"expect": {"ended_by": "service"}}], down="quota")) == []


def test_too_many_calls_are_busy_or_get_what_the_agent_declares() -> None:
    assert differences(play(GREETS, [{"expect": {"ended_by": "capacity"}}], down="over_capacity")) == []
    says = GREETS + "on_failure: {over_capacity: {say: We are all busy.}}\n"
    steps = [{"expect": {"says": "We are all busy", "ended_by": "capacity"}}]
    assert differences(play(says, steps, down=["over_capacity"])) == []


def test_a_server_of_tools_that_is_away_gets_what_the_agent_declares() -> None:
    agent = GREETS + f"tools: [{{mcp: {{command: [{sys.executable}, -m, tests.tool_server]}}}}]\n"
    agent += "on_failure: {tools_unavailable: {say: Our book is closed.}}\n"
    steps = [{"expect": {"says": "Our book is closed", "ended_by": "tools"}}]
    assert differences(play(agent, steps, down="tools_unavailable")) == []


@pytest.mark.parametrize(
    ("why", "told"),
    [("busy", "the line is busy"), ("no answer", "nobody answered"), ("refused", "the carrier refused it"),
     ("unknown number", "there is no such number"), ("not confirmed", "nobody confirmed it in time")],
)  # fmt: skip
def test_a_transfer_can_be_told_to_fail(why: str, told: str) -> None:
    transfers = TRANSFERS.replace("I put you through.", "I put you through., if_it_fails: Nobody is there.")
    model = {"calls": {"tool": "transfer", "arguments": {"destination": "kitchen"}}}
    fails = {"caller": {"says": "My pizza."}, "model": model}
    fails["expect"] = {"transfer": "kitchen", "says": "Nobody is there"}
    run = play(GREETS + transfers, [fails], tools={"transfer": {"error": why}})
    assert differences(run) == []
    assert told in next(what for who, what in moments(run) if who == "result")


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_happens_belongs_to_the_turn_whose_line_brought_it() -> None:
    steps = [
        {**FINDS[0], "expect": {"calls": "find", "says": {"absent": "Yes"}}},
        {"model": {"says": "Yes, for four."}, "expect": {"says": "Yes", "not_called": "find"}},
        {"expect": {"says": "Yes", "calls": "find"}},
    ]
    assert differences(play(tool("find"), steps)) == []


def test_a_line_that_the_model_was_not_asked_for_is_a_difference() -> None:
    steps = [{"caller": {"says": "Hello."}, "model": [{"says": "Hello."}, {"says": "Still here."}]}]
    assert differences(play(GREETS, steps)) == [
        "model: the model does what stands here; the model was not asked for it: "
        "what it only says ends its part. Write both in one response"
    ]


def test_a_line_of_one_exchange_is_not_said_in_the_next() -> None:
    steps = [
        {"caller": {"says": "Hello."}, "model": [{"says": "Hello."}, {"says": "Lost."}]},
        {"caller": {"says": "And?"}, "model": {"says": "And that is all."}, "expect": {"says": {"absent": "Lost"}}},
    ]
    assert [each.field for each in play(GREETS, steps).differences] == ["model"]


def test_a_turn_that_was_never_reached_fails() -> None:
    steps = [
        {"caller": {"says": "Bye."}, "model": {"calls": "hang_up"}},
        {"caller": {"says": "Wait!"}},
        {"caller": {"says": "Hello?"}, "expect": {"not_called": "hang_up"}},
    ]
    run = play(GREETS + "tools: [{use: hang_up, farewell: Bye.}]\n", steps)
    assert [each.field for each in run.differences] == ["caller", "not_called"]
    assert run.differences[1].instead == "the call was over before this turn: it ended by the agent"


# ── other minds, and judges ───────────────────────────────────────────────────────────────────────────────────


class Repeats:
    """A mind that uses a tool once, and then repeats what its tools gave."""

    async def reply(self, asked: Asked) -> Reply:
        given = [item["output"] for item in asked.items if item["type"] == "function_call_output"]
        return f"I found {given[-1]}." if given else ToolUse("find", '{"people": 2}')


def test_a_mind_takes_the_place_of_the_models_lines() -> None:
    steps = [{**FINDS[0], "expect": {"calls": {"tool": "find", "arguments": {"people": 2}}, "says": "I found"}}]
    assert differences(play(tool("find"), steps, mind=Repeats())) == []


def test_a_mind_goes_on_after_the_connection_was_lost_and_in_the_next_call() -> None:
    asks = {"caller": {"says": "For two?"}, "expect": {"calls": "find"}}
    tells = {"expect": {"says": "I found"}}
    steps = [asks, {"connection": "lost", **tells}, {"caller": {"rings_again": True}}, asks, tells]
    run = play(tool("find"), steps, mind=Repeats())
    assert differences(run) == []
    assert ("log", "attached again") in moments(run)


def test_a_judge_is_asked_with_what_was_said_and_its_verdict_counts() -> None:
    asked: list[Question] = []

    async def judge(question: Question) -> Verdict:
        asked.append(question)
        return Verdict(question.statement == "is polite", "it promised nothing")

    steps = [{"caller": {"says": "Hello."}, "model": {"says": "Good day."}, "expect": {"says": {"judge": "is polite"}}}]
    steps[0]["expect"]["judge"] = "offered a table"
    run = play(GREETS, steps, judge=judge)
    assert differences(run) == ["judge: the judge agrees: “offered a table”; the judge does not: it promised nothing"]
    talk = "agent: Casa Nova, hello.\ncaller: Hello.\nagent: Good day."
    about = "Judge nothing but these words of the agent: Good day."
    assert [question.conversation for question in asked] == [f"{talk}\n\n{about}", talk]


def test_without_a_judge_what_it_should_say_is_skipped_and_no_pass() -> None:
    run = play(GREETS, [{"expect": {"judge": "is polite"}}])
    assert run.judgment == "skipped"


class Breaks:
    """A mind that gives no answer."""

    asked = 0

    async def reply(self, asked: Asked) -> Reply:
        self.asked += 1
        raise ValueError("there is no such model")


def test_a_model_that_gives_no_answer_is_never_a_pass() -> None:
    steps = [{"caller": {"says": "Hello."}, "expect": {"says": {"absent": "discount"}}}]
    mind = Breaks()
    run = play(GREETS, [*steps, *steps, {"caller": {"rings_again": True}}, *steps], mind=mind)
    assert mind.asked == 1, "the next answer would take as long"
    assert (run.judgment, run.broken) == ("failed", "Who plays the model gave no answer: there is no such model")


# ── what else the host is busy with ───────────────────────────────────────────────────────────────────────────

LIMITED = GREETS + "limits: {calls_per_caller_per_hour: 3, concurrent_calls: 2}\n"
BUSY, ANSWERED = [{"expect": {"ended_by": "capacity"}}], [{"expect": {"greeting": "Casa Nova"}}]


@pytest.mark.parametrize(
    ("others", "steps"),
    [
        ({"before": {"calls": 2}}, ANSWERED),
        ({"before": {"calls": 3}}, BUSY),
        ({"before": {"calls": 70}}, BUSY),
        ({"meanwhile": {"calls": 1}}, ANSWERED),
        ({"meanwhile": {"calls": 2}}, BUSY),
        ({"before": {"calls": 2}, "meanwhile": {"calls": 1}}, ANSWERED),
    ],
)
def test_a_caller_finds_the_line_busy_from_the_limit_on(others: Mapping[str, Any], steps: Any) -> None:
    assert differences(play(LIMITED, steps, **others)) == []


def test_what_the_agent_does_instead_of_being_busy_can_be_heard() -> None:
    says = LIMITED + "on_failure: {over_capacity: {say: Please call later.}}\n"
    steps = [{"expect": {"says": "call later", "ended_by": "capacity"}}]
    assert differences(play(says, steps, meanwhile={"calls": 2})) == []


SHARED = (
    GREETS
    + """
tools:
  - entrypoint: samples.restaurant:find_table
    max_parallel: 2
    timeout_seconds: 8
    on_timeout: It does not open.
    while_running: {after_seconds: 2, lines: [I look.]}
"""
)
ASKS = {"caller": {"says": "A table?"}, "model": [{"calls": "find_table"}, {"says": "It is free."}]}
FREE = {"find_table": {"result": {"available": True}}}


def test_a_tool_whose_places_others_have_taken_waits_its_turn() -> None:
    steps = [{**ASKS, "expect": {"says": {"contains": ["I look", "free"]}, "within_ms": 3000}}]
    assert differences(play(SHARED, steps, tools=FREE, meanwhile={"tools": {"find_table": 5}})) == []
    steps = [{**ASKS, "expect": {"says": {"contains": "free", "absent": "I look"}}}]
    assert differences(play(SHARED, steps, tools=FREE, meanwhile={"tools": {"find_table": 1}})) == []


def test_others_take_the_places_of_a_tool_once_and_from_when_it_is_wanted() -> None:
    thinks = {"caller": {"says": "Hm."}, "model": {"says": "Take your time."}}
    waits = {**ASKS, "expect": {"says": {"contains": ["I look", "free"]}}}
    at_once = {**ASKS, "expect": {"says": {"contains": "free", "absent": "I look"}}}
    steps = [thinks, {"caller": {"silent": 5}}, waits, at_once]
    assert differences(play(SHARED, steps, tools=FREE, meanwhile={"tools": {"find_table": 4}})) == []


def test_a_real_tool_that_waits_for_too_long_because_of_others_is_no_broken_tool() -> None:
    table = {"tool": "find_table", "arguments": {"people": 2, "day": "2026-11-27", "time": "20:00"}}
    steps = [{"caller": {"says": "A table?"}, "model": {"calls": table}, "expect": {"says": ["I look", "not open"]}}]
    assert differences(play(SHARED, steps, meanwhile={"tools": {"find_table": 20}})) == []


def test_a_tool_that_waits_for_too_long_is_given_up() -> None:
    steps = [{"caller": {"says": "A table?"}, "model": {"calls": "find_table"}, "expect": {"says": "does not open"}}]
    assert differences(play(SHARED, steps, tools=FREE, meanwhile={"tools": {"find_table": 20}})) == []


# ── a connection that is lost ─────────────────────────────────────────────────────────────────────────────────

LOST = {"connection": "lost"}
TABLE = {"caller": {"says": "A table?"}, "model": {"calls": "find_table"}}
SLOW = {"find_table": {"result": {"available": True}, "delay": 5}}


def test_a_connection_that_is_lost_while_a_tool_runs_is_attached_again_with_settings_and_result() -> None:
    confirmed = {"agrees": True, "tools": ["find_table"]}
    steps = [TABLE, {**LOST, "model": {"says": "It is free."}, "expect": {"says": "free", "receipt": confirmed}}]
    run = play(SHARED, steps, tools=SLOW)
    assert differences(run) == []
    assert moments(run)[3:] == [
        ("call", "the connection is lost"),
        ("log", "attached again"),
        ("agent", "I look."),
        ("result", '{"available": true}'),
        ("agent", "It is free."),
    ]


def test_a_connection_that_is_lost_while_the_agent_speaks_or_nobody_does_is_attached_again() -> None:
    answers = {"caller": {"says": "Hello?"}, "model": {"says": "Yes?"}, "expect": {"says": "Yes"}}
    steps = [LOST, answers, LOST, answers, {"caller": {"silent": 3}}, LOST, answers]
    run = play(SHARED, [*steps, {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller", "greeting": "Casa"}}])
    assert differences(run) == []
    assert moments(run).count(("log", "attached again")) == 3


def test_a_connection_is_lost_when_the_host_has_heard_of_the_tool_also_of_a_second_one() -> None:
    first = {**ASKS, "expect": {"calls": "find_table", "says": "free"}}
    run = play(SHARED, [first, TABLE, {**LOST, "model": {"says": "At nine."}, "expect": {"says": "nine"}}], tools=FREE)
    assert differences(run) == []


def test_a_connection_can_be_lost_twice_while_a_tool_runs() -> None:
    steps = [TABLE, LOST, {**LOST, "model": {"says": "It is free."}, "expect": {"says": "free"}}]
    run = play(SHARED, steps, tools=SLOW)
    assert differences(run) == []
    assert moments(run).count(("log", "attached again")) == 2


def test_an_interruption_waits_for_words_where_a_lost_connection_takes_a_tool() -> None:
    looks = {"caller": {"interrupts": "Hello?"}, "model": {"says": "It is free."}, "expect": {"says": "free"}}
    run = play(SHARED, [TABLE, looks], tools=SLOW)
    assert differences(run) == []
    assert [what for _, what in moments(run)].index("I look.") < [what for _, what in moments(run)].index(
        "(interrupts) Hello?"
    )


def test_a_call_after_one_whose_connection_was_lost_for_good_has_a_connection() -> None:
    for_good = {"connection": "lost_for_good", "expect": {"ended_by": "service"}}
    answers = {**HELLO, "expect": {"says": "Yes", "agent": "desk"}}
    assert differences(play(SHARED, [TABLE, for_good, {**AGAIN}, answers, LEAVES], tools=SLOW)) == []


def test_a_connection_that_is_not_there_cannot_be_lost() -> None:
    (difference,) = differences(play(GREETS, [{"connection": "lost"}], down="attach_failed"))
    assert difference.startswith("connection: the turn is played; the call was over before: it ended by the service")


def test_a_connection_that_is_lost_for_good_ends_the_call_or_puts_the_caller_through() -> None:
    steps = [TABLE, {"connection": "lost_for_good", "expect": {"ended_by": "service", "says": {"absent": "free"}}}]
    assert differences(play(SHARED, steps, tools=SLOW)) == []
    steps = [TABLE, {"connection": "lost_for_good", "expect": {"transfer": "kitchen"}}]
    lines = SHARED + TRANSFERS.replace("\ntools:", "").rstrip() + "\non_failure: {attach_failed: {transfer: kitchen}}\n"
    assert differences(play(lines, steps, tools=SLOW)) == []


def test_a_response_that_nobody_asks_for_is_told_with_what_may_be_the_reason() -> None:
    table = {"calls": "find_table"}
    apart = {"caller": {"says": "Hi."}, "model": [{"says": "One moment."}, table]}
    unasked = "model: the model does what stands here; the model was not asked for it"
    found = [differences(play(SHARED, steps, tools=SLOW)) for steps in ([apart], [ASKS, LOST])]
    assert found == [
        [f"{unasked}: what it only says ends its part. Write both in one response"],
        [f"{unasked}: the turn in line 1 came first. Write it there"],
    ]


def test_a_tool_that_is_expected_where_its_result_came_is_told_with_its_turn() -> None:
    expects = {"expect": {"calls": "find_table"}}
    run = play(SHARED, [TABLE, {**LOST, "model": {"says": "Yes."}, **expects}], tools=SLOW)
    told = "no tool was called; find_table was called in the turn in line 1"
    assert differences(run) == [f"calls: find_table is called; {told}"]


# ── a caller who rings again ──────────────────────────────────────────────────────────────────────────────────

AGAIN = {"caller": {"rings_again": True}}
LEAVES = {"caller": {"hangs_up": True}, "expect": {"ended_by": "caller"}}


def nobody() -> dict[str, str]:
    """Look a guest up whom nobody knows."""
    return {}


def test_a_caller_who_rings_again_is_another_call_with_its_own_greeting_and_end() -> None:
    knows = GREETS.replace("Casa Nova, hello.", '"Hello{% if guest %} {{ guest }}{% endif %}."')
    knows += "lookup: {entrypoint: 'tests.test_rehearsal:nobody', defaults: {guest: ''}}\n"
    first = [{"expect": {"greeting": {"contains": "Hello.", "absent": "Rivera"}}}, LEAVES]
    second = [{**AGAIN, "expect": {"greeting": {"contains": "Hello Rivera", "absent": "Hello."}, "agent": "desk"}}]
    asks = {"caller": {"says": "Hi."}, "model": {"says": "Welcome back."}, "expect": {"says": "back"}}
    run = play(
        knows, [*first, *second, asks, LEAVES], tools={"lookup": [{"result": {}}, {"result": {"guest": "Rivera"}}]}
    )
    assert differences(run) == []
    assert moments(run) == [
        ("agent", "Hello."),
        ("caller", "(hangs up)"),
        ("call", "it ended by the caller"),
        ("caller", "(rings again)"),
        ("agent", "Hello Rivera."),
        ("caller", "Hi."),
        ("agent", "Welcome back."),
        ("caller", "(hangs up)"),
        ("call", "it ended by the caller"),
    ]


def test_each_call_counts_for_the_limit_of_an_hour() -> None:
    limited = GREETS + "limits: {calls_per_caller_per_hour: 2}\n"
    answered, busy = {**AGAIN, "expect": {"agent": "desk"}}, {**AGAIN, "expect": {"ended_by": "capacity"}}
    run = play(limited, [ANSWERED[0], answered, busy, busy])
    assert differences(run) == []
    assert moments(run).count(("call", "it ended by the caller")) == 2, "who rings again hangs up before"


def test_what_goes_wrong_in_one_call_is_told_of_it_and_keeps_no_other_from_being_played() -> None:
    asks = {"caller": {"says": "Hello?"}, "model": {"says": "Yes?"}, "expect": {"says": "Yes"}}
    leaves = {"caller": {"says": "Bye."}, "model": {"calls": "hang_up"}, "expect": {"ended_by": "silence"}}
    steps = [{"caller": {"silent": 90}}, asks, {**AGAIN, "expect": {"greeting": "Casa"}}, leaves]
    assert differences(play(GREETS + "tools: [{use: hang_up}]\n", steps)) == [
        "says.contains: the agent says “Yes”; the call was over before this turn: it ended by silence "
        "(nothing was heard for 30 s)",
        "ended_by: the call has ended, by silence; it ended by the agent",
    ]


def test_a_caller_who_leaves_with_the_greeting_and_rings_again_finds_a_free_place() -> None:
    alone = GREETS + "limits: {concurrent_calls: 1}\n"
    again = {**AGAIN, "expect": {"agent": "desk"}}
    assert differences(play(alone, [{"expect": {"agent": "desk"}}, again, LEAVES, again])) == []


def test_a_caller_who_rings_again_finds_the_place_of_the_call_before_free() -> None:
    alone = GREETS + "limits: {concurrent_calls: 1}\ntools: [{entrypoint: 'tests.test_rehearsal:blocks'}]\n"
    blocked = {"caller": {"says": "Hello?"}, "model": {"calls": "blocks"}}
    again = {**AGAIN, "expect": {"agent": "desk", "greeting": "Casa"}}
    assert differences(play(alone, [blocked, {"connection": "lost_for_good"}, again, again])) == []


def blocks() -> str:
    """Take a thread's time."""
    time.sleep(0.3)
    return "done"


@pytest.mark.slow
def test_an_hour_of_calls_passes_on_the_scenarios_own_clock() -> None:
    limited = GREETS + "limits: {calls_per_caller_per_hour: 2, silence: null, duration: {seconds: 3000}}\n"
    talks = [HELLO, {"caller": {"silent": 2400}}]
    steps = [*talks, {**AGAIN}, *talks, {**AGAIN, "expect": {"agent": "desk"}}]
    assert differences(play(limited, steps)) == []


def test_the_second_call_comes_when_the_first_is_over() -> None:
    opens = 'hours: {day: {timezone: UTC, weekly: {fri: ["09:00-17:10"]}}}\nlimits: {silence: null}\n'
    open_till = opens + GREETS.replace('"+15550100001"', '{called: "+15550100001", hours: day}')
    steps = [HELLO, {"caller": {"silent": 700}}, {**AGAIN, "expect": {"ended_by": "no_agent"}}]
    assert differences(play(open_till, steps)) == []
    steps = [HELLO, {"caller": {"silent": 300}}, {**AGAIN, "expect": {"agent": "desk"}}]
    assert differences(play(open_till, steps)) == []


def test_a_call_that_is_turned_away_has_no_receipt_of_the_one_before() -> None:
    limited = GREETS + "limits: {calls_per_caller_per_hour: 1}\n"
    agrees = {"receipt": {"agrees": True}}
    run = play(limited, [{"expect": agrees}, {**AGAIN, "expect": {"ended_by": "capacity", **agrees}}])
    assert [each.split(";")[1] for each in differences(run)] == [" the service confirmed nothing"]


@pytest.mark.slow
def test_each_call_of_a_scenario_may_last() -> None:
    long = GREETS + "limits: {silence: null, duration: {seconds: 3500}}\n"
    lasts = [HELLO, {"caller": {"silent": 3490}, "expect": {"ended_by": "duration"}}]
    assert differences(play(long, [*lasts, *[step for _ in range(4) for step in ({**AGAIN}, *lasts)]])) == []


def test_a_judge_of_a_second_call_hears_nothing_of_the_first() -> None:
    asked: list[Question] = []

    async def judge(question: Question) -> Verdict:
        asked.append(question)
        return Verdict(True, "")

    sorry = {"caller": {"says": "Hm."}, "model": {"says": "I am sorry."}, "expect": {"judge": "apologizes"}}
    again = {**AGAIN, "expect": {"judge": "apologizes"}}
    assert differences(play(GREETS, [sorry, HELLO, again], judge=judge)) == []
    first, second = (each.conversation.splitlines() for each in asked)
    assert first == ["agent: Casa Nova, hello.", "caller: Hm.", "agent: I am sorry."]
    assert second == ["caller: (rings again)", "agent: Casa Nova, hello."]


# ── a reload ──────────────────────────────────────────────────────────────────────────────────────────────────

HEARD = {"says": "Yes", "receipt": {"instructions": {"contains": "Be brief", "absent": "Be long"}}}
HELLO = {"caller": {"says": "Hello?"}, "model": {"says": "Yes?"}}
LONG = {"desk": {"greeting": "Bella Nova, hello.", "instructions": "Be long."}}


def test_what_is_saved_is_heard_by_the_next_call_and_not_by_the_one_that_goes_on() -> None:
    then = {"greeting": {"contains": "Bella", "absent": "Casa"}, "receipt": {"agrees": True, "instructions": "Be long"}}
    steps = [{"expect": {"greeting": "Casa Nova"}}, {"reload": LONG}, {**HELLO, "expect": HEARD}]
    run = play(GREETS, [*steps, {**AGAIN, "expect": then}])
    assert differences(run) == []
    assert ("host", "reloads with another desk") in moments(run)


def test_a_reload_between_two_calls_is_heard_by_the_second() -> None:
    bella = {**AGAIN, "expect": {"greeting": "Bella"}}
    ash = {**AGAIN, "expect": {"greeting": "Bella", "receipt": {"voice": "ash"}}}
    steps = [LEAVES, {"reload": LONG}, bella, {"reload": {"desk": {"voice": "ash"}}}, ash]
    assert differences(play(GREETS, steps)) == []


def test_a_caller_is_handed_over_to_the_agents_that_the_call_began_with() -> None:
    hands_over = [{"caller": {"says": "My invoice."}, "model": [{"hands_off": "billing"}, {"says": "Which one?"}]}]
    knows = {"agent": "billing", "says": "hand you over", "receipt": {"instructions": "every invoice"}}
    alone = {"billing": None, "desk": {"handoffs": [], "answers": ["+15550100001"]}}
    run = play((HANDS_OVER, BILLING), [{"reload": alone}, *hands_over, {"expect": knows}])
    assert differences(run) == []


def test_a_reload_after_a_call_has_nothing_of_that_call() -> None:
    expect = {"agent": "desk", "says": {"absent": "Yes"}, "not_called": "find_table"}
    run = play(SHARED, [LEAVES, {"reload": LONG, "expect": expect}, {**AGAIN, "expect": {"greeting": "Bella"}}])
    over = "the call was over before this turn: it ended by the caller"
    assert [each.split("; ")[1] for each in differences(run)] == [over, over]


def test_a_tool_of_a_server_that_an_agent_has_itself_after_a_reload_is_there_before_it_too() -> None:
    serves = GREETS + "tools: [{mcp: {command: [there-is-no-such-program]}, only: [forecast]}]\n"
    own = {"tools": [{"entrypoint": "tests.test_rehearsal:nobody", "name": "forecast"}]}
    asks = {"caller": {"says": "Rain?"}, "model": [{"calls": "forecast"}, {"says": "No."}], "expect": {"says": "No"}}
    steps = [asks, {"reload": {"desk": own}}, asks, {**AGAIN}, asks]
    assert differences(play(serves, steps, tools={"forecast": [{"result": 1}, {"result": 2}, {"result": 3}]})) == []


def test_an_agent_whose_file_is_deleted_answers_no_further_call() -> None:
    steps = [{"reload": {"desk": None}}, {**HELLO, "expect": HEARD}, {**AGAIN, "expect": {"ended_by": "no_agent"}}]
    assert differences(play((GREETS, BILLING), steps)) == []


# ── servers of tools ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_server_whose_tools_nobody_uses_is_not_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = [sys.executable, "-c", f"open({str(started)!r}, 'w')"]
    agent = GREETS + f"tools: [{{mcp: {json.dumps({'command': program})}}}]\n"
    run = play(agent, [{"caller": {"says": "Hello?"}, "model": {"says": "Yes?"}, "expect": {"says": "Yes"}}])
    assert differences(run) == []
    assert not started.exists()


SERVES = GREETS + f"tools: [{{mcp: {{command: [{sys.executable}, -m, tests.tool_server]}}}}]\n"


def test_the_tools_of_a_server_run_for_real() -> None:
    steps = [
        {"expect": {"receipt": {"tools": ["process"]}}},
        {"caller": {"says": "Which?"}, "model": [{"calls": "process"}, {"says": "That one."}]},
        {"expect": {"calls": "process", "says": "That one"}},
    ]
    run = play(SERVES, steps)
    assert differences(run) == []
    assert next(what for who, what in moments(run) if who == "result").isdecimal()


def test_what_a_server_lists_can_be_expected_also_where_nobody_uses_it() -> None:
    assert differences(play(SERVES, [{"expect": {"receipt": {"tools": ["process"]}}}])) == []


def test_a_server_that_is_really_away_can_end_the_call() -> None:
    away = GREETS + "tools: [{mcp: {command: [there-is-no-such-program]}}]\n"
    away += "on_failure: {tools_unavailable: {reject: 480}}\n"
    assert differences(play(away, [{"expect": {"ended_by": "tools"}}])) == []


def test_a_servers_tool_that_is_given_here_keeps_its_time_out_and_its_lines() -> None:
    away = "{mcp: {command: [there-is-no-such-program]}, timeout_seconds: 3, on_timeout: It is not my day., "
    away = GREETS + f"tools: [{away}while_running: {{after_seconds: 1, lines: [I look.]}}, only: [forecast]}}]\n"
    steps = [{"caller": {"says": "Rain?"}, "model": {"calls": "forecast"}}]
    expected = {"expect": {"says": {"contains": ["I look", "not my day"]}}}
    assert differences(play(away, [*steps, expected], tools={"forecast": {"delay": 10}})) == []
