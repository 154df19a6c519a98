"""User code in threads of its own: not in a pool, whose few threads the first slow ones would take, and whose end
would wait for all of them."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)


def as_plain(error: BaseException) -> RuntimeError:
    """Return an error that stops nothing for one that would stop the process, the loop or a task."""
    plain = RuntimeError(type(error).__name__)
    plain.__cause__ = error
    return plain


_awaited: set[object] = set()


def at_work() -> bool:
    """Tell whether anybody waits for one of these threads, or for what goes on `elsewhere`."""
    return bool(_awaited)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Wait in this block for another process, which is at work as a thread would be."""
    mark = object()
    _awaited.add(mark)
    try:
        yield
    finally:
        _awaited.discard(mark)


def begin(function: Callable[[], T], name: str) -> "Future[T]":
    """Run a function in a thread of its own and return its future, for who waits in a thread too, and not for ever."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


async def in_thread(function: Callable[[], T], name: str) -> T:
    """Run a function in a thread of its own and return its result. A process that exits does not wait for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not future.done():  # nobody waits any more after a time-out
            setter(value)

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        try:
            loop.call_soon_threadsafe(settle, setter, value)
        except RuntimeError:
            logger.debug("a tool finished after the host had stopped")

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            plain = isinstance(error, Exception) and not isinstance(error, StopIteration)  # which no future takes
            tell(future.set_exception, error if plain else as_plain(error))
        else:
            tell(future.set_result, result)

    variables = contextvars.copy_context()
    threading.Thread(target=variables.run, args=(work,), name=name, daemon=True).start()
    _awaited.add(future)
    try:
        return await future
    finally:
        _awaited.discard(future)
