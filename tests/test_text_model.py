"""Text models and judges against an OpenAI-compatible server on loopback: streams, tools, failures, patience."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runtime import threads
from runtime.chat import Answer, Wish
from runtime.errors import TextModelError
from runtime.realtime.text_model import Judge, TextModel
from runtime.simulator import clock, serving
from runtime.verdict import Verdict
from tests.house import run

KEY = "sk-secret-of-the-test"
TOOL = {"type": "function", "name": "find_table", "description": "Finds.", "parameters": {"type": "object"}}
HELLO = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}]


@dataclass
class Server:
    """An OpenAI-compatible server: one reply after another, the last for ever. It keeps what it was asked."""

    replies: list[Any]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    models: list[str] | None = None

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._list),
            ]
        )

    async def _complete(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        made = reply(self.asked[-1]) if callable(reply) else reply
        return made if isinstance(made, Response) else JSONResponse(made)

    async def _list(self, request: Request) -> Response:
        if self.models is None:
            return JSONResponse({"error": "no such page"}, 404)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})


def says(words: str | None, *wishes: tuple[str, str], end: str = "stop") -> dict[str, Any]:
    tools = [
        {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(wishes)
    ]
    message = {"role": "assistant", "content": words} | ({"tool_calls": tools} if tools else {})
    return {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": end}]}


def streams(*pieces: dict[str, Any] | str, is_cut: bool = False) -> Callable[[Any], Response]:
    """Reply with a stream of chunks; a text is sent as it stands. One that is cut ends without saying so."""

    async def lines() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece if isinstance(piece, str) else f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
        yield "" if is_cut else "data: [DONE]\n\n"

    return lambda asked: StreamingResponse(lines(), media_type="text/event-stream")


def delta(end: str | None = None, **said: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": end}]}


def fails(status: int, message: str = "No.", code: str | None = None, **headers: str) -> Response:
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return JSONResponse({"error": error}, status, headers=headers)


def once(response: Response) -> Callable[[Any], Response]:
    return lambda asked: response


def answer(server: Server, *, key: str = KEY, name: str = "small", items: Any = HELLO, **more: Any) -> Answer:
    """Ask once and return the answer."""
    patience = {each: more.pop(each) for each in list(more) if each.endswith("_seconds")}

    async def work() -> Answer:
        async with serving(server.app) as url:
            model = TextModel(f"{url}/v1", key, name, **patience)
            try:
                return await model.answer("Be brief.", items, [TOOL], **more)
            finally:
                model.close()

    return run(work())


def failure(server: Server, **more: Any) -> str:
    """Ask once and return why there is no answer, without the server's port."""
    with pytest.raises(TextModelError) as raised:
        answer(server, **more)
    return " ".join("SERVER" if word.startswith("127.0.0.1:") else word for word in str(raised.value).split())


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_model_sees_instructions_tools_and_what_was_said() -> None:
    server = Server([says("Good evening.")])
    assert answer(server) == Answer("Good evening.", (), "stop")
    (asked,) = server.asked
    assert (asked["model"], asked["tool_choice"]) == ("small", "auto")
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["find_table"]
    assert server.keys == [f"Bearer {KEY}"]


def test_an_answer_in_a_stream_is_the_same_as_a_whole_one() -> None:
    wish = {"index": 0, "id": "c1", "function": {"name": "find_table", "arguments": '{"people"'}}
    rest = {"index": 0, "function": {"arguments": ": 4}"}}
    pieces = (delta(content="One "), ": a comment\n\n", delta(content="moment."))
    streamed = answer(Server([streams(*pieces, delta(tool_calls=[wish]), delta("tool_calls", tool_calls=[rest]))]))
    whole = answer(Server([says("One moment.", ("find_table", '{"people": 4}'), end="tool_calls")]))
    assert streamed == whole == Answer("One moment.", (Wish("find_table", '{"people": 4}'),), "tool_calls")


