"""Rehearsals with the real service, whose place the simulator's sessions without a telephone take on loopback."""

import asyncio
import io
import wave
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from runtime import threads
from runtime.errors import LiveError, SettingsError
from runtime.live import Live, LiveCall, LiveTurn, live_for
from runtime.realtime.tools import read_tool
from runtime.settings import Endpoint, live_endpoint
from runtime.simulator import Behavior, Script, Service, ToolUse, Turn, clock, serving
from runtime.simulator.peer import Peer
from runtime.sound import samples
from tests.house import MINIMAL, catalog, incoming
from tests.line import KEY

GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"
BILLING = "name: billing\ninstructions: You know every invoice.\n"
HANDS_OVER = "handoffs: [{agent: billing, when: About an invoice.}]\n"

Play = Callable[[LiveCall], Coroutine[Any, Any, None]]


def table_for(people: int) -> str:
    """Finds a table."""
    return f"a table for {people}"


def play(
    work: Play, agents: str | tuple[str, ...] = GREETS, *model: Any, key: str = KEY, **service: Any
) -> tuple[Peer, LiveCall]:
    """Open a session with the simulator, whose model says these replies, and play with it."""
    kept: list[Any] = []
    texts = (agents,) if isinstance(agents, str) else agents

    async def whole() -> None:
        simulator = Service(api_key=KEY, script=Script((Turn(None, model),)), **service)
        async with serving(simulator.app) as url:
            live = Live(Endpoint(f"{url.replace('http', 'ws')}/v1", key))
            call = await live.ring(catalog(*texts, read_tool=read_tool), incoming())
            try:
                await work(call)
            finally:
                await call.close()
                kept.extend((simulator.sessions[0].peer, call))

    clock.run(whole(), threads.at_work)
    return kept[0], kept[1]


def turns(agents: str | tuple[str, ...], *model: Any, says: tuple[str, ...] = (), **more: Any) -> list[LiveTurn]:
    """Return the turns of a call in which the caller says these words, the greeting's first."""
    kept: list[LiveTurn] = []

    async def work(call: LiveCall) -> None:
        kept.append(await call.greeted())
        for words in says:
            kept.append(await call.say(words))

    play(work, agents, *model, **more)
    return kept


async def nothing(call: LiveCall) -> None:
    await call.greeted()


# ── the session ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_session_has_the_declared_settings_and_text_as_its_answers() -> None:
    agent = (
        GREETS + "voice: cedar\nturn_detection: {type: server_vad, threshold: 0.7}\ntracing: {workflow_name: desk}\n"
    )
    peer, _ = play(nothing, agent)
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
    assert greeted.receipt.rows
    assert greeted.receipt.differences == ()
    assert greeted.receipt.greeting == "exact"
    other = Behavior(echo_overrides={"audio": {"output": {"voice": "alloy"}}})
    (differs,) = turns(GREETS, behavior=other)
    assert [row.field for row in differs.receipt.differences] == ["voice"]


def test_a_greeting_that_is_said_differently_is_told() -> None:
    (greeted,) = turns(GREETS, behavior=Behavior(says_instead=lambda line: "What do you want?"))
    assert (greeted.said, greeted.receipt.greeting) == (("What do you want?",), "different")


