"""The stand-in: what it says, which tools it uses, and that the same conversation gets the same answer."""

import asyncio
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from runtime.realtime.tools import read_tool
from runtime.session import FREELY
from runtime.simulator import Asked, Script, ToolUse, Turn
from runtime.standin import CONFESSION, StandIn, answer
from tests.house import MINIMAL, agent
from tests.line import line
from tests.test_simulator_mind import run

MONDAY = date(2026, 11, 23)
DESK = """
tools:
  - {entrypoint: "samples.restaurant:find_table"}
  - {entrypoint: "samples.restaurant:book_table"}
  - {use: hang_up}
  - {use: wait}
  - {use: keypad, name: loyalty_card, count: 6}
  - use: transfer
    destinations: [{name: kitchen, to: "tel:+15550123456", when: The caller asks about an order.}]
"""


def tools_of(more: str, read: Callable[..., Any] | None = read_tool) -> list[dict[str, Any]]:
    return [
        {"type": "function", "name": one.name, "description": one.description, "parameters": one.parameters}
        for one in agent(more, read).tools
    ]


class Talk:
    """A conversation with the stand-in, without a call around it."""

    def __init__(self, tools: list[dict[str, Any]], *, may_use_tools: bool = True, confessed: bool = True) -> None:
        self.items: list[dict[str, Any]] = []
        self._tools = tools
        self._may = may_use_tools
        if confessed:
            self._said(CONFESSION)

    def says(self, words: str) -> Any:
        self.items.append(
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": words}]}
        )
        return self.goes_on()

    def results(self, *outputs: str) -> Any:
        """Give each tool call since the last result its output."""
        for number, output in enumerate(outputs, len(self.items) - 1):
            self.items.append({"type": "function_call_output", "call_id": f"call_{number}", "output": output})
        return self.goes_on()

    def goes_on(self, instructions: str = "Be brief.") -> Any:
        made = answer(Asked("rtc_1", instructions, self._tools, tuple(self.items), self._may), MONDAY)
        for output in made if isinstance(made, tuple) else (made,):
            if isinstance(output, str):
                self._said(output)
            else:
                call = {"type": "function_call", "call_id": f"call_{len(self.items)}", "name": output.name}
                self.items.append({**call, "arguments": output.arguments})
        return made

    def _said(self, words: str) -> None:
        content = [{"type": "output_audio", "transcript": words}]
        self.items.append({"type": "message", "role": "assistant", "content": content})


@pytest.fixture(scope="module")
def desk() -> list[dict[str, Any]]:
    return tools_of(DESK)


def test_it_says_once_that_it_is_a_stand_in_and_repeats_what_it_understood() -> None:
    talk = Talk([], confessed=False)
    assert talk.says("Good evening.") == f"{CONFESSION} You said: “Good evening.”"
    assert talk.says("Really?") == "You said: “Really?”"


def test_it_says_so_before_its_first_tool_too(desk: list[dict[str, Any]]) -> None:
    said, use = Talk(desk, confessed=False).says("A table for four on Friday at eight")
    assert (said, use.name) == (CONFESSION, "find_table")


def test_it_uses_a_tool_with_arguments_from_the_words(desk: list[dict[str, Any]]) -> None:
    use = Talk(desk).says("Do you have a table for four on Friday at eight?")
    assert (use.name, json.loads(use.arguments)) == (
        "find_table", {"people": 4, "day": "2026-11-27", "time": "20:00"},
    )  # fmt: skip


