"""Plain functions as tools: what the model sees, and what it hears back, whatever the function does."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest

from runtime import CallContext
from runtime.definition import ToolDefinition
from runtime.errors import CatalogError, EntrypointError
from runtime.events import ToolFinished
from runtime.log import Formatter
from runtime.realtime.model import Gates, SidebandModel, ToolSession
from runtime.realtime.tools import read_tool
from runtime.simulator.service import serving
from runtime.tools import Tools
from samples.orders import book
from tests.house import agent, run

CONTEXT = CallContext("rtc_1", "+15550100001", "+15557654321", "desk")


@dataclass
class Table:
    number: int
    on: date


def find_table(people: int, day: Annotated[str, "ISO date"] = "today", kind: Literal["in", "out"] = "in") -> Table:
    """Find a free table.

    Use it before promising anything.

    Args:
        people: How many guests.
        kind: Inside or outside.
    """
    return Table(people, date(2026, 11, 27))


def who_calls(call: CallContext, greeting: str) -> str:
    """Say who calls."""
    return f"{greeting}, {call.caller} in {threading.current_thread().name}"


async def slow(seconds: float) -> str:
    """Take long."""
    import asyncio

    await asyncio.sleep(seconds)
    return "done"


def breaks() -> str:
    """Fail."""
    raise ValueError("the password is 1234")


def stops() -> str:
    """Stop the process, or so it thinks."""
    raise SystemExit(3)


async def exits() -> str:
    """Stop the event loop, or so it thinks."""
    raise SystemExit(3)


async def cancels() -> str:
    """Pass for somebody who was cancelled."""
    import asyncio

    raise asyncio.CancelledError


def interrupts() -> str:
    """Press Ctrl-C."""
    raise KeyboardInterrupt


def unfillable(lock: Callable[[], Any]) -> str:
    """Take what no JSON can hold."""
    return ""


def tool(name: str, **more: Any) -> ToolDefinition:
    return read_tool({"entrypoint": f"tests.test_tools:{name}", "name": name, "timeout_seconds": 5, **more})


def call(*calls: tuple[str, str, str], **more: Any) -> list[ToolFinished]:
    """Call tools through the SDK's session and return what the model hears."""
    finished: list[ToolFinished] = []

    async def work() -> None:
        import asyncio

        done = asyncio.Event()

        async def finish(event: Any) -> None:
            finished.append(event)
            if len(finished) == len({call_id for call_id, _, _ in calls}):
                done.set()

        names = dict.fromkeys(name for _, name, _ in calls)
        tools = [{"entrypoint": f"tests.test_tools:{name}", **more} for name in names if name in globals()]
        session = ToolSession([agent(f"tools: {json.dumps(tools)}\n", read_tool)], CONTEXT, _unused, finish)
        for one in calls:
            await session.run(*one)
        await done.wait()
        await session.close()

    run(work())
    return finished


async def _unused(event: Any) -> None:
    raise AssertionError(f"{event} was sent")


def test_the_model_sees_signature_and_docstring() -> None:
    made = tool("find_table")
    assert made.description == "Find a free table.\n\nUse it before promising anything."
    assert made.parameters == {
        "type": "object",
        "properties": {
            "people": {"type": "integer", "description": "How many guests."},
            "day": {"type": "string", "default": "today", "description": "ISO date"},
            "kind": {"type": "string", "enum": ["in", "out"], "default": "in", "description": "Inside or outside."},
        },
        "required": ["people"],
    }


def test_the_model_never_sees_the_call_context() -> None:
    assert tool("who_calls").parameters["properties"].keys() == {"greeting"}


def test_the_author_may_describe_a_tool_in_other_words() -> None:
    assert tool("find_table", description="For tables.").description == "For tables."


def test_a_type_that_no_model_can_fill_in_is_told() -> None:
    with pytest.raises(EntrypointError, match="that no model can fill in"):
        tool("unfillable")


