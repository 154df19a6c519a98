"""A person as the caller: what typed lines do in a call, and how it ends, through a pipe and at a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runtime import cast, document, handset, scenarios
from runtime.catalog import Catalog
from runtime.errors import SettingsError
from runtime.handset import MAX_SAID, Number
from runtime.realtime.tools import read_tool
from runtime.rehearsal import rehearse
from runtime.ringing import ringing_for
from runtime.simulator import Asked
from runtime.simulator.script import Reply
from runtime.standin import CONFESSION, StandIn
from tests.house import MINIMAL, catalog, company

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "runtime", "call"]
GREETS = MINIMAL + "greeting: Casa Nova, hello.\n"
DESK = GREETS + 'tools: [{entrypoint: "tests.test_simulator_mind:add"}, {use: hang_up}]\n'
DESK += "handoffs: [{agent: billing, when: About an invoice.}]\n"
BILLING = "name: billing\ninstructions: You know every invoice.\n"

Monkeypatch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def desk() -> Catalog:
    return catalog(DESK, BILLING, read_tool=read_tool)


class Typed:
    """Plays lines that were typed, and returns the exit code and what was shown, in one line."""

    def __init__(self, monkeypatch: Monkeypatch, capsys: Capture, folder: Path) -> None:
        self._monkeypatch, self._capsys, self._folder = monkeypatch, capsys, folder

    def __call__(self, agents: Catalog, *lines: str, called: str = "+15550100001", **more: Any) -> tuple[int, str]:
        written = self._folder / "lines.txt"
        written.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        mind = more.pop("mind", StandIn())
        with written.open() as stdin:
            self._monkeypatch.setattr("sys.stdin", stdin)
            code = handset.run(agents, Number(called), mind, "A test plays the model.", pace=0.05, **more)
        return code, " ".join(self._capsys.readouterr().out.split())


@pytest.fixture
def typed(monkeypatch: Monkeypatch, capsys: Capture, tmp_path: Path) -> Typed:
    monkeypatch.setenv("COLUMNS", "400")
    return Typed(monkeypatch, capsys, tmp_path)


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_call_is_held_line_by_line(typed: Typed, desk: Catalog) -> None:
    code, shown = typed(desk, "Please add two and three.", "Goodbye.")
    told = (
        "rings +15550100001", "matched desk by the rule", "confirmed the receipt", "“Casa Nova, hello.” (exact)",
        "caller “Please add two and three.”", f"agent “{CONFESSION}”", "tool add(one=2, other=3)",
        '→ {"say": "That makes 5."}', "agent “That makes 5.”", "caller “Goodbye.”", "agent “Goodbye.”",
        "ended agent_hung_up",
    )  # fmt: skip
    places = [shown.find(one) for one in told]
    assert -1 not in places, told[places.index(-1)]
    assert places[:-5] == sorted(places[:-5])
    assert code == 0
    assert "\x1b" not in shown, "colors belong to terminals"


def test_at_the_end_of_the_lines_the_caller_hangs_up(typed: Typed, desk: Catalog) -> None:
    code, shown = typed(desk)
    assert re.search(r"caller hangs up .*ended caller_hung_up", shown)
    assert code == 0


def test_the_next_line_waits_for_the_answer_to_the_last(typed: Typed, desk: Catalog) -> None:
    _, shown = typed(desk, "One.", "Two.", "Three.")
    said = re.findall(r"(?:caller|agent) “(?:I am[^:]*: I follow simple rules\. )?([^”]*”?)", shown)
    assert [one.rstrip("”") for one in said] == ["One.", "You said: “One.", "Two.", "You said: “Two.", "Three.",
                                                 "You said: “Three."]  # fmt: skip


def test_keys_silence_and_hanging_up_are_commands(typed: Typed, desk: Catalog) -> None:
    _, shown = typed(desk, "/keys 1 #", "/silent 0.2", "/help", "/hangup", "never said")
    assert "caller presses 1 #" in shown
    assert "agent “I am a stand-in and no model: I follow simple rules. You pressed 1 #.”" in shown
    assert "caller is silent for 0.2 s" in shown
    assert shown.count("/interrupt words") == 2, "at the beginning, and when it is asked for"
    assert "never said" not in shown


def test_an_interruption_is_heard_while_the_agent_speaks(typed: Typed) -> None:
    class Long:
        async def reply(self, asked: Asked) -> Reply:
            return "It is a long story. " * 20 if len(asked.items) < 4 else "Yes?"

    _, shown = typed(catalog(GREETS), "Tell me.", "/interrupt Stop!", mind=Long())
    assert re.search(r"caller “Stop!” .*agent “Yes\?”", shown)


def test_the_greeting_can_be_interrupted(typed: Typed) -> None:
    long = MINIMAL + f"greeting: {'It is a long story. ' * 20}\n"
    _, shown = typed(catalog(long), "/interrupt Stop!", "/hangup")
    assert "(exact)" not in shown
    assert re.search(r"caller “Stop!” .*agent “[^”]*You said: “Stop!”", shown)


PUTS_THROUGH = (
    GREETS
    + """
