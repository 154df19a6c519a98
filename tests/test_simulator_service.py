"""The simulator on loopback: webhooks, control endpoints, sidebands and callers that play scripts."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runtime.simulator import (
    Behavior,
    Interrupt,
    Keys,
    Script,
    Service,
    Silence,
    SimulatedCall,
    ToolUse,
    Turn,
    empty_event,
    serving,
    sign,
)
from runtime.simulator.__main__ import Control

SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzaW11bGF0b3I="
GREET = {"type": "response.create", "response": {"instructions": 'Say """Good morning."""'}}


@dataclass
class House:
    """A served simulator, a client of it, and, on the same server, a host that only keeps its webhooks."""

    service: Service
    base_url: str
    webhook_url: str
    client: httpx2.AsyncClient
    webhooks: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def post(self, call_id: str, verb: str, body: Any = None) -> httpx2.Response:
        return await self.client.post(f"/v1/realtime/calls/{call_id}/{verb}", json=body)

    async def accept(self, call: SimulatedCall) -> None:
        assert (await self.post(call.call_id, "accept", {"type": "realtime"})).status_code == 200

    def attach(self, call_id: str, key: str = "sk-test") -> connect:
        url = self.base_url.replace("http:", "ws:") + f"/v1/realtime?call_id={call_id}"
        return connect(url, additional_headers={"authorization": f"Bearer {key}"}, compression=None)


@contextlib.asynccontextmanager
async def house(*, status: int = 200, **settings: Any) -> AsyncIterator[House]:
    webhooks: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: Request) -> Response:
        webhooks.append((dict(request.headers), await request.body()))
        return Response(status_code=status)

    routes = [Route("/webhook", receive, methods=["POST"]), *settings.pop("routes", ())]
    service = Service(**{"pace": 0, "api_key": "sk-test", **settings}, routes=routes)
    headers = {"authorization": "Bearer sk-test"}
    async with (
        serving(service.app) as base_url,
        httpx2.AsyncClient(base_url=base_url, headers=headers, trust_env=False, verify=False) as client,
    ):
        yield House(service, base_url, f"{base_url}/webhook", client, webhooks)


def run(test: Callable[[House], Awaitable[None]], **settings: Any) -> None:
    async def inside() -> None:
        async with asyncio.timeout(10), house(**settings) as made:
            await test(made)

    asyncio.run(inside())


async def read(socket: ClientConnection) -> list[dict[str, Any]]:
    """Every event until the socket closes."""
    events = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            events.append(json.loads(await socket.recv()))
    return events


async def read_until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await socket.recv())
        if event["type"] == kind:
            return event


async def say(socket: ClientConnection, *events: dict[str, Any]) -> None:
    for event in events:
        await socket.send(json.dumps(event))


# --- webhooks ---


def test_a_webhook_verifies_with_openai_s_own_client() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call(called="+15550100001", caller="+15557654321")
        assert await house.service.ring(call, house.webhook_url, SECRET) == 200
        ((headers, body),) = house.webhooks
        with OpenAI(api_key="x", webhook_secret=SECRET) as client:
            event = client.webhooks.unwrap(body, headers)
        assert event.type == "realtime.call.incoming"
        assert event.data.call_id == call.call_id
        sent = {header.name: header.value for header in event.data.sip_headers}
        assert sent["Diversion"] == "<sip:+15550100001@twilio.com>;reason=unconditional"
        assert "proj_" in sent["To"]
        assert "+15557654321" in sent["From"]
        assert headers["user-agent"] == "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
        assert [what for _, what in call.timeline] == ["webhook_sent", "webhook_answered"]

    run(test)


def test_a_duplicate_carries_the_same_webhook_id_and_the_host_s_status_comes_back() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call(trunk="zadarma")
        for _ in range(2):
            assert await house.service.ring(call, house.webhook_url, SECRET) == 503
        first, second = (headers["webhook-id"] for headers, _ in house.webhooks)
        assert first == second
        assert call.webhook_status == 503

    run(test, status=503)


def test_a_test_event_has_empty_data() -> None:
    async def test(house: House) -> None:
        event = empty_event(created_at=1)
        await house.service.deliver(event, house.webhook_url, "plain secret", webhook_id="wh_1", timestamp=7)
        headers, body = house.webhooks[0]
        assert json.loads(body)["data"] == {}
        assert headers["webhook-timestamp"] == "7"
        assert headers["webhook-signature"] == sign("plain secret", "wh_1", 7, body)["webhook-signature"]

    run(test)


def test_a_secret_that_is_not_base64_is_named_as_such() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        sign("whsec_abc", "wh_1", 1, b"")


# --- control endpoints ---


def test_an_unknown_call_is_not_found_at_any_endpoint() -> None:
    async def test(house: House) -> None:
        for verb in ("accept", "reject", "refer", "hangup"):
            response = await house.post("rtc_nobody", verb, {})
            assert response.status_code == 404
            assert response.json()["error"] == {
                "type": "invalid_request_error",
                "code": "call_id_not_found",
                "message": "No session found",
                "param": None,
            }
            assert response.headers["x-request-id"].startswith("req_")

    run(test)


def test_a_wrong_key_is_turned_away_everywhere() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        url = f"{house.base_url}/v1/realtime/calls/{call.call_id}/accept"
        response = await house.client.post(url, json={}, headers={"authorization": "Bearer sk-wrong"})
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
        with pytest.raises(InvalidStatus) as caught:
            await house.attach(call.call_id, key="sk-wrong")
        assert caught.value.response.status_code == 401

    run(test)


def test_a_refusal_names_the_field() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        response = await house.post(call.call_id, "accept", {"type": "realtime", "foo": 1})
        assert (response.status_code, response.json()["error"]["param"]) == (400, "session.foo")
        broken = await house.client.post(f"/v1/realtime/calls/{call.call_id}/accept", content=b"{")
        assert broken.json()["error"]["code"] == "invalid_json"
        assert (await house.post(call.call_id, "sing")).status_code == 404
        assert call.outcome == "incoming"

    run(test)


def test_a_rejected_call_is_over() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        assert (await house.post(call.call_id, "reject", {"status_code": 404})).status_code == 200
        await call.ended.wait()
        assert call.outcome == "rejected 404"
        assert (await house.post(call.call_id, "accept", {"type": "realtime"})).status_code == 404

    run(test)


def test_an_accept_can_succeed_and_its_answer_be_lost() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        with pytest.raises(httpx2.RemoteProtocolError):
            await house.accept(call)
        assert call.outcome == "accepted"

    run(test, behavior=Behavior(accept_response="lost"))


def test_an_accept_can_succeed_and_never_be_answered() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        waiting = asyncio.create_task(house.accept(call))
        await call.happened("accepted")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert call.outcome == "accepted"

    run(test, behavior=Behavior(accept_response="hangs"))


# --- the sideband ---


def test_only_an_accepted_call_can_be_attached() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        for call_id in (call.call_id, "rtc_nobody", ""):
            with pytest.raises(InvalidStatus) as caught:
                await house.attach(call_id)
            assert caught.value.response.status_code == 404
            assert b"No session found" in caught.value.response.body
        await house.accept(call)
        async with house.attach(call.call_id):
            await call.happened("attached")
        await house.post(call.call_id, "hangup")
        with pytest.raises(InvalidStatus):
            await house.attach(call.call_id)

    run(test)


def test_an_early_attach_is_not_found_and_the_next_one_works() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        with pytest.raises(InvalidStatus):
            await house.attach(call.call_id)
        async with house.attach(call.call_id):
            pass

    run(test, behavior=Behavior(attach_not_found=1))


def test_the_first_message_answers_our_own_update() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await say(socket, {"type": "session.update", "session": {"type": "realtime"}})
            assert json.loads(await socket.recv())["type"] == "session.updated"
            await socket.send("{")
            assert (await read_until(socket, "error"))["error"]["code"] == "invalid_json"
        assert [what for _, what in call.timeline][:3] == ["accepted", "attached", "session_update"]

    run(test)


@pytest.mark.parametrize(("code", "seen"), [(None, 1006), (1000, 1000), (1001, 1001)])
def test_a_hang_up_closes_without_a_close_frame_or_with_a_code(code: int | None, seen: int) -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await call.happened("attached")
            call.hangs_up()
            await socket.wait_closed()
            assert socket.close_code == seen
        assert call.outcome == "hung up by caller"

    run(test, behavior=Behavior(close_code_on_hangup=code))


def test_an_expired_session_says_so_and_closes_with_the_reason() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await call.happened("attached")
            await call.expires()
            assert (await read_until(socket, "error"))["error"]["code"] == "session_expired"
            await socket.wait_closed()
            assert (socket.close_code, "60 minutes" in (socket.close_reason or "")) == (1001, True)

    run(test)


def test_a_lost_sideband_can_be_attached_again_while_the_call_lives() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await say(socket, {"type": "session.update", "session": {"type": "realtime"}})
            await read_until(socket, "session.updated")
            await socket.wait_closed()
            assert socket.close_code == 1006
        assert not call.ended.is_set()
        async with house.attach(call.call_id) as socket:
            await say(socket, GREET)
            await read_until(socket, "output_audio_buffer.stopped")

    run(test, behavior=Behavior(sideband_lost_after=1))


def test_the_newer_of_two_sidebands_wins() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as older, house.attach(call.call_id) as newer:
            await older.wait_closed()
            await say(newer, GREET)
            await read_until(newer, "response.done")

    run(test)


def test_a_call_goes_on_when_the_host_closes_its_sideband() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id):
            pass
        await call.happened("detached")
        await call.says("Is anybody there?")
        assert call.peer.state == "accepted"
        assert (await house.post(call.call_id, "refer", {"target_uri": "tel:+15550100"})).status_code == 200
        assert call.outcome == "referred"

    run(test)


# --- callers ---


def test_a_caller_plays_the_script_to_its_end() -> None:
    script = Script(
        (
            Turn("When do you open?", (ToolUse("opening_hours"), "At nine.")),
            Turn("Tell me a story.", "Once upon a time there was a telephone."),
            Interrupt("No, thanks.", "All right."),
            Silence(2),
            Keys("1#"),
            Turn(None, "You pressed one."),
        )
    )
    tools = [{"type": "function", "name": "opening_hours", "parameters": {}}]

    async def test(house: House) -> None:
        call = house.service.new_call(script=script)
        settings = {
            "type": "realtime",
            "tools": tools,
            "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}},
        }
        assert (await house.post(call.call_id, "accept", settings)).status_code == 200
        async with house.attach(call.call_id) as socket:
            await say(socket, GREET)
            asked = await read_until(socket, "response.function_call_arguments.done")
            await read_until(socket, "response.done")
            output = {"type": "function_call_output", "call_id": asked["call_id"], "output": "9"}
            await say(socket, {"type": "conversation.item.create", "item": output}, {"type": "response.create"})
            for key in "1#":
                assert (await read_until(socket, "input_audio_buffer.dtmf_event_received"))["event"] == key
            await say(socket, {"type": "response.create"})
            await read(socket)
        said = [response.said for response in call.peer.responses]
        assert said == [
            "Good morning.",
            "",
            "At nine.",
            "Once upon a time ",
            "All right.",
            "You pressed one.",
        ]
        assert call.peer.responses[3].reason == "turn_detected"
        assert call.outcome == "hung up by caller"
        assert [what for _, what in call.timeline].count("answer") == 3

    run(test)


def test_a_caller_who_is_not_greeted_speaks_when_patience_ends() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call(script=Script((Turn("Hello?", "Yes?"),), patience=0.01))
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            assert (await read(socket))[0]["type"] == "input_audio_buffer.speech_started"
        assert call.peer.responses[0].said == "Yes?"

    run(test)


def test_a_caller_may_speak_first() -> None:
    async def test(house: House) -> None:
        script = Script((Turn("Hello?", "Yes?"),), caller_first=True, patience=60)
        call = house.service.new_call(script=script)
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await read(socket)
        assert call.peer.responses[0].said == "Yes?"

    run(test)


def test_speech_takes_its_time_at_a_pace_above_zero() -> None:
    async def test(house: House) -> None:
        call = house.service.new_call(script=Script((Interrupt("Stop!", "Sorry."),)))
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await say(socket, GREET)
            await read(socket)
        assert [response.said for response in call.peer.responses] == ["Good morning.", "Sorry."]
        times = {what: at for at, what in call.timeline}
        assert times["ended"] - times["response_create"] > 0.01

    run(test, pace=0.02)


def test_an_endless_script_lets_other_calls_live_and_stops_with_the_service() -> None:
    async def test(house: House) -> None:
        chatty = Script.repeat(Turn("And then?", "Then nothing."), caller_first=True)
        call, other = house.service.new_call(script=chatty), house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as endless:
            reading = asyncio.create_task(read(endless))
            await house.accept(other)
            async with house.attach(other.call_id) as socket:
                await say(socket, GREET)
                await read_until(socket, "output_audio_buffer.stopped")
        await reading
        assert len(call.peer.responses) > 2

    run(test)


def test_observers_are_told_what_happens() -> None:
    seen: list[str] = []

    async def test(house: House) -> None:
        house.service.observe(lambda call, what, fields: seen.append(what))
        call = house.service.new_call()
        await house.accept(call)
        async with house.attach(call.call_id) as socket:
            await say(socket, GREET)
            await read_until(socket, "output_audio_buffer.stopped")
            await call.presses("1")
            call.hangs_up()
            await read(socket)

    run(test)
    assert {"accepted", "attached", "client_event", "response_create", "server_event", "ended"} <= set(seen)


# --- serving ---


def test_an_app_that_fails_to_start_is_not_served() -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ValueError("no catalog")
        yield

    async def inside() -> None:
        with pytest.raises(RuntimeError, match="lifespan failed"):
            async with serving(Starlette(lifespan=lifespan)):
                pass

    asyncio.run(inside())


# --- on its own, for the benchmark ---


def test_control_rings_many_calls_and_reports_their_times() -> None:
    control = Control()

    async def test(house: House) -> None:
        control.service = house.service
        plan = {
            "webhook_url": house.webhook_url,
            "secret": SECRET,
            "count": 3,
            "rate": 1000,
            "turns": [{"caller": "Hi", "model": [{"tool": "x"}, "Hello."]}, {"silence": 1}],
            "hold": True,
        }
        started = await house.client.post("/control/calls", json=plan)
        calls = [house.service.calls[call_id] for call_id in started.json()["call_ids"]]
        await asyncio.gather(*(call.happened("webhook_answered") for call in calls))
        await house.accept(calls[0])
        async with house.attach(calls[0].call_id) as socket:
            await say(socket, GREET)
            await calls[0].happened("answer")
            report = (await house.client.get("/control/calls")).json()["calls"]
            hung_up = await house.client.post("/control/hangup")
            await read(socket)
        assert hung_up.json() == {"hung_up": 3}
        first, *others = report
        assert 0 < first["webhook_ms"] <= first["accept_ms"] <= first["attach_ms"] <= first["greeting_ms"]
        assert len(first["turns_ms"]) == 1
        assert [other["accept_ms"] for other in others] == [None, None]
        assert (await house.client.delete("/control/calls")).json() == {"forgotten": 3}

    run(test, routes=control.routes)


def test_a_host_that_cannot_be_reached_shows_in_the_report() -> None:
    control = Control()

    async def test(house: House) -> None:
        control.service = house.service
        plan = {"webhook_url": "http://127.0.0.1:1/", "secret": SECRET}
        (call_id,) = (await house.client.post("/control/calls", json=plan)).json()["call_ids"]
        while house.service.calls[call_id].webhook_status is None:
            await house.client.get("/control/calls")
        assert house.service.calls[call_id].webhook_status == 0

    run(test, routes=control.routes)


def test_the_simulator_runs_as_a_process_until_it_is_told_to_stop() -> None:
    async def inside() -> None:
        command = [sys.executable, "-m", "runtime.simulator", "--pace", "0"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
            report = await client.get(line.split()[-1] + "/control/calls")
        assert report.json() == {"calls": []}
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0

    asyncio.run(inside())
