"""The demonstration: which call it makes, what it shows, and that it says yes only when all of it happened."""

import os
import re
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from runtime import demo
from runtime.catalog import Catalog
from runtime.errors import SettingsError
from runtime.realtime.tools import read_tool
from tests.house import MINIMAL, catalog

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "runtime", "demo"]
NAMES = ("find_table", "book_table")

Capture = pytest.CaptureFixture[str]


def finds_none(people: int, day: str, time: str) -> dict[str, object]:
    """Never has a table."""
    return {"available": False, "say": "No."}


def books_none(name: str, people: int, day: str, time: str) -> dict[str, object]:
    """Never books."""
    return {"booked": False, "say": "No."}


def breaks(people: int, day: str, time: str) -> str:
    """Always breaks."""
    raise RuntimeError("the oven is on fire")


def with_tools(find: str, book: str) -> Catalog:
    tools = f'  - {{entrypoint: "{find}", name: find_table}}\n  - {{entrypoint: "{book}", name: book_table}}\n'
    return catalog(MINIMAL + f"greeting: Good evening.\ntools:\n{tools}", read_tool=read_tool)


FINDS, BOOKS = "samples.restaurant:find_table", "samples.restaurant:book_table"


def shown(capsys: Capture) -> str:
    """Return what was printed, in one line."""
    return " ".join(capsys.readouterr().out.split())


# ── the whole ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_demo_shows_a_whole_call_and_exits_with_0() -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for what in (
        "incoming",
        "matched",
        "accepted",
        "attached",
        "confirmed",
        "greeting",
        "caller",
        "tool",
        "agent",
        "ended",
    ):
        assert f"  {what}  " in done.stdout, f"the demo does not show {what}"
    for setting in ("voice", "tools", "turn_detection", "transcription", "tracing"):
        assert setting in done.stdout
    assert "caller_hung_up" in done.stdout
    assert "\x1b" not in done.stdout, "colors belong to terminals"
    assert '"available": true' in done.stdout
    assert '"booked": true' in done.stdout


# ── who is rung ───────────────────────────────────────────────────────────────────────────────────────────────

ALL = 'name: all\nanswers: ["*"]\ninstructions: x\n'


def agent(name: str, answers: str) -> str:
    return f"name: {name}\nanswers: {answers}\ninstructions: x\ngreeting: Good evening.\n"


@pytest.mark.parametrize(
    ("name", "others", "answers", "rung"),
    [
        ("a", (), '["+4930*"]', r"\+15557654321 rings \+49300000000"),
        ("a", (agent("b", '["+49300*"]'),), '["+4930*"]', r"rings \+4930[1-9]\d+"),
        ("a", (agent("b", '["+15550100001", "+1*"]'),), '["*"]', r"rings \+49"),
        ("a", (agent("b", "[{called: '+1555*', caller: '+1555*'}]"),), '["+1555*"]', r"\+49\d+ rings \+1555"),
        ("a", (agent("b", '["+1555*"]'),), "[{called: '+1555*', caller: '+4930*'}]", r"\+4930\d+ rings \+1555"),
        ("a", (ALL,), "[{headers: {X-Tenant: 'acme*'}}]", r"rings \+1\d+, with x-tenant: acme"),
        ("a", (ALL,), "[{headers: {X-Tenant: '*'}, caller: ['+1*', '+4930123']}]", "with x-tenant: demo"),
        ("a", (), '["+1555010000*"]', r"rings \+1555010000\d"),
    ],
)
def test_the_demo_rings_a_number_that_the_routing_gives_to_the_agent(
    name: str, others: tuple[str, ...], answers: str, rung: str, capsys: Capture
) -> None:
    assert demo.run(catalog(*others, agent(name, answers)), name, pace=0) == 0
    told = shown(capsys)
    assert re.search(rung, told), told
    assert f"matched {name} by the rule" in told


@pytest.mark.parametrize(
    ("agents", "rung"),
    [
        ((ALL, agent("front-desk", '["+15550100001"]')), "front-desk"),
        ((agent("front-desk", "[]"), agent("a", "[]"), agent("b", '["+49*"]')), "b"),
        ((agent("a", '["+4930*"]'), *(agent(f"b{n}", f'["+4930{n}*"]') for n in range(10)), ALL), "b0"),
    ],
)
def test_without_a_name_it_rings_front_desk_or_the_first_that_can_be_rung(
    agents: tuple[str, ...], rung: str, capsys: Capture
) -> None:
    assert demo.run(catalog(*agents), None, pace=0) == 0
    assert f"matched {rung} by the rule" in shown(capsys)


