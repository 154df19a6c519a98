"""The control: the SDK's stock `OpenAIRealtimeSIPModel` behind a webhook, as its documentation shows it.

Written to be fast as well as right: the webhook is answered at once, the accept body is built once and carries
the complete session, and the greeting is asked for as soon as the sideband is open. It serves under the host's
own uvicorn settings. `python -m benchmarks.control --port N` runs it with the host's environment variables.
"""

import argparse
import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession, RealtimeSessionModelSettings
from agents.realtime.model_inputs import RealtimeModelSendRawMessage
from agents.realtime.openai_realtime import OpenAIRealtimeSIPModel
from openai import APIStatusError, AsyncOpenAI, InvalidWebhookSignatureError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.exceptions import ConnectionClosedError

from agents import function_tool
from benchmarks import agent as served

logger = logging.getLogger("control")

AGENT: RealtimeAgent[Any] = RealtimeAgent(
    name="front-desk",
    instructions=served.INSTRUCTIONS,
    tools=[function_tool(served.find_table), function_tool(served.book_table)],
)
SETTINGS: RealtimeSessionModelSettings = {
    "audio": {
        "input": {
            "transcription": {"model": served.TRANSCRIPTION},
            "turn_detection": {"type": "semantic_vad", "create_response": True, "interrupt_response": True},
        },
        "output": {"voice": served.VOICE, "speed": 1.0},
    },
    "tracing": None,  # told at accept: once on it may not change, and the stock model would say "auto"
}


class Control:
    """The webhook's app. Each call is a task: accept, attach, greet, and read until the line closes."""

    def __init__(self) -> None:
        self._client = AsyncOpenAI()  # key, address and webhook secret come from the environment
        self._sideband_url = str(self._client.base_url).replace("http", "ws", 1) + "realtime"
        self._session: dict[str, Any] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        self.app = Starlette(
            routes=[Route("/openai/webhook", self._webhook, methods=["POST"]), Route("/readyz", self._ready)],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._session = await _session()
        yield
        for task in self._calls.values():
            task.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        await self._client.close()

    async def _ready(self, request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    async def _webhook(self, request: Request) -> Response:
        try:
            event = self._client.webhooks.unwrap(await request.body(), request.headers)
        except InvalidWebhookSignatureError:
            return Response(status_code=400)
        if event.type == "realtime.call.incoming" and event.data.call_id not in self._calls:
            call_id = event.data.call_id
            task = self._calls[call_id] = asyncio.create_task(self._serve(call_id))
            task.add_done_callback(lambda done: self._calls.pop(call_id, None))
        return Response(status_code=200)

    async def _serve(self, call_id: str) -> None:
        tracing = {"workflow_name": AGENT.name, "group_id": call_id}
        try:
            await self._client.realtime.calls.accept(call_id, **self._session, tracing=tracing)  # type: ignore[arg-type]
        except APIStatusError as error:
            logger.error("call %s was not accepted: %s", call_id, error.message)
            return
        logger.info("accepted call %s", call_id)
        runner = RealtimeRunner(AGENT, model=OpenAIRealtimeSIPModel())
        url = f"{self._sideband_url}?call_id={call_id}"
        try:
            async with await runner.run(
                model_config={"call_id": call_id, "url": url, "initial_model_settings": SETTINGS}
            ) as session:
                await _converse(session)
        except ConnectionClosedError:
            pass  # callers who hang up close the socket without a frame
        except Exception:
            logger.exception("call %s failed", call_id)
        logger.info("call %s ended", call_id)


async def _converse(session: RealtimeSession) -> None:
    greeting = {"instructions": f'Say exactly: "{served.GREETING}"'}
    await session.model.send_event(
        RealtimeModelSendRawMessage(message={"type": "response.create", "other_data": {"response": greeting}})
    )
    async for event in session:
        if event.type == "error":
            logger.error("the session told of an error: %s", event.error)


async def _session() -> dict[str, Any]:
    """Return the accept body: what the SDK will send on attach, without the formats that SIP settles itself."""
    payload = await OpenAIRealtimeSIPModel.build_initial_session_payload(
        AGENT, model_config={"initial_model_settings": SETTINGS}, overrides={"model_name": served.MODEL}
    )
    session = payload.model_dump(exclude_unset=True, by_alias=True, mode="json")
    for group in session["audio"].values():
        group.pop("format", None)
    return session


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control", description="The control, alone.")
    parser.add_argument("--port", type=int, default=8080, help="port on 127.0.0.1 (default: 8080)")
    port = parser.parse_args().port
    os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "1")
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    config = uvicorn.Config(Control().app, port=port, lifespan="on", log_config=None, access_log=False, ws="none")
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
