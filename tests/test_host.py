"""Scenarios: the real host and the simulator over real sockets on loopback."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from runtime import threads
from runtime.commands import Record
from runtime.host import MAX_BODY_BYTES
from runtime.log import Formatter
from runtime.realtime.tools import read_tool
from runtime.runner import Runner
from runtime.simulator import Behavior, Interrupt, Keys, Script, SimulatedCall, ToolUse, Turn, clock
from runtime.simulator.webhook import empty_event, incoming, sign
from tests.house import MINIMAL, run
from tests.line import SECRET, Line, line

GREETS = MINIMAL + "greeting: Casa Nova, good evening.\n"
GUARDED = MINIMAL + 'greeting: {text: "Casa Nova, good evening.", interruptible: false}\n'
WAITS = MINIMAL + 'greeting: {text: "Casa Nova, good evening.", wait_for_caller: true}\n'
TOOLS = GREETS + 'tools: [{entrypoint: "tests.test_tools:find_table"}, {entrypoint: "tests.test_tools:breaks"}]\n'
CHAT = Script((Turn("Hello?", "Yes?"), Turn("Nothing.", "Goodbye.")))


def call(
    agent: str = GREETS, *, script: Script = CHAT, behavior: Behavior | None = None, **more: Any
) -> tuple[Line, Any]:
    """Play one call to its end and return the line and the service's side of the call."""

    async def work() -> tuple[Line, Any]:
        async with line(agent, read_tool=read_tool) as served:
            made = await served.ring(script=script, behavior=behavior, **more)
            await served.quiet()
            return served, made

    return clock.run(work(), threads.at_work)


async def heard(made: SimulatedCall, times: int) -> None:
    """Wait until the caller has heard the agent so often."""
    while made.heard < times:
        await made.moved(None)


# ── a call as it should be ────────────────────────────────────────────────────────────────────────────────────


def test_a_phone_rings_and_the_agent_that_its_file_declares_answers() -> None:
    served, made = call(GREETS + "voice: cedar\n")
    assert made.outcome == "hung up by caller"
    assert served.outcome == "caller_hung_up"
    assert [record.what for _, record in served.records if record.level >= 20] == [
        "incoming", "matched", "accepted", "attached", "confirmed", "greeting", "ended",
    ]  # fmt: skip
    assert served.told("greeting")[0]["likeness"] == "exact"
    assert made.peer.errors == []


def test_the_first_words_are_in_the_declared_voice() -> None:
    """Trap 1: the forum's greeting in the wrong voice."""
    _, made = call(GREETS + "voice: cedar\n")
    assert made.peer.accepted["audio"]["output"]["voice"] == "cedar"
    assert [response.voice for response in made.peer.responses] == ["cedar"] * 3


def test_tracing_stands_in_accept_and_is_never_changed() -> None:
    """Trap 2: the forum's missing traces."""
    _, made = call()
    assert made.peer.accepted["tracing"] == {"workflow_name": "desk", "group_id": made.call_id}
    assert all("tracing" not in update for update in made.peer.updates)


def test_no_update_of_a_whole_call_carries_a_format_or_a_model() -> None:
    """Traps 3, 4 and 5."""
    _, made = call(GUARDED + "audio: {input: {format: pcm16}}\n")
    assert len(made.peer.updates) == 2
    for told in (made.peer.accepted, *made.peer.updates):
        assert "format" not in json.dumps(told)
    assert all("model" not in update for update in made.peer.updates)


def test_a_tool_is_called_with_the_models_arguments_and_the_answer_goes_on() -> None:
    script = Script((Turn("A table?", (ToolUse("find_table", '{"people": 4}'), "We have table four.")),))
    served, made = call(TOOLS, script=script)
    assert served.told("tool called")[0]["arguments"] == '{"people": 4}'
    assert json.loads(made.peer.tool_outputs[0]["output"]) == {"number": 4, "on": "2026-11-27"}
    assert made.peer.responses[-1].said == "We have table four."
    assert made.peer.errors == []


