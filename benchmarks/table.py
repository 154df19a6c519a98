"""The result: what each measurement means, what is expected of it, and how it is shown. Measures nothing."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `limit` is the most that is expected, of the ratio to the control or of the value itself."""

    key: str
    label: str
    unit: str
    limit: float | None = None
    of: Literal["ratio", "value"] = "ratio"
    switchboard: Sequence[float] = field(default=(), kw_only=True)
    control: Sequence[float] = field(default=(), kw_only=True)

    @property
    def value(self) -> float:
        return statistics.median(self.switchboard)

    @property
    def ratio(self) -> float | None:
        """The host's median over the control's, or None where there is no control."""
        return self.value / statistics.median(self.control) if self.control else None

    @property
    def met(self) -> bool | None:
        """Whether it is as expected, or None where nothing is."""
        measured = self.ratio if self.of == "ratio" else self.value
        return None if self.limit is None or measured is None else measured <= self.limit

    @property
    def expected(self) -> str:
        if self.limit is None:
            return ""
        return f"≤ {self.limit:g} ×" if self.of == "ratio" else f"≤ {self.limit:g} {self.unit}".rstrip()


def rows(many_agents: int, long_call: int, reloads: int, catalogs: Iterable[int]) -> list[Row]:
    """Return the measurements in the order in which they are shown, without numbers."""
    fifth = long_call // 5
    return [
        Row("accept p50 at 10", "webhook to accept, 10 calls/s, p50", "ms"),
        Row("accept p99 at 10", "webhook to accept, 10 calls/s, p99", "ms"),
        Row("accept p50 at 50", "webhook to accept, 50 calls/s, p50", "ms"),
        Row("accept p99 at 50", "webhook to accept, 50 calls/s, p99", "ms"),
        Row("greeting p50 at 10", "webhook to greeting, 10 calls/s, p50", "ms", 0.7),
        Row("greeting p99 at 10", "webhook to greeting, 10 calls/s, p99", "ms"),
        Row("greeting p50 at 50", "webhook to greeting, 50 calls/s, p50", "ms", 0.7),
        Row("greeting p99 at 50", "webhook to greeting, 50 calls/s, p99", "ms", 50, "value"),
        Row("setup", "CPU of a call's set-up", "ms", 0.5),
        Row("call", "CPU of set-up and end", "ms"),
        Row("turn", "CPU of a turn", "ms", 0.25),
        Row("tool turn", "CPU of a turn with a tool", "ms", 0.25),
        Row("growth", f"CPU of turns: last {fifth} to first {fifth} of {long_call}", "", 1.1, "value"),
        Row("memory", "memory of a live call", "kB", 0.3),
        Row("start", "start until ready", "s", 1.0),
        Row("check 10", "check, 10 agents", "s", 0.4, "value"),
        Row("check many", f"check, {many_agents:,} agents", "s", 10, "value"),
        *(row for agents in catalogs for row in _reload_rows(agents)),
        Row("growth by reloads", f"memory, {reloads:,} reloads later", "MB", 5, "value"),
    ]


def _reload_rows(agents: int) -> list[Row]:
    """Return what is measured in a catalog of so many agents. A thousand are what the expectations are about."""
    p50, p99 = (250, 600) if agents == 1_000 else (None, None)
    return [
        Row(f"live p50 of {agents}", f"save to live, {agents:,} agents, p50", "ms", p50, "value"),
        Row(f"live p99 of {agents}", f"save to live, {agents:,} agents, p99", "ms", p99, "value"),
        Row(f"wait of {agents}", f"longest wait for the loop, {agents:,} agents", "ms", 20, "value"),
        Row(f"calm wait of {agents}", "… without saves", "ms"),
    ]


def as_text(measured: Sequence[Row]) -> str:
    """Return the table."""
    head = ("", "Switchboard", "control", "ratio", "expected", "")
    lines = [head, *(_cells(row) for row in measured)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines)


def as_data(measured: Sequence[Row]) -> list[Mapping[str, Any]]:
    """Return every number, for a JSON file."""
    return [
        {
            "measurement": row.label,
            "unit": row.unit,
            "switchboard": list(row.switchboard),
            "control": list(row.control),
            "ratio": row.ratio,
            "expected": row.expected,
            "met": row.met,
        }
        for row in measured
    ]


def _cells(row: Row) -> tuple[str, ...]:
    control = _number(statistics.median(row.control), row.unit) if row.control else ""
    ratio = f"{row.ratio:.2f} ×" if row.ratio is not None else ""
    verdict = {True: "✓", False: "missed", None: ""}[row.met]
    return row.label, _number(row.value, row.unit), control, ratio, row.expected, verdict


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    label, *numbers, verdict = (
        cell.ljust(width) if column in (0, 5) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([label, *numbers, verdict]).rstrip()