WISH = {"function": {"name": "find_table", "arguments": '{"people"'}}
REST = {"function": {"arguments": ": 4}"}}
OTHER = {"function": {"name": "find_table", "arguments": "{}"}}


@pytest.mark.parametrize(
    "wishes",
    [
        [{"index": 0, "id": "c1", **WISH}, {"index": 0, **REST}, {"index": 1, "id": "c2", **OTHER}],
        [{"index": 0, "id": "c1", **WISH}, {"index": 0, **REST}, {"index": 0, "id": "c2", **OTHER}],
        [{"id": "c1", **WISH}, {"id": "c1", **REST}, {"id": "c2", **OTHER}],
    ],
    ids=["by index", "the same index", "no index"],
)
def test_several_tool_calls_come_in_pieces_beside_words_that_are_null(wishes: list[Any]) -> None:
    pieces = [delta(role="assistant", content=None), *(delta(content=None, tool_calls=[wish]) for wish in wishes)]
    found = answer(Server([streams(*pieces, delta("tool_calls"))]))
    assert found == Answer("", (Wish("find_table", '{"people": 4}'), Wish("find_table", "{}")), "tool_calls")


def test_an_answer_is_read_whatever_it_is_called_and_whichever_line_ends_it_holds() -> None:
    said = "Eight\u2028or\x85nine?"
    whole = once(Response(json.dumps(says(said), ensure_ascii=False), media_type="text/plain"))
    parts = json.dumps(delta("stop", content=said), ensure_ascii=False)
    line = once(Response(f"event: x\r\ndata:{parts}\r\n\r\ndata: [DONE]\r\n\r\n", media_type="application/json"))
    for reply in (whole, line, streams(delta(content=said), delta("stop"))):
        assert answer(Server([reply])).words == said


def test_a_server_that_does_not_stream_is_asked_for_a_whole_answer() -> None:
    server = Server([once(fails(500, "Cannot use tools with stream")), says("Yes?")])
    assert answer(server).words == "Yes?"
    assert [asked["stream"] for asked in server.asked] == [True, False]


def test_an_upstream_that_fails_is_no_reason_not_to_stream() -> None:
    server = Server([once(fails(502, "upstream connect error")), says("Yes?")])
    assert answer(server).words == "Yes?"
    assert [asked["stream"] for asked in server.asked] == [True, True]


def test_several_tools_and_broken_arguments_are_handed_on() -> None:
    found = answer(Server([says(None, ("find_table", '{"people": 4}'), ("find_table", "{people"))]))
    assert found.wishes == (Wish("find_table", '{"people": 4}'), Wish("find_table", "{people"))


def test_a_model_without_leave_to_use_tools_uses_none_whatever_it_answers() -> None:
    server = Server([says("Goodbye.", ("find_table", "{}"))])
    assert answer(server, may_use_tools=False) == Answer("Goodbye.", (), "stop")
    assert server.asked[0]["tool_choice"] == "none"


def test_a_server_on_this_machine_is_asked_without_a_key() -> None:
    server = Server([says("Yes?")])
    answer(server, key="")
    assert server.keys == [None]


def test_many_questions_at_once_share_one_model() -> None:
    server = Server([says("Yes?")])

    async def work() -> list[Answer]:
        async with serving(server.app) as url:
            model = TextModel(f"{url}/v1", KEY, "small")
            found = await asyncio.gather(*(model.answer("Be brief.", HELLO) for _ in range(20)))
            model.close()
            return found

    assert [one.words for one in run(work())] == ["Yes?"] * 20


def test_one_model_serves_one_event_loop_after_another() -> None:
    server = Server([says("Yes?")])
    model: list[TextModel] = []

    async def ask() -> str:
        return (await model[0].answer("Be brief.", HELLO)).words

    async def work() -> None:
        async with serving(server.app) as url:
            model.append(TextModel(f"{url}/v1", KEY, "small"))
            for _ in range(2):
                assert await asyncio.to_thread(asyncio.run, ask()) == "Yes?"
            model[0].close()

    run(work())


