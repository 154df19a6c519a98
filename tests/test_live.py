"""Scenarios with the real service, whose place the simulator's sessions without a telephone take on loopback."""

import asyncio
import io
import json
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from runtime import threads
from runtime.errors import SettingsError, SoundError
from runtime.expectations import Played, PlayedTurn, compare
from runtime.realtime.tools import read_tool
from runtime.rehearsal import perform
from runtime.settings import Endpoint, live_endpoint
from runtime.simulator import Behavior, Script, Service, ToolUse, Turn, clock, serving
from runtime.simulator.peer import Peer
from runtime.sound import samples
from tests.house import MINIMAL, catalog
from tests.line import KEY
from tests.test_scenarios import scenario_of

RUNTIME = Path(__file__).parents[1] / "runtime"

GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"
BILLING = "name: billing\ninstructions: You know every invoice.\n"
HANDS_OVER = "handoffs: [{agent: billing, when: About an invoice.}]\n"
LISTENS = {"expect": {"agent": "desk"}}
LONG = "Once upon a time there was a telephone that never stopped telling of itself and of the whole wide world."


def table_for(people: int) -> str:
    """Finds a table."""
    return f"a table for {people}"


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"caller": {"says": text, **more}}


def scenario(*turns: dict[str, Any], file: str = "agents/desk.scenarios.yaml", **more: Any) -> Any:
    written = [{"scenario": "a call", "call": {"called": "+15550100001"}, "turns": list(turns), **more}]
    return scenario_of(json.dumps(written), file)


def play(agents: str | tuple[str, ...], model: Any, plan: Any, key: str = KEY, **service: Any) -> tuple[Peer, Played]:
    """Play a scenario with the simulator's session, whose model says these replies."""
    kept: list[Any] = []
    texts = (agents,) if isinstance(agents, str) else agents

    async def whole() -> None:
        simulator = Service(api_key=KEY, script=Script((Turn(None, model),)), **service)
        async with serving(simulator.app) as url:
            endpoint = Endpoint(f"{url.replace('http', 'ws')}/v1", key)
            played = await perform(plan, catalog(*texts, read_tool=read_tool), live=endpoint)
            kept.extend((simulator.sessions[0].peer if simulator.sessions else None, played))

    clock.run(whole(), threads.at_work)
    return kept[0], kept[1]


def turns(agents: str | tuple[str, ...], *model: Any, plan: Any = None, **service: Any) -> list[PlayedTurn]:
    """Return the turns of a call, with the greeting's first."""
    _, played = play(agents, model, plan or scenario(LISTENS), **service)
    return list(played.turns) if plan is None else [played.opening, *played.turns]


def said(turn: PlayedTurn) -> tuple[str, ...]:
    return tuple(each.text for each in turn.said)


def logged(played: Played) -> list[str]:
    moments = [moment for turn in (played.opening, *played.turns) for moment in turn.moments]
    return [moment.what for moment in moments if moment.who == "log"]


# ── the session ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_session_has_the_declared_settings_and_text_as_its_answers() -> None:
    agent = (
        GREETS + "voice: cedar\nturn_detection: {type: server_vad, threshold: 0.7}\ntracing: {workflow_name: desk}\n"
    )
    peer, _ = play(agent, (), scenario(LISTENS))
    session = peer.session
    assert (session["model"], session["instructions"]) == ("gpt-realtime-2.1", "Be brief.")
    assert session["audio"]["output"]["voice"] == "cedar"
    assert session["audio"]["input"]["turn_detection"]["threshold"] == 0.7
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert session["tracing"]["workflow_name"] == "desk"
    assert {response.modality for response in peer.responses} == {"text"}
    assert peer.errors == []


def test_the_receipt_tells_what_the_service_confirmed() -> None:
    (greeted,) = turns(GREETS)
    assert greeted.received.rows
    assert all(row.agrees for row in greeted.received.rows)
    assert (greeted.received.greeting, greeted.received.instructions) == ("exact", "Be brief.")
    other = Behavior(echo_overrides={"audio": {"output": {"voice": "alloy"}}})
    (differs,) = turns(GREETS, behavior=other)
    assert [row.field for row in differs.received.rows if not row.agrees] == ["voice"]


def test_a_greeting_that_is_said_differently_is_told() -> None:
    (greeted,) = turns(GREETS, behavior=Behavior(says_instead=lambda line: "What do you want?"))
    assert (said(greeted), greeted.received.greeting) == (("What do you want?",), "different")