def test_two_tools_of_one_response_are_both_answered_without_a_second_active_response() -> None:
    uses = (ToolUse("find_table", '{"people": 4}'), ToolUse("find_table", '{"people": 2}'))
    _, made = call(TOOLS, script=Script((Turn("Tables?", (uses, "Both are free.")),)))
    assert len(made.peer.tool_outputs) == 2
    assert made.peer.errors == []


def test_a_tool_that_breaks_leaves_the_call_in_control() -> None:
    """Trap 21."""
    script = Script((Turn("Break it.", (ToolUse("breaks"), "That does not work.")), Turn("Thanks.", "Goodbye.")))
    served, made = call(TOOLS, script=script)
    assert served.told("tool finished")[0]["failed"]
    assert served.outcome == "caller_hung_up"
    assert [response.said for response in made.peer.responses][-2:] == ["That does not work.", "Goodbye."]


def test_a_tool_that_the_model_invents_is_answered_and_the_model_speaks_again() -> None:
    script = Script((Turn("Fly.", (ToolUse("fly", undeclared=True), "I cannot fly.")),))
    _, made = call(TOOLS, script=script)
    assert made.peer.responses[-1].said == "I cannot fly."


def test_a_caller_may_interrupt_and_press_keys() -> None:
    script = Script(
        (Turn("Tell me a story.", "Once upon a time there was a restaurant."), Interrupt("Stop!", "Yes?"), Keys("1#"))
    )
    served, _made = call(script=script)
    assert served.outcome == "caller_hung_up"
    assert [fields["digit"] for fields in served.told("digit pressed")] == ["1", "#"]


# ── the greeting ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_guarded_greeting_is_heard_before_the_caller_is_answered() -> None:
    _, made = call(GUARDED)
    first, released = (update["audio"]["input"]["turn_detection"] for update in made.peer.updates)
    assert (first["create_response"], released["create_response"]) == (False, True)
    assert made.peer.session["audio"]["input"]["transcription"]["model"] == "gpt-transcribe"
    assert [response.said for response in made.peer.responses] == ["Casa Nova, good evening.", "Yes?", "Goodbye."]


def test_an_agent_may_wait_for_the_callers_hello() -> None:
    script = Script((Turn("Hello?"), Turn("A table.", "Sure.")), caller_first=True)
    _, made = call(WAITS, script=script)
    assert [response.said for response in made.peer.responses] == ["Casa Nova, good evening.", "Sure."]


def test_a_greeting_that_is_swallowed_is_asked_for_again() -> None:
    """Trap 7."""
    served, _made = call(behavior=Behavior(drop_first_response_create=1))
    assert served.told("greeting")[0]["likeness"] == "exact"


@pytest.mark.parametrize("behavior", [Behavior(), Behavior(refuse_create_without_event_id=True)])
def test_a_greeting_that_meets_an_active_response_is_said_after_it(behavior: Behavior) -> None:
    """Trap 7: with the refusal's event_id and without."""

    async def work() -> None:
        async with line(GREETS) as served:
            # The caller speaks before the sideband is there: the service answers by itself.
            behaves = Behavior(
                attach_not_found=2, refuse_create_without_event_id=behavior.refuse_create_without_event_id
            )
            made = await served.ring(behavior=behaves)
            await made.happened("accepted")
            await made.says("Hello?", "Hi!")
            await made.happened("response_create")
            await heard(made, 2)
            made.hangs_up()
            await served.quiet()
            assert [response.said for response in made.peer.responses] == ["Hi!", "Casa Nova, good evening."]

    run(work())


@pytest.mark.parametrize(
    ("instead", "likeness"), [("Casa Nova, good evening to you.", "near"), ("Who is this?", "different")]
)
def test_a_greeting_in_other_words_is_noticed(instead: str, likeness: str) -> None:
    served, _ = call(behavior=Behavior(says_instead=lambda said: instead))
    assert served.told("greeting")[0]["likeness"] == likeness


# ── accept, attach, confirm ───────────────────────────────────────────────────────────────────────────────────


def test_a_difference_between_declared_and_confirmed_is_told() -> None:
    served, _ = call(behavior=Behavior(echo_overrides={"audio": {"output": {"voice": "alloy"}}}))
    (told,) = served.told("the service holds a setting otherwise than declared")
    assert told == {"field": "voice", "declared": "marin", "confirmed": "alloy"}


