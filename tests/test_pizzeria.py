"""The sample agents without Python, rung for real: an HTTP server, a server of tools, a lookup, a handoff."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import files
from runtime.catalog import build
from runtime.current import Current
from runtime.hosts import Hosts
from runtime.http_tools import HttpTools
from runtime.simulator import Script, SimulatedCall, ToolUse, Turn, serving
from samples.orders import book
from tests.house import run
from tests.line import Line, line

PIZZERIA = Path(__file__).parents[1] / "samples" / "pizzeria"


def ring(*steps: Turn) -> tuple[SimulatedCall, Line]:
    """Ring the takeaway agent with its order book on a free port, and return the call and the line."""
    kept: list[Any] = []

    async def work() -> None:
        async with serving(book()) as address:
            tools = HttpTools(Hosts([address.removeprefix("http://")]), {}.get, serving=True)
            known, free = b"http://localhost:8765", address.encode()
            moved = [replace(each, raw=each.raw.replace(known, free)) for each in files.sources([PIZZERIA])]
            current = Current(build(moved, tools.read, "samples"))
            async with line(current=current) as made:
                call = await made.ring(script=Script(steps), called="+15550100050")
                await call.ended.wait()
                await made.quiet()
                kept.extend((call, made))
            await tools.close()

    run(work(), 60)
    return kept[0], kept[1]


def outputs(call: SimulatedCall) -> list[str]:
    return [one["output"] for one in call.peer.tool_outputs]


def test_the_order_book_is_asked_while_it_rings_and_when_the_caller_asks() -> None:
    status = ToolUse("order_status", '{"number": "1017"}')
    note = ToolUse("add_note", '{"number": "1017", "note": "no onions"}')
    call, made = ring(
        Turn("Where is order 1017?", (status, "It is in the oven.")),
        Turn("Without onions.", (note, "I have told them.")),
    )
    assert call.peer.responses[0].said.startswith("Pizzeria Aurora, hello Rivera!")
    assert "in the oven" in outputs(call)[0]
    assert "no onions" in outputs(call)[1]
    assert made.outcome == "caller_hung_up"


def test_a_party_is_handed_over_and_taken_down_with_the_weather() -> None:
    wish = '{"day": "2026-12-05", "guests": "20", "number": "+15557654321"}'
    call, made = ring(
        Turn("I plan a party.", (ToolUse("hand_off_to_parties"), "On which day?")),
        Turn("Outside, tomorrow.", (ToolUse("forecast", '{"place": "Harbor", "day": "2026-12-05"}'), "Let me see.")),
        Turn("For twenty.", (ToolUse("take_message", wish), "It is kept.")),
        Turn("That is all.", (ToolUse("hang_up"),)),
    )
    assert [told["agent"] for told in made.told("handed off")] == ["parties"]
    assert "say" in outputs(call)[1]
    assert made.told("message taken")[0]["message"]["guests"] == "20"
    assert call.peer.responses[-1].said == "Thank you for calling Pizzeria Aurora. Goodbye."
    assert made.outcome == "agent_hung_up"


@pytest.mark.parametrize("number", ["99", "../guests"])
def test_what_the_order_book_does_not_know_is_a_sentence_for_the_model(number: str) -> None:
    call, _ = ring(Turn("Where is it?", (ToolUse("order_status", f'{{"number": "{number}"}}'), "I cannot find it.")))
    assert outputs(call)[0]
    assert "Traceback" not in outputs(call)[0]
