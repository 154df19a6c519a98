"""A recorded call is played against the agents of today: what is the same says nothing, what is not says it plainly."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import recorded, threads
from runtime.cli import main
from runtime.errors import SettingsError
from runtime.realtime.tools import read_tool
from runtime.recording import Recorder
from runtime.replay import Replayed, replay
from runtime.simulator import Behavior, Interrupt, Keys, Script, Silence, ToolUse, Turn, clock
from tests.house import MINIMAL, catalog
from tests.line import line

DESK = (
    MINIMAL
    + """greeting: "Casa Nova, hello {{ call.caller }}."
voice: sage
handoffs: [{agent: billing, when: About an invoice., announce: Let me hand you over.}]
tools:
  - entrypoint: tests.test_replay:find_table
  - {use: keypad, name: reference, count: 3}
  - {use: take_message, fields: [{name: number, description: Where to ring, kind: phone}]}
limits: {silence: {after_seconds: 12, lines: [Are you still there?, Anybody?]}}
guardrails: {never_say: [guarantee], instead: I cannot promise that.}
"""
)
BILLING = """name: billing
voice: sage
instructions: You know every invoice.
tools:
  - use: transfer
    destinations:
      - {name: office, to: "tel:+15550123456", when: Always., announce: I am putting you through.}
"""
STEPS = (
    Turn("Napoleon wants a table.", (ToolUse("find_table", '{"guest": "Napoleon"}'), "Yes, at eight.")),
    Interrupt("Wait, at nine.", ("At nine, then, and I will say so at some length so that you can hear it all.",)),
    Turn("A reference?", (("Press three digits.", ToolUse("reference")),)),
    Keys("123", ("Thank you.",)),
    Keys("4#", ("You pressed four.",)),
    Silence(14),
    Turn("Ring me.", (ToolUse("take_message", '{"number": "+15557654321"}'), "It is kept.")),
    Turn("Is it sure?", ("We can guarantee that it is free on every evening of the whole coming year, for you.",)),
    Turn(None),
    Turn("My invoice is wrong.", (ToolUse("hand_off_to_billing"), "Which invoice?")),
    Turn("The office, please.", (ToolUse("transfer", '{"destination": "office"}'),)),
)


def find_table(guest: str) -> str:
    """Finds a table."""
    return f"a table for {guest}"


def record(folder: Path, *agents: str, steps: Any = STEPS, speech: bool = True, **more: Any) -> recorded.Recording:
    """Ring once on a clock that jumps and return the recording."""
    behavior = more.pop("behavior", None)

    async def work() -> None:
        recorder = Recorder(folder, speech=speech)
        async with line(*(agents or (DESK, BILLING)), read_tool=read_tool, witness=recorder, pace=1) as made:
            call = await made.ring(script=Script(tuple(steps), **more), behavior=behavior)
            await call.ended.wait()
            await made.quiet()
        recorder.close()

    clock.run(work(), threads.at_work)
    (file,) = folder.iterdir()
    return recorded.read(file.read_text("utf-8"), "a.jsonl")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, recorded.Recording]:
    """One call with everything in it, recorded with its words and without."""
    return {speech: record(tmp_path_factory.mktemp("r"), speech=speech, hangs_up=False) for speech in (True, False)}


def today(recording: recorded.Recording, *agents: str) -> Replayed:
    return replay(recording, catalog(*(agents or (DESK, BILLING)), read_tool=read_tool))


def texts(replayed: Replayed) -> list[str]:
    return [one.text for one in replayed.deviations]


def changed(recording: recorded.Recording, *changes: tuple[str, str]) -> list[str]:
    """Replay against the desk with pieces of its file replaced."""
    desk = DESK
    for old, new in changes:
        assert old in desk
        desk = desk.replace(old, new)
    return texts(today(recording, desk, BILLING))


@pytest.mark.parametrize("speech", [True, False])
def test_a_call_with_everything_in_it_goes_as_then(rich: dict[bool, recorded.Recording], speech: bool) -> None:
    recording = rich[speech]
    types = {entry.type for entry in recording.entries}
    assert {"run_tool", "handed_off", "refer", "timer_fired", "output_audio_buffer.clear"} <= types
    assert "output_audio_buffer.cleared" in types, "the caller interrupted"
    assert "input_audio_buffer.dtmf_event_received" in types
    assert recording.is_whole
    assert today(recording).deviations == ()


def test_another_greeting_is_told_with_both(rich: dict[bool, recorded.Recording]) -> None:
    (told,) = changed(rich[True], ("Casa Nova, hello", "Casa Vecchia, good day"))
    assert told == (
        "The greeting has other words now: “Casa Nova, hello +15557654321.” then, "
        "“Casa Vecchia, good day +15557654321.” now."
    )


def test_of_words_that_were_not_recorded_the_lengths_are_compared(rich: dict[bool, recorded.Recording]) -> None:
    (told,) = changed(rich[False], ("Casa Nova, hello", "Casa Vecchia, good day"))
    assert told == "The greeting has other words now: 30 characters then, 36 now."


def test_where_a_number_decides_nothing_is_told_without_it(tmp_path: Path) -> None:
    decides = (
        MINIMAL
        + """greeting: "{% if call.caller.startswith('+1555') %}Hello again.{% else %}Casa Nova.{% endif %}"\n"""
    )
    recording = record(tmp_path, decides, steps=STEPS[:1], speech=False)
    told = today(recording, decides)
    assert told.deviations == ()
    assert "What was not recorded decides on the greeting: whether that is otherwise now cannot be told." in told.notes
    other = decides.replace("Be brief.", "Be very brief.")
    assert texts(today(recording, other)) == ["The instructions are other ones now: 9 characters then, 14 now."]


@pytest.mark.parametrize("more", ["interruptible: true", "interruptible: false", "wait_for_caller: true"])
@pytest.mark.parametrize("way", ["", "not "])
def test_where_a_number_decides_whether_there_is_a_greeting_it_is_as_then(tmp_path: Path, more: str, way: str) -> None:
    """Without one, no turn of the caller's would be held for it."""
    text = f"{{% if {way}call.caller.startswith('+1555') %}}Hello.{{% endif %}}"
    decides = f'{MINIMAL}greeting: {{text: "{text}", {more}}}\n'
    told = today(record(tmp_path, decides, steps=HELLO, speech=False), decides)
    assert told.deviations == ()
    assert any(note.startswith("What was not recorded decides on the greeting") for note in told.notes)