def test_an_accept_that_fails_is_tried_again() -> None:
    served, _made = call(behavior=Behavior(accept_fails=(500, 503)))
    assert served.outcome == "caller_hung_up"


def test_an_accept_whose_answer_is_lost_is_never_a_second_accept_that_counts() -> None:
    """Trap 10: the second one is refused as decided already, and the call goes on."""
    served, _made = call(behavior=Behavior(accept_response="lost"))
    assert served.outcome == "caller_hung_up"
    assert served.told("greeting")


def test_a_field_that_accept_refuses_is_left_out_once_and_set_later() -> None:
    """Trap 26."""
    agent = GREETS + "turn_detection: {type: server_vad, threshold: 0.7}\n"
    refused = "session.audio.input.turn_detection.threshold"
    served, made = call(agent, behavior=Behavior(refused_at_accept=frozenset({refused})))
    assert "threshold" not in made.peer.accepted["audio"]["input"]["turn_detection"]
    assert made.peer.session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert served.outcome == "caller_hung_up"


def test_a_call_that_is_gone_at_accept_is_left_alone() -> None:
    """Traps 13 and 24: the webhook was answered 200, and nobody ends a call that another host may have."""

    async def work() -> Line:
        async with line(GREETS) as served:
            made = served.service.new_call()
            made.hangs_up()
            assert await served.service.ring(made, served.webhook, SECRET) == 200
            await served.quiet()
            return served

    assert run(work()).outcome == "gone"


def test_a_socket_that_is_not_there_yet_is_tried_again() -> None:
    served, _ = call(behavior=Behavior(attach_not_found=3))
    assert served.outcome == "caller_hung_up"


@pytest.mark.parametrize("created", [False, True])
def test_a_call_is_ready_with_or_without_session_created(created: bool) -> None:
    """Trap 8."""
    served, _ = call(behavior=Behavior(session_created_on_attach=created))
    assert served.outcome == "caller_hung_up"


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [None, 1000, 1001])
def test_the_callers_end_is_an_end_and_no_error(code: int | None, caplog: pytest.LogCaptureFixture) -> None:
    """Trap 17."""
    served, _ = call(behavior=Behavior(close_code_on_hangup=code))
    assert served.outcome == "caller_hung_up"
    assert not [record for record in caplog.records if record.levelno > 20]


def test_a_lost_sideband_is_attached_again_with_settings_and_tools() -> None:
    """Trap 18."""

    async def work() -> Line:
        async with line(GREETS) as served:
            made = await served.ring(behavior=Behavior(sideband_lost_after=2))
            while len(made.peer.updates) < 2:
                await made.moved(None)
            await made.says("Are you there?", "Yes.")
            await heard(made, 2)
            made.hangs_up()
            await served.quiet()
            assert made.peer.responses[-1].said == "Yes."
            return served

    served = run(work())
    assert served.told("attached again") == [{}]
    assert served.outcome == "caller_hung_up"


def test_one_call_that_breaks_touches_no_other() -> None:
    async def work() -> Line:
        async with line(GREETS) as served:
            broken = await served.ring(script=CHAT, behavior=Behavior(accept_fails=(400,)))
            fine = await served.ring(script=CHAT)
            await served.quiet()
            assert broken.outcome == "rejected 503"
            assert fine.outcome == "hung up by caller"
            return served

    outcomes = [fields["outcome"] for fields in run(work()).told("ended")]
    assert sorted(outcomes) == ["accept_failed", "caller_hung_up"]


def test_fifty_calls_at_once_all_live() -> None:
    async def work() -> list[str]:
        async with line(GREETS) as served:
            made = [served.service.new_call(script=CHAT) for _ in range(50)]
            await asyncio.gather(*(served.service.ring(one, served.webhook, SECRET) for one in made))
            await served.quiet()
            return [one.outcome for one in made]

    assert run(work()) == ["hung up by caller"] * 50


def test_a_host_that_stops_hangs_up_its_live_calls_and_records_their_end() -> None:
    """Nobody is left talking to a model that nobody steers."""

    async def work() -> tuple[Line, Any]:
        async with line(GREETS) as served:
            made = await served.ring()
            await heard(made, 1)
        return served, made

    served, made = run(work())
    assert made.outcome == "hung up by host"
    assert served.outcome == "drained"


