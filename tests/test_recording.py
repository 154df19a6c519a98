"""What a host records of its calls: both directions, unreadable unless asked for, and never at a call's cost."""

import asyncio
import json
import logging
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from runtime import recorded, threads
from runtime.commands import Record, Send
from runtime.errors import SettingsError
from runtime.events import DigitPressed, TimerFired
from runtime.realtime.tools import read_tool
from runtime.recording import Recorder, folder_for
from runtime.simulator import Keys, Script, SimulatedCall, ToolUse, Turn, clock
from tests.house import MINIMAL, run
from tests.line import line
from tests.play import Play

AGENT = (
    MINIMAL
    + """greeting: "Casa Nova, hello {{ call.caller }}."
tools:
  - entrypoint: tests.test_recording:find_table
  - use: transfer
    destinations: [{name: kitchen, to: "tel:+15550123456", when: About an order., announce: I am putting you through.}]
"""
)
SPOKEN = ("Napoleon", "Waterloo", "Josephine", "Casa Nova", "putting", "7654321", "0123456", "15550100001")
STEPS = (
    Turn("Napoleon wants a table.", (ToolUse("find_table", '{"guest": "Waterloo"}'), "Yes, Josephine.")),
    Keys("79#", ("You pressed something.",)),
    Turn("Put me through.", (ToolUse("transfer", '{"destination": "kitchen"}'),)),
)


def find_table(guest: str) -> str:
    """Finds a table."""
    return f"a table for {guest}"


def record(folder: Path, agent: str = AGENT, script: Script | None = None, **options: Any) -> SimulatedCall:
    """Ring once on a clock that jumps, with a recorder, and return the simulated call."""
    kept: list[SimulatedCall] = []

    async def work() -> None:
        recorder = Recorder(folder, **options)
        async with line(agent, read_tool=read_tool, witness=recorder, pace=1) as made:
            call = await made.ring(script=script or Script(STEPS, hangs_up=False))
            await call.ended.wait()
            await made.quiet()
            kept.append(call)
        recorder.close()

    clock.run(work(), threads.at_work)
    return kept[0]


def lines(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.iterdir()
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def types(folder: Path, direction: str) -> list[str]:
    return [line["event"]["type"] for line in lines(folder)[1:] if line["direction"] == direction]


def test_a_call_is_one_file_with_all_that_went_in_and_out(tmp_path: Path) -> None:
    call = record(tmp_path, speech=True)
    head, webhook, *_ = lines(tmp_path)
    assert head["recording"] == recorded.VERSION
    assert (head["agent"], head["revision"], head["called"]) == ("desk", "rev1", "+15550100001")
    assert (webhook["at"], webhook["direction"], webhook["event"]["type"]) == (0, "http", "webhook")
    assert types(tmp_path, "http")[1:] == [
        "accept", "accepted", "attach", "attached", "refer", "referred", "sideband_closed",
        "attach", "attach_failed", "hang_up", "hung_up",
    ]  # fmt: skip
    assert [line["event"] for line in lines(tmp_path)[1:] if line["direction"] == "out"] == call.peer.received
    assert {"session.updated", "response.output_audio_transcript.delta"} <= set(types(tmp_path, "in"))
    assert types(tmp_path, "host")[-1] == "ended"
    assert {"run_tool", "tool_finished", "timer_fired"} <= set(types(tmp_path, "host"))


def test_times_are_seconds_since_the_webhook(tmp_path: Path) -> None:
    record(tmp_path)
    times = [line["at"] for line in lines(tmp_path)[1:]]
    assert times[0] == 0
    assert times == sorted(times)
    assert 5 < times[-1] < 60


def test_nothing_that_is_said_and_no_number_is_recorded_unless_asked_for(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "whole").mkdir()
    record(tmp_path / "kept")
    record(tmp_path / "whole", speech=True)
    (kept,), (whole,) = (list((tmp_path / name).iterdir()) for name in ("kept", "whole"))
    for said in SPOKEN:
        assert said in whole.read_text("utf-8"), "otherwise the test would prove nothing"
        assert said not in kept.read_text("utf-8")
    pressed = [line["event"]["event"] for line in lines(tmp_path / "kept")[1:] if "dtmf" in line["event"]["type"]]
    assert pressed == ["1", "1", "#"]


def test_a_redaction_changes_no_structure(tmp_path: Path) -> None:
    for name in ("kept", "whole"):
        (tmp_path / name).mkdir()
        record(tmp_path / name, speech=name == "whole")
    assert types(tmp_path / "kept", "in") == types(tmp_path / "whole", "in")
    assert types(tmp_path / "kept", "out") == types(tmp_path / "whole", "out")


def test_only_the_owner_reads_a_recording(tmp_path: Path) -> None:
    record(tmp_path)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_call_that_nobody_takes_is_recorded_too(tmp_path: Path) -> None:
    record(tmp_path, MINIMAL.replace("+15550100001", "+15550100002"))
    head, webhook, reject, ended = lines(tmp_path)
    assert head["agent"] is None
    assert webhook["event"]["turned_away"]["outcome"] == "no_agent"
    assert reject["event"] == {"type": "reject", "status": 404}
    assert ended["event"]["outcome"] == "no_agent"


def test_a_live_call_ends_with_a_line_when_the_host_drains(tmp_path: Path) -> None:
    async def work() -> None:
        recorder = Recorder(tmp_path)
        async with line(AGENT, read_tool=read_tool, witness=recorder, pace=1) as made:
            call = await made.ring(script=Script((Turn("Hello."),), hangs_up=False))
            await call.happened("answer")
            await made.host.drain(0)
        recorder.close()

    clock.run(work(), threads.at_work)
    assert lines(tmp_path)[-1]["event"]["outcome"] == "drained"


def test_a_call_that_is_cut_off_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        recorder = Recorder(tmp_path)
        async with line(AGENT, read_tool=read_tool, witness=recorder, pace=1) as made:
            call = await made.ring(script=Script((Turn("Hello."),), hangs_up=False))
            await call.happened("answer")
            recorder.close()

    clock.run(work(), threads.at_work)
    assert lines(tmp_path)[-1]["event"] == {"type": "cut_off"}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "runtime.recording"]