def test_where_a_number_lets_a_template_fail_nothing_is_compared(tmp_path: Path) -> None:
    decides = MINIMAL + """greeting: "{{ {'+15557654321': 'Ann'}[call.caller] }}"\n"""
    told = today(record(tmp_path, decides, steps=STEPS[:1], speech=False), decides)
    assert told.deviations == ()
    assert any(note.endswith("With what was not recorded it may not: nothing is compared.") for note in told.notes)


def count_visits() -> dict[str, Any]:
    """Finds who is calling."""
    return {"visits": 12}


def test_what_a_lookup_counted_decides_as_numbers_do(tmp_path: Path) -> None:
    counts = (
        MINIMAL
        + """greeting: "This is your call number {{ visits }}."
lookup: {entrypoint: "tests.test_replay:count_visits", defaults: {visits: 0}}
"""
    )
    told = today(record(tmp_path, counts, steps=STEPS[:1], speech=False), counts)
    assert told.deviations == ()
    assert any(note.startswith("What was not recorded decides on the greeting") for note in told.notes)


@pytest.mark.parametrize("speech", [True, False])
def test_settings_are_told_by_field_and_once(rich: dict[bool, recorded.Recording], speech: bool) -> None:
    told = changed(rich[speech], ("voice: sage", "voice: cedar\nturn_detection: {type: server_vad}"))
    assert "The session's voice was 'sage' then, and is 'cedar' now." in told
    assert "The session's turn_detection.type was 'semantic_vad' then, and is 'server_vad' now." in told
    assert len(told) == len(set(told))


