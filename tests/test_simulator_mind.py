"""A simulated model with a mind: what is asked, what becomes of the answer, and that nobody jumps while it thinks."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from runtime import threads
from runtime.realtime.tools import read_tool
from runtime.simulator import Asked, Interrupt, Peer, Script, ToolUse, Turn, clock
from runtime.simulator.clock import waiting_for_real
from runtime.simulator.script import Reply
from tests.house import MINIMAL
from tests.line import Line, line

TOOLS = [{"type": "function", "name": "find_table", "parameters": {"type": "object"}}, {"type": "mcp"}]
GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"


class Says:
    """A mind that says one thing after the other, and keeps what it was asked. One that is an error is raised."""

    def __init__(self, *replies: "Reply | Exception") -> None:
        self.asked: list[Asked] = []
        self._replies = list(replies)

    async def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        reply = self._replies.pop(0) if self._replies else "Hm."
        if isinstance(reply, Exception):
            raise reply
        return reply


class Thinks:
    """A mind that thinks for so many real seconds, or until the world ends."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.asked: list[Asked] = []
        self.stopped = 0

    async def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if len(self.asked) > 1:
            return "Here I am."
        try:
            await self._elsewhere()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return "Let me think: eight o'clock."

    async def _elsewhere(self) -> None:
        """Wait for what no timer of this loop tells of, as for an answer from a server."""
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        if self.seconds is not None:
            threading.Timer(self.seconds, loop.call_soon_threadsafe, [over.set]).start()
        await over.wait()


def words(item: Any) -> str:
    part = item["content"][0]
    return str(part.get("transcript", part.get("text")))


# ── the peer ──────────────────────────────────────────────────────────────────────────────────────────────────


def accepted(**settings: Any) -> Peer:
    peer = Peer("rtc_1", thinks=True)
    peer.accept({"type": "realtime", "instructions": "Be brief.", **settings})
    return peer


def question(peer: Peer) -> tuple[str, Asked]:
    (asked,) = peer.questions()
    return asked


def to_the_end(peer: Peer) -> list[str]:
    """Take every planned step, and return the kinds of what was sent."""
    sent: list[str] = []
    while step := peer.next_step():
        sent += [event["type"] for event in step[1]]
    return sent


def test_a_response_that_nothing_decides_is_left_open_and_asked_about_once() -> None:
    peer = accepted()
    peer.caller_says("A table for four?")
    (response,) = peer.responses
    assert (response.status, peer.upcoming, peer.quiet, peer.thinking) == ("in_progress", None, False, True)
    response_id, asked = question(peer)
    assert response_id == response.id
    assert (asked.call_id, asked.instructions, asked.may_use_tools) == ("rtc_1", "Be brief.", True)
    assert [words(item) for item in asked.items] == ["A table for four?"]
    assert peer.questions() == []


def test_the_answer_is_said_as_a_cue_would_be() -> None:
    peer = accepted()
    peer.caller_says("A table for four?")
    peer.decide(question(peer)[0], "For which day?")
    assert to_the_end(peer)[-2:] == ["response.done", "output_audio_buffer.stopped"]
    (response,) = peer.responses
    assert (response.status, response.said, peer.quiet) == ("completed", "For which day?", True)


def test_lines_and_cues_go_before_the_mind() -> None:
    peer = accepted()
    peer.receive({"type": "response.create", "response": {"instructions": 'Say """Good morning."""'}})
    to_the_end(peer)
    peer.caller_says("Hello?", "I am scripted.")
    to_the_end(peer)
    assert [response.said for response in peer.responses] == ["Good morning.", "I am scripted."]
    assert peer.questions() == []


def test_a_peer_without_a_mind_sees_as_ever() -> None:
    peer = Peer("rtc_1")
    peer.accept({"type": "realtime"})
    peer.caller_says("Hello?")
    to_the_end(peer)
    assert (peer.responses[0].said, peer.questions()) == ("I see.", [])