def test_a_clock_that_jumps_waits_for_the_model() -> None:
    """A rehearsal's minutes must not pass while a model thinks."""
    release, stop, address = threading.Event(), threading.Event(), Future[str]()

    def held(asked: Any) -> Response:
        assert release.wait(10)
        return JSONResponse(says("Yes?"))

    async def serve() -> None:
        async with serving(Server([held]).app) as url:
            address.set_result(f"{url}/v1")
            await asyncio.to_thread(stop.wait, 20)

    async def ask() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_later(0.05, release.set)
        loop.call_later(3600, lambda: None)
        model = TextModel(address.result(10), KEY, "small")
        await model.answer("Be brief.", HELLO)
        model.close()
        return loop.time() - began

    server = threading.Thread(target=asyncio.run, args=(serve(),))
    server.start()
    try:
        assert clock.run(ask(), threads.at_work) < 60
    finally:
        stop.set()
        server.join()


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "first", [fails(429), fails(500), fails(503, **{"retry-after": "0"})], ids=["429", "500", "503"]
)
def test_what_may_pass_is_asked_again(first: Response) -> None:
    server = Server([once(first), says("Yes?")])
    assert answer(server).words == "Yes?"
    assert len(server.asked) == 2


def test_a_stream_that_breaks_off_is_asked_for_again() -> None:
    async def half() -> AsyncIterator[str]:
        yield f"data: {json.dumps(delta(content='Good ev'))}\n\n"
        raise ConnectionResetError

    broken = StreamingResponse(half(), media_type="text/event-stream")
    server = Server([once(broken), says("Good evening.")])
    assert answer(server).words == "Good evening."


def test_a_stream_that_ends_in_the_middle_without_a_word_is_asked_for_again() -> None:
    """A proxy that gives up closes what it sent as if it were whole."""
    cut = streams(delta(content="Good ev"), is_cut=True)
    assert answer(Server([cut, says("Good evening.")])).words == "Good evening."
    told = failure(Server([cut]), try_again_seconds=0)
    assert told == "'small' at SERVER broke off in the middle of its answer."


@pytest.mark.parametrize("end", ["stop", ""], ids=["an end and no DONE", "DONE and no end"])
def test_either_sign_of_the_end_is_enough(end: str) -> None:
    reply = streams(delta(content="Yes?"), delta(end or None), is_cut=bool(end))
    assert answer(Server([reply])).words == "Yes?"


def test_what_does_not_pass_is_given_up_in_time() -> None:
    server = Server([once(fails(503, "Overloaded."))])
    assert failure(server, try_again_seconds=1) == "SERVER failed (503): Overloaded."
    assert len(server.asked) == 2