def test_nothing_of_a_call_is_left_when_it_has_ended() -> None:
    async def work() -> None:
        async with line(GREETS) as served:
            made = await served.ring()
            await heard(made, 1)
            (runner,) = served.host.calls.values()
            made.hangs_up()
            await served.quiet()
            assert (runner._timers, runner._tasks, runner._sideband) == ({}, set(), None)
            assert served.host.calls == {}

    run(work())


def test_an_accept_that_hangs_leaves_no_call_behind() -> None:
    """Traps 10 and 11: the service took it, the answer never came."""
    served, _made = call(behavior=Behavior(accept_response="hangs"))
    assert served.outcome == "caller_hung_up"
    assert served.told("greeting")


def test_a_key_that_cannot_be_sent_ends_the_call_and_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> Line:
        async with line(GREETS, key="sk-gehe\u00edm") as served:
            await served.ring()
            await served.quiet()
            return served

    assert run(work()).outcome == "accept_failed"
    assert "sk-" not in "".join(Formatter().format(record) for record in caplog.records)


# ── who is answered ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_number_that_nobody_answers_is_rejected_with_404_and_told() -> None:
    async def work() -> tuple[Line, str]:
        async with line(GREETS) as served:
            made = await served.ring(called="+15559999999")
            await served.quiet()
            return served, made.outcome

    served, outcome = run(work())
    assert outcome == "rejected 404"
    assert served.told("ended")[0]["reason"] == "no agent answers +1555•••9999"


@pytest.mark.parametrize("trunk", ["twilio", "zadarma", "plain"])
def test_the_called_number_is_found_on_every_trunk(trunk: Any) -> None:
    """Trap 29."""
    served, _ = call(trunk=trunk)
    assert served.told("matched")


@pytest.mark.parametrize("what", ["incoming", "accepted", "audible", "saying goodbye", "ended"])
def test_an_observer_that_breaks_leaves_no_call_behind(what: str) -> None:
    def breaks(runner: Runner, record: Record) -> None:
        if record.what in (what, "hanging up"):
            raise OSError("no room")

    async def scenario() -> None:
        async with line(MINIMAL + "greeting: Hello.\ntools: [{use: hang_up}]\n", observers=(breaks,)) as made:
            call = await made.ring(script=Script((Turn("Bye.", (ToolUse("hang_up"),)),), hangs_up=what != "audible"))
            await call.ended.wait()
            await made.idle()
            assert not made.host.calls

    run(scenario())


def test_a_template_that_fails_in_a_call_frees_the_caller() -> None:
    more = "name: desk\nanswers: ['*']\ninstructions: \"{% if call.caller == '' %}{{ 1 // 0 }}{% endif %}x\"\n"
    served, made = call(more, caller="anonymous")
    assert made.outcome == "rejected 500"
    assert served.outcome == "failed"


# ── the webhook ───────────────────────────────────────────────────────────────────────────────────────────────


async def post(served: Line, payload: Any, webhook_id: str = "wh_1", **changed: str) -> httpx2.Response:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {**sign(SECRET, webhook_id, int(time.time()), body), **changed}
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(served.webhook, content=body, headers=headers)


def test_every_malformed_request_gets_one_shape_of_400() -> None:
    """Trap 15."""

    async def work() -> None:
        async with line(GREETS) as served:
            answers = [
                await post(served, b"\xff\xfe"),
                await post(served, {}, **{"webhook-signature": "v1,AAAA"}),
                await post(served, b"x" * (MAX_BODY_BYTES + 1)),
                await post(served, b"[]"),
                await post(served, {}, **{"webhook-timestamp": "1"}),
            ]
            for answer in answers:
                assert answer.status_code == 400
                assert answer.json()["error"].keys() == {"code", "message"}
            assert served.records == []

    run(work())


def test_readyz_tells_that_a_webhook_came_and_why_it_was_refused() -> None:
    async def work() -> None:
        async with line(GREETS) as served:
            assert (await ready(served))[1]["webhooks"] == {"received": 0, "at": None, "answer": None}
            await post(served, {}, **{"webhook-signature": "v1,AAAA"})
            told = (await ready(served))[1]["webhooks"]
            assert (told["received"], told["answer"]) == (1, "invalid_signature")
            assert told["at"]

    run(work())