@pytest.mark.parametrize(
    ("agent", "more", "said"),
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
def test_a_session_that_is_not_taken_is_told_in_a_sentence(agent: str, more: Any, said: str) -> None:
    with pytest.raises(LiveError) as raised:
        play(nothing, agent, **more)
    assert said in str(raised.value)
    assert "switchboard show desk --accept" in str(raised.value)


def test_nobody_there_is_told_in_a_sentence() -> None:
    async def work() -> None:
        live = Live(Endpoint("ws://127.0.0.1:9/v1", KEY))
        with pytest.raises(LiveError, match="cannot be reached"):
            await live.ring(catalog(GREETS), incoming())
        with pytest.raises(LiveError, match=r"no agent answers \+15550100099"):
            await live.ring(catalog(GREETS), incoming("+15550100099"))

    clock.run(work(), threads.at_work)


def test_a_service_that_never_starts_the_session_is_given_up() -> None:
    async def silent(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    async def work() -> None:
        async with serving(Starlette(routes=[WebSocketRoute("/v1/realtime", silent)])) as url:
            live = Live(Endpoint(f"{url.replace('http', 'ws')}/v1", KEY))
            with pytest.raises(LiveError, match="did not start the session"):
                await live.ring(catalog(GREETS), incoming())

    clock.run(work(), threads.at_work)


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_caller_writes_is_answered() -> None:
    greeted, first, second = turns(GREETS, "For how many?", "Goodbye!", says=("A table, please.", "Nothing."))
    assert (greeted.agent, greeted.said) == ("desk", ("Casa Nova, hello.",))
    assert (first.said, second.said) == (("For how many?",), ("Goodbye!",))
    assert first.milliseconds is not None
    assert 0 < first.milliseconds < 5_000
    assert first.finished


def test_the_caller_s_words_are_a_turn_of_the_conversation() -> None:
    async def work(call: LiveCall) -> None:
        await call.greeted()
        await call.say("A table, please.")

    peer, _ = play(work, GREETS, "For how many?")
    user = next(item for item in peer.conversation if item.get("role") == "user")
    assert user["content"] == [{"type": "input_text", "text": "A table, please."}]
    (created,) = [event for event in peer.received if event["type"] == "response.create"][1:]
    assert created["response"] == {"output_modalities": ["text"]}


def test_an_agent_without_a_greeting_waits() -> None:
    greeted, answered = turns(MINIMAL, "Yes?", says=("Hello?",))
    assert (greeted.said, greeted.milliseconds, answered.said) == ((), None, ("Yes?",))


def test_an_agent_that_answers_no_turn_by_itself_is_not_waited_for() -> None:
    _, answered = turns(GREETS + "turn_detection: null\n", "Yes?", says=("Hello?",))
    assert answered.said == ()


def test_a_greeting_that_must_not_be_interrupted_lets_the_caller_speak_after_it() -> None:
    held = MINIMAL + "greeting: {text: 'Casa Nova, hello.', interruptible: false}\n"
    greeted, answered = turns(held, "For how many?", says=("A table, please.",))
    assert (greeted.said, answered.said) == (("Casa Nova, hello.",), ("For how many?",))


def test_a_greeting_that_waits_for_the_caller_is_said_after_the_hello() -> None:
    waits = MINIMAL + "greeting: {text: 'Casa Nova, hello.', wait_for_caller: true}\n"
    greeted, answered = turns(waits, says=("Hello?",))
    assert (greeted.said, answered.said) == ((), ("Casa Nova, hello.",))


def test_tools_are_run_by_our_own_code() -> None:
    agent = GREETS + "tools: [{entrypoint: 'tests.test_live:table_for'}]\n"
    both = ("One moment.", ToolUse("table_for", '{"people": 4}'), ToolUse("table_for", '{"people": "many"}'))
    _, answered = turns(agent, both, "There is one.", says=("A table for four.",))
    assert answered.said == ("One moment.", "There is one.")
    assert [(one.tool, one.arguments) for one in answered.used] == [
        ("table_for", '{"people": 4}'), ("table_for", '{"people": "many"}'),
    ]  # fmt: skip
    assert answered.used[0].result == '"a table for 4"'
    assert "do not fit" in str(answered.used[1].result)


async def endless_tool() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return ""


def test_a_tool_that_never_answers_is_not_waited_for_for_ever() -> None:
    agent = GREETS + "tools: [{entrypoint: 'tests.test_live:endless_tool', timeout_seconds: 600}]\n"
    _, waiting = turns(agent, ToolUse("endless_tool"), says=("A table?",))
    assert not waiting.finished
    assert [(one.tool, one.result) for one in waiting.used] == [("endless_tool", None)]


def test_a_handoff_takes_the_caller_to_the_other_agent() -> None:
    handoff = ToolUse("hand_off_to_billing")
    _, answered = turns((GREETS + HANDS_OVER, BILLING), handoff, "Which invoice?", says=("My invoice is wrong.",))
    assert (answered.agent, answered.handoffs, answered.said) == ("billing", ("billing",), ("Which invoice?",))


def test_an_agent_that_hangs_up_ends_the_call() -> None:
    goodbye = ("Goodbye!", ToolUse("hang_up"))
    _, answered = turns(GREETS + "tools: [{use: hang_up}]\n", goodbye, says=("That is all.",))
    assert (answered.said, answered.outcome) == (("Goodbye!",), "agent_hung_up")


def test_a_transfer_ends_the_call_and_rings_nobody() -> None:
    kitchen = "{name: kitchen, to: 'tel:+15550123456', when: About an order.}"
    agent = GREETS + f"tools: [{{use: transfer, destinations: [{kitchen}]}}]\n"
    use = ToolUse("transfer", '{"destination": "kitchen"}')
    peers: list[Peer] = []

    async def work(call: LiveCall) -> None:
        await call.greeted()
        answered = await call.say("My pizza is late.")
        assert (answered.transfers, answered.outcome) == (("kitchen",), "transferred")

    peer, _ = play(work, agent, use)
    peers.append(peer)
    assert peer.referred is None


def test_keys_reach_the_tool_that_waits_for_them_and_otherwise_the_model() -> None:
    agent = GREETS + "tools: [{use: keypad, count: 3}]\n"
    kept: list[LiveTurn] = []

    async def work(call: LiveCall) -> None:
        await call.greeted()
        kept.append(await call.say("I want to cancel."))
        kept.append(await call.press("123"))
        kept.append(await call.press("9"))

    play(work, agent, ("Press three digits.", ToolUse("keypad")), "Thank you.", "Nine?")
    asked, collected, told = kept
    assert (asked.said, collected.said, told.said) == (("Press three digits.",), ("Thank you.",), ("Nine?",))


def test_a_silence_is_really_waited_for() -> None:
    agent = GREETS + "limits: {silence: {after_seconds: 12, lines: [Are you still there?], farewell: Goodbye.}}\n"

    async def work(call: LiveCall) -> None:
        await call.greeted()
        await call.say("Hello?")
        assert (await call.stay_silent(15)).said == ("Are you still there?",)

    play(work, agent, "Yes?")


def test_a_caller_who_leaves_ends_the_call_once() -> None:
    _, call = play(nothing)
    assert call.outcome == "caller_hung_up"


def test_a_session_that_the_service_breaks_off_is_no_hang_up() -> None:
    async def work(call: LiveCall) -> None:
        await call.greeted()
        turn = await call.say("Hello?")
        assert turn.outcome == "connection_lost"
        assert call.reason.startswith("the service closed it: 1")

    play(work, GREETS, behavior=Behavior(sideband_lost_after=4))


def test_an_answer_that_never_comes_is_not_waited_for_for_ever() -> None:
    dropped = Behavior(drop_first_response_create=100)
    (greeted,) = turns(GREETS + "limits: {first_words_seconds: 600}\n", behavior=dropped)
    assert greeted.said == ()


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


def test_a_recording_is_heard_as_a_turn_and_answered_in_sound() -> None:
    kept: list[LiveTurn] = []

    async def work(call: LiveCall) -> None:
        await call.greeted()
        kept.append(await call.play(recording(1.5), "caller.wav"))
        kept.append(await call.say("Thank you."))

    peer, _ = play(work, GREETS + "transcription: {model: gpt-transcribe}\n", "For how many?", "Goodbye!")
    assert [turn.said for turn in kept] == [("For how many?",), ("Goodbye!",)]
    assert kept[0].milliseconds is not None
    assert 500 <= kept[0].milliseconds < 1_500, "counted from the end of the recording, half a second of silence first"
    heard = next(item for item in peer.conversation if item.get("role") == "user")
    assert heard["content"][0] == {"type": "input_audio", "transcript": "(1.5 seconds of sound)"}
    assert peer.errors == []


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (recording(rate=44_100, channels=2), "caller.wav has 2 channels, 44,100 Hz and 16 bits"),
        (recording(rate=8_000, width=1), "caller.wav has mono, 8,000 Hz and 8 bits"),
        (b"ID3 a song", "caller.wav is no WAV file with plain samples"),
        (b"", "caller.wav is no WAV file with plain samples (it ends too early)"),
        (recording(0), "caller.wav holds no sound"),
    ],
)
def test_a_recording_of_another_form_is_refused_with_a_cure(sound: bytes, said: str) -> None:
    with pytest.raises(LiveError) as raised:
        samples(sound, "caller.wav")
    assert str(raised.value).startswith(said)
    assert raised.value.cure


# ── the environment ───────────────────────────────────────────────────────────────────────────────────────────


def test_live_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        live_for({})


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


def test_the_modules_of_a_rehearsal_stay_out_of_light_commands() -> None:
    source = (Path(__file__).parents[1] / "runtime" / "cli.py").read_text("utf-8")
    head = source.partition("\n\n\n")[0]
    assert "runtime.live" not in head
    assert "runtime.minds" not in head