def test_it_asks_for_what_is_missing_one_by_one_and_then_uses_the_tool(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    assert talk.says("I need a table.").startswith("For find_table I need people. How many people will sit")
    assert talk.says("What?").startswith("For find_table I need people.")
    assert talk.says("four").startswith("For find_table I need day.")
    assert talk.says("tomorrow").startswith("For find_table I need time.")
    use = talk.says("eight")
    assert json.loads(use.arguments) == {"people": 4, "day": "2026-11-24", "time": "20:00"}


def test_what_one_tool_was_told_another_one_knows(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    talk.says("A table for four on Friday at eight")
    assert talk.results('{"say": "Yes. Shall I book it?"}') == "Yes. Shall I book it?"
    use = talk.says("Yes, book it, for Rivera.")
    wanted = {"people": 4, "day": "2026-11-27", "time": "20:00", "name": "Rivera"}
    assert (use.name, json.loads(use.arguments)) == ("book_table", wanted)


def test_a_wish_that_is_taken_back_is_forgotten(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    talk.says("I need a table.")
    assert talk.says("Never mind.") == "All right."
    assert talk.says("four") == "You said: “four”"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ('{"available": true, "say": "Yes, we have one."}', "Yes, we have one."),
        ('{"free": true, "next_day": null}', "find_table answers: free yes, next day nothing."),
        ('"a table at eight"', "find_table answers: a table at eight."),
        ("The tool failed. Tell the caller.", "find_table answers: The tool failed. Tell the caller."),
        ("[1, 2]", "find_table answers: [1, 2]."),
        ("{}", "find_table answers: nothing."),
    ],
)
def test_it_tells_what_a_tool_says_or_its_content(desk: list[dict[str, Any]], output: str, told: str) -> None:
    talk = Talk(desk)
    talk.says("A table for four on Friday at eight")
    assert talk.results(output) == told


def test_a_long_result_is_told_shortly(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    talk.says("A table for four on Friday at eight")
    assert len(talk.results(json.dumps({"menu": "fish " * 200}))) <= 200


def test_a_result_and_a_new_wish_are_answered_together(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    talk.says("A table for four on Friday at eight")
    talk.items.append({"type": "function_call_output", "call_id": "call_2", "output": '{"say": "Yes."}'})
    assert talk.says("Goodbye.") == ("Yes. Goodbye.", ToolUse("hang_up"))


@pytest.mark.parametrize("words", ["Goodbye.", "bye", "That is all, thank you.", "That's it", "please hang up"])
def test_it_hangs_up_on_a_goodbye(desk: list[dict[str, Any]], words: str) -> None:
    assert Talk(desk).says(words) == ("Goodbye.", ToolUse("hang_up"))
    assert Talk([]).says(words) == "Goodbye."


def test_it_leaves_the_goodbye_to_a_declared_farewell() -> None:
    tools = tools_of("tools: [{use: hang_up, farewell: Thank you for calling.}]\n")
    assert Talk(tools).says("Goodbye.") == ToolUse("hang_up")


def test_it_waits_when_it_is_asked_for_a_moment(desk: list[dict[str, Any]]) -> None:
    assert Talk(desk).says("One moment, please.") == ToolUse("wait")
    assert Talk([]).says("One moment, please.") == "You said: “One moment, please.”"


@pytest.mark.parametrize("words", ["Where is my order?", "Put me through to the kitchen."])
def test_it_transfers_when_a_destination_clearly_matches(desk: list[dict[str, Any]], words: str) -> None:
    assert Talk(desk).says(words) == ToolUse("transfer", '{"destination": "kitchen"}')


def test_it_asks_for_digits_before_it_collects_them(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    assert talk.says("I have a loyalty card.") == ("Please press the keys now.", ToolUse("loyalty_card"))


def test_keys_are_told_and_taken_for_digits_that_are_missing() -> None:
    tools = tools_of('tools: [{entrypoint: "samples.restaurant:cancel_table"}]\n')
    assert Talk(tools).says("(The caller pressed 1 # on the keypad.)") == "You pressed 1 #."
    talk = Talk(tools)
    talk.says("I want to cancel.")
    use = talk.says("(The caller pressed 4 8 1 0 2 9 on the keypad.)")
    assert use == ToolUse("cancel_table", '{"reference": "481029"}')


def test_it_hands_off_when_the_when_clearly_matches_and_says_who_goes_on() -> None:
    described = "Hands the caller over to another agent, billing.\nWhen to use it: About an invoice."
    tool = {"type": "function", "name": "hand_off_to_billing", "description": described, "parameters": {}}
    talk = Talk([tool])
    assert talk.says("My invoice is wrong.") == ToolUse("hand_off_to_billing", "{}")
    assert talk.results('{"assistant": "billing"}') == "You are with billing now. What can I do for you?"


def test_it_asks_which_tool_is_meant_when_several_match() -> None:
    both = [{"type": "function", "name": f"{verb}_appointment", "parameters": {}} for verb in ("book", "cancel")]
    talk = Talk(both)
    said = talk.says("It is about an appointment.")
    assert said.endswith("That could be book_appointment or cancel_appointment. Which one?")
    assert talk.says("cancel") == ToolUse("cancel_appointment", "{}")


def test_without_tools_it_uses_none(desk: list[dict[str, Any]]) -> None:
    assert Talk(desk, may_use_tools=False).says("Goodbye.") == "Goodbye."


@pytest.mark.parametrize("what", FREELY.values())
def test_it_says_lines_that_are_asked_for_freely(what: str) -> None:
    said = Talk([], confessed=False).goes_on(f"In the language of this conversation, {what}")
    assert isinstance(said, str)
    assert CONFESSION not in said


def test_it_speaks_first_when_nobody_has_spoken() -> None:
    assert Talk([]).goes_on() == "What can I do for you?"
    assert Talk([]).says("") == "Are you still there?"


def test_it_holds_a_real_call_to_its_end() -> None:
    agent = MINIMAL + 'greeting: Hello.\ntools: [{entrypoint: "tests.test_simulator_mind:add"}, {use: hang_up}]\n'
    turns = (Turn("Please add two and three."), Turn("Goodbye."))
    kept: list[Any] = []

    async def work() -> None:
        async with line(agent, read_tool=read_tool, pace=1, mind=StandIn(MONDAY)) as made:
            call = await made.ring(script=Script(turns, hangs_up=False))
            await call.ended.wait()
            await made.quiet()
            kept.extend((call, made))

    run(work())
    call, made = kept
    assert [response.said for response in call.peer.responses if response.said] == [
        "Hello.", CONFESSION, "That makes 5.", "Goodbye.",
    ]  # fmt: skip
    assert made.outcome == "agent_hung_up"


def test_the_same_conversation_gets_the_same_answer(desk: list[dict[str, Any]]) -> None:
    talk = Talk(desk)
    talk.says("I need a table for four.")
    asked = Asked("rtc_1", "Be brief.", desk, tuple(talk.items[:-1]))
    assert {asyncio.run(StandIn(MONDAY).reply(asked)) for _ in range(3)} == {answer(asked, MONDAY)}
