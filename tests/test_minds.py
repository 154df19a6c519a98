"""Minds and judges out of the environment: where they ask, with which key, and what a simulated model then does."""

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runtime import threads
from runtime.errors import SettingsError
from runtime.minds import judge_for, mind_for
from runtime.realtime.tools import read_tool
from runtime.settings import text_endpoint
from runtime.simulator import Script, ToolUse, Turn, clock, serving
from runtime.simulator.mind import Asked
from tests.house import MINIMAL, run
from tests.line import line


def replied(message: dict[str, Any]) -> Any:
    """Ask a mind once whose model answers so."""

    async def complete(request: Request) -> JSONResponse:
        return JSONResponse({"choices": [{"message": message, "finish_reason": "stop"}]})

    async def work() -> Any:
        app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
        async with serving(app) as url:
            mind = mind_for("small", {"SWITCHBOARD_TEXT_BASE_URL": f"{url}/v1"})
            try:
                return await mind.reply(Asked("rtc_1", "Be brief.", [], []))
            finally:
                mind.close()

    return run(work())


WISH = {"id": "c1", "function": {"name": "find_table", "arguments": '{"people": 4}'}}


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"content": "Good evening."}, ("Good evening.",)),
        ({"content": None, "tool_calls": [WISH]}, (ToolUse("find_table", '{"people": 4}'),)),
        ({"content": "Wait.", "tool_calls": [WISH]}, ("Wait.", ToolUse("find_table", '{"people": 4}'))),
        ({"content": ""}, ()),
    ],
    ids=["words", "a tool", "words and a tool", "nothing"],
)
def test_a_text_model_decides_what_the_simulated_one_does(message: dict[str, Any], reply: Any) -> None:
    assert replied(message) == reply


def test_a_judge_is_found_in_the_same_place() -> None:
    async def complete(request: Request) -> JSONResponse:
        words = json.dumps({"reason": "It greeted.", "passed": True})
        return JSONResponse({"choices": [{"message": {"content": words}}]})

    async def work() -> bool | None:
        app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
        async with serving(app) as url:
            judge = judge_for("small", {"OPENAI_BASE_URL": f"{url}/v1"})
            verdict = await judge.judge("was polite", "agent: Good evening.")
            judge.close()
            return verdict.passed

    assert run(work()) is True


@pytest.mark.parametrize(
    ("environment", "base_url", "key"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, "https://api.openai.com/v1", "sk-1"),
        ({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "https://eu.example/v1/"}, "https://eu.example/v1", "sk-1"),
        (
            {"OPENAI_BASE_URL": "https://eu.example/v1", "SWITCHBOARD_TEXT_BASE_URL": "http://localhost:11434/v1"},
            "http://localhost:11434/v1",
            "",
        ),
        ({"SWITCHBOARD_TEXT_BASE_URL": "http://[::1]:8000/v1", "OPENAI_API_KEY": "x"}, "http://[::1]:8000/v1", "x"),
    ],
)
def test_where_text_models_are_asked(environment: dict[str, str], base_url: str, key: str) -> None:
    found = text_endpoint(environment)
    assert (found.base_url, found.api_key) == (base_url, key)


@pytest.mark.parametrize("make", [mind_for, judge_for])
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {},
            "OPENAI_API_KEY is not set. Make the key for your project at platform.openai.com, API keys. "
            "A model on this machine needs none: SWITCHBOARD_TEXT_BASE_URL=http://localhost:11434/v1 names its server.",
        ),
        (
            {"SWITCHBOARD_TEXT_BASE_URL": "http://models.example/v1"},
            "OPENAI_API_KEY is not set. SWITCHBOARD_TEXT_BASE_URL names a server that is not this machine: "
            "set its key, or any word where it wants none.",
        ),
        (
            {"SWITCHBOARD_TEXT_BASE_URL": "localhost:8000"},
            "SWITCHBOARD_TEXT_BASE_URL is not an address that begins with http:// or https://. Correct it or unset it.",
        ),
    ],
)
def test_what_is_missing_is_told_with_its_cure(make: Any, environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        make("small", environment)
    assert str(raised.value) == said


# ── in a call ─────────────────────────────────────────────────────────────────────────────────────────────────


def table_for(people: int) -> str:
    """Finds a table."""
    return f"a table for {people}"


def test_a_call_is_played_by_a_text_model_through_the_real_host() -> None:
    """Greeting word for word, a question, a tool with its result, and a goodbye, on a clock that jumps."""
    asked: list[list[dict[str, Any]]] = []
    use = {"id": "c1", "function": {"name": "table_for", "arguments": '{"people": 4}'}}
    answers = iter([{"content": "For how many?"}, {"content": None, "tool_calls": [use]}, {"content": "There is one."}])

    async def complete(request: Request) -> JSONResponse:
        asked.append((await request.json())["messages"])
        return JSONResponse({"choices": [{"message": next(answers)}]})

    agent = MINIMAL + "greeting: Casa Nova, hello.\ntools: [{entrypoint: 'tests.test_minds:table_for'}]\n"
    script = Script((Turn("A table, please."), Turn("For four.")))
    kept: list[Any] = []

    async def work() -> None:
        app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
        async with serving(app) as url:
            mind = mind_for("small", {"SWITCHBOARD_TEXT_BASE_URL": f"{url}/v1"})
            async with line(agent, read_tool=read_tool, pace=1, mind=mind) as made:
                call = await made.ring(script=script)
                await call.ended.wait()
                await made.quiet()
                kept.append(call.peer)
            mind.close()

    clock.run(work(), threads.at_work)
    said = [response.said for response in kept[0].responses if response.said]
    assert said == ["Casa Nova, hello.", "For how many?", "There is one."]
    assert [(one["role"], one.get("content")) for one in asked[-1]] == [
        ("system", "Be brief."),
        ("assistant", "Casa Nova, hello."),
        ("user", "A table, please."),
        ("assistant", "For how many?"),
        ("user", "For four."),
        ("assistant", None),
        ("tool", '"a table for 4"'),
    ]