def test_events_that_are_not_for_us_are_answered_200_and_do_nothing() -> None:
    """Traps 14 and 25: the dashboard's test event, and the same call on the Live surface."""

    async def work() -> None:
        async with line(GREETS) as served:
            live = {"type": "live.call.incoming", "created_at": int(time.time()), "data": {"session_id": "live_1"}}
            for number, payload in enumerate((empty_event(created_at=int(time.time())), live, {"type": "new.thing"})):
                answer = await post(served, payload, f"wh_{number}")
                assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
            assert served.records == []

    run(work())


def test_a_repeated_delivery_is_known_by_its_id_and_by_the_calls() -> None:
    async def work() -> None:
        async with line(GREETS) as served:
            made = await served.ring(script=CHAT)
            assert await served.service.ring(made, served.webhook, SECRET) == 200
            assert await served.service.ring(made, served.webhook, SECRET, webhook_id="wh_other_endpoint") == 200
            await served.quiet()
            assert len(served.told("incoming")) == 1

    run(work())


def test_a_call_that_is_older_than_a_minute_is_not_accepted() -> None:
    """Trap 13: a retry of an old call carries a fresh signature and a dead call."""

    async def work() -> Line:
        async with line(GREETS) as served:
            payload = incoming("rtc_old", "+15550100001", "+1555", created_at=int(time.time()) - 61)
            assert (await post(served, payload)).status_code == 200
            await served.quiet()
            return served

    assert run(work()).outcome == "stale"


def test_the_webhook_is_answered_before_the_call_is_set_up() -> None:
    """Traps 11 and 12: a stalled accept must not hold the webhook."""

    async def work() -> None:
        async with line(GREETS) as served:
            made = await served.ring(behavior=Behavior(accept_response="hangs"))
            assert made.webhook_status == 200
            assert not served.told("accepted")
            assert len(served.host.calls) == 1

    clock.run(work(), threads.at_work)


def test_a_call_id_cannot_choose_the_path() -> None:
    async def work() -> Line:
        async with line(GREETS) as served:
            payload = incoming("../../files/x?y", "+15550100001", "+1555", created_at=int(time.time()))
            assert (await post(served, payload)).status_code == 200
            await served.quiet()
            return served

    assert run(work()).outcome == "gone"


# ── health and drain ──────────────────────────────────────────────────────────────────────────────────────────


async def ready(served: Line) -> tuple[int, dict[str, Any]]:
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{served.address}/healthz")).json() == {"status": "alive"}
        answer = await client.get(f"{served.address}/readyz")
        return answer.status_code, answer.json()


def test_readyz_tells_revision_and_live_calls() -> None:
    async def work() -> None:
        async with line(GREETS) as served:
            made = await served.ring()
            await made.happened("attached")
            status, body = await ready(served)
            assert (status, body.pop("reload")["result"]) == (200, "loaded")
            webhooks = body.pop("webhooks")
            assert (webhooks["received"], webhooks["answer"]) == (1, "taken")
            assert body == {"status": "ready", "revision": "rev1", "agents": 1, "calls": 1, "servers": []}
            made.hangs_up()
            await served.quiet()

    run(work())


def test_a_draining_host_takes_no_call_and_says_so_and_lets_live_calls_say_goodbye() -> None:
    """Trap 19."""

    async def work() -> None:
        async with line(GREETS) as served:
            made = await served.ring()
            await heard(made, 1)
            draining = asyncio.create_task(served.host.drain(0.2))
            await asyncio.sleep(0)
            status, body = await ready(served)
            assert (status, body["status"]) == (503, "draining")
            turned_away = await served.ring()
            await draining  # which waits for no call that came after its seconds, as this one may
            await turned_away.ended.wait()
            await served.quiet()
            assert turned_away.outcome == "rejected 503"
            assert made.outcome == "hung up by host"
            assert made.peer.responses[-1].metadata == {"switchboard": "farewell"}
            assert sorted(fields["outcome"] for fields in served.told("ended")) == ["drained", "not_taken"]

    run(work())