@pytest.mark.parametrize(
    ("agents", "said"),
    [
        ((agent("x", "[]"),), "'x' answers no number. Give it a rule"),
        (
            (agent("x", '["+4930*"]'), *(agent(f"b{n}", f'["+4930{n}*"]') for n in range(10))),
            "'x' cannot be rung: other agents take the calls",
        ),
        (
            (agent("x", "[{hours: never}]\nhours: {never: {timezone: UTC, weekly: {}}}"),),
            "'x' cannot be rung: it is outside of its hours, or other agents take the calls",
        ),
    ],
)
def test_an_agent_that_no_call_reaches_cannot_be_rung(agents: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        demo.run(catalog(*agents), "x")


def test_a_catalog_that_answers_nothing_cannot_be_rung() -> None:
    with pytest.raises(SettingsError, match="no agent that answers a number"):
        demo.run(catalog(agent("x", "[]")), None)


def test_an_agent_that_waits_for_the_caller_is_spoken_to_first(capsys: Capture) -> None:
    waiting = MINIMAL + "greeting: {text: 'Good evening, this is the desk.', wait_for_caller: true}\n"
    assert demo.run(catalog(waiting), None, pace=0) == 0
    told = shown(capsys)
    assert told.index("“Hello?”") < told.index("Good evening, this is the desk.”")


# ── only if all of it happened ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("find", "book", "said"),
    [
        ("tests.test_demo:finds_none", BOOKS, "This call was not complete: the table was not free."),
        (FINDS, "tests.test_demo:books_none", "This call was not complete: the table was not booked."),
        ("tests.test_demo:breaks", BOOKS, "This call was not complete: the tool find_table failed."),
    ],
)
def test_the_demo_fails_when_a_tool_does_not_do_what_the_caller_wants(
    find: str, book: str, said: str, capsys: Capture
) -> None:
    assert demo.run(with_tools(find, book), None, pace=0) == 1
    assert said in shown(capsys)


def test_a_tool_that_fails_is_told_in_one_line_and_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert demo.run(with_tools("tests.test_demo:breaks", BOOKS), None, pace=0) == 1
    printed = capfd.readouterr()
    told = " ".join(printed.out.split())  # the terminal may be narrow
    assert re.search(r"error a tool failed: RuntimeError: the oven is on fire \(test_demo.py:\d+\) ", told)
    assert "Traceback" not in printed.out + printed.err


def test_the_caller_asks_for_a_friday_to_come(capsys: Capture) -> None:
    assert demo.run(with_tools(FINDS, BOOKS), None, pace=0) == 0
    (day, *_) = re.findall(r'day="([0-9-]+)"', shown(capsys))
    asked = date.fromisoformat(day)
    assert f"{asked:%A}" == "Friday"
    assert timedelta(0) < asked - date.today() <= timedelta(7)


def test_no_demonstration_depends_on_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SWITCHBOARD_SAMPLES_DB", str(tmp_path / "full.sqlite3"))
    for _ in range(9):  # there are eight tables for four
        assert demo.run(with_tools(FINDS, BOOKS), None, pace=0) == 0, shown(capsys)
    assert not list(tmp_path.iterdir()), "the demonstration books in a database of its own"


# ── how it looks ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_keep_within_the_terminal_and_break_between_words(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "Casa Nova, hello! I am the digital assistant and can book a table for you, today or any other day. "
    tools = '  - entrypoint: "samples.restaurant:find_table"\n  - entrypoint: "samples.restaurant:book_table"\n'
    agents = catalog(MINIMAL + f"greeting: {long}{long}\ntools:\n{tools}", read_tool=read_tool)
    assert demo.run(agents, None, pace=0) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    assert " ".join((long + long).split()) in " ".join(printed.split())


def test_the_receipt_shows_each_setting_as_declared_and_as_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    demo.run(catalog(MINIMAL), None, pace=0)
    assert re.search(r"\n {11}voice +marin +✓ marin\n", capsys.readouterr().out)
    monkeypatch.setenv("COLUMNS", "80")
    demo.run(catalog(MINIMAL), None, pace=0)
    printed = capsys.readouterr().out
    assert re.search(r"\n {11}voice\n {13}declared +marin\n {13}confirmed ✓ marin\n", printed)


# ── when nobody reads it ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_reader_who_leaves_ends_the_demonstration_quietly() -> None:
    reading, writing = os.pipe()
    running = subprocess.Popen(COMMAND, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    _, said = running.communicate(timeout=60)
    assert said == "Starting the host and the simulator …\n"
    assert running.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.slow
def test_a_full_disk_is_told_in_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(COMMAND, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.splitlines()[1:] == ["switchboard: The output cannot be written (No space left on device)."]
    assert done.returncode == 2


@pytest.mark.slow
def test_an_interrupt_in_the_middle_of_the_call_ends_it_quietly() -> None:
    running = subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert said == "Starting the host and the simulator …\n"
    assert running.returncode == 130


def test_the_database_of_the_demonstration_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert demo.run(with_tools(FINDS, BOOKS), None, pace=0) == 0
    assert not list(tmp_path.iterdir())
