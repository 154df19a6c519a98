import logging
from typing import Any

import pytest

from runtime.commands import Record
from runtime.log import Formatter, record_to_log
from runtime.realtime.tools import read_tool
from runtime.runner import Runner
from runtime.simulator import Script, ToolUse, Turn
from tests.house import MINIMAL, run
from tests.line import Line, line

AGENT = MINIMAL + 'greeting: Welcome stranger.\ntools: [{entrypoint: "tests.test_tools:find_table"}]\n'
SCRIPT = Script((Turn("My secret is blue.", (ToolUse("find_table", '{"people": 77}'), "Very blue indeed.")),))


def lines(level: int, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Play a call with the log as its observer and return the lines as an operator reads them."""

    async def work() -> Line:
        async with line(AGENT, read_tool=read_tool) as served:
            served.host._observers = (record_to_log,)
            await served.ring(script=SCRIPT)
            await served.quiet()
            return served

    with caplog.at_level(level, logger="switchboard.call"):
        run(work())
    return [Formatter().format(record) for record in caplog.records if record.name == "switchboard.call"]


def test_at_info_a_calls_life_is_a_handful_of_lines_without_words_or_whole_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Trap 30: what a caller says or claims to be stays out of the log."""
    told = lines(logging.INFO, caplog)
    assert len(told) == 9
    text = "\n".join(told)
    for private in ("secret", "blue", "77", "stranger", "+15550100001", "+15557654321"):
        assert private not in text
    assert "+1555•••4321" in text
    assert all("call_id=rtc_sim_000001" in one for one in told)


def test_at_debug_what_was_said_and_done_is_told(caplog: pytest.LogCaptureFixture) -> None:
    text = "\n".join(lines(logging.DEBUG, caplog))
    for private in ("My secret is blue.", "people", "Very blue indeed.", "+15557654321"):
        assert private in text


def test_a_line_has_time_level_message_and_fields() -> None:
    record = logging.makeLogRecord(
        {"msg": "ended", "levelname": "INFO", "seconds": 1.5, "reason": "a b", "x": {"a": 1}}
    )
    assert Formatter().format(record)[9:] == 'INFO    ended seconds=1.5 reason="a b" x={"a": 1}'


def test_a_field_of_a_name_that_logging_keeps_for_itself_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        record_to_log(_a_runner(), Record("message taken", {"name": "x"}, {"message": {"number": "1"}}))
    (line,) = [Formatter().format(record) for record in caplog.records if record.getMessage() == "message taken"]
    assert 'message_={"number": "1"}' in line
    assert "name_=x" in line


def _a_runner() -> Runner:
    nothing: Any = None
    return Runner(nothing)
