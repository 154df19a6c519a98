"""The phases: what is measured of one side in one round, and of the command `check`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import agent
from benchmarks.processes import BenchmarkError, Process
from benchmarks.simulated import Callers, Calls

SECRET = "whsec_" + "c3dpdGNoYm9hcmQgYmVuY2htYXJr"
CONVERSATIONS = 30  # live calls among which turns are measured
REST_SECONDS = 1.0  # between an answer and the caller's next turn: about what people take

Tell = Callable[[str], None]
"""Shows what the benchmark is doing."""

Numbers = Mapping[str, float]
"""What one side reached in one round, by the measurement's key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each phase takes. `seconds` is that of load at one rate, in one round."""

    rounds: int
    starts: int
    seconds: float
    warm_up: int
    conversation_seconds: float
    long_call: int
    many_agents: int
    saves: Mapping[int, int]  # how often a file is saved in a catalog of so many agents
    calm_seconds: float
    reloads: int


FULL = Plan(
    rounds=2, starts=4, seconds=10, warm_up=60, conversation_seconds=8, long_call=500, many_agents=10_000,
    saves={10: 30, 1_000: 60, 10_000: 20}, calm_seconds=4, reloads=1_000,
)  # fmt: skip
QUICK = Plan(
    rounds=1, starts=1, seconds=2, warm_up=20, conversation_seconds=2, long_call=100, many_agents=500,
    saves={10: 10, 1_000: 10}, calm_seconds=1, reloads=100,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: how to start it."""

    name: str
    words: tuple[str, ...]


def sides(folder: Path) -> tuple[Side, Side]:
    """Return the host, on a catalog made in `folder`, and the control."""
    catalog = folder / "agents"
    agent.write_catalog(catalog, tools=True)
    host = Side("switchboard", ("-m", "runtime", "serve", str(catalog)))
    return host, Side("control", ("-m", "benchmarks.control"))


class Bench:
    """The simulator, and what it takes to start a side against it."""

    def __init__(self, simulator: Process, folder: Path, plan: Plan, tell: Tell) -> None:
        self._simulator = simulator
        self._folder = folder
        self._plan = plan
        self._tell = tell

    def start(self, side: Side) -> Process:
        """Start a side and wait until it is ready for calls."""
        environment = {
            "OPENAI_API_KEY": "key-of-the-simulator",
            "OPENAI_WEBHOOK_SECRET": SECRET,
            "OPENAI_BASE_URL": f"{self._simulator.url}/v1",
        }
        self._tell(f"{side.name}: start")
        return Process(side.words, environment, "/readyz", self._folder / f"{side.name}.log")

    def callers(self, host: Process) -> Callers:
        """Return those who ring a host."""
        return Callers(self._simulator, host, SECRET)

    def start_seconds(self, side: Side) -> float:
        """Start a side and stop it again."""
        with self.start(side) as process:
            return process.start_seconds

    def round(self, side: Side) -> Numbers:
        """Take every measurement of one side once, in a process of its own."""
        plan = self._plan
        numbers: dict[str, float] = {}
        with self.start(side) as host:
            callers = self.callers(host)
            self._tell(f"{side.name}: warm-up")
            callers.ring(plan.warm_up, rate=20)
            callers.until_greeted(plan.warm_up)
            for rate in (10, 50):
                self._tell(f"{side.name}: {rate} calls a second")
                numbers |= self._load(host, callers, rate)
            self._tell(f"{side.name}: hang-up")
            before = host.settled_cpu_seconds()
            count = callers.hang_up()
            numbers["call"] = numbers["setup"] + 1000 * (host.settled_cpu_seconds() - before) / count
            for key, turn in (("turn", agent.TURN), ("tool turn", agent.TOOL_TURN)):
                self._tell(f"{side.name}: {key}s")
                numbers[key] = self._conversation(host, callers, turn)
            self._tell(f"{side.name}: calls of {plan.long_call} turns")
            numbers["growth"] = statistics.median(self._long_call(host, callers) for _ in range(3))
        return numbers

    def _load(self, host: Process, callers: Callers, rate: int) -> dict[str, float]:
        """Ring at a rate; the calls stay. Times in ms, CPU in ms a call, memory in kB a call."""
        known = {call["call_id"] for call in callers.calls()}
        count = int(rate * self._plan.seconds)
        cpu, memory = host.settled_cpu_seconds(), host.resident_bytes()
        callers.ring(count, rate)
        time.sleep(self._plan.seconds)
        calls = callers.until_greeted(len(known) + count)
        cpu, memory = host.settled_cpu_seconds() - cpu, host.resident_bytes() - memory
        fresh = [call for call in calls if call["call_id"] not in known]
        numbers = {"setup": 1000 * cpu / count, "memory": memory / count / 1024}
        for key in ("accept", "greeting"):
            times = [call[f"{key}_ms"] for call in fresh]
            numbers[f"{key} p50 at {rate}"] = statistics.median(times)
            numbers[f"{key} p99 at {rate}"] = statistics.quantiles(times, n=100, method="inclusive")[98]
        return numbers

    def _conversation(self, host: Process, callers: Callers, turn: object) -> float:
        """Return the CPU in ms of one turn, in calls that converse at a human rhythm."""
        turns = int(self._plan.conversation_seconds / REST_SECONDS) + 3
        callers.ring(CONVERSATIONS, rate=CONVERSATIONS, turns=[turn], repeat=turns, rest=REST_SECONDS)
        began = callers.until(lambda calls: _answered(calls) >= CONVERSATIONS, seconds=30)
        cpu = host.cpu_seconds()
        time.sleep(self._plan.conversation_seconds)
        ended, cpu = callers.calls(), host.cpu_seconds() - cpu
        callers.hang_up()
        host.settled_cpu_seconds()
        return 1000 * cpu / (_answered(ended) - _answered(began))

    def _long_call(self, host: Process, callers: Callers) -> float:
        """Return the CPU of the last fifth of a long call's turns, as a multiple of the first fifth's."""
        turns = self._plan.long_call
        curve: list[tuple[int, float]] = []

        def watch(calls: Calls) -> bool:
            curve.append((_answered(calls), host.cpu_seconds()))
            return _answered(calls) >= turns

        callers.ring(1, rate=1, turns=[agent.TURN], repeat=turns)
        callers.until(watch, seconds=120, every=0.02)
        callers.hang_up()
        host.settled_cpu_seconds()
        fifth = turns // 5
        first = _cpu_at(curve, fifth) - _cpu_at(curve, 1)
        return (_cpu_at(curve, turns) - _cpu_at(curve, turns - fifth)) / (first * fifth / (fifth - 1))


def _answered(calls: Calls) -> int:
    return sum(len(call["turns_ms"]) for call in calls)


def _cpu_at(curve: list[tuple[int, float]], turn: int) -> float:
    """Return the CPU time at a turn, on the straight line between the two looks around it."""
    after = next(index for index, (turns, _) in enumerate(curve) if turns >= turn)
    (turns, cpu), (before, cpu_before) = curve[after], curve[max(0, after - 1)]
    return cpu if turns == before else cpu_before + (cpu - cpu_before) * (turn - before) / (turns - before)


def check_seconds(folder: Path) -> float:
    """Return how long `switchboard check` takes on a folder, from start to exit."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "runtime", "check", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchmarkError(f"the generated catalog has problems: {done.stdout[:500]}{done.stderr[:500]}")
    return time.monotonic() - began


@contextmanager
def bench(plan: Plan, tell: Tell) -> Iterator[tuple[Bench, Path]]:
    """Start the simulator; give the bench, and a folder for what is generated. Both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="switchboard-bench-") as name:
        folder = Path(name)
        tell("simulator: start")
        words = ("-m", "runtime.simulator", "--pace", "0")
        with Process(words, {}, "/control/calls", folder / "simulator.log") as simulator:
            yield Bench(simulator, folder, plan, tell), folder
