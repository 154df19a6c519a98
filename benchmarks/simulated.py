"""The simulator's control routes, as the benchmark uses them: ring, look, hang up, forget."""

import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.processes import BenchmarkError, Process

Calls = list[dict[str, Any]]


class Callers:
    """Those who ring one host. They stay on the line until `hang_up`, unless told otherwise."""

    def __init__(self, simulator: Process, host: Process, secret: str) -> None:
        self._simulator = simulator
        self._host = host
        self._secret = secret

    def ring(
        self,
        count: int,
        rate: float,
        turns: Sequence[Any] = (),
        repeat: int = 1,
        rest: float = 0.0,
        *,
        hold: bool = True,
    ) -> list[str]:
        """Begin to ring `count` times, `rate` times a second, and return the calls' ids.

        `rest` real seconds pass before each turn. Without `hold` callers hang up after the last.
        """
        plan = {
            "webhook_url": f"{self._host.url}/openai/webhook",
            "secret": self._secret,
            "count": count,
            "rate": rate,
            "turns": list(turns),
            "repeat": repeat,
            "rest": rest,
            "hold": hold,
        }
        call_ids: list[str] = self._ask("POST", "/control/calls", plan)["call_ids"]
        return call_ids

    def calls(self) -> Calls:
        """Return what became of each call since the last `hang_up`."""
        found: Calls = self._ask("GET", "/control/calls")["calls"]
        return found

    def until(self, met: Callable[[Calls], bool], seconds: float, every: float = 0.2) -> Calls:
        """Look until a condition holds for the calls. Raises `BenchmarkError` when it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            calls = self.calls()
            if met(calls):
                return calls
            time.sleep(every)
        said = sorted({str(code) for call in self.calls() for code in call["errors"]})
        raise BenchmarkError(
            f"calls did not come as far as they should in {seconds:g} s; the simulator refused "
            f"{', '.join(said) or 'nothing'}; of the host, {self._host.last_words()}"
        )

    def until_greeted(self, count: int) -> Calls:
        """Return the calls once so many were greeted."""
        return self.until(lambda calls: sum(call["greeting_ms"] is not None for call in calls) >= count, seconds=60)

    def hang_up(self) -> int:
        """Hang up everywhere and forget the calls; return how many there were."""
        count: int = self._ask("POST", "/control/hangup")["hung_up"]
        self.forget()
        return count

    def forget(self) -> None:
        """Forget the calls that are over."""
        self._ask("DELETE", "/control/calls")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._simulator.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
