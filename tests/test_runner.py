"""One call's runner: what it owns. What it does with the service is played in `tests/test_host.py`."""

import asyncio
from typing import Any

import pytest

from runtime.runner import Runner
from tests.house import run


@pytest.mark.parametrize("again", [False, True])
def test_a_timer_that_was_cancelled_or_begun_anew_when_it_ran_out_is_not_told(
    again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        runner = Runner(_nothing())
        runner._start_timer("silence", 60)
        runner._fire("silence")  # by the loop; what has happened before stands in front of what follows
        runner._cancel_timer("silence")
        if again:
            runner._start_timer("silence", 60)
        await asyncio.sleep(0)
        assert bool(runner._timers) is again
        runner._cancel_timer("silence")

    run(work())
    assert not caplog.records, "a call that has not begun knows no timer"


def _nothing() -> Any:
    return None