tools:
  - use: transfer
    destinations: [{name: kitchen, to: "tel:+15550100009", when: About an order., announce: I put you through.}]
"""
)


def test_a_caller_who_has_said_all_leaves_the_end_to_the_agent(typed: Typed) -> None:
    """Lines that were written before are all there at once: the call must not go on behind its end."""
    _, shown = typed(catalog(PUTS_THROUGH), "Where is my order?", "Hello?")
    assert "transfer to kitchen" in shown
    assert "ended transferred" in shown
    assert "“Hello?”" not in shown


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/silent x", "Write for how many seconds, up to 3600: /silent 10"),
        ("/silent 0", "Write for how many seconds"),
        ("/keys", "Write the keys that are pressed, 0 to 9, * and #: /keys 1#"),
        ("/keys 1x", "Write the keys that are pressed"),
        ("/interrupt", "Write what you say: /interrupt Wait, make it five."),
        ("/helo", "There is no /helo. Did you mean '/help'?"),
        ("/dance", "There is no /dance. Type /help."),
        ("x" * (MAX_SAID + 1), "These are 2,001 characters. Nobody says more than 2,000 in one go."),
    ],
)
def test_a_line_that_cannot_be_played_says_what_to_write(line: str, told: str, typed: Typed, desk: Catalog) -> None:
    code, shown = typed(desk, line)
    assert told in shown
    assert code == 0


def test_empty_lines_and_control_characters_say_nothing(typed: Typed, desk: Catalog) -> None:
    _, shown = typed(desk, "", "  ", "\x1b[31mRed\x07")
    assert shown.count("caller “") == 1
    assert "caller “[31mRed”" in shown


def test_handoffs_are_shown(typed: Typed, desk: Catalog) -> None:
    _, shown = typed(desk, "My invoice is wrong.")
    assert re.search(r"handoff billing goes on .*agent “You are with billing now\. What can I do for you\?”", shown)


def test_a_number_that_nobody_answers_fails(typed: Typed, desk: Catalog) -> None:
    code, shown = typed(desk, "Hello?", called="+15550100999")
    assert "ended no_agent" in shown
    assert code == 1


def test_a_model_that_gives_no_answer_is_told(typed: Typed) -> None:
    class Broken:
        async def reply(self, asked: Asked) -> Reply:
            raise ValueError("no such model")

    code, shown = typed(catalog(GREETS), "Hello?", mind=Broken())
    assert "error the model gave no answer: no such model" in shown
    assert "ended model_unreachable" in shown
    assert code == 1


# ── saving ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_conversation_is_saved_as_a_scenario(typed: Typed, desk: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "desk.scenarios.yaml"
    _, shown = typed(desk, "Please add two and three.", "/keys 1", "/silent 0.2", "/hangup", save=file)
    assert shown.endswith(f"Saved as a scenario: {file}")
    read, problems = document.read(file.read_bytes(), "x")
    assert problems == []
    assert read is not None
    (scenario,) = read.data
    assert scenario["scenario"] == "a call to desk"
    assert scenario["call"]["called"] == "+15550100001"
    assert [turn.get("caller") for turn in scenario["turns"]] == [
        None, {"says": "Please add two and three."}, {"keys": "1"}, {"silent": 0.2}, {"hangs_up": True},
    ]  # fmt: skip
    assert scenario["turns"][1]["expect"] == {"calls": {"tool": "add", "arguments": {"one": 2, "other": 3}}}
    assert scenario["turns"][-1]["expect"] == {"ended_by": "caller"}


def played(file: Path, *agents: str) -> list[Any]:
    """Return what goes otherwise than it was saved, when it is played at once."""
    read, problems = scenarios.read(file.read_bytes(), file.name)
    assert problems == []
    assert read is not None
    made = company(*agents, read_tool=read_tool)
    assert cast.problems(read, made) == []
    return [one for scenario in read.scenarios for one in rehearse(scenario, made.catalog).differences]


CALLS = [
    ["Please add two and three.", "Goodbye."],
    ["My invoice is wrong.", "Please add two and three.", "/keys 12#", "/hangup"],
    ["/interrupt Stop!", "/silent 0.3", "Hello?", "/interrupt Wait!"],
    ["Hello?", "/silent 2"],
    [],
]


@pytest.mark.parametrize("lines", CALLS)
def test_what_was_saved_passes_when_it_is_played(lines: list[str], typed: Typed, desk: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "desk.scenarios.yaml"
    typed(desk, *lines, save=file)
    assert played(file, DESK, BILLING) == []


def test_a_transfer_that_was_saved_passes_when_it_is_played(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "desk.scenarios.yaml"
    typed(catalog(PUTS_THROUGH), "Where is my order?", save=file)
    assert "transfer: kitchen" in file.read_text("utf-8")
    assert played(file, PUTS_THROUGH) == []


def test_who_says_nothing_until_the_agent_asks_is_saved_as_silent(
    monkeypatch: Monkeypatch, capsys: Capture, tmp_path: Path
) -> None:
    """The model's words into the silence are asked for only where somebody is silent for as long."""
    file, agent = tmp_path / "desk.scenarios.yaml", GREETS + "limits: {silence: {after_seconds: 5}}\n"
    reading, writing = os.pipe()

    class TypesWhenAsked:
        def heard(self, call_id: str, at: float, message: str | bytes) -> None:
            if "response.done" in str(message) and "silence 1" in str(message):
                os.write(writing, b"Yes.\n")
                os.close(writing)

        def took(self, *_: object) -> None:
            pass

    os.write(writing, b"Hello?\n")
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        told, witness = "A test plays the model.", TypesWhenAsked()
        handset.run(catalog(agent), Number("+15550100001"), StandIn(), told, save=file, witness=witness, pace=0.05)
    read, _ = document.read(file.read_bytes(), "x")
    assert read is not None
    _, _, silent, *_ = read.data[0]["turns"]
    assert silent["model"] == {"says": "Are you still there?"}
    assert 5 <= silent["caller"]["silent"] <= 7
    assert played(file, agent) == []


