"""Time that passes when nothing happens: an event loop whose clock jumps to the next timer. For rehearsals.

A call of half an hour takes as long as its events. Sockets on loopback are always served first; while `is_busy`
says that work goes on elsewhere, as in a thread, or somebody is `waiting_for_real`, the loop waits as any other.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

# A peer in this process answers at once, if the machine is not too busy: before a jump that could pass a time-out,
# which none is below a second, it gets longer.
_GLANCE_SECONDS, _LOOK_SECONDS, _LEAP_SECONDS = 0.001, 0.01, 0.5


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets as any selector; where nothing is to be read, it moves the clock instead."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        super().__init__()
        self.skipped = 0.0
        self.elsewhere = 0
        self._is_busy = is_busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        glance = min(timeout, _GLANCE_SECONDS if timeout < _LEAP_SECONDS else _LOOK_SECONDS)
        found = super().select(glance)
        if found or self.elsewhere or self._is_busy():
            return found
        self.skipped += timeout - glance
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` runs ahead whenever all that is left to do is to wait."""

    def __init__(self, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._jumping = _JumpingSelector(is_busy)
        super().__init__(self._jumping)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """As any loop's; while it works, the clock does not jump."""
        future: Any = super().run_in_executor(executor, func, *args)
        self._jumping.elsewhere += 1
        future.add_done_callback(self._is_back)
        return future

    def _is_back(self, future: Any) -> None:
        self._jumping.elsewhere -= 1

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Does not jump for the length of the block."""
        self._jumping.elsewhere += 1
        try:
            yield
        finally:
            self._jumping.elsewhere -= 1

    def time(self) -> float:
        return super().time() + self._jumping.skipped


@contextmanager
def waiting_for_real() -> Iterator[None]:
    """Awaits in this block what takes real time, such as a text model's answer. Any other loop does so anyway."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, JumpingLoop):
        yield
        return
    with loop.standing():
        yield


def run(work: Coroutine[Any, Any, T], is_busy: Callable[[], bool] = lambda: False) -> T:
    """Run a coroutine to its end on a loop of its own, in no more time than its work takes."""
    with asyncio.Runner(loop_factory=lambda: JumpingLoop(is_busy)) as runner:
        return runner.run(work)