def test_a_line_that_is_not_asked_for_now_is_not_heard_either(tmp_path: Path) -> None:
    """Its words would be judged as the model's own, which ours are not."""
    guarded = MINIMAL + "guardrails: {never_say: [guarantee], instead: I cannot promise that.}\n"
    greets = guarded + "greeting: We guarantee a table.\n"
    recording = record(tmp_path, greets, steps=HELLO)
    assert texts(today(recording, greets)) == []
    assert texts(today(recording, guarded)) == ["The greeting was said then, and is not now."]


def test_a_tool_that_is_gone_is_told_where_the_model_called_it(rich: dict[bool, recorded.Recording]) -> None:
    told = today(rich[True], DESK.replace("  - entrypoint: tests.test_replay:find_table\n", ""), BILLING)
    assert [one.text for one in told.deviations][:2] == [
        "The model has no tool find_table any more.",
        "The model called find_table, which desk does not have now.",
    ]
    assert told.deviations[1].at == pytest.approx(1.6, abs=0.5)


@pytest.mark.parametrize("speech", [True, False])
def test_a_limit_ends_the_call_earlier_with_its_line(rich: dict[bool, recorded.Recording], speech: bool) -> None:
    told = changed(rich[speech], ("limits: {", "limits: {duration: {seconds: 20, warn_seconds: 0}, "))
    ending = next(text for text in told if "ended with" in text)
    assert ending.startswith("The call ended with transferred after 37.")
    assert "ends with too_long after 20." in ending
    assert "The farewell is said now, and was not then." in told
    assert not any("put through" in text for text in told), "what came after the end of today's call is no news"


def test_a_timer_that_fires_earlier_is_told_in_seconds(rich: dict[bool, recorded.Recording]) -> None:
    told = changed(rich[True], ("after_seconds: 12", "after_seconds: 8"))
    assert told == ["The line for a silent caller is said 4.0 s earlier now."]


def test_rules_about_words_are_not_lost_with_the_words(rich: dict[bool, recorded.Recording]) -> None:
    for recording in rich.values():
        told = changed(recording, ("guardrails: {never_say: [guarantee], instead: I cannot promise that.}\n", ""))
        assert "The line instead of forbidden words was said then, and is not now." in told


def slowed(recording: recorded.Recording, seconds: float, **more: Any) -> recorded.Recording:
    """Return a recording in which find_table took so long, and all that came after it came later."""
    index = next(
        n
        for n, entry in enumerate(recording.entries)
        if entry.event.get("name") == "find_table" and entry.type == "tool_finished"
    )
    entries = [
        replace(entry, at=entry.at + (seconds if n >= index else 0)) for n, entry in enumerate(recording.entries)
    ]
    entries[index] = replace(entries[index], event={**entries[index].event, "seconds": seconds, **more})
    return replace(recording, entries=tuple(entries))


@pytest.mark.parametrize("speech", [True, False])
def test_a_tool_that_took_longer_than_it_may_now_is_given_up(
    rich: dict[bool, recorded.Recording], speech: bool
) -> None:
    recording = slowed(rich[speech], 5.0)
    entry = "tests.test_replay:find_table\n"
    assert changed(recording, (entry, f"{entry}    timeout_seconds: 6\n")) == []
    told = changed(recording, (entry, f"{entry}    timeout_seconds: 1\n"))
    assert told[:3:2] == [
        "The tool find_table took 5.0 s then, and is given up after 1 s now.",
        "The result of find_table is given to the model 4.0 s earlier now.",
    ]
    result = '“"a table for Napoleon"” then, “The tool took too long. '
    assert told[1].startswith("The result of find_table is another one now: ")
    assert (result in told[1]) is speech


def test_a_tool_that_was_given_up_then_is_again_and_with_more_time_nobody_knows(
    rich: dict[bool, recorded.Recording],
) -> None:
    recording = slowed(rich[True], 5.04, too_slow=True)
    entry = "tests.test_replay:find_table\n"
    same, more, less = (
        today(recording, DESK.replace(entry, f"{entry}    timeout_seconds: {limit}\n"), BILLING) for limit in (5, 20, 2)
    )
    assert same.deviations == (), "a busy host tells of it late"
    assert more.deviations == ()
    note = (
        "The tool find_table was given up after 5.0 s then, and may take 20 s now: what it would give is not recorded."
    )
    assert note in more.notes
    assert note not in same.notes
    assert "The tool find_table took 5.0 s then, and is given up after 2 s now." in texts(less)