def test_a_conversation_is_added_to_a_file_that_holds_others(typed: Typed, desk: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "desk.scenarios.yaml"
    first = (
        "# Ours.\n- scenario: a call to desk\n  call: {called: '+15550100001'}\n  turns: [{expect: {agent: desk}}]\n"
    )
    file.write_text(first, "utf-8")
    typed(desk, save=file)
    read, problems = scenarios.read(file.read_bytes(), file.name)
    assert problems == []
    assert read is not None
    assert [one.name for one in read.scenarios] == ["a call to desk", "a call to desk, 2"]
    assert file.read_text("utf-8").startswith(first)


def test_a_file_that_would_not_be_found_is_told(typed: Typed, desk: Catalog, tmp_path: Path) -> None:
    _, shown = typed(desk, save=tmp_path / "x.yaml")
    assert shown.endswith("'switchboard test' finds files that end with .scenarios.yaml")


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────


def command(*words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, input=typed, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frontdesk"], "switchboard: There is no agent 'frontdesk'. Did you mean 'front-desk'?"),
        (["+0123"], "switchboard: NUMBER is written without its country code: '+0123'. Write \"+15550100001\"."),
        (["clinic", "--save", "README.md"], "switchboard: 'README.md' is no scenario file that could be added to: "),
        (["clinic", "--save", "agents"], "switchboard: --save cannot be written: 'agents': is a directory."),
        (["clinic", "--caller", "abc"], "switchboard: --caller is no phone number: 'abc'."),
        (["clinic", "--header", "X-Tenant"], "switchboard: --header is not NAME=VALUE: 'X-Tenant'."),
        (["clinic", "--save", "no/x.yaml"], "--save cannot be written: there is no folder for 'no/x.yaml'."),
    ],
)  # fmt: skip
def test_what_cannot_be_rung_or_saved_is_told_as_ever(words: list[str], said: str) -> None:
    done = command(*words)
    assert said in done.stderr
    assert done.returncode == 2