@pytest.mark.parametrize(
    ("agent", "more", "told"),
    [
        (GREETS, {"key": "wrong"}, "401: it does not know the key"),
        (GREETS, {"behavior": Behavior(accept_fails=(503,))}, "503: the service refused the socket"),
        (
            MINIMAL + "model: gpt-realtime-mini\nreasoning: {effort: low}\n",
            {},
            "400: 'reasoning' is not supported with model 'gpt-realtime-mini'.",
        ),
    ],
    ids=["key", "service", "settings"],
)
def test_a_session_that_is_not_taken_fails_its_scenario_with_the_reason(agent: str, more: Any, told: str) -> None:
    plan = scenario(LISTENS)
    _, played = play(agent, (), plan, **more)
    (difference,) = compare(plan, played)
    assert difference.instead.startswith("nobody has: it ended by the service (")
    assert told in difference.instead


def test_a_turn_that_nobody_hears_fails() -> None:
    plan = scenario(says("A table?"))
    _, played = play(GREETS, (), plan, key="wrong")
    (difference,) = compare(plan, played)
    assert difference.instead == "the call was over before: it ended by the service (401: it does not know the key)"


def test_nobody_there_is_told() -> None:
    kept: list[Played] = []

    async def work() -> None:
        kept.append(await perform(scenario(LISTENS), catalog(GREETS), live=Endpoint("ws://127.0.0.1:9/v1", KEY)))

    clock.run(work(), threads.at_work)
    assert "cannot be reached" in kept[0].reason


def test_what_the_host_does_before_a_call_is_accepted_happens_here_too() -> None:
    plan = scenario({"expect": {"ended_by": "no_agent"}}, call={"called": "+15550100099"})
    _, played = play(GREETS, (), plan)
    assert compare(plan, played) == []
    late = scenario({"expect": {"ended_by": "host"}}, call={"called": "+15550100001", "at": "2026-11-27T18:00:00Z"},
                    clock="2026-11-27T18:05:00Z")  # fmt: skip
    assert compare(late, play(GREETS, (), late)[1]) == []