def test_the_mind_sees_the_whole_conversation_in_its_order() -> None:
    peer = accepted(tools=TOOLS[:1])
    peer.caller_says("A table for four?")
    peer.decide(question(peer)[0], ("One moment.", ToolUse("find_table", '{"people": 4}')))
    to_the_end(peer)
    call_id = next(item["call_id"] for item in peer.conversation if item["type"] == "function_call")
    output = {"type": "function_call_output", "call_id": call_id, "output": '{"available": true}'}
    note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "(pressed 1)"}]}
    first = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "It is Friday."}]}
    peer.receive({"type": "conversation.item.create", "item": output})
    peer.receive({"type": "conversation.item.create", "item": note})
    peer.receive({"type": "conversation.item.create", "item": first, "previous_item_id": "root"})
    peer.receive({"type": "response.create"})
    _, asked = question(peer)
    kinds = [(item["type"], item.get("role", "")) for item in asked.items]
    assert kinds == [
        ("message", "system"), ("message", "user"), ("message", "assistant"), ("function_call", ""),
        ("function_call_output", ""), ("message", "user"),
    ]  # fmt: skip
    assert [words(item) for item in asked.items if item["type"] == "message"] == [
        "It is Friday.", "A table for four?", "One moment.", "(pressed 1)",
    ]  # fmt: skip


def test_the_mind_hears_what_nobody_transcribes() -> None:
    peer = accepted(audio={"input": {"transcription": None}})
    peer.caller_says("A table for four?")
    assert words(question(peer)[1].items[0]) == "A table for four?"


def test_a_response_s_own_instructions_and_choice_of_tools_go_before_the_session_s() -> None:
    peer = accepted(tools=TOOLS[:1])
    wanted = {"instructions": "Say that you are sorry.", "tool_choice": "none"}
    peer.receive({"type": "response.create", "response": wanted})
    _, asked = question(peer)
    assert (asked.instructions, asked.may_use_tools) == ("Say that you are sorry.", False)
    assert [tool["name"] for tool in asked.tools] == ["find_table"]


def cancel(peer: Peer) -> None:
    peer.receive({"type": "response.cancel"})


def interrupt(peer: Peer) -> None:
    peer.caller_starts_speaking()


@pytest.mark.parametrize("stop", [cancel, interrupt, Peer.caller_hangs_up])
def test_an_answer_that_comes_too_late_is_dropped(stop: Callable[[Peer], Any]) -> None:
    peer = accepted()
    peer.caller_says("A table for four?")
    response_id, _ = question(peer)
    stop(peer)
    assert not peer.is_open(response_id)
    assert not peer.thinking
    peer.decide(response_id, "For which day?")
    peer.fail(response_id)
    assert peer.upcoming is None
    assert peer.responses[0].said == ""


def test_a_mind_that_breaks_lets_the_response_fail() -> None:
    peer = accepted()
    peer.caller_says("A table for four?")
    peer.fail(question(peer)[0], "rate_limit_exceeded")
    assert to_the_end(peer) == ["response.done"]
    assert (peer.responses[0].status, peer.responses[0].reason) == ("failed", "rate_limit_exceeded")


# ── the service ───────────────────────────────────────────────────────────────────────────────────────────────


def run(work: Coroutine[Any, Any, None]) -> None:
    clock.run(work, threads.at_work)


def play(agent: str, mind: Any, *steps: Any, **script: Any) -> tuple[Any, Line, list[tuple[str, Any]]]:
    """Ring once, and return the simulated call, the line, and what the simulator's observer was told."""
    kept: list[Any] = []
    told: list[tuple[str, Any]] = []

    async def work() -> None:
        async with line(agent, read_tool=read_tool, pace=1, mind=mind) as made:
            made.service.observe(lambda call, what, fields: told.append((what, fields)))
            call = await made.ring(script=Script(steps, **script))
            await call.ended.wait()
            await made.quiet()
            kept.extend((call, made))

    run(work())
    return kept[0], kept[1], told


def said(call: Any) -> list[str]:
    return [response.said for response in call.peer.responses if response.said]


def failures(told: Sequence[tuple[str, Any]]) -> list[str]:
    return [str(fields["error"]) for what, fields in told if what == "mind_failed"]


def add(one: int, other: int) -> dict[str, Any]:
    """Adds two numbers."""
    return {"say": f"That makes {one + other}."}