def test_a_result_is_json_whatever_the_function_returns() -> None:
    (finished,) = call(("call_1", "find_table", '{"people": 4}'))
    assert json.loads(finished.output) == {"number": 4, "on": "2026-11-27"}
    assert not finished.failed


def test_a_plain_function_runs_in_a_thread_and_knows_its_call() -> None:
    (finished,) = call(("call_1", "who_calls", '{"greeting": "Hello"}'))
    assert json.loads(finished.output) == "Hello, +15557654321 in switchboard-tool"


@pytest.mark.parametrize("arguments", ['{"people": "many"}', "{}", "nonsense", "[]", '{"people": null}'])
def test_arguments_that_do_not_fit_give_the_model_a_sentence(arguments: str) -> None:
    (finished,) = call(("call_1", "find_table", arguments))
    assert finished.failed
    assert finished.output.startswith("The arguments do not fit.")


@pytest.mark.parametrize("name", ["breaks", "stops", "exits", "interrupts"])
def test_a_tool_that_raises_gives_the_model_a_safe_sentence_and_the_operator_the_traceback(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 21: an exception in a tool must not end the call's control."""
    first, second = call(("call_1", name, "{}"), ("call_2", "find_table", '{"people": 2}'))
    failed, fine = sorted((first, second), key=lambda event: event.tool_call_id)
    assert failed.failed
    assert "1234" not in failed.output
    assert not fine.failed
    (record,) = [record for record in caplog.records if record.getMessage() == "a tool failed"]
    assert "test_tools.py" in record.__dict__["error"]
    assert "1234" not in Formatter().format(record), "an exception's words may be a caller's"
    assert record.__dict__["call_id"] == "rtc_1"


def test_a_tool_that_cancels_itself_is_answered() -> None:
    (finished,) = call(("call_1", "cancels", "{}"))
    assert finished.failed


def test_a_tool_that_takes_too_long_gives_the_model_a_sentence() -> None:
    (finished,) = call(("call_1", "slow", '{"seconds": 60}'), timeout_seconds=0.01)
    assert finished.failed
    assert "too long" in finished.output


def test_a_tool_that_does_not_exist_is_told_to_the_model() -> None:
    (finished,) = call(("call_1", "no_such_tool", "{}"))
    assert finished.failed
    assert finished.output == "Tool no_such_tool not found"


def test_the_same_tool_call_told_twice_runs_once() -> None:
    assert len(call(("call_1", "find_table", '{"people": 4}'), ("call_1", "find_table", '{"people": 4}'))) == 1


def test_a_tool_that_may_run_once_at_a_time_on_a_host_waits_its_turn_over_all_calls() -> None:
    at_once: list[int] = [0, 0]

    async def work() -> None:
        async def invoke(context: CallContext, arguments: str) -> str:
            at_once[0] += 1
            at_once[1] = max(at_once)
            await asyncio.sleep(0)
            at_once[0] -= 1
            return "done"

        written = {"entrypoint": "shop:book", "name": "book", "timeout_seconds": 5, "max_parallel": 1}
        gates, ended = Gates(), asyncio.Semaphore(0)

        async def finish(event: Any) -> None:
            assert event.output == "done"
            ended.release()

        def reads(entry: Any) -> ToolDefinition:
            return ToolDefinition("book", "", {}, written, invoke)

        made = agent("tools: [{entrypoint: 'shop:book', max_parallel: 1}]\n", reads)
        sessions = [ToolSession([made], CONTEXT, _unused, finish, gates) for _ in range(3)]
        for number, session in enumerate(sessions):
            await session.run(f"call_{number}", "book", "{}")
        for _ in sessions:
            await ended.acquire()
        for session in sessions:
            await session.close()

    run(work())
    assert at_once[1] == 1


def test_a_slow_tool_does_not_hold_up_a_fast_one() -> None:
    first, _ = call(("call_1", "slow", '{"seconds": 0.05}'), ("call_2", "find_table", '{"people": 2}'))
    assert first.tool_call_id == "call_2"


def test_an_interruption_by_the_sdk_clears_what_is_buffered_too() -> None:
    """Trap 20: the SDK's own model only cancels the response; the caller goes on hearing it."""
    from agents.realtime.model_inputs import RealtimeModelSendInterrupt

    sent: list[str] = []

    async def send(event: Any) -> None:
        sent.append(event["type"])

    async def never(*_: str) -> None:
        raise AssertionError("no tool ran")

    run(SidebandModel(send, never, never).send_event(RealtimeModelSendInterrupt()))
    assert sent == ["response.cancel", "output_audio_buffer.clear"]


def test_the_sdk_cannot_send_session_settings_of_its_own() -> None:
    """Traps 2, 4, 5 and 6: its updates name another model, another voice and other tools."""
    from agents.realtime.model_inputs import RealtimeModelSendSessionUpdate

    moved: list[str] = []

    async def never(*_: str) -> None:
        raise AssertionError("no tool ran, and nothing is sent")

    async def moves() -> None:
        moved.append("handed off")

    run(SidebandModel(never, never, moves).send_event(RealtimeModelSendSessionUpdate({"voice": "ash"})))
    assert moved == ["handed off"]


# ── one reader for both kinds ─────────────────────────────────────────────────────────────────────────────────

ASKING = """
tools:
  - http:
      url: https://shop.example.com/orders/{{ number }}
      headers: {Authorization: {env: ORDERS_TOKEN}}
    name: order
    description: Looks an order up.
    arguments: {number: {type: string}}
  - entrypoint: "tests.test_tools:find_table"
lookup:
  http: {url: "http://localhost:8765/guests?number={{ call.caller }}"}
  defaults: {guest: ""}
"""


def test_functions_and_addresses_are_read_by_one_reader() -> None:
    made = agent(ASKING, Tools().read)
    assert [tool.name for tool in made.tools] == ["order", "find_table"]
    assert made.tools[0].parameters["required"] == ["number"]
    assert all(tool.invoke for tool in (*made.tools, made.abilities.lookup) if tool)


def test_what_calls_would_miss_is_a_problem_where_calls_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDERS_TOKEN", raising=False)
    with pytest.raises(CatalogError) as caught:
        agent(ASKING, Tools(serving=True).read)
    assert [str(problem) for problem in caught.value.problems] == [
        "agents/1.yaml:8:38: tools[1].http.headers.Authorization.env: the environment variable ORDERS_TOKEN is not "
        "set. Set ORDERS_TOKEN where Switchboard runs, to the whole value of the header Authorization.",
        "agents/1.yaml:14:15: lookup.http.url: the host 'localhost' is in a private network. "
        "Set SWITCHBOARD_HTTP_HOSTS=localhost:8765, and with commas all other hosts that tools call.",
    ]


def test_what_the_environment_gives_is_no_problem_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_TOKEN", "Bearer s3cret")
    monkeypatch.setenv("SWITCHBOARD_HTTP_HOSTS", "shop.example.com, localhost:8765")
    made = agent(ASKING, Tools(serving=True).read)
    assert "s3cret" not in repr(made) + repr(made.tools) + repr(made.data)


def test_tools_come_from_the_packages_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHBOARD_TOOL_PACKAGES", "samples")
    with pytest.raises(CatalogError, match=r"the module 'tests.test_tools' is not one for tools"):
        agent(ASKING, Tools().read)


def test_connections_are_kept_open_until_the_host_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stayed open would be a warning, and warnings are errors."""

    async def work() -> None:
        import asyncio

        async with serving(book()) as address:
            monkeypatch.setenv("SWITCHBOARD_HTTP_HOSTS", address.removeprefix("http://"))
            tools = Tools(serving=True)
            made = agent(f"lookup: {{http: {{url: '{address}/guests'}}, defaults: {{guest: ''}}}}\n", tools.read)
            assert made.abilities.lookup is not None
            assert made.abilities.lookup.invoke is not None
            assert json.loads(await made.abilities.lookup.invoke(CONTEXT, "{}"))["guest"] == ""
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tools.kept_open(), 0.01)

    run(work())
