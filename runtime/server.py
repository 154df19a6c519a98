"""Runs the host under uvicorn until a signal: drains on the first, stops on the second."""

import asyncio
import gc
import signal
import socket
import sys
from types import FrameType

import uvicorn

from runtime.errors import SettingsError
from runtime.host import Host


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises `SettingsError` when the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, so that asyncio sends small answers at once: else each waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        cure = "Choose another with --host and --port, or stop what listens there."
        reason = error.strerror if isinstance(error, OSError) else "a port is 0 to 65535"
        raise SettingsError(f"{host}:{port}", f"cannot be listened on ({reason})", cure) from error
    listener.listen(2048)
    return listener


def run(host: Host, listener: socket.socket, drain_seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, drain, and return. A second signal ends the draining.

    What is there now stays: the collector need not walk the SDK's 190,000 objects in the middle of calls, which
    would stop every one of them for 85 ms.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    sys.setswitchinterval(0.001)  # calls wait no longer than 1 ms for a turn while a reload works in its thread
    config = uvicorn.Config(host.app, lifespan="on", log_config=None, access_log=False, ws="none")
    server = _Server(config, host, drain_seconds)
    asyncio.run(_serve(server, host, listener))


async def _serve(server: "_Server", host: Host, listener: socket.socket) -> None:
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, host.reload_soon)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which goes on answering while the host drains.

    uvicorn's own handler closes the door first, so that nobody would hear 503 from `/readyz`; and it raises the
    signal again at the end, so that a clean stop would not exit with 0.
    """

    def __init__(self, config: uvicorn.Config, host: Host, drain_seconds: float) -> None:
        super().__init__(config)
        self._host = host
        self._drain_seconds = drain_seconds
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is not None or not self.started:
            self.force_exit = self.should_exit  # not at once: live calls are hung up first, which takes seconds
            self.should_exit = True
            return
        loop = asyncio.get_running_loop()
        self._draining = loop.create_task(self._drain())

    async def _drain(self) -> None:
        try:
            await self._host.drain(self._drain_seconds)
        finally:
            self.should_exit = True
