"""The call log: one line for each call, with what callers left."""

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from runtime import threads
from runtime.call_log import CallLog
from runtime.commands import Record
from runtime.runner import Runner
from runtime.simulator import Script, ToolUse, Turn, clock
from tests.house import MINIMAL
from tests.line import line

TAKES = MINIMAL + "tools: [{use: take_message, fields: [{name: message, description: What to pass on}]}]\n"
LEAVES = Script(
    (Turn("Tell her I rang.", (ToolUse("take_message", '{"message": "I rang."}'), "It is kept.")),), caller_first=True
)
HALF_AN_EMOJI = Script(
    (Turn("Tell her.", (ToolUse("take_message", r'{"message": "I rang \ud83d"}'), "It is kept.")),), caller_first=True
)


def ring(log: CallLog, script: Script = LEAVES) -> None:
    async def work() -> None:
        async with line(TAKES, observers=(log,)) as made:
            call = await made.ring(script=script)
            await call.ended.wait()
            await made.quiet()

    clock.run(work(), threads.at_work)


def test_a_call_is_one_line_with_its_message_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    ring(CallLog(file))
    (written,) = map(json.loads, file.read_text("utf-8").splitlines())
    assert written["messages"] == [{"message": "I rang."}]
    assert (written["caller"], written["agent"], written["outcome"]) == ("+15557654321", "desk", "caller_hung_up")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_message_that_no_encoding_takes_is_kept_as_its_json(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    ring(CallLog(file), HALF_AN_EMOJI)
    assert json.loads(file.read_text("utf-8"))["messages"] == [{"message": "I rang \ud83d"}]


def test_calls_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    for _ in range(2):
        ring(CallLog(file))
    assert len(file.read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize("file", [None, Path("/nonexistent/folder/calls.jsonl")])
def test_a_message_that_cannot_be_kept_is_told_rather_than_lost(
    file: Path | None, caplog: pytest.LogCaptureFixture
) -> None:
    ring(CallLog(file))
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "I rang." in str([vars(record).get("left") for record in loud])


def test_a_call_that_nobody_took_is_told_without_messages(tmp_path: Path) -> None:
    file, records = tmp_path / "calls.jsonl", [("incoming", {"called": "+1"}), ("ended", {"outcome": "no_agent"})]
    log, runner = CallLog(file), Runner(_nothing())
    for what, fields in records:
        log(runner, Record(what, fields))
    written = json.loads(file.read_text("utf-8"))
    assert (written["outcome"], written.get("messages")) == ("no_agent", None)


def _nothing() -> Any:
    return None
