import subprocess
import sys
from pathlib import Path

import pytest

from runtime import demo
from runtime.errors import SettingsError
from runtime.realtime.tools import read_tool
from tests.house import MINIMAL, catalog

ROOT = Path(__file__).parents[1]


def test_the_demo_shows_a_whole_call_and_exits_with_0() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runtime", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
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
        assert f"  {what}  " in shown, f"the demo does not show {what}"
    for setting in ("voice", "tools", "turn_detection", "transcription", "tracing"):
        assert setting in shown
    assert "caller_hung_up" in shown
    assert "\x1b" not in shown, "colors belong to terminals"


def test_the_demo_rings_any_agent(capsys: pytest.CaptureFixture[str]) -> None:
    prefix = 'name: other\nanswers: ["+4930*"]\ninstructions: x\n'
    assert demo.run(catalog(MINIMAL, prefix), "other", pace=0) == 0
    assert "rings +49300000000" in capsys.readouterr().out


def test_the_demo_fails_when_the_call_is_not_what_the_file_declares(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("find_table", "book_table")
    tools = "".join(f'  - {{entrypoint: "tests.test_tools:breaks", name: {name}}}\n' for name in names)
    assert demo.run(catalog(MINIMAL + f"tools:\n{tools}", read_tool=read_tool), None, pace=0) == 1
    assert "a tool failed" in capsys.readouterr().out


def test_an_agent_that_answers_no_plain_number_cannot_be_rung() -> None:
    with pytest.raises(SettingsError, match="answers no called number"):
        demo.run(catalog("name: x\nanswers: [{caller: '+1*'}]\ninstructions: x\n"), "x")
