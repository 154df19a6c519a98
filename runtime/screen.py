"""Shows one call in the terminal while it happens: who says what, tools, the receipt, how it ends."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from runtime.commands import Record
from runtime.foreign import data_in
from runtime.overheard import overheard
from runtime.receipt import Row
from runtime.runner import Runner
from runtime.terminal import Paint, beside, width, wrapped

_MARGIN = 11  # under what happened, right of the time
_INDENT = 25  # under what is told of it
_FIELD = 18
_TWO_COLUMNS = 110


HERE = "A call on this machine, without a key."


def errors_told(screen: "Screen") -> AbstractContextManager[None]:
    """Show errors that are logged on the screen, and nowhere else, for the block."""
    return overheard(lambda words, _: screen.line("error", words, "red"))


def _printed(text: str) -> None:
    print(text, flush=True)


@dataclass
class Screen:
    """Shows a call's records, and remembers what was seen, with the last result of each tool.

    `write` prints one line or several. `unreadable` is why nothing more can be shown: whoever read it has left, or
    the disk is full. The call ends then.
    """

    paint: Paint
    write: Callable[[str], None] = _printed
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    seen: set[str] = field(default_factory=set)
    results: dict[str, Any] = field(default_factory=dict)
    ending: str = "did not end"
    began: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    unreadable: OSError | None = None

    def begin(self, title: str, told: str, headers: tuple[tuple[str, str], ...]) -> None:
        """Begin with what this is. `headers` are the call's own, beside what every call has."""
        self.headers = headers
        self.print(self.paint(title, "bold"))
        self.print("\n".join(wrapped(told, width())) + "\n")
        self.began = time.monotonic()

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Show what the caller says, from the caller's own mouth, and why a model has no answer."""
        if what == "turn":
            self.seen.add("caller")
            self.line("caller", f"“{fields['text']}”")
        elif what == "mind_failed":
            self.line("error", f"the model gave no answer: {fields['error']}", "red")

    def __call__(self, runner: Runner, record: Record) -> None:
        self.seen.add(record.what)
        match record.what:
            case "incoming":
                headers = ", ".join(f"{name}: {value}" for name, value in self.headers)
                told = f"{record.fields['caller']} rings {record.fields['called']}"
                self.line("incoming", f"{told}, with {headers}" if headers else told)
            case "matched":
                self._matched(runner, record.fields)
            case "accepted" | "attached":
                self.line(record.what, _MEANINGS[record.what])
            case "confirmed":
                self._receipt(runner)
            case "greeting":
                likeness = record.fields["likeness"]
                self.line("greeting", f"“{record.private['text']}” {self._verdict(likeness == 'exact', likeness)}")
                self.seen.add(f"greeting {likeness}")
            case "agent said":
                self.line("agent", f"“{record.private['text']}”")
                if "goodbye" in str(record.private["text"]).lower():
                    self.seen.add("goodbye")
            case "tool called":
                self._tool_called(record)
            case "tool finished":
                self._tool_finished(record)
            case "handed off":
                self.line("handoff", f"{self.paint(str(record.fields['agent']), 'bold')} goes on")
            case "transferring":
                self.line("transfer", f"to {record.fields['destination']}")
            case "message taken":
                self.line("message", ", ".join(f"{key}: {text}" for key, text in record.private["message"].items()))
            case "ended":
                self._ended(record)
            case _ if record.level >= logging.WARNING:
                told = ", ".join(f"{key}: {_told(value)}" for key, value in {**record.fields, **record.private}.items())
                self.line("warning", f"{record.what} ({told})" if told else record.what)

    def line(self, what: str, text: str, color: str = "cyan") -> None:
        """Show one thing that happened, wrapped under its own beginning."""
        elapsed = f"{time.monotonic() - self.began:7.3f} s"
        first, *more = wrapped(text, width() - _INDENT)
        self.print(f"{self.paint(elapsed, 'dim')}  {self.paint(f'{what:<12}', color)}  {first}")
        for line in more:
            self.print(" " * _INDENT + line)

    def _matched(self, runner: Runner, fields: Mapping[str, Any]) -> None:
        assert runner.match is not None
        agent, rule = runner.match.agent, runner.match.rule
        place = f"{agent.file}:{rule.line}"
        self.seen.add(f"matched {agent.name}")
        self.line("matched", f"{self.paint(agent.name, 'bold')} by the rule “{fields['rule']}” ({place})")

    def _receipt(self, runner: Runner) -> None:
        receipt = runner.call.receipt
        self.line("confirmed", "the receipt: each setting as declared, and as the service confirmed it")
        columns = (width() - _MARGIN - _FIELD - 3) // 2
        rows = [(row.field, _told(row.declared), _told(row.confirmed), self._mark(row)) for row in receipt.rows]
        pairs = [beside(declared, confirmed, columns, mark) for _, declared, confirmed, mark in rows]
        if width() >= _TWO_COLUMNS and all(pairs):
            heading = f"{'setting':<{_FIELD}}{'declared':<{columns}}   confirmed"
            self.print(" " * _MARGIN + self.paint(heading, "dim"))
            for (name, *_), lines in zip(rows, pairs, strict=True):
                for line in lines or ():
                    self.print(f"{'':{_MARGIN}}{name:<{_FIELD}}{line}")
                    name = ""
        else:
            for name, declared, confirmed, mark in rows:
                self.print(" " * _MARGIN + name)
                self._under("declared", declared)
                self._under("confirmed", confirmed, mark)
        if not receipt.differences:
            self.seen.add("receipt agrees")

    def _mark(self, row: Row) -> str:
        return self.paint("✓", "green") if row.agrees else self.paint("✗", "red")

    def _under(self, heading: str, text: str, mark: str = " ") -> None:
        for line in wrapped(text, width() - _INDENT):
            self.print(f"{'':{_MARGIN + 2}}{self.paint(f'{heading:<9}', 'dim')} {mark} {line}")
            heading, mark = "", " "

    def _tool_called(self, record: Record) -> None:
        tool = record.fields["tool"]
        self.seen.add(f"tool called {tool}")
        arguments = data_in(record.private["arguments"], record.private["arguments"])
        shown = arguments if isinstance(arguments, dict) else {"": arguments}
        told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in shown.items())
        self.line("tool", f"{tool}({told})")

    def _tool_finished(self, record: Record) -> None:
        tool, failed = record.fields["tool"], record.fields["failed"]
        result = data_in(record.private["result"], record.private["result"])
        verdict = self._verdict(not failed, f"{record.fields['seconds'] * 1000:.0f} ms")
        self.line("", f"→ {_told(result)} {verdict}")
        self.seen.add(f"tool {'failed' if failed else 'finished'} {tool}")
        self.results[tool] = result

    def _ended(self, record: Record) -> None:
        fields = record.fields
        tokens = f", {fields['total_tokens']} tokens" if "total_tokens" in fields else ""
        reason = f": {fields['reason']}" if fields.get("reason") else ""
        self.ending = f"{fields['outcome']}{reason}"
        self.line("ended", f"{fields['outcome']} after {fields['seconds']:.1f} s{tokens}{reason}")
        self.seen.add(f"ended {fields['outcome']}")
        self.ended.set()

    def _verdict(self, good: bool, text: str) -> str:
        return self.paint(f"({text})", "green" if good else "red")

    def print(self, text: str) -> None:
        """Print, as long as somebody reads it."""
        if self.unreadable is None:
            try:
                self.write(text)
            except OSError as error:
                self.unreadable = error
                self.ended.set()


_MEANINGS = {
    "accepted": "with the complete session: model, instructions, voice, tools, tracing",
    "attached": "the sideband socket is open",
}


def _told(value: Any) -> str:
    if value is None:
        return "off"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
