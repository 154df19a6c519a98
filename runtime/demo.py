"""The demonstration: host and simulator on loopback, one scripted call, shown as it happens.

The caller and the model are simulated; webhook, routing, accept, sideband, receipt, greeting and tools are the
host's real code over real sockets.
"""

import asyncio
import json
import logging
import secrets
import tempfile
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from typing import Any

from runtime.call import Outcome
from runtime.catalog import Catalog
from runtime.commands import Record
from runtime.current import Current
from runtime.definition import AgentDefinition, Rule
from runtime.errors import SettingsError
from runtime.host import Host
from runtime.incoming import incoming_call
from runtime.receipt import Row
from runtime.routing import Match, route
from runtime.runner import Runner
from runtime.settings import Settings, samples_kept_in
from runtime.simulator.script import Script, ToolUse, Turn
from runtime.simulator.service import Service, serving
from runtime.simulator.webhook import incoming
from runtime.terminal import Paint, beside, width, wrapped

PACE = 0.2  # a fifth of the time that the call would take: nobody wants to wait for a demonstration
TIMEOUT_SECONDS = 14.0
HESITATION_SECONDS = 0.1  # before a caller speaks whom nobody greets: the service must confirm the session first

Background = Sequence[Callable[[], Coroutine[Any, Any, None]]]

_CALLERS = ("+15557654321", "+493012345678", "+447700900123")  # some rules turn some callers to other agents
_BEGINNINGS = ("+1555", "+49", "+44", "+33", "+81", "+61")  # of numbers that only a rule for all may answer
_TRIES = 200  # numbers below one beginning: other agents may answer many of them
_DIGITS = 11

_CHAT = Script(
    steps=(
        Turn("Hello, can you hear me?", "Yes, I hear you. I am the simulator: I know no answers of my own."),
        Turn("Then that is all. Goodbye.", "Thank you for calling. Goodbye!"),
    )
)
_TOLD = {"find_table": ("available", "the table was not free"), "book_table": ("booked", "the table was not booked")}
"""What the tools of the booking must tell as true, and what it means when they do not."""


def run(catalog: Catalog, name: str | None, pace: float = PACE, background: Background = ()) -> int:
    """Ring an agent, show the call, and return 0 only if all of it happened as declared.

    `background` is the host's: what its tools need beside the call.

    The sample tools begin with an empty database, so that no table is taken by an earlier demonstration. Raises
    `SettingsError` when no call reaches the agent, and `OSError` when nobody reads what is shown.
    """
    ringing = _ringing(catalog, name)
    agent = ringing.agent
    booking = _TOLD.keys() <= {tool.name for tool in agent.tools}
    script = _booking(_friday_after(date.today())) if booking else _CHAT
    if agent.greeting is None or agent.greeting.wait_for_caller:
        first = (Turn("Hello?"),) if agent.greeting else ()
        script = replace(script, steps=(*first, *script.steps), caller_first=True, rest=HESITATION_SECONDS)
    screen = _Screen(Paint(), agent, _TOLD if booking else {})
    with (
        _errors_told(screen),
        tempfile.TemporaryDirectory(prefix="switchboard-demo-", ignore_cleanup_errors=True) as folder,
        samples_kept_in(Path(folder, "samples.sqlite3")),
    ):
        finished = asyncio.run(_call(catalog, ringing, script, screen, pace, background))
    missing = screen.missing() if finished else [f"it did not end within {TIMEOUT_SECONDS:g} seconds"]
    screen.close(missing)
    if screen.unreadable is not None:
        raise screen.unreadable
    return 1 if missing else 0


def _friday_after(today: date) -> date:
    return today + timedelta((4 - today.weekday()) % 7 or 7)


