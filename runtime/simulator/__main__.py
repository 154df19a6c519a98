"""`python -m runtime.simulator`: the simulator as a process of its own, driven over HTTP by a benchmark.

It holds the command line and the control routes, nothing of the simulated protocol.

    POST   /control/calls   {"webhook_url", "secret", "count", "rate", "called", "caller", "turns", …}
    GET    /control/calls   every call's outcome and times, in ms since its webhook was sent
    POST   /control/hangup  every caller hangs up
    DELETE /control/calls   forgets the calls that are over
"""

import argparse
import asyncio
import signal
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runtime.simulator.script import Reply, Script, Silence, Step, ToolUse, Turn
from runtime.simulator.service import Service, SimulatedCall, serving


class Control:
    """The control routes of one service: `routes` go into it, then it is set as `service`."""

    service: Service

    def __init__(self) -> None:
        self.routes = [
            Route("/control/calls", self.start, methods=["POST"]),
            Route("/control/calls", self.report, methods=["GET"]),
            Route("/control/calls", self.forget, methods=["DELETE"]),
            Route("/control/hangup", self.hang_up, methods=["POST"]),
        ]

    async def start(self, request: Request) -> JSONResponse:
        """Rings `count` calls, `rate` of them a second, and answers at once with their ids."""
        plan: dict[str, Any] = await request.json()
        script = script_of(plan)
        calls = [
            self.service.new_call(
                called=plan.get("called", "+15550100001"),
                caller=plan.get("caller", "+15557654321"),
                script=script,
            )
            for _ in range(plan.get("count", 1))
        ]
        self.service.spawn(self._ring(calls, plan))
        return JSONResponse({"call_ids": [call.call_id for call in calls]}, 202)

    async def _ring(self, calls: list[SimulatedCall], plan: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        start, rate = loop.time(), plan.get("rate", 50)
        for index, call in enumerate(calls):
            await asyncio.sleep(max(0.0, start + index / rate - loop.time()))
            self.service.spawn(self._ring_one(call, plan["webhook_url"], plan["secret"]))

    async def _ring_one(self, call: SimulatedCall, webhook_url: str, secret: str) -> None:
        try:
            await self.service.ring(call, webhook_url, secret)
        except httpx2.HTTPError:
            call.webhook_status = 0  # the host could not be reached; the report shows it

    async def report(self, request: Request) -> JSONResponse:
        return JSONResponse({"calls": [times_of(call) for call in self.service.calls.values()]})

    async def hang_up(self, request: Request) -> JSONResponse:
        live = [call for call in self.service.calls.values() if not call.ended.is_set()]
        for call in live:
            call.hangs_up()
        return JSONResponse({"hung_up": len(live)})

    async def forget(self, request: Request) -> JSONResponse:
        over = [call_id for call_id, call in self.service.calls.items() if call.ended.is_set()]
        for call_id in over:
            del self.service.calls[call_id]
        return JSONResponse({"forgotten": len(over)})


def script_of(plan: dict[str, Any]) -> Script:
    """The script in a control request.

    `turns` is a list of `{"caller": "…", "model": …}` or `{"silence": seconds}`, said `repeat` times; a model
    reply is a sentence, `{"tool": name, "arguments": "{…}"}`, or a list of these. With `hold` the caller
    stays on the line at the end.
    """
    steps = tuple(_step(turn) for turn in plan.get("turns", ()))
    return Script(
        steps * plan.get("repeat", 1),
        hangs_up=not plan.get("hold", False),
        caller_first=plan.get("caller_first", False),
        patience=plan.get("patience", 5.0),
        rest=plan.get("rest", 0.0),
    )


def _step(turn: dict[str, Any]) -> Step:
    if "silence" in turn:
        return Silence(turn["silence"])
    model = turn.get("model", ())
    model = model if isinstance(model, list) else [model] if model else []
    return Turn(turn.get("caller"), tuple(_reply(reply) for reply in model))


def _reply(reply: Any) -> Reply:
    return reply if isinstance(reply, str) else ToolUse(reply["tool"], reply.get("arguments", "{}"))


def times_of(call: SimulatedCall) -> dict[str, Any]:
    """What happened when, in ms since the webhook was sent; null for what did not happen."""
    first: dict[str, float] = {}
    for at, what in call.timeline:
        first.setdefault(what, at)
    sent = first.get("webhook_sent", 0.0)

    def since(what: str) -> float | None:
        return round((first[what] - sent) * 1000, 3) if what in first else None

    return {
        "call_id": call.call_id,
        "outcome": call.outcome,
        "voice": call.peer.session["audio"]["output"]["voice"] if call.peer.session else None,
        "webhook_status": call.webhook_status,
        "webhook_ms": since("webhook_answered"),
        "accept_ms": since("accepted"),
        "attach_ms": since("attached"),
        "update_ms": since("session_update"),
        "greeting_ms": since("response_create"),
        "ended_ms": since("ended"),
        "turns_ms": _turns(call.timeline),
        "errors": [error["code"] for error in call.peer.errors],
    }


def _turns(timeline: list[tuple[float, str]]) -> list[float]:
    """For each answered turn, the time from the caller's last word to the agent's first sound."""
    latencies, spoken = [], None
    for at, what in timeline:
        if what == "turn":
            spoken = at
        elif what == "answer" and spoken is not None:
            latencies.append(round((at - spoken) * 1000, 3))
            spoken = None
    return latencies


async def run(port: int, pace: float, api_key: str | None) -> None:
    control = Control()
    control.service = Service(api_key=api_key, pace=pace, routes=control.routes)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(control.service.app, port=port) as base_url:
        print(f"simulator on {base_url}", flush=True)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m runtime.simulator", description="The simulator, alone.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 lets the kernel choose")
    parser.add_argument("--pace", type=float, default=1.0, help="1 is the pace of speech, 0 takes no time")
    parser.add_argument("--api-key", help="the bearer key that every request must carry")
    options = parser.parse_args()
    asyncio.run(run(options.port, options.pace, options.api_key))


if __name__ == "__main__":
    main()