def test_a_handoff_that_is_gone_changes_the_end(rich: dict[bool, recorded.Recording]) -> None:
    handoff = "handoffs: [{agent: billing, when: About an invoice., announce: Let me hand you over.}]\n"
    told = changed(rich[True], (handoff, ""))
    assert "The model called hand_off_to_billing, which desk does not have now." in told
    assert any("ends with caller_hung_up" in text for text in told)


def test_another_destination_is_told(rich: dict[bool, recorded.Recording]) -> None:
    other = BILLING.replace("+15550123456", "+155501234567")
    for recording in rich.values():
        (told,) = texts(today(recording, DESK, other))
        assert told.startswith("The caller is put through to another address now")


def test_another_agent_that_answers_is_told_and_played(rich: dict[bool, recorded.Recording]) -> None:
    told = today(rich[True], DESK.replace("+15550100001", "+15550100002"), BILLING, NEW)
    assert told.agent == "new"
    assert told.deviations[0].text == "desk answered then, and new answers now."
    assert "The greeting was said then, and is not now." in texts(told)


NEW = 'name: new\nanswers: ["*"]\ninstructions: Be new.\n'


def test_nobody_who_answers_is_told(rich: dict[bool, recorded.Recording]) -> None:
    for recording, agents in ((rich[True], (BILLING,)), (rich[False], (BILLING,)), (rich[False], (NEW,))):
        assert texts(today(recording, *agents)) == ["desk answered then, and nobody answers now."]


def test_a_file_that_changed_is_named_with_the_revision(rich: dict[bool, recorded.Recording]) -> None:
    told = today(rich[True], DESK + "# a comment\n", BILLING)
    assert told.deviations == ()
    assert told.notes == ("The file of desk has changed since; it was recorded at revision rev1.",)


def test_a_template_that_fails_today_is_told(rich: dict[bool, recorded.Recording]) -> None:
    (told,) = changed(rich[True], ("hello {{ call.caller }}", "{{ 1 // (call.id == 'rtc_sample') }}"))
    assert told.startswith("A template of desk fails now:")


def test_another_environment_is_named(rich: dict[bool, recorded.Recording]) -> None:
    told = replay(rich[True], catalog(DESK, BILLING, read_tool=read_tool), "staging")
    assert told.notes == ("It was recorded in none, and is played in the environment 'staging': see --environment.",)


def test_the_tools_that_a_server_offered_then_are_there_again(rich: dict[bool, recorded.Recording]) -> None:
    """Nobody asks a server of tools for a replay."""
    tool = {"type": "function", "name": "forecast", "description": "The weather.", "parameters": {"type": "object"}}

    def offered(entry: recorded.Entry) -> recorded.Entry:
        session = entry.event.get("session")
        if not isinstance(session, dict) or "find_table" not in str(session.get("tools")):
            return entry
        return replace(entry, event={**entry.event, "session": {**session, "tools": [*session["tools"], tool]}})

    recording = replace(rich[True], entries=tuple(map(offered, rich[True].entries)))
    assert "The model has no tool forecast any more." in changed(recording)
    assert changed(recording, ("tools:\n", "tools:\n  - mcp: {command: [python, -m, samples.weather]}\n")) == []


# ── calls that went badly ─────────────────────────────────────────────────────────────────────────────────────

HELLO = (Turn("Hello.", ("Yes?",)),)
PLAIN = MINIMAL + "greeting: Casa Nova, hello.\n"
GOES_BADLY = [
    Behavior(sideband_lost_after=4),
    Behavior(refused_at_accept=frozenset({"session.tracing"})),
    Behavior(attach_not_found=1000),
    Behavior(accept_fails=(500,) * 30),
    Behavior(drop_first_response_create=1),
    Behavior(failed_responses=1),
    Behavior(refuse_create_without_event_id=True),
    Behavior(transcription_is_late=True, session_created_on_attach=True),
    Behavior(echo_overrides={"audio": {"output": {"voice": "alloy"}}}),
    Behavior(ignore_session_update=True),
    Behavior(says_instead=lambda line: "Something else."),
]


