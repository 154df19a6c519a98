"""`python -m benchmarks`: takes every measurement and prints the table. A missed expectation is told, not failed."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from benchmarks import agent, reloads, table
from benchmarks.measure import FULL, QUICK, Plan, Side, bench, check_seconds, sides
from benchmarks.processes import BenchmarkError, check_platform

_NOTE = """
Medians of the rounds; less is better. The control is the SDK's stock SIP model: benchmarks/control.py.
Times hold the simulator's own work too, on the same processors and the same for both."""


def main() -> int:
    """Run the benchmark and return its exit code: 0 measured, 1 could not be measured, 130 interrupted."""
    arguments = _parser().parse_args()
    progress = _Progress()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_platform()
        measured = _measure(QUICK if arguments.quick else FULL, progress)
    except BenchmarkError as error:
        progress.clear()
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.clear()
        print("benchmarks: interrupted", file=sys.stderr)
        return 130
    progress.clear()
    print(table.as_text(measured))
    print(_NOTE)
    if arguments.quick:
        print("A quick run: few calls and one round, so the numbers waver.")
    if arguments.json:
        text = json.dumps({"quick": arguments.quick, "measurements": table.as_data(measured)}, indent=2)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _measure(plan: Plan, tell: Callable[[str], None]) -> list[table.Row]:
    with bench(plan, tell) as (running, folder):
        both = sides(folder)
        found: dict[Side, dict[str, list[float]]] = {side: {} for side in both}
        for side in both:
            running.start_seconds(side)  # not counted: it fills the caches of bytecode and of files
        for _ in range(plan.starts):
            for side in both:
                found[side].setdefault("start", []).append(running.start_seconds(side))
        for _ in range(plan.rounds):
            for side in both:  # the two by turns, so that a drift of the machine hits both
                for key, value in running.round(side).items():
                    found[side].setdefault(key, []).append(value)
        ours, control = (found[side] for side in both)
        ours |= _checks(plan, folder, tell)
        for agents, count in plan.saves.items():
            numbers = reloads.saves(running, folder, agents, count, plan.calm_seconds)
            ours |= {key: [value] for key, value in numbers.items()}
        ours["growth by reloads"] = [reloads.growth(running, folder, plan.reloads)]
    known = table.rows(plan.many_agents, plan.long_call, plan.reloads, plan.saves)
    return [replace(row, switchboard=ours[row.key], control=control.get(row.key, ())) for row in known]


def _checks(plan: Plan, folder: Path, tell: Callable[[str], None]) -> dict[str, list[float]]:
    few, many = folder / "few", folder / "many"
    agent.write_catalog(few, 10, tools=False)
    agent.write_catalog(many, plan.many_agents, tools=False)
    tell("check: 10 agents")
    seconds = [check_seconds(few) for _ in range(6)][1:]
    tell(f"check: {plan.many_agents:,} agents")
    return {"check 10": seconds, "check many": [check_seconds(many)]}


class _Progress:
    """One line on standard error that says what is going on, where a person looks on."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, what: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{what} …", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the host against the SDK's stock SIP model, over the simulator, in about seven minutes.",
    )
    parser.add_argument("--quick", action="store_true", help="take about a minute, and waver")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to a file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