def test_a_service_that_never_starts_the_session_is_given_up() -> None:
    kept: list[Played] = []

    async def silent(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    async def work() -> None:
        async with serving(Starlette(routes=[WebSocketRoute("/v1/realtime", silent)])) as url:
            endpoint = Endpoint(f"{url.replace('http', 'ws')}/v1", KEY)
            kept.append(await perform(scenario(LISTENS), catalog(GREETS), live=endpoint))

    clock.run(work(), threads.at_work)
    assert "did not start the session" in kept[0].reason


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_caller_writes_is_answered() -> None:
    plan = scenario(says("A table, please."), says("Nothing."))
    greeted, first, second = turns(GREETS, "For how many?", "Goodbye!", plan=plan)
    assert said(greeted) == ("Casa Nova, hello.",)
    assert (first.agent, said(first), said(second)) == ("desk", ("For how many?",), ("Goodbye!",))
    assert first.milliseconds is not None
    assert 0 < first.milliseconds < 5_000
    assert [(moment.who, moment.what) for moment in first.moments] == [
        ("caller", "A table, please."), ("agent", "For how many?"),
    ]  # fmt: skip


def test_the_caller_s_words_are_a_turn_of_the_conversation() -> None:
    peer, _ = play(GREETS, ("For how many?",), scenario(says("A table, please.")))
    user = next(item for item in peer.conversation if item.get("role") == "user")
    assert user["content"] == [{"type": "input_text", "text": "A table, please."}]
    (created,) = [event for event in peer.received if event["type"] == "response.create"][1:]
    assert "response" not in created, "as the service answers by itself: with the session's own settings"


def test_an_agent_without_a_greeting_waits() -> None:
    greeted, answered = turns(MINIMAL, "Yes?", plan=scenario(says("Hello?")))
    assert (said(greeted), greeted.milliseconds, said(answered)) == ((), None, ("Yes?",))


def test_an_agent_that_answers_no_turn_by_itself_is_not_waited_for() -> None:
    _, answered = turns(GREETS + "turn_detection: null\n", "Yes?", plan=scenario(says("Hello?")))
    assert said(answered) == ()


def test_a_greeting_that_must_not_be_interrupted_lets_the_caller_speak_after_it() -> None:
    held = MINIMAL + "greeting: {text: 'Casa Nova, hello.', interruptible: false}\n"
    greeted, answered = turns(held, "For how many?", plan=scenario(says("A table, please.")))
    assert (said(greeted), said(answered)) == (("Casa Nova, hello.",), ("For how many?",))


def test_a_greeting_that_waits_for_the_caller_is_said_after_the_hello() -> None:
    waits = MINIMAL + "greeting: {text: 'Casa Nova, hello.', wait_for_caller: true}\n"
    greeted, answered = turns(waits, plan=scenario(says("Hello?")))
    assert (said(greeted), said(answered)) == ((), ("Casa Nova, hello.",))


def test_who_interrupts_stops_the_response_and_is_answered() -> None:
    plan = scenario(says("Tell me."), {"caller": {"interrupts": "Stop!"}})
    peer, played = play(GREETS, (LONG, "I stop."), plan)
    told, stopped = played.turns
    assert "whole wide world" not in " ".join(said(told))
    assert said(stopped) == ("I stop.",)
    assert [response.status for response in peer.responses] == ["completed", "cancelled", "completed"]
    assert peer.errors == []


def test_tools_are_run_by_our_own_code() -> None:
    agent = GREETS + "tools: [{entrypoint: 'tests.test_live:table_for'}]\n"
    both = ("One moment.", ToolUse("table_for", '{"people": 4}'), ToolUse("table_for", '{"people": "many"}'))
    _, answered = turns(agent, both, "There is one.", plan=scenario(says("A table for four.")))
    assert said(answered) == ("One moment.", "There is one.")
    assert [(one.tool, one.arguments) for one in answered.used] == [
        ("table_for", '{"people": 4}'), ("table_for", '{"people": "many"}'),
    ]  # fmt: skip
    assert answered.used[0].result == '"a table for 4"'
    assert "do not fit" in str(answered.used[1].result)


def test_a_tool_can_be_told_what_it_gives() -> None:
    agent = GREETS + "tools: [{entrypoint: 'tests.test_live:table_for'}]\n"
    plan = scenario(says("A table?"), tools={"table_for": {"result": "none"}})
    _, answered = turns(agent, ToolUse("table_for", '{"people": 4}'), "There is none.", plan=plan)
    assert answered.used[0].result == '"none"'


def test_a_handoff_takes_the_caller_to_the_other_agent() -> None:
    handoff = ToolUse("hand_off_to_billing")
    plan = scenario(says("My invoice is wrong."))
    _, answered = turns((GREETS + HANDS_OVER, BILLING), handoff, "Which invoice?", plan=plan)
    assert (answered.agent, answered.handoffs, said(answered)) == ("billing", ("billing",), ("Which invoice?",))
    assert answered.received.instructions == "You know every invoice."


def test_an_agent_that_hangs_up_ends_the_call() -> None:
    goodbye = ("Goodbye!", ToolUse("hang_up"))
    _, answered = turns(GREETS + "tools: [{use: hang_up}]\n", goodbye, plan=scenario(says("That is all.")))
    assert (said(answered), answered.outcome) == (("Goodbye!",), "agent_hung_up")


def test_a_transfer_ends_the_call_and_rings_nobody() -> None:
    kitchen = "{name: kitchen, to: 'tel:+15550123456', when: About an order.}"
    agent = GREETS + f"tools: [{{use: transfer, destinations: [{kitchen}]}}]\n"
    peer, played = play(
        agent, (ToolUse("transfer", '{"destination": "kitchen"}'),), scenario(says("My pizza is late."))
    )
    assert (played.turns[0].transfers, played.outcome) == (("kitchen",), "transferred")
    assert peer.referred is None


def test_keys_reach_the_tool_that_waits_for_them_and_otherwise_the_model() -> None:
    agent = GREETS + "tools: [{use: keypad, count: 3}]\n"
    plan = scenario(says("I want to cancel."), {"caller": {"keys": "123"}}, {"caller": {"keys": "9"}})
    replies = (("Press three digits.", ToolUse("keypad")), "Thank you.", "Nine?")
    _, asked, collected, told = turns(agent, *replies, plan=plan)
    assert (said(asked), said(collected), said(told)) == (("Press three digits.",), ("Thank you.",), ("Nine?",))


def test_a_silence_is_asked_about() -> None:
    agent = GREETS + "limits: {silence: {after_seconds: 12, lines: [Are you still there?], farewell: Goodbye.}}\n"
    _, _, silent = turns(agent, "Yes?", plan=scenario(says("Hello?"), {"caller": {"silent": 15}}))
    assert said(silent) == ("Are you still there?",)


@pytest.mark.parametrize("last", [{"caller": {"hangs_up": True}}, says("That is all.")], ids=["hangs up", "is done"])
def test_a_caller_who_leaves_ends_the_session(last: dict[str, Any]) -> None:
    peer, played = play(GREETS, ("Yes?", "Goodbye!"), scenario(says("Hello?"), last))
    assert played.outcome == ("caller_hung_up" if "hangs_up" in last["caller"] else "")
    assert peer.hung_up_by == "caller"


def test_a_session_that_the_service_breaks_off_is_no_hang_up() -> None:
    _, played = play(GREETS, ("Yes?",), scenario(says("Hello?")), behavior=Behavior(sideband_lost_after=4))
    assert played.outcome == "connection_lost"
    assert played.reason.startswith("the service closed the session: 1")


def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    dropped = Behavior(drop_first_response_create=100)
    _, played = play(GREETS + "limits: {first_words_seconds: 600}\n", (), scenario(LISTENS), behavior=dropped)
    assert said(played.turns[0]) == ()
    assert "the service was waited for, and gave no sign" in logged(played)


# ── a service as none should be ───────────────────────────────────────────────────────────────────────────────


class Odd:
    """A service that answers "Yes.", unless a test overrides what it does with one event."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.made = 0

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        self.socket = socket
        session = {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
        await self.send("session.created", session=session)
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                event = json.loads(await socket.receive_text())
                self.received.append(event)
                if event["type"] == "session.update":
                    await self.send("session.updated", session=event["session"])
                elif event["type"] == "response.create":
                    await self.create(event)
                elif event["type"] == "response.cancel":
                    await self.cancel(event)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_text(json.dumps({"type": kind, **fields}))

    async def begin(self, event: Any) -> dict[str, Any]:
        self.made += 1
        response = {"id": f"resp_{self.made}", "metadata": event.get("response", {}).get("metadata")}
        await self.send("response.created", response=response)
        return response

    async def say(self, response: dict[str, Any], text: Any) -> None:
        await self.send("response.output_text.delta", response_id=response["id"], delta=text)
        await self.send("response.output_text.done", response_id=response["id"], item_id="item_1", text=text)

    async def done(self, response: dict[str, Any], status: str = "completed") -> None:
        await self.send("response.done", response={**response, "status": status})

    async def create(self, event: Any) -> None:
        response = await self.begin(event)
        await self.say(response, "Casa Nova, hello." if self.made == 1 else "Yes.")
        await self.done(response)

    async def cancel(self, event: Any) -> None:
        """Overridden where somebody interrupts."""


def odd(service: Odd, plan: Any) -> Played:
    kept: list[Played] = []

    async def work() -> None:
        async with serving(Starlette(routes=[WebSocketRoute("/v1/realtime", service.serve)])) as url:
            endpoint = Endpoint(f"{url.replace('http', 'ws')}/v1", KEY)
            kept.append(await perform(plan, catalog(GREETS), live=endpoint))

    clock.run(work(), threads.at_work)
    return kept[0]


class Drops(Odd):
    async def create(self, event: Any) -> None:
        if len([each for each in self.received if each["type"] == "response.create"]) > 1:
            await super().create(event)


def test_a_greeting_that_was_asked_for_twice_does_not_keep_the_caller_waiting() -> None:
    """Trap 7: the first request was swallowed."""
    played = odd(Drops(), scenario(says("Hello?"), says("And?")))
    assert [said(turn) for turn in (played.opening, *played.turns)] == [("Casa Nova, hello.",), ("Yes.",), ("Yes.",)]
    assert "gave no sign" not in str(logged(played))


class CancelsLate(Odd):
    """The answer was whole when the cancel came, which is told late and without its id; the next one takes its time."""

    async def create(self, event: Any) -> None:
        response = await self.begin(event)
        if self.made == 2:
            self.open = response
            await self.send("response.output_text.delta", response_id=response["id"], delta="Once")
            return
        if self.made == 3:
            message = "Cancellation failed: no active response found"
            await self.send("error", error={"code": "response_cancel_not_active", "message": message})
            await asyncio.sleep(5)
        await self.say(response, "Casa Nova, hello." if self.made == 1 else "Late, but whole.")
        await self.done(response)

    async def cancel(self, event: Any) -> None:
        await self.say(self.open, " upon a time")
        await self.done(self.open)


def test_a_cancel_that_came_too_late_costs_no_answer() -> None:
    played = odd(CancelsLate(), scenario(says("Tell me."), {"caller": {"interrupts": "Stop!"}}))
    assert said(played.turns[1]) == ("Late, but whole.",)


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "response.output_item.done", "item": {"type": "function_call", "name": "table_for"}},
        {"type": "response.output_text.done", "response_id": "resp_2", "text": None},
        {"type": "response.output_item.done", "item": None},
        {"type": "conversation.item.added", "item": [1]},
        {"type": "rate_limits.updated"},
        {"type": "error"},
        {"no": "type"},
    ],
    ids=lambda event: str(event)[:60],
)
def test_whatever_a_service_leaves_out_ends_no_call(kind: dict[str, Any]) -> None:
    class LeavesOut(Odd):
        async def create(self, event: Any) -> None:
            await self.socket.send_text(json.dumps(kind))
            await self.socket.send_text("no json")
            await super().create(event)

    played = odd(LeavesOut(), scenario(says("Hello?"), says("And?")))
    assert [said(turn) for turn in played.turns] == [("Yes.",), ("Yes.",)]
    assert played.outcome == ""


def test_a_caller_who_may_not_interrupt_is_answered_when_the_agent_is_done() -> None:
    held = GREETS + "turn_detection: {type: server_vad, interrupt_response: false}\n"
    peer, played = play(held, (LONG, "I stop."), scenario(says("Tell me."), {"caller": {"interrupts": "Stop!"}}))
    assert [said(turn) for turn in played.turns] == [(LONG,), ("I stop.",)]
    assert peer.errors == []


@pytest.mark.parametrize("cause", ["quota", "model_unreachable"])
def test_what_a_response_says_that_is_broken_on_purpose_is_heard_by_nobody(cause: str) -> None:
    plan = scenario({"expect": {"ended_by": "service", "says": "Casa Nova"}}, down=cause)
    assert [each.field for each in compare(plan, odd(Odd(), plan))] == ["says.contains"]


def test_what_an_agent_does_when_the_model_is_down_ends_as_by_telephone() -> None:
    kitchen = "{name: kitchen, to: 'tel:+15550123456', when: About an order.}"
    agent = (
        GREETS
        + f"tools: [{{use: transfer, destinations: [{kitchen}]}}]\non_failure: {{quota: {{transfer: kitchen}}}}\n"
    )
    plan = scenario({"expect": {"transfer": "kitchen", "ended_by": "transfer"}}, down="quota")
    assert compare(plan, play(agent, (), plan)[1]) == []


def test_how_many_calls_there_are_counts_here_too_and_costs_no_session() -> None:
    limited = GREETS + "limits: {calls_per_caller_per_hour: 3}\n"
    plan = scenario({"expect": {"ended_by": "capacity"}}, before={"calls": 3})
    assert compare(plan, play(limited, (), plan)[1]) == []


def test_a_caller_who_rings_again_has_a_session_of_its_own() -> None:
    again = {"caller": {"rings_again": True}, "expect": {"greeting": "Casa Nova", "agent": "desk"}}
    plan = scenario(says("Hello?"), again, {**says("Hello?"), "expect": {"says": "Yes?"}})
    peer, played = play(GREETS, ("Yes?",), plan)
    assert compare(plan, played) == []
    assert peer.hung_up_by == "caller", "the first session"


def test_a_connection_cannot_be_lost_without_a_telephone_and_is_skipped() -> None:
    lost = {"connection": "lost", "expect": {"says": "Where were we"}}
    plan = scenario(says("Hello?"), lost, {**says("Hello?"), "expect": {"says": "Yes"}})
    peer, played = play(GREETS, ("Yes?", "Yes?"), plan)
    (skipped,) = compare(plan, played)
    assert (skipped.turn, skipped.field, skipped.is_skipped) == (1, "connection", True)
    assert peer.hung_up_by == "caller"


def test_what_follows_a_connection_that_is_lost_for_good_is_skipped_until_the_next_call() -> None:
    lost = {"connection": "lost_for_good", "expect": {"ended_by": "service"}}
    again = {"caller": {"rings_again": True}, "expect": {"greeting": "Casa Nova"}}
    plan = scenario(lost, {"expect": {"transfer": "kitchen"}}, says("Hello?"), again)
    _, played = play(GREETS, ("Yes?",), plan)
    assert [(each.turn, each.is_skipped) for each in compare(plan, played)] == [(0, True), (1, True), (2, True)]


# ── sound ─────────────────────────────────────────────────────────────────────────────────────────────────────


def recording(seconds: float = 1.0, *, rate: int = 24_000, channels: int = 1, width: int = 2) -> bytes:
    """Return a WAV file with a loud tone."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setframerate(rate)
        sound.setsampwidth(width)
        sound.writeframes(b"\x00\x40" * round(seconds * rate * channels * width / 2))
    return file.getvalue()


def test_a_recording_with_a_pause_is_heard_to_its_end(tmp_path: Path) -> None:
    tone, pause = recording(1.0)[44:], bytes(2 * round(0.7 * 24_000))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(24_000)
        sound.writeframes(tone + pause + tone)
    (tmp_path / "caller.wav").write_bytes(file.getvalue())
    plan = scenario(
        says("Hm, well.", audio="caller.wav"), says("Bye."), file=(tmp_path / "x.scenarios.yaml").as_posix()
    )
    _, played = play(GREETS, ("Go on.", "I see all of it.", "Goodbye."), plan)
    assert said(played.turns[0])[-1:] == ("I see all of it.",)
    assert said(played.turns[1]) == ("Goodbye.",)


def test_a_recording_is_heard_as_a_turn(tmp_path: Path) -> None:
    (tmp_path / "caller.wav").write_bytes(recording(1.5))
    file = (tmp_path / "desk.scenarios.yaml").as_posix()
    plan = scenario(says("A table for four.", audio="caller.wav"), says("Thank you."), file=file)
    peer, played = play(GREETS + "transcription: {model: gpt-transcribe}\n", ("For how many?", "Goodbye!"), plan)
    assert [said(turn) for turn in played.turns] == [("For how many?",), ("Goodbye!",)]
    milliseconds = played.turns[0].milliseconds
    assert milliseconds is not None
    assert 500 <= milliseconds < 1_500, "counted from the end of the words, half a second of silence first"
    heard = next(item for item in peer.conversation if item.get("role") == "user")
    assert heard["content"][0] == {"type": "input_audio", "transcript": "(1.5 seconds of sound)"}
    assert peer.errors == []


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (recording(rate=44_100, channels=2), "caller.wav has 2 channels, 44,100 Hz and 16 bits"),
        (recording(rate=8_000, width=1), "caller.wav has mono, 8,000 Hz and 8 bits"),
        (b"ID3 a song", "caller.wav is no WAV file with plain samples"),
        (b"", "caller.wav is no WAV file with plain samples (it ends too early)"),
        (recording(0), "caller.wav holds no sound"),
    ],
)
def test_a_recording_of_another_form_is_refused_with_a_cure(sound: bytes, told: str) -> None:
    with pytest.raises(SoundError) as raised:
        samples(sound, "caller.wav")
    assert str(raised.value).startswith(told)
    assert raised.value.cure