def _booking(day: date) -> Script:
    wish = {"people": 4, "day": day.isoformat(), "time": "20:00"}
    return Script(
        steps=(
            Turn(
                "Hello, do you have a table for four on Friday at eight?",
                (
                    ToolUse("find_table", json.dumps(wish)),
                    "Yes, for four on Friday at eight we have a table. Shall I book it?",
                ),
            ),
            Turn(
                "Yes please, for Rivera.",
                (
                    ToolUse("book_table", json.dumps({"name": "Rivera", **wish})),
                    "It is booked for Rivera, Friday at eight, a table for four.",
                ),
            ),
            Turn("Wonderful, that is all.", "Thank you for calling. Goodbye!"),
        )
    )


# ── who is rung, and how ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Ringing:
    """A call that the routing gives to this agent and to no other."""

    agent: AgentDefinition
    called: str
    caller: str
    headers: tuple[tuple[str, str], ...] = ()


def _ringing(catalog: Catalog, name: str | None) -> _Ringing:
    """Return the call to show: to the named agent, or to front-desk, or to the first that can be rung."""
    if name is not None:
        agent = catalog.agents[name]
        if not agent.answers:
            cure = 'Give it a rule, such as answers: ["+15550100042"], or name another agent.'
            raise SettingsError(f"'{name}'", "answers no number", cure)
        if ringing := _reaching(catalog, agent):
            return ringing
        cure = "See why with 'switchboard who-answers', or name another agent."
        why = "it is outside of its hours, or " if any(rule.opening.conditions for rule in agent.answers) else ""
        raise SettingsError(f"'{name}'", f"cannot be rung: {why}other agents take the calls that its rules fit", cure)
    for agent in sorted(catalog.agents.values(), key=lambda agent: agent.name != "front-desk"):
        if ringing := _reaching(catalog, agent):
            return ringing
    raise SettingsError("the catalog", "has no agent that answers a number", 'Give one a rule: answers: ["*"]')


def _reaching(catalog: Catalog, agent: AgentDefinition) -> _Ringing | None:
    """Return a call that reaches the agent, found by asking the routing; by its plainest rule where it can be."""
    for rule in sorted(agent.answers, key=lambda rule: rule.conditions):
        for ringing in _attempts(agent, rule):
            if _reaches(catalog, ringing):
                return ringing
    return None


def _attempts(agent: AgentDefinition, rule: Rule) -> Iterator[_Ringing]:
    headers = tuple((name, value.removesuffix("*") or "demo") for name, value in rule.headers)
    callers = [number for pattern in rule.caller for number in islice(_numbers(pattern), 3)] or _CALLERS
    for called, caller in product(_numbers(rule.called), callers):
        yield _Ringing(agent, called, caller, headers)


def _numbers(pattern: str) -> Iterator[str]:
    """Yield numbers that a pattern fits, spread over all that it fits."""
    if not pattern.endswith("*"):
        yield pattern
        return
    beginnings = _BEGINNINGS if pattern == "*" else (pattern.removesuffix("*"),)
    for number, beginning in product(range(_TRIES), beginnings):
        room = max(1, 1 + _DIGITS - len(beginning))
        if number < 10**room:
            yield f"{beginning}{number * 7919 % 10**room:0{room}}"


def _reaches(catalog: Catalog, ringing: _Ringing) -> bool:
    told = incoming("rtc_demo", ringing.called, ringing.caller, created_at=0, extra_headers=ringing.headers)
    headers = [(header["name"], header["value"]) for header in told["data"]["sip_headers"]]
    found = route(catalog, incoming_call("rtc_demo", headers, datetime.now().astimezone()))
    return isinstance(found, Match) and found.agent is ringing.agent


# ── the call ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _call(
    catalog: Catalog, ringing: _Ringing, script: Script, screen: "_Screen", pace: float, background: Background
) -> bool:
    key, secret = "key-of-the-simulator", f"whsec_{secrets.token_hex(16)}"
    service = Service(api_key=key, pace=pace, script=script)
    service.observe(lambda call, what, fields: screen.hear(what, fields))
    async with serving(service.app) as simulator:
        settings = Settings(key, (secret,), f"{simulator}/v1", f"{simulator.replace('http', 'ws')}/v1")
        host = Host(Current(catalog), settings, observers=(screen,), background=background)
        async with serving(host.app) as address:
            call = service.new_call(called=ringing.called, caller=ringing.caller)
            screen.begin(ringing)
            webhook = f"{address}/openai/webhook"
            await service.ring(call, webhook, secret, extra_headers=ringing.headers)
            try:
                await asyncio.wait_for(screen.ended.wait(), TIMEOUT_SECONDS)
            except TimeoutError:
                return False
    return True