@pytest.mark.parametrize("behavior", GOES_BADLY, ids=range(len(GOES_BADLY)))
@pytest.mark.parametrize("speech", [True, False])
def test_what_the_service_did_wrong_it_does_again(tmp_path: Path, behavior: Behavior, speech: bool) -> None:
    recording = record(tmp_path, PLAIN, steps=HELLO, behavior=behavior, speech=speech)
    assert recording.is_whole
    assert texts(today(recording, PLAIN)) == []


def find_guest() -> dict[str, str]:
    """Finds who is calling."""
    return {"guest": "Mr. Rossi"}


def promises(text: str) -> bool:
    """Tells whether words promise something."""
    return "promise" in text


ASKS = (
    MINIMAL
    + """greeting: {text: "Hello {{ guest }}.", interruptible: false}
lookup: {entrypoint: "tests.test_replay:find_guest", defaults: {guest: you}}
guardrails: {rules: ["tests.test_replay:promises"], instead: I take that back.}
"""
)


@pytest.mark.parametrize("speech", [True, False])
def test_what_a_lookup_found_and_a_rule_said_comes_from_the_recording(tmp_path: Path, speech: bool) -> None:
    steps = (Turn("Is it sure?", ("I promise. " * 30,)), Turn(None))
    recording = record(tmp_path, ASKS, steps=steps, speech=speech)
    assert {"looked_up", "words_refused"} <= {entry.type for entry in recording.entries}
    assert texts(today(recording, ASKS)) == []


def test_a_call_that_nobody_took_is_told_when_somebody_would(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "kept").mkdir()
    elsewhere = MINIMAL.replace("+15550100001", "+15550100002")
    whole = record(tmp_path / "whole", elsewhere)
    assert texts(today(whole, elsewhere)) == []
    assert texts(today(whole, MINIMAL)) == ["Nobody answered then, and desk answers now."]
    kept = today(record(tmp_path / "kept", elsewhere, speech=False), MINIMAL)
    assert kept.deviations == ()
    assert kept.notes == ("Numbers are not recorded: who answers this one today cannot be told.",)


@pytest.mark.parametrize("seconds", [0, 20])
def test_a_host_that_drained_does_so_again(tmp_path: Path, seconds: float) -> None:
    async def work() -> None:
        recorder = Recorder(tmp_path)
        async with line(PLAIN, witness=recorder, pace=1) as made:
            call = await made.ring(script=Script(HELLO, hangs_up=False))
            await call.happened("answer")
            await made.host.drain(seconds)
        recorder.close()

    clock.run(work(), threads.at_work)
    (file,) = tmp_path.iterdir()
    recording = recorded.read(file.read_text("utf-8"), "a.jsonl")
    assert recording.entries[-1].event["outcome"] == "drained"
    assert texts(today(recording, PLAIN)) == []


def test_a_fallback_that_is_gone_is_told(tmp_path: Path) -> None:
    """A call too many was answered with a line; today it would be rejected."""
    busy = "limits: {calls_per_caller_per_hour: 1}\non_failure: {over_capacity: {say: Please call again.}}\n"

    async def work() -> None:
        recorder = Recorder(tmp_path, speech=True)
        async with line(PLAIN + busy, witness=recorder, pace=1) as made:
            for _ in range(2):
                call = await made.ring(script=Script((Silence(20),)))
                await call.ended.wait()
                await made.idle()
        recorder.close()

    clock.run(work(), threads.at_work)
    first, second = (
        recorded.read(file.read_text("utf-8"), "a.jsonl")
        for file in sorted(tmp_path.iterdir(), key=lambda file: "unable" in file.read_text("utf-8"))
    )
    assert texts(today(first, PLAIN + busy)) == texts(today(second, PLAIN + busy)) == []
    assert texts(today(first, PLAIN)) == []
    (told,) = texts(today(second, PLAIN))
    assert told.startswith("The call is not answered now for over_capacity")


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def written(recording: recorded.Recording) -> str:
    return recorded.head_line(recording.head) + "".join(entry.line() for entry in recording.entries)