def test_a_call_is_held_with_a_mind_and_its_tools_run() -> None:
    agent = GREETS + 'tools: [{entrypoint: "tests.test_simulator_mind:add"}]\n'
    mind = Says(("Let me see.", ToolUse("add", '{"one": 2, "other": 3}')), "Five.", "You are welcome.")
    call, made, _ = play(agent, mind, Turn("What is two and three?"), Turn("Thanks."))
    assert said(call) == ["Casa Nova, hello.", "Let me see.", "Five.", "You are welcome."]
    assert [told["result"] for told in made.told("tool finished")] == ['{"say":"That makes 5."}']
    assert mind.asked[1].items[-1]["output"] == '{"say":"That makes 5."}'
    assert [tool["name"] for tool in mind.asked[0].tools] == ["add"]


def test_a_mind_that_breaks_once_is_asked_again_and_its_operator_hears_why() -> None:
    call, made, told = play(GREETS, Says(ValueError("no such model")), Turn("Hello?"))
    assert said(call) == ["Casa Nova, hello.", "Hm."]
    assert failures(told) == ["no such model"]
    assert [fields["reason"] for fields in made.told("a response failed")] == ["server_error"]


def test_a_mind_that_is_always_broken_ends_the_call_as_a_dead_model_would() -> None:
    broken = Says(*[ValueError("down")] * 9)
    call, made, told = play(GREETS, broken, Turn("Hello?"), patience=60.0)
    assert (made.outcome, len(failures(told))) == ("model_unreachable", 5)
    assert said(call) == ["Casa Nova, hello."]


def test_a_caller_who_interrupts_stops_the_thinking() -> None:
    mind = Thinks(None)
    kept: list[Any] = []

    async def work() -> None:
        async with line(GREETS, pace=1, mind=mind) as made:
            call = await made.ring()
            while not call.heard:
                await call.moved(None)
            await call.says("A table?")
            while not mind.asked:
                await call.moved(asyncio.get_running_loop().time() + 0.01)
            await call.says("Hello? Are you there?")
            while call.heard < 2:
                await call.moved(None)
            call.hangs_up()
            kept.append(call)

    run(work())
    assert said(kept[0]) == ["Casa Nova, hello.", "Here I am."]
    assert mind.stopped == 1


def test_a_call_that_ends_stops_the_thinking() -> None:
    mind = Thinks(None)

    async def work() -> None:
        async with line(GREETS, pace=1, mind=mind) as made:
            call = await made.ring()
            while not call.heard:
                await call.moved(None)
            await call.says("A table?")
            while not mind.asked:
                await call.moved(asyncio.get_running_loop().time() + 0.01)
            call.hangs_up()
            await made.quiet()
            await asyncio.sleep(0)
            assert mind.stopped == 1

    run(work())


# ── the clock ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_clock_does_not_jump_while_a_mind_thinks() -> None:
    """A host that waits 20 s for an answer must not see them pass in the tenth of a second that the answer takes."""
    mind = Thinks(0.1)
    call, made, _ = play(GREETS, mind, Turn("When?"), patience=1.0)
    assert said(call)[1:] == ["Let me think: eight o'clock."]
    (ended,) = made.told("ended")
    assert ended["seconds"] < 15


def test_the_clock_jumps_again_when_nobody_waits_for_real() -> None:
    async def work() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        with waiting_for_real():
            began = loop.time()
            await asyncio.sleep(0.05)
            real = loop.time() - began
        await asyncio.sleep(600)
        return real, loop.time() - began

    began = time.monotonic()
    real, whole = clock.run(work())
    assert 0.05 <= real < 5
    assert whole > 600
    assert time.monotonic() - began < 30


def test_a_loop_that_does_not_jump_waits_as_ever() -> None:
    async def work() -> None:
        with waiting_for_real():
            await asyncio.sleep(0)

    asyncio.run(work())


def test_interrupting_over_the_words_of_a_mind_works_as_over_a_script_s() -> None:
    mind = Says("It is a very long story, and I shall tell you all of it from the beginning to its end.", "Yes?")
    call, _, _ = play(GREETS, mind, Turn("Tell me."), Interrupt("Stop!"))
    assert said(call)[-1] == "Yes?"
    assert call.peer.responses[1].muted, "the caller heard no more of the story"