def test_an_agent_that_no_call_reaches_cannot_be_rung() -> None:
    with pytest.raises(SettingsError, match="answers no number"):
        ringing_for(catalog("name: x\ninstructions: x\n"), "x")


def test_a_number_is_rung_as_the_routing_says() -> None:
    done = command("+15550200001", typed="Goodbye.\n")
    assert "matched       clinic by the rule" in done.stdout
    assert done.returncode == 0


def test_who_rings_and_with_which_header_are_words_of_the_command() -> None:
    done = command("+15550200001", "--caller", "+49 30 1234", "--header", "X-Tenant=acme", typed="Goodbye.\n")
    assert "+49301234 rings +15550200001, with X-Tenant: acme" in done.stdout
    assert done.returncode == 0


def test_nobody_who_reads_ends_the_call_quietly() -> None:
    reading, writing = os.pipe()
    running = subprocess.Popen(
        [*COMMAND, "clinic"], cwd=ROOT, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    assert running.stderr is not None
    assert running.wait(60) == 1
    assert running.stderr.read() == "Starting the host and the simulator …\n"
    running.communicate()


# ── at a terminal ─────────────────────────────────────────────────────────────────────────────────────────────


class Person:
    """A person at a terminal of her own."""

    def __init__(self, *words: str) -> None:
        self._terminal, other = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        self.running = subprocess.Popen(
            [*COMMAND, *words], cwd=ROOT, stdin=other, stdout=other, stderr=other, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(other)
        self.seen = ""

    def sees(self, words: str, seconds: float = 30) -> None:
        """Read the terminal until it has shown some words."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"not seen: {words}\n{self.seen}"
            if select.select([self._terminal], [], [], left)[0]:
                self.seen += self._read()

    def _read(self) -> str:
        try:
            return os.read(self._terminal, 65536).decode("utf-8", "replace")
        except OSError:
            raise AssertionError(f"the command has ended: {self.seen}") from None

    def types(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def leaves(self) -> int:
        code = self.running.wait(30)
        os.close(self._terminal)
        return code


def test_a_person_types_and_sees_what_was_said_in_its_place() -> None:
    person = Person("clinic")
    person.sees("> ")
    person.types("Hello?\r")
    person.sees("You said: “Hello?”")
    assert "\x1b[36mcaller" in person.seen, "a terminal has colors"
    person.types("\x04")
    person.sees("caller_hung_up")
    assert person.leaves() == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_in_the_middle_of_speech_hangs_up_and_ends_the_call(how: signal.Signals) -> None:
    person = Person("clinic")
    person.sees("greeting")
    person.types("half a wo")
    person.running.send_signal(how)
    person.sees("caller_hung_up")
    assert person.leaves() == 0
    assert "Traceback" not in person.seen


def test_a_call_can_be_recorded_and_replayed(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "desk.yaml").write_text(GREETS, "utf-8")
    words = [*COMMAND, "desk", "--agents", str(agents), "--record", str(tmp_path / "recordings")]
    held = subprocess.run(words, input="Hello?\n", capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert held.returncode == 0, held.stderr
    (recording,) = (tmp_path / "recordings").iterdir()
    assert f"switchboard replay {tmp_path}/recordings/*" in held.stdout
    assert "Hello" not in recording.read_text("utf-8")
    again = [*COMMAND[:-1], "replay", str(recording), "--agents", str(agents)]
    replayed = subprocess.run(again, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert replayed.returncode == 0, replayed.stdout
    assert "the same as then" in replayed.stdout


def test_a_system_that_does_not_tell_of_closed_terminals_holds_calls_too() -> None:
    words = "import signal; del signal.SIGHUP; import runtime.handset"
    ended = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (0, "")