def test_a_recording_is_read_as_it_was_written(rich: dict[bool, recorded.Recording]) -> None:
    for recording in rich.values():
        assert recorded.read(written(recording), recording.file) == recording


def test_a_recording_that_breaks_off_is_played_as_far_as_it_goes(rich: dict[bool, recorded.Recording]) -> None:
    text = written(rich[True])
    for share in (0.2, 0.5, 0.9):
        told = today(recorded.read(text[: int(len(text) * share)], "a.jsonl"))
        assert texts(told) == []
        assert told.notes[0].startswith("The recording is cut off after ")


def broken(text: str, number: int, line: str) -> str:
    lines = text.splitlines()
    lines[number - 1] = line
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("number", "line", "said"),
    [
        (1, "", "a.jsonl:1 is no head of a recording."),
        (1, '{"at": 0}', "a.jsonl:1 is no head of a recording."),
        (1, '{"recording": 1}', "a.jsonl:1 has no usable 'call_id'."),
        (2, '{"at": 0, "direction": "in", "event": {}}', "a.jsonl:2 does not tell how the call came."),
        (2, '{"at": 0, "direction": "http", "event": {"type": "webhook"}}', "a.jsonl:2 does not tell when"),
        (5, "\x00\x00", "a.jsonl:5 is no event of a recording."),
        (5, '{"at": "1", "direction": "in", "event": {}}', "a.jsonl:5 is no event of a recording."),
        (5, '{"at": 1, "direction": "http", "event": {"type": "accept"}}', "a.jsonl:5 has no usable 'session'."),
        (
            1,
            '{"recording": 2}',
            "a.jsonl is a recording of format 2, and this Switchboard reads up to 1. "
            "Update Switchboard, or use the one that recorded it.",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_with_its_line(
    rich: dict[bool, recorded.Recording], number: int, line: str, said: str
) -> None:
    with pytest.raises(SettingsError) as told:
        today(recorded.read(broken(written(rich[True]), number, line), "a.jsonl"))
    assert str(told.value).startswith(said)


def test_an_empty_file_is_no_recording() -> None:
    with pytest.raises(SettingsError, match="no head"):
        recorded.read("", "a.jsonl")


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_tells_what_differs_and_exits_so(
    rich: dict[bool, recorded.Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agents, file = tmp_path / "agents", tmp_path / "call.jsonl"
    agents.mkdir()
    (agents / "desk.yaml").write_text(DESK)
    (agents / "billing.yaml").write_text(BILLING)
    file.write_text(written(rich[True]))
    command = ["replay", str(file), "--agents", str(agents)]
    assert main(command) == 0
    assert re.search(r": desk, 3\d\.\d s: the same as then\n", capsys.readouterr().out)
    (agents / "desk.yaml").write_text(DESK.replace("voice: sage", "voice: cedar"))
    assert main(command) == 1
    told = capsys.readouterr().out
    assert ": 1 difference\n       0.0 s  The session's voice was 'sage' then, and is 'cedar' now.\n" in told
    assert main([*command, "--format", "json"]) == 1
    (data,) = json.loads(capsys.readouterr().out)
    assert (data["agent"], data["same"], data["deviations"][0]["about"]) == ("desk", False, "session")
    (agents / "desk.yaml").write_text("name: desk\n")
    assert main(command) == 2
    assert "agents/desk.yaml" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "nothing.jsonl"), "--agents", str(agents)]) == 2
    assert "nothing.jsonl is no file." in capsys.readouterr().err


def test_recording_speech_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--record-speech"]) == 2
    assert "--record-speech does nothing without --record" in capsys.readouterr().err


@pytest.mark.parametrize("speech", [True, False])
def test_wherever_a_file_is_cut_off_the_same_agents_do_the_same(
    rich: dict[bool, recorded.Recording], speech: bool
) -> None:
    agents = catalog(DESK, BILLING, read_tool=read_tool)
    whole = rich[speech]
    for length in range(2, len(whole.entries), 3):
        cut = replace(whole, entries=whole.entries[:length])
        assert replay(cut, agents).deviations == (), f"after {length} of {len(whole.entries)} entries"