# ── what is shown ─────────────────────────────────────────────────────────────────────────────────────────────

_MARGIN = 11  # under what happened, right of the time
_INDENT = 25  # under what is told of it
_FIELD = 18
_TWO_COLUMNS = 110


class _Handler(logging.Handler):
    """Shows an error that was logged during the call in one line, without its traceback."""

    def __init__(self, screen: "_Screen") -> None:
        super().__init__(logging.ERROR)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = f": {type(error).__name__}: {error} ({_place(error)})" if error else ""
        self._screen.line("error", record.getMessage() + told, "red")


@contextmanager
def _errors_told(screen: "_Screen") -> Iterator[None]:
    """Show errors on the screen and nowhere else. At DEBUG the house logs exceptions with their words."""
    root, house, handler = logging.getLogger(), logging.getLogger("runtime"), _Handler(screen)
    level = house.level
    root.addHandler(handler)
    house.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        house.setLevel(level)
        root.removeHandler(handler)


def _place(error: BaseException) -> str:
    """Return where an exception was raised: `restaurant.py:40`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"


@dataclass
class _Screen:
    """Shows a call's records, and remembers what was seen.

    `unreadable` is why nothing more can be shown: whoever read it has left, or the disk is full. The call ends then.
    """

    paint: Paint
    agent: AgentDefinition
    told: Mapping[str, tuple[str, str]]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    seen: set[str] = field(default_factory=set)
    ending: str = "did not end"
    began: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    unreadable: OSError | None = None

    def begin(self, ringing: _Ringing) -> None:
        self.headers = ringing.headers
        self._print(self.paint("A call on this machine, without a key.", "bold"))
        told = "The caller and the model are simulated; everything else is what answers real calls."
        self._print("\n".join(wrapped(told, width())) + "\n")
        self.began = time.monotonic()

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Show what the caller says, from the caller's own mouth."""
        if what == "turn":
            self.seen.add("caller")
            self.line("caller", f"“{fields['text']}”")

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
            case "ended":
                self._ended(record.fields)
            case _ if record.level >= logging.WARNING:
                told = ", ".join(f"{key}: {_told(value)}" for key, value in {**record.fields, **record.private}.items())
                self.line("warning", f"{record.what} ({told})" if told else record.what)

    def missing(self) -> list[str]:
        """Return what a complete call has and this one had not, as ends of a sentence."""
        way = {
            "incoming": "the host never heard of the call",
            f"matched {self.agent.name}": f"{self.agent.name} did not take it",
            "accepted": "it was not accepted",
            "attached": "the sideband socket did not open",
            "confirmed": "the session was not confirmed",
        }
        if broken := next((told for what, told in way.items() if what not in self.seen), None):
            return [broken, f"it ended with {self.ending}"]
        needed = {"receipt agrees": "the service holds a setting otherwise than declared"}
        if self.agent.greeting is not None:
            needed["greeting exact"] = "the greeting was not said as declared"
        needed["caller"] = "the caller said nothing"
        missing = [told for what, told in needed.items() if what not in self.seen]
        missing += [wrong for tool in self.told if (wrong := self._wrong_with(tool))]
        missing += [] if "goodbye" in self.seen else ["the agent did not say goodbye"]
        hung_up = f"ended {Outcome.CALLER_HUNG_UP}" in self.seen
        return missing + ([] if hung_up else [f"it ended with {self.ending}"])

    def _wrong_with(self, tool: str) -> str:
        if f"tool called {tool}" not in self.seen:
            return f"the tool {tool} was not called"
        if f"tool failed {tool}" in self.seen:
            return f"the tool {tool} failed"
        if f"tool finished {tool}" not in self.seen:
            return f"the tool {tool} did not finish"
        return "" if f"tool agreed {tool}" in self.seen else self.told[tool][1]

    def close(self, missing: list[str]) -> None:
        told = f"This call was not complete: {'; '.join(missing)}." if missing else _COMPLETE
        self._print("")
        for line in wrapped(told, width()):
            self._print(self.paint(line, "red" if missing else "green"))

    def line(self, what: str, text: str, color: str = "cyan") -> None:
        """Show one thing that happened, wrapped under its own beginning."""
        elapsed = f"{time.monotonic() - self.began:7.3f} s"
        first, *more = wrapped(text, width() - _INDENT)
        self._print(f"{self.paint(elapsed, 'dim')}  {self.paint(f'{what:<12}', color)}  {first}")
        for line in more:
            self._print(" " * _INDENT + line)

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
            self._print(" " * _MARGIN + self.paint(heading, "dim"))
            for (name, *_), lines in zip(rows, pairs, strict=True):
                for line in lines or ():
                    self._print(f"{'':{_MARGIN}}{name:<{_FIELD}}{line}")
                    name = ""
        else:
            for name, declared, confirmed, mark in rows:
                self._print(" " * _MARGIN + name)
                self._under("declared", declared)
                self._under("confirmed", confirmed, mark)
        if not receipt.differences:
            self.seen.add("receipt agrees")

    def _mark(self, row: Row) -> str:
        return self.paint("✓", "green") if row.agrees else self.paint("✗", "red")

    def _under(self, heading: str, text: str, mark: str = " ") -> None:
        for line in wrapped(text, width() - _INDENT):
            self._print(f"{'':{_MARGIN + 2}}{self.paint(f'{heading:<9}', 'dim')} {mark} {line}")
            heading, mark = "", " "

    def _tool_called(self, record: Record) -> None:
        tool = record.fields["tool"]
        self.seen.add(f"tool called {tool}")
        arguments = _data(record.private["arguments"])
        shown = arguments if isinstance(arguments, dict) else {"": arguments}
        told = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in shown.items())
        self.line("tool", f"{tool}({told})")

    def _tool_finished(self, record: Record) -> None:
        tool, failed = record.fields["tool"], record.fields["failed"]
        result = _data(record.private["result"])
        verdict = self._verdict(not failed, f"{record.fields['seconds'] * 1000:.0f} ms")
        self.line("", f"→ {_told(result)} {verdict}")
        self.seen.add(f"tool {'failed' if failed else 'finished'} {tool}")
        if isinstance(result, dict) and tool in self.told and result.get(self.told[tool][0]):
            self.seen.add(f"tool agreed {tool}")

    def _ended(self, fields: Mapping[str, Any]) -> None:
        tokens = f", {fields['total_tokens']} tokens" if "total_tokens" in fields else ""
        reason = f": {fields['reason']}" if fields.get("reason") else ""
        self.ending = f"{fields['outcome']}{reason}"
        self.line("ended", f"{fields['outcome']} after {fields['seconds']:.1f} s{tokens}{reason}")
        self.seen.add(f"ended {fields['outcome']}")
        self.ended.set()

    def _verdict(self, good: bool, text: str) -> str:
        return self.paint(f"({text})", "green" if good else "red")

    def _print(self, text: str) -> None:
        if self.unreadable is None:
            try:
                print(text, flush=True)
            except OSError as error:
                self.unreadable = error
                self.ended.set()


_COMPLETE = "All of it happened as the YAML file declares."
_MEANINGS = {
    "accepted": "with the complete session: model, instructions, voice, tools, tracing",
    "attached": "the sideband socket is open",
}


def _data(text: Any) -> Any:
    """Return what JSON text says, or the text when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _told(value: Any) -> str:
    if value is None:
        return "off"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