# ── the environment ───────────────────────────────────────────────────────────────────────────────────────────


def test_live_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        live_endpoint({})


@pytest.mark.parametrize(
    ("environment", "base_url"),
    [
        ({}, "wss://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": "https://eu.example/v1"}, "wss://eu.example/v1"),
        ({"OPENAI_WEBSOCKET_BASE_URL": "wss://eu.example/v2"}, "wss://eu.example/v2"),
        ({"SWITCHBOARD_TEXT_BASE_URL": "http://localhost:11434/v1"}, "wss://api.openai.com/v1"),
    ],
)
def test_where_live_sessions_are_opened(environment: dict[str, str], base_url: str) -> None:
    assert live_endpoint({"OPENAI_API_KEY": "sk-1", **environment}).base_url == base_url


def test_no_secret_shows_in_a_representation() -> None:
    assert "sk-1" not in repr(live_endpoint({"OPENAI_API_KEY": "sk-1"}))


@pytest.mark.parametrize("file", ["cli.py", *(f"verbs/{file.name}" for file in sorted(RUNTIME.glob("verbs/*.py")))])
def test_the_modules_of_a_rehearsal_stay_out_of_light_commands(file: str) -> None:
    head = (RUNTIME / file).read_text("utf-8").partition("\n\n\n")[0]
    assert "runtime.rehearsal" not in head
    assert "runtime.minds" not in head