def test_a_server_that_wants_to_be_left_alone_for_long_is_left_alone() -> None:
    server = Server([once(fails(429, "Slow down.", **{"retry-after": "3600"}))])
    assert failure(server) == "SERVER has too many requests at the moment: Slow down."
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (fails(401, f"Incorrect API key provided: {KEY}."), "SERVER does not know the key. OPENAI_API_KEY holds it."),
        (fails(429, "Pay.", "insufficient_quota"), "SERVER has no credit left for this key. Look at its billing."),
        (fails(400, f"Bad with {KEY}"), "SERVER refused the request for 'small' (400): Bad with …."),
        (
            JSONResponse({"detail": "Not Found"}, 404),
            "SERVER takes no Chat Completions at /v1/chat/completions. "
            "Correct SWITCHBOARD_TEXT_BASE_URL or OPENAI_BASE_URL; most addresses end with /v1.",
        ),
        (
            Response("<html>", media_type="text/html"),
            "SERVER answered with no Chat Completion. Does its address end as its maker says, mostly with /v1?",
        ),
        (JSONResponse({"error": {"message": "Out of memory."}}), "'small' at SERVER broke off: Out of memory."),
        (
            JSONResponse(says(None, end="content_filter")),
            "SERVER withheld the answer of 'small': its filter found it unfit.",
        ),
    ],
    ids=["key", "quota", "refused", "address", "no completion", "error inside", "filter"],
)
def test_each_failure_is_a_sentence_that_shows_no_key(reply: Response, sentence: str) -> None:
    server = Server([once(reply)])
    assert failure(server) == sentence
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "is_lasting"),
    [
        (fails(401), True),
        (fails(403), True),
        (fails(404), True),
        (fails(404, code="model_not_found"), True),
        (fails(402), True),
        (fails(429, "Pay.", "insufficient_quota"), True),
        (Response("<html>", media_type="text/html"), True),
        (Response(status_code=307, headers={"location": "/v2"}), True),
        (fails(400), False),
        (fails(429), False),
        (fails(500), False),
        (JSONResponse({"error": "Out of memory."}), False),
        (JSONResponse({"choices": []}), False),
        (JSONResponse(says(None, end="content_filter")), False),
    ],
)
def test_a_failure_says_whether_it_is_lasting(reply: Response, is_lasting: bool) -> None:
    with pytest.raises(TextModelError) as raised:
        answer(Server([once(reply)]), try_again_seconds=0)
    assert raised.value.lasting is is_lasting


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_was_said_is_not_sent_on_to_another_address(status: int) -> None:
    server = Server([once(Response(status_code=status, headers={"location": "http://127.0.0.1:9/v1"}))])
    cure = "Write that address in SWITCHBOARD_TEXT_BASE_URL or OPENAI_BASE_URL."
    assert failure(server) == f"SERVER sends the request on to http://127.0.0.1:9/v1. {cure}"
    assert len(server.asked) == 1


def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    broken = streams(delta(content="Good ev"), {"error": {"message": "Out of memory."}})
    assert failure(Server([broken])) == "'small' at SERVER broke off: Out of memory."


def test_words_that_are_no_text_are_not_asked_about() -> None:
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "\ud800"}]}]
    told = "'small' at SERVER cannot be asked: what was said or told in the call is no text that can be sent."
    assert failure(Server([says("Yes?")]), items=items) == told


class Endless(StreamingResponse):
    """Sends the same for ever, until nobody listens."""

    def __init__(self, first: str, again: str) -> None:
        async def parts() -> AsyncIterator[str]:
            yield first
            while True:
                yield again
                await asyncio.sleep(0)

        super().__init__(parts(), media_type="text/event-stream")


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("", ": still at work\n\n"),
        ("", f"data: {json.dumps(delta(content='la '))}\n\n"),
        (f"data: {json.dumps(delta(content='Well'))}\n\n", "x"),
        ('{"choices": "', "x"),
    ],
    ids=["signs of life", "words", "a line without end", "a body without end"],
)
def test_a_server_that_never_ends_its_answer_is_left(first: str, again: str) -> None:
    said = failure(Server([once(Endless(first, again))]), answer_seconds=0.3)
    assert said == "'small' at SERVER came to no end."


@pytest.mark.parametrize(
    "reply",
    [
        Response(json.dumps(says("x" * 1_000_001)), media_type="application/json"),
        Response(b'{"choices": "' + b"x" * 50_000_000, media_type="application/json"),
    ],
    ids=["words", "bytes"],
)
def test_an_answer_that_is_too_long_is_none(reply: Response) -> None:
    assert failure(Server([once(reply)])) == "'small' at SERVER came to no end."


def test_a_server_that_wants_a_key_says_so() -> None:
    assert failure(Server([once(fails(401))]), key="") == "SERVER wants a key. OPENAI_API_KEY holds it."


