"""Calls that behave, heard in the simulator: the real host on loopback, a scripted caller, and time that jumps.

What each feature does in detail is in `tests/test_conversation.py`; here it is played from the first ring to the end.
"""

import json
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from runtime import threads
from runtime.admission import Admission
from runtime.realtime.tools import read_tool
from runtime.simulator import Behavior, Interrupt, Keys, Script, Silence, SimulatedCall, ToolUse, Turn, clock
from tests.house import MINIMAL
from tests.line import Line, line

GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"
KITCHEN = """
tools:
  - use: transfer
    destinations:
      - name: kitchen
        to: tel:+15550123456
        when: The caller asks about an order.
        announce: I am putting you through.
        if_it_fails: The kitchen does not pick up.
"""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on a clock that jumps: half an hour takes as long as its events."""
    clock.run(work, threads.at_work)


def play(agents: str | tuple[str, ...], *steps: Any, behavior: Behavior | None = None, **more: Any) -> tuple[Any, Line]:
    """Ring once, play the caller's steps to the call's end, and return the simulated call and the line."""
    kept: list[Any] = []
    script = Script(steps, **{key: more.pop(key) for key in ("hangs_up", "patience") if key in more})

    async def work() -> None:
        texts = (agents,) if isinstance(agents, str) else agents
        async with line(*texts, read_tool=read_tool, pace=1, **more) as made:
            call = await made.ring(script=script, behavior=behavior)
            await call.ended.wait()
            await made.quiet()
            kept.extend((call, made))

    run(work())
    return kept[0], kept[1]


def spoken(call: SimulatedCall) -> list[str]:
    """Return what the agent said, response by response."""
    return [response.said for response in call.peer.responses if response.said]


def outputs(call: SimulatedCall) -> list[str]:
    """Return what the tools told the model."""
    return [one["output"] for one in call.peer.tool_outputs]


# ── goodbye ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_agent_hangs_up_after_its_goodbye_was_heard() -> None:
    steps = [Turn("That is all.", (("Goodbye, and thank you very much for calling us today!", ToolUse("hang_up")),))]
    call, made = play(GREETS + "tools: [{use: hang_up}]\n", *steps, hangs_up=False)
    assert made.outcome == "agent_hung_up"
    assert call.peer.hung_up_by == "host"
    assert call.heard == 2, "the greeting and the whole goodbye"


def test_a_declared_farewell_is_the_last_that_is_heard() -> None:
    farewell = "tools: [{use: hang_up, farewell: Thank you for calling. Goodbye.}]\n"
    call, made = play(GREETS + farewell, Turn("That is all.", (ToolUse("hang_up"),)), hangs_up=False)
    assert (spoken(call)[-1], made.outcome) == ("Thank you for calling. Goodbye.", "agent_hung_up")


LONG = "word " * 100


def test_a_long_goodbye_is_heard_to_its_end() -> None:
    call, made = play(GREETS + "tools: [{use: hang_up}]\n", Turn("Bye.", ((LONG, ToolUse("hang_up")),)), hangs_up=False)
    assert (call.heard, made.outcome) == (2, "agent_hung_up")


def test_the_last_words_are_heard_also_after_a_long_answer() -> None:
    limits = "limits: {duration: {seconds: 15, warn_seconds: 0, farewell: I have to go.}}\n"
    call, made = play(GREETS + limits, Turn("Tell me.", (LONG,)), Silence(60), hangs_up=False)
    assert (call.heard, spoken(call)[-1], made.outcome) == (3, "I have to go.", "too_long")


# ── transfer ──────────────────────────────────────────────────────────────────────────────────────────────────

TO_KITCHEN = Turn("My pizza is late.", (ToolUse("transfer", '{"destination": "kitchen"}'),))


def test_a_transfer_leaves_when_its_announcement_was_heard_and_the_call_is_over() -> None:
    call, made = play(GREETS + KITCHEN, TO_KITCHEN, hangs_up=False)
    assert (call.peer.referred, made.outcome) == ("tel:+15550123456", "transferred")
    assert spoken(call)[-1] == "I am putting you through."
    assert call.heard == 2


def test_a_transfer_that_never_leaves_falls_back_to_a_line_and_the_conversation_goes_on() -> None:
    """Trap 22: a 200 from refer, and nobody ever picks up."""
    steps = [TO_KITCHEN, Turn(None), Turn("Then book a table.", ("For how many?",))]
    call, made = play(GREETS + KITCHEN, *steps, behavior=Behavior(refer_is_relayed=False), patience=40.0)
    assert spoken(call)[2:] == ["The kitchen does not pick up.", "For how many?"]
    assert "nobody confirmed it in time" in outputs(call)[0]
    assert made.outcome == "caller_hung_up"


@pytest.mark.parametrize(
    ("status", "why"), [(486, "the line is busy"), (403, "the carrier refused it"), (500, "at the moment")]
)
def test_a_transfer_that_is_refused_tells_the_model_why(status: int, why: str) -> None:
    call, _ = play(GREETS + KITCHEN, TO_KITCHEN, Turn(None), behavior=Behavior(refer_status=status))
    assert why in outputs(call)[0]
    assert spoken(call)[2] == "The kitchen does not pick up."


def test_a_transfer_whose_answer_is_lost_may_be_under_way_and_is_waited_for() -> None:
    lost = Behavior(refer_response="lost", refer_is_relayed=False)
    call, made = play(GREETS + KITCHEN, TO_KITCHEN, Turn(None), behavior=lost, patience=40.0)
    assert made.told("transfer relayed") == [{"certain": False}]
    assert "nobody confirmed it in time" in outputs(call)[0]


# ── keypad, messages, waiting ─────────────────────────────────────────────────────────────────────────────────


def test_digits_reach_the_tool_that_asked_for_them() -> None:
    keypad = "tools: [{use: keypad, name: reference, count: 6}]\n"
    steps = [
        Turn("I want to cancel.", (("Press the six digits.", ToolUse("reference")),)),
        Keys("123456", ("Thank you.",)),
    ]
    call, _ = play(GREETS + keypad, *steps)
    assert outputs(call) == ["The caller pressed 1 2 3 4 5 6."]
    assert spoken(call)[-1] == "Thank you."


def test_a_caller_who_presses_too_few_digits_is_not_waited_for_for_ever() -> None:
    keypad = "tools: [{use: keypad, count: 6, timeout_seconds: 5}]\n"
    steps = [
        Turn("I want to cancel.", (("Press six digits.", ToolUse("keypad")),)),
        Keys("12", ("Only two?",)),
        Silence(8),
    ]
    call, _ = play(GREETS + keypad, *steps)
    assert outputs(call) == ["The caller pressed 1 2. That is 2 of 6."]


def test_digits_that_nobody_asked_for_reach_the_model_as_a_message() -> None:
    call, _ = play(GREETS, Turn("Hello.", ("Yes?",)), Keys("1#", ("You pressed one.",)), Silence(3))
    items = [event["item"] for event in call.peer.received if event["type"] == "conversation.item.create"]
    assert [item["content"][0]["text"] for item in items] == ["(The caller pressed 1 # on the keypad.)"]
    assert spoken(call)[-1] == "You pressed one."


def test_a_message_is_taken_when_it_is_complete() -> None:
    takes = "tools: [{use: take_message, fields: [{name: message, description: What to pass on}]}]\n"
    empty, full = ToolUse("take_message", "{}"), ToolUse("take_message", '{"message": "I rang."}')
    call, made = play(
        GREETS + takes, Turn("Tell her I rang.", (empty, "What shall I say?")), Turn("That I rang.", (full, "Kept."))
    )
    assert outputs(call) == ["The message is not kept yet: message is missing. Ask the caller.", "The message is kept."]
    assert [told["message"] for told in made.told("message taken")] == [{"message": "I rang."}]


def test_one_moment_is_waited_for_in_silence() -> None:
    waits = "tools: [{use: wait, seconds: 60}]\n"
    steps = [Turn("One moment, please.", (ToolUse("wait"),)), Silence(50), Turn("Here I am.", ("Good.",))]
    call, made = play(GREETS + waits, *steps, patience=1.0)
    assert spoken(call) == ["Casa Nova, hello.", "Good."]
    assert made.outcome == "caller_hung_up"


# ── time and silence ──────────────────────────────────────────────────────────────────────────────────────────


def test_silence_is_asked_about_and_then_ends_the_call() -> None:
    silence = "limits: {silence: {after_seconds: 12, lines: [Are you still there?], farewell: I cannot hear you.}}\n"
    call, made = play(GREETS + silence, Turn("Hello.", ("Yes?",)), Silence(600), hangs_up=False)
    assert spoken(call)[2:] == ["Are you still there?", "I cannot hear you."]
    assert made.outcome == "silent"
    (ended,) = made.told("ended")
    assert 24 < ended["seconds"] < 50


def test_a_call_of_half_an_hour_is_warned_and_ended_with_a_line_whoever_speaks() -> None:
    duration = "limits: {duration: {seconds: 1800, warning: One minute left., farewell: I have to go.}}\n"
    chat = Script.repeat(Turn("Tell me more.", ("Once upon a time there was a telephone that never stopped. " * 20,)))
    kept: list[Any] = []

    async def work() -> None:
        async with line(GREETS + duration, pace=1) as made:
            call = await made.ring(script=chat)
            await call.ended.wait()
            await made.quiet()
            kept.extend((call, made))

    run(work())
    call, made = kept
    (ended,) = made.told("ended")
    assert 1800 <= ended["seconds"] < 1815
    assert "One minute left." in spoken(call)
    assert spoken(call)[-1] == "I have to go."
    assert made.outcome == "too_long"


def test_nobody_at_all_is_hung_up_on_without_a_word() -> None:
    """Trap 23: the caller left while it rang."""
    call, made = play(GREETS + "limits: {first_words_seconds: 20}\n", Silence(600), hangs_up=False)
    assert spoken(call) == ["Casa Nova, hello."]
    assert made.outcome == "nobody_spoke"


# ── slow tools ────────────────────────────────────────────────────────────────────────────────────────────────

_open = threading.Event()


def slow_tool() -> str:
    """Waits until the test opens the book."""
    assert _open.wait(10)
    return "a table at eight"


async def endless_tool() -> str:
    """Never answers."""
    import asyncio

    await asyncio.Event().wait()
    return ""


def slow(name: str, **more: Any) -> str:
    return GREETS + f"tools: [{json.dumps({'entrypoint': f'tests.test_behavior:{name}', **more})}]\n"


def test_a_slow_tool_is_covered_with_lines_and_given_up_with_a_line() -> None:
    covered = {"after_seconds": 2, "lines": ["One moment.", "Still looking."], "repeat": 2}
    agent = slow("endless_tool", timeout_seconds=15, on_timeout="Our book does not open.", while_running=covered)
    call, made = play(agent, Turn("A table?", (ToolUse("endless_tool"),)), Turn(None), Turn(None), patience=30.0)
    assert spoken(call)[1:4] == ["One moment.", "Still looking.", "Our book does not open."]
    assert [told["failed"] for told in made.told("tool finished")] == [True]


def test_a_tool_is_cancelled_when_the_caller_leaves() -> None:
    _, made = play(
        slow("endless_tool", timeout_seconds=600), Turn("A table?", (ToolUse("endless_tool"),)), patience=3.0
    )
    assert made.outcome == "caller_hung_up"
    assert made.told("tool finished") == []


def test_a_result_that_comes_after_an_interruption_is_still_told() -> None:
    _open.clear()
    covered = {"after_seconds": 0.1, "lines": ["One moment, I am looking for a table in our book, which is long."]}
    agent = slow("slow_tool", while_running=covered)
    kept: list[Any] = []
    script = Script(
        (Turn("A table?", (ToolUse("slow_tool"),)), Interrupt("Hello?", ("Yes, I am here.",)), Turn(None)), patience=0.5
    )

    async def work() -> None:
        async with line(agent, read_tool=read_tool) as made:
            made.service.observe(lambda call, what, fields: _open.set() if what == "turn" and call.heard else None)
            call = await made.ring(script=script)
            await call.ended.wait()
            await made.quiet()
            kept.append(call)

    from tests.house import run as run_in_real_time

    run_in_real_time(work())
    assert outputs(kept[0]) == ['"a table at eight"']


# ── handoffs ──────────────────────────────────────────────────────────────────────────────────────────────────

BILLING = """name: billing
voice: cedar
instructions: You know every invoice.
tools: [{use: hang_up, farewell: Billing says goodbye.}]
"""
DESK = GREETS + "voice: sage\nhandoffs: [{agent: billing, when: About an invoice., announce: Let me hand you over.}]\n"


def test_a_call_is_handed_off_with_one_voice_and_the_other_agents_tools() -> None:
    handoff = ToolUse("hand_off_to_billing")
    steps = [Turn("My invoice is wrong.", (handoff, "Which invoice?")), Turn("Never mind.", (ToolUse("hang_up"),))]
    call, made = play((DESK, BILLING), *steps, hangs_up=False)
    assert spoken(call) == [
        "Casa Nova, hello.", "Let me hand you over.", "Which invoice?", "Billing says goodbye.",
    ]  # fmt: skip
    assert {response.voice for response in call.peer.responses} == {"sage"}
    assert call.peer.session["instructions"] == "You know every invoice."
    assert [told["agent"] for told in made.told("handed off")] == ["billing"]
    assert made.told("the service holds a setting otherwise than declared") == []
    assert made.outcome == "agent_hung_up"


# ── when something is down ────────────────────────────────────────────────────────────────────────────────────


def test_an_answered_call_that_cannot_be_steered_is_put_through() -> None:
    agent = GREETS + KITCHEN + "on_failure: {attach_failed: {transfer: kitchen}}\n"
    call, made = play(agent, behavior=Behavior(attach_not_found=1000), hangs_up=False)
    assert call.peer.referred == "tel:+15550123456"
    assert made.outcome in ("transferred", "attach_failed")


@pytest.mark.parametrize(("status", "cause"), [(500, "model_unreachable"), (429, "quota")])
def test_a_service_that_cannot_take_the_call_leaves_it_to_the_carrier(status: int, cause: str) -> None:
    agent = GREETS + f"on_failure: {{{cause}: {{reject: 480}}}}\n"
    call, made = play(agent, behavior=Behavior(accept_fails=(status,) * 1000), hangs_up=False)
    assert call.peer.rejected == 480
    assert made.outcome == cause


def test_a_sideband_that_is_lost_in_the_middle_is_back_before_the_caller_notices() -> None:
    steps = [Turn("Hello?", ("Yes?",)), Turn("Are you there?", ("I am.",))]
    call, made = play(GREETS, *steps, behavior=Behavior(sideband_lost_after=2))
    assert spoken(call)[-1] == "I am."
    assert made.told("attached again")
    assert made.outcome == "caller_hung_up"


def test_one_call_too_many_is_busy() -> None:
    kept: list[Any] = []

    async def work() -> None:
        async with line(GREETS + "limits: {concurrent_calls: 1}\n", pace=1) as made:
            first = await made.ring(script=Script((Silence(20),), hangs_up=True))
            await first.happened("attached")
            second = await made.ring()
            await second.ended.wait()
            await first.ended.wait()
            await made.idle()
            third = await made.ring(script=Script(()))
            await third.ended.wait()
            await made.quiet()
            kept.extend((second, third, made))

    run(work())
    second, third, made = kept
    assert (second.outcome, third.outcome) == ("rejected 486", "hung up by caller")
    assert "over_capacity" in [told["outcome"] for told in made.told("ended")]


def test_a_busy_agent_can_say_so_instead() -> None:
    busy = "limits: {calls_per_caller_per_hour: 1}\non_failure: {over_capacity: {say: Please call again tomorrow.}}\n"
    kept: list[Any] = []

    async def work() -> None:
        async with line(GREETS + busy, pace=1) as made:
            for _ in range(2):
                call = await made.ring(script=Script((Silence(20),)))
                await call.ended.wait()
                await made.idle()
            kept.append(call)

    run(work())
    assert spoken(kept[0]) == ["Please call again tomorrow."]
    assert kept[0].peer.hung_up_by == "host"


def test_a_host_with_all_its_calls_is_busy() -> None:
    async def work() -> None:
        async with line(GREETS, pace=1, admission=Admission(max_calls=1)) as made:
            first = await made.ring(script=Script((Silence(20),)))
            second = await made.ring()
            await second.ended.wait()
            assert second.peer.rejected == 486
            await first.ended.wait()

    run(work())


# ── guardrails and lookup ─────────────────────────────────────────────────────────────────────────────────────


def test_forbidden_words_are_stopped_in_the_middle_and_replaced() -> None:
    """Trap 20: the rest of what was generated is not heard either."""
    guard = "guardrails: {never_say: [guarantee], instead: I cannot promise that.}\n"
    bad = "We can guarantee that your table will be free on every evening of the whole coming year, without exception."
    call, made = play(GREETS + guard, Turn("Is it sure?", (bad,)), Turn(None))
    assert spoken(call)[-1] == "I cannot promise that."
    assert "without exception" not in spoken(call)[1]
    assert made.told("stopped what must not be said")[0]["rule"] == "never_say"


def promises(text: str) -> bool:
    """Tells whether words promise something."""
    return "promise" in text


def test_a_rule_in_python_is_asked_and_obeyed() -> None:
    guard = "guardrails: {rules: ['tests.test_behavior:promises'], instead: I take that back.}\n"
    call, _ = play(GREETS + guard, Turn("Is it sure?", ("I promise. " * 30,)), Turn(None))
    assert spoken(call)[-1] == "I take that back."


LOOKS_UP = (
    MINIMAL
    + """
greeting: Hello {{{{ guest }}}}.
lookup: {{entrypoint: "tests.test_behavior:{function}", defaults: {{guest: you}}}}
"""
)


def find_guest() -> dict[str, str]:
    """Finds who is calling."""
    return {"guest": "Mr. Rossi", "secret": "not asked for"}


def test_what_is_looked_up_while_it_rings_is_in_the_greeting() -> None:
    agent = LOOKS_UP.format(function="find_guest")
    call, _ = play(agent)
    assert spoken(call) == ["Hello Mr. Rossi."]


def test_a_lookup_that_never_answers_leaves_its_defaults() -> None:
    agent = LOOKS_UP.format(function="endless_tool")
    call, made = play(agent)
    assert spoken(call) == ["Hello you."]
    assert made.told("the lookup took too long; the defaults hold")


def test_the_sample_scenarios_need_no_real_time(tmp_path: Path) -> None:
    """The clock that these tests run on: an hour of waiting takes a moment."""
    import asyncio
    import time

    async def work() -> float:
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - begin

    began = time.monotonic()
    assert clock.run(work()) >= 3600
    assert time.monotonic() - began < 60
