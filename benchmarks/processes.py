"""Processes that the benchmark starts, watches and stops: CPU time and memory by the kernel's own count.

Linux only: it reads /proc and another process's CPU clock.
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 60.0
_READ_EVERY_SECONDS = 0.005


class BenchmarkError(Exception):
    """A measurement that could not be made, in one sentence."""


class Process:
    """One child process that serves HTTP on loopback. Leaving the `with` block stops it.

    `start_seconds` is the time from its start to its first answer on `path`.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], path: str, log: Path, *, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self._log = log
        command = [sys.executable, *words, "--port", str(self.port)]
        began = time.monotonic()
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches us alone; we stop our children ourselves
            )
        try:
            self._wait_for(path, began + START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, those that ended too."""
        return time.clock_gettime((~self._child.pid << 3) | 2)  # clock_getcpuclockid(3), which Python lacks

    def settled_cpu_seconds(self) -> float:
        """Return the CPU time once the process has come to rest."""
        before = self.cpu_seconds()
        for _ in range(100):
            time.sleep(0.2)
            now = self.cpu_seconds()
            if now - before < 0.004:  # 2 %: what an idle server's own clock takes, with room
                return now
            before = now
        raise BenchmarkError(f"a process does not come to rest; {self.last_words()}")

    def resident_bytes(self) -> int:
        """Return its resident memory."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kilobytes) * 1024

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self._child.terminate()
        try:
            self._child.wait(timeout=3)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "it wrote:\n  " + "\n  ".join(lines[-15:]) if lines else "it wrote nothing"

    def _wait_for(self, path: str, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise BenchmarkError(f"a process ended while it started; {self.last_words()}")
            if self._answers(path):
                return
            time.sleep(_READ_EVERY_SECONDS)
        raise BenchmarkError(f"a process did not start within {START_SECONDS:g} s; {self.last_words()}")

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def check_platform() -> None:
    """Raise `BenchmarkError` where the kernel does not tell what we measure."""
    if not sys.platform.startswith("linux"):
        raise BenchmarkError(f"CPU time and memory are read from Linux's /proc, and this is {sys.platform}")