@pytest.mark.parametrize(
    ("models", "cure"),
    [
        (["qwen3:8b", "small-2"], "Did you mean 'small-2'?"),
        (["qwen3:8b"], "It has qwen3:8b."),
        (["smal", "qwen3:8b"], "It has qwen3:8b."),
        (["smal"], "Name one that it has."),
        (None, "Name one that it has."),
    ],
)
@pytest.mark.parametrize(
    "reply",
    [fails(404, "The model `smal` does not exist", "model_not_found"), fails(404, "model 'smal' not found")],
    ids=["OpenAI", "Ollama"],
)
def test_an_unknown_model_is_told_with_those_that_there_are(reply: Response, models: Any, cure: str) -> None:
    assert failure(Server([once(reply)], models=models), name="smal") == f"SERVER has no model 'smal'. {cure}"


def test_a_failure_that_will_not_pass_is_asked_about_once() -> None:
    server = Server([once(fails(401))])

    async def work() -> None:
        async with serving(server.app) as url:
            model = TextModel(f"{url}/v1", KEY, "small")
            for _ in range(3):
                with pytest.raises(TextModelError):
                    await model.answer("Be brief.", HELLO)
            assert model.failure is not None
            model.close()

    run(work())
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    async def work() -> str:
        model = TextModel("http://127.0.0.1:9/v1", KEY, "small", try_again_seconds=0)
        try:
            await model.answer("Be brief.", HELLO)
        except TextModelError as error:
            return str(error)
        finally:
            model.close()
        return ""

    said = run(work())
    assert said.startswith("127.0.0.1:9 cannot be reached (")
    assert said.endswith("). Is the server running?")


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "in the middle of a stream"])
def test_a_model_that_says_nothing_is_not_waited_for_for_ever(begun: bool) -> None:
    over = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        if begun:
            yield f"data: {json.dumps(delta(content='Well'))}\n\n"
        await asyncio.wait_for(over.wait(), 1)
        yield ""

    class Silent(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

    reply = StreamingResponse(slow(), media_type="text/event-stream") if begun else Silent()
    began = time.monotonic()
    said = failure(Server([once(reply)]), patience_seconds=0.2)
    assert said == "'small' at SERVER said nothing for 0.2 s. Is the model too large for its machine?"
    assert time.monotonic() - began < 10


# ── judging ───────────────────────────────────────────────────────────────────────────────────────────────────


def judged(server: Server, *rules: str) -> list[Verdict]:
    async def work() -> list[Verdict]:
        async with serving(server.app) as url:
            model = TextModel(f"{url}/v1", KEY, "small", try_again_seconds=0)
            judge = Judge(model)
            found = [await judge.judge(rule, "caller: Hello.\nagent: Good evening.") for rule in rules]
            model.close()
            return found

    return run(work())


@pytest.mark.parametrize("passed", [True, False])
def test_a_judge_passes_or_fails_with_a_reason(passed: bool) -> None:
    server = Server([says(json.dumps({"reason": "It greeted.", "passed": passed}))])
    assert judged(server, "was polite") == [Verdict(passed, "It greeted.")]
    (asked,) = server.asked
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert "was polite" in asked["messages"][1]["content"]


def test_a_judge_that_takes_no_form_is_asked_without_and_remembered() -> None:
    refusal = fails(400, "Unknown parameter: 'response_format'.")
    verdict = says('{"reason": "Yes.", "passed": true}')
    server = Server([once(refusal), verdict])
    assert judged(server, "was polite", "was brief") == [Verdict(True, "Yes."), Verdict(True, "Yes.")]
    assert ["response_format" in asked for asked in server.asked] == [True, False, False]


def test_a_judge_that_cannot_answer_passes_nothing() -> None:
    (unclear,) = judged(Server([says("It was fine, passed: true")]), "was polite")
    (down,) = judged(Server([once(fails(503, "Overloaded."))]), "was polite")
    assert (unclear.passed, unclear.reason) == (None, "'small' answered with no verdict")
    assert down.passed is None
    assert down.reason.endswith("failed (503): Overloaded.")