def two_calls(folder: Path, between: Any) -> list[str]:
    """Ring twice with one recorder, and return how the calls ended; between them something happens to the folder."""
    outcomes: list[str] = []

    def observe(_: Any, told: Record) -> None:
        outcomes.extend([told.fields["outcome"]] if told.what == "ended" else [])

    async def work() -> None:
        recorder = Recorder(folder)
        async with line(AGENT, read_tool=read_tool, witness=recorder, observers=(observe,), pace=1) as made:
            for _ in range(2):
                between()
                call = await made.ring(script=Script((Turn("Hello.", ("Yes?",)),)))
                await call.ended.wait()
                await made.idle()
        recorder.close()

    clock.run(work(), threads.at_work)
    return outcomes


def test_a_folder_that_is_gone_is_told_once_and_breaks_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    outcomes = two_calls(folder, lambda: shutil.rmtree(folder, ignore_errors=True))
    assert outcomes == ["caller_hung_up"] * 2
    assert told(caplog) == ["calls cannot be recorded"]


def test_a_full_disk_is_told_once_and_breaks_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import resource
    import signal

    before, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    try:
        outcomes = two_calls(tmp_path, lambda: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, handler)
    assert outcomes == ["caller_hung_up"] * 2
    assert told(caplog) == ["calls cannot be recorded"]
    for file in tmp_path.iterdir():
        recorded.read(file.read_text("utf-8"), file.name)  # what was written before can still be played


def arrive(recorder: Recorder, call_id: str = "rtc_1") -> None:
    """Let a call begin for a recorder, without a host."""
    recorder.took(call_id, 1.0, Play().arrival, ())


def test_half_an_emoji_is_written_as_json_escapes_it(tmp_path: Path) -> None:
    """The service cuts words into pieces where it likes, and UTF-8 has no way to write half of a pair."""
    for speech in (True, False):
        folder = folder_for(str(tmp_path / str(speech)))
        recorder = Recorder(folder, speech=speech)
        arrive(recorder)
        recorder.heard("rtc_1", 2.0, r'{"type": "some.delta", "item_id": "item_\ud83d", "delta": "hi \ud83d"}')
        recorder.heard("rtc_1", 3.0, '{"type": "some.done"}')
        recorder.close()
        half, done, _ = lines(folder)[2:]
        assert half["event"]["delta"] == ("hi \ud83d" if speech else "xx x")
        assert done["event"] == {"type": "some.done"}


def test_what_cannot_be_written_costs_the_recording_of_its_call_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, speech=True)
    for call_id in ("rtc_1", "rtc_2"):
        arrive(recorder, call_id)
    recorder.took("rtc_1", 2.0, TimerFired("silence"), [Send({"type": "session.update", ("no", "key"): 1})])
    recorder.took("rtc_1", 3.0, TimerFired("silence"), ())
    recorder.took("rtc_2", 3.0, TimerFired("silence"), ())
    recorder.close()
    first, second = (file.read_text("utf-8").splitlines() for file in sorted(tmp_path.iterdir()))
    assert [json.loads(line)["event"]["type"] for line in first[1:]] == ["webhook", "timer_fired"]
    assert [json.loads(line)["event"]["type"] for line in second[1:]] == ["webhook", "timer_fired", "cut_off"]
    (record,) = (record for record in caplog.records if record.name == "runtime.recording")
    assert record.getMessage() == "calls cannot be recorded"
    assert str(getattr(record, "said", "")).startswith("TypeError < "), "and not that the disk is slow"


def test_a_recording_that_is_there_is_never_written_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A webhook that is delivered to two hosts gives two calls of one name."""
    for fired in ("silence", "duration"):
        recorder = Recorder(tmp_path)
        arrive(recorder)
        recorder.took("rtc_1", 2.0, TimerFired(fired), ())
        recorder.close()
        assert lines(tmp_path)[2]["event"]["name"] == "silence"
    assert told(caplog) == ["calls cannot be recorded"]


def test_an_event_costs_a_call_next_to_nothing(tmp_path: Path) -> None:
    """The loop only puts it into a queue: a hundred thousand events a second would be a tenth of its time."""
    import time

    recorder = Recorder(tmp_path)
    event, count = DigitPressed("1"), 20_000
    began = time.thread_time()
    for _ in range(count):
        recorder.took("rtc_1", 1.0, event, ())
    spent = (time.thread_time() - began) / count
    recorder.close()
    assert spent < 20e-6


def test_a_folder_is_made_for_its_owner_and_one_that_cannot_be_is_told_in_a_sentence(tmp_path: Path) -> None:
    folder = folder_for(str(tmp_path / "new" / "recordings"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--record cannot use"):
        folder_for(str(tmp_path / "file"))


def test_a_host_closes_its_recordings_when_it_stops(tmp_path: Path) -> None:
    async def work() -> None:
        recorder = Recorder(tmp_path)
        task = asyncio.create_task(recorder.kept_open())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not recorder.is_open

    run(work())


def test_more_than_can_be_written_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    recorder = Recorder(tmp_path, most_waiting=0)
    recorder.heard("rtc_1", 1.0, "{}")
    recorder.heard("rtc_1", 1.0, "{}")
    recorder.close()
    assert told(caplog) == ["calls cannot be recorded"]
