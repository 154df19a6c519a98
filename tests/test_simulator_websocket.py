"""Sessions without a telephone: the simulator's plain WebSocket side, by its peer and by OpenAI's own client."""

import base64
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from runtime.simulator import Script, Service, Turn, serving
from runtime.simulator.peer import Peer
from tests.house import run

PCM = {"type": "audio/pcm", "rate": 24_000}
TYPED = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A table?"}]}


def peer(**settings: Any) -> Peer:
    made = Peer("sess_1", by_telephone=False)
    made.accept({"type": "realtime", "model": "gpt-realtime-2.1", **settings})
    return made


def drained(made: Peer) -> list[dict[str, Any]]:
    events = []
    while (step := made.next_step()) is not None:
        events += step[1]
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def append(seconds: float, loud: bool) -> dict[str, Any]:
    samples = (b"\x00\x40" if loud else b"\x00\x00") * round(seconds * 24_000)
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(samples).decode()}


def test_the_session_is_told_as_soon_as_it_stands() -> None:
    (created,) = peer().attach()
    assert created["type"] == "session.created"


def test_formats_may_be_told_and_distort_nothing() -> None:
    made = peer()
    settings = {"type": "realtime", "audio": {"input": {"format": PCM}, "output": {"format": PCM}}}
    (updated,) = made.receive({"type": "session.update", "session": settings})
    assert updated["session"]["audio"]["output"]["format"] == PCM
    assert not made.distorted


def test_what_is_typed_is_answered_when_it_is_asked_for() -> None:
    """Turn detection hears no text."""
    made = peer(output_modalities=["text"])
    made.cue("For how many?")
    made.receive({"type": "conversation.item.create", "item": TYPED})
    assert made.quiet
    made.receive({"type": "response.create"})
    (done,) = [event for event in drained(made) if event["type"] == "response.output_text.done"]
    assert done["text"] == "For how many?"


def test_sound_is_sent_and_nobody_tells_what_is_played() -> None:
    made = peer()
    made.cue("For how many?")
    made.receive({"type": "response.create"})
    events = drained(made)
    assert "response.output_audio.delta" in kinds(events)
    assert "response.output_audio.done" in kinds(events)
    assert not any(kind.startswith("output_audio_buffer.") for kind in kinds(events))


def test_a_turn_is_over_after_half_a_second_of_silence() -> None:
    made = peer(audio={"input": {"transcription": {"model": "gpt-transcribe"}}})
    assert made.receive(append(1, loud=False)) == []
    assert kinds(made.receive(append(1.2, loud=True))) == ["input_audio_buffer.speech_started"]
    assert made.receive(append(0.3, loud=False)) == []
    assert made.receive(append(0.3, loud=True)) == []
    ended = made.receive(append(0.5, loud=False))
    assert kinds(ended)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    (heard,) = [event["transcript"] for event in ended if event["type"].endswith("transcription.completed")]
    assert heard == "(1.5 seconds of sound)"
    assert "response.created" in kinds(ended)


def test_without_turn_detection_sound_is_heard_by_nobody() -> None:
    made = peer(audio={"input": {"turn_detection": None}})
    assert made.receive(append(1, loud=True)) + made.receive(append(1, loud=False)) == []


@pytest.mark.parametrize("audio", ["not base64!", "AAA", "AAAA"], ids=["no base64", "cut off", "half a sample"])
def test_what_is_no_sound_is_refused(audio: str) -> None:
    made = peer()
    (error,) = made.receive({"type": "input_audio_buffer.append", "audio": audio})
    assert error["error"]["param"] == "audio"


def test_openai_s_own_client_talks_to_it() -> None:
    async def work() -> None:
        service = Service(api_key="sk-test", pace=0, script=Script((Turn(None, "For how many?"),)))
        async with serving(service.app) as url:
            client = AsyncOpenAI(api_key="sk-test", base_url=f"{url}/v1")
            async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
                assert (await connection.recv()).type == "session.created"
                await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
                await connection.conversation.item.create(item=TYPED)  # type: ignore[arg-type]
                await connection.response.create()
                async for event in connection:
                    if event.type == "response.output_text.done":
                        assert event.text == "For how many?"
                    if event.type == "response.done":
                        break
            await service.sessions[0].ended.wait()
            assert service.sessions[0].outcome == "hung up by caller"
            await client.close()

    run(work())


def test_a_wrong_key_opens_no_session() -> None:
    async def work() -> None:
        service = Service(api_key="sk-test")
        async with serving(service.app) as url:
            client = AsyncOpenAI(api_key="wrong", base_url=f"{url}/v1")
            with pytest.raises(InvalidStatus):
                await client.realtime.connect(model="gpt-realtime-2.1").enter()
            await client.close()
        assert service.sessions == []

    run(work())
