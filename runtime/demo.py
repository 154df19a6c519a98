"""The demonstration: host and simulator on loopback, one scripted call, shown as it happens.

The caller and the model are simulated; webhook, routing, accept, sideband, receipt, greeting and tools are the
host's real code over real sockets.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.call import Outcome
from runtime.catalog import Catalog
from runtime.commands import Record
from runtime.current import Current
from runtime.definition import AgentDefinition
from runtime.errors import SettingsError
from runtime.host import Host
from runtime.runner import Runner
from runtime.settings import Settings
from runtime.simulator.script import Script, ToolUse, Turn
from runtime.simulator.service import Service, serving
from runtime.terminal import Paint

PACE = 0.2  # a fifth of the time that the call would take: nobody wants to wait for a demonstration
TIMEOUT_SECONDS = 14.0
CALLER = "+15557654321"

_BOOKING = Script(
    steps=(
        Turn(
            "Hello, do you have a table for four on Friday at eight?",
            (
                ToolUse("find_table", json.dumps({"people": 4, "day": "2026-11-27", "time": "20:00"})),
                "Yes, for four on Friday at eight we have a table. Shall I book it?",
            ),
        ),
        Turn(
            "Yes please, for Rivera.",
            (
                ToolUse(
                    "book_table",
                    json.dumps({"name": "Rivera", "people": 4, "day": "2026-11-27", "time": "20:00"}),
                ),
                "It is booked for Rivera, Friday at eight, a table for four.",
            ),
        ),
        Turn("Wonderful, that is all.", "Thank you for calling. Goodbye!"),
    )
)
_CHAT = Script(
    steps=(
        Turn("Hello, can you hear me?", "Yes, I hear you. I am the simulator: I know no answers of my own."),
        Turn("Then that is all. Goodbye.", "Thank you for calling. Goodbye!"),
    )
)


def run(catalog: Catalog, name: str | None, pace: float = PACE) -> int:
    """Ring an agent, show the call, and return 0 only if all of it happened as declared."""
    agent = _agent(catalog, name)
    called = _number(agent)
    booking = {"find_table", "book_table"} <= {tool.name for tool in agent.tools}
    script = _BOOKING if booking else _CHAT
    screen = _Screen(Paint(), needs_tools=booking, needs_greeting=agent.greeting is not None)
    finished = asyncio.run(_call(catalog, called, script, screen, pace))
    missing = screen.missing()
    if not finished:
        missing.append(f"the end, within {TIMEOUT_SECONDS:g} seconds")
    screen.close(missing)
    return 1 if missing else 0


def _agent(catalog: Catalog, name: str | None) -> AgentDefinition:
    if name is not None:
        return catalog.agents[name]
    answering = [agent for agent in catalog.agents.values() if agent.answers]
    if not answering:
        raise SettingsError("the catalog", "has no agent that answers a number", "Give one a rule: answers: ['*']")
    return next((agent for agent in answering if agent.name == "front-desk"), answering[0])


def _number(agent: AgentDefinition) -> str:
    """Return a number that the agent's first plain rule answers."""
    rule = next((rule for rule in agent.answers if not rule.conditions), None)
    if rule is None:
        cure = "Name another agent, or add a rule that is only a number."
        raise SettingsError(f"'{agent.name}'", "answers no called number without further conditions", cure)
    beginning = rule.called.removesuffix("*")
    return beginning if beginning == rule.called else (beginning or "+1555").ljust(12, "0")


async def _call(catalog: Catalog, called: str, script: Script, screen: "_Screen", pace: float) -> bool:
    key, secret = "key-of-the-simulator", f"whsec_{secrets.token_hex(16)}"
    service = Service(api_key=key, pace=pace, script=script)
    service.observe(lambda call, what, fields: screen.hear(what, fields))
    async with serving(service.app) as simulator:
        settings = Settings(key, (secret,), f"{simulator}/v1", f"{simulator.replace('http', 'ws')}/v1")
        host = Host(Current(catalog), settings, observers=(screen,))
        async with serving(host.app) as address:
            call = service.new_call(called=called, caller=CALLER)
            screen.begin()
            await service.ring(call, f"{address}/openai/webhook", secret)
            try:
                await asyncio.wait_for(screen.ended.wait(), TIMEOUT_SECONDS)
            except TimeoutError:
                return False
    return True


@dataclass
class _Screen:
    """Shows a call's records, and remembers what was seen."""

    paint: Paint
    needs_tools: bool
    needs_greeting: bool
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    seen: set[str] = field(default_factory=set)
    began: float = 0.0

    def begin(self) -> None:
        print(self.paint("A call on this machine, without a key.", "bold"))
        print("The caller and the model are simulated; everything else is what answers real calls.\n")
        self.began = time.monotonic()

    def hear(self, what: str, fields: Mapping[str, Any]) -> None:
        """Show what the caller says, from the caller's own mouth."""
        if what == "turn":
            self.seen.add("caller")
            self._line("caller", f"“{fields['text']}”")

    def __call__(self, runner: Runner, record: Record) -> None:
        match record.what:
            case "incoming":
                self._line("incoming", f"{record.fields['caller']} rings {record.fields['called']}")
            case "matched":
                self._matched(runner, record.fields)
            case "accepted" | "attached":
                self._line(record.what, _MEANINGS[record.what])
            case "confirmed":
                self._receipt(runner)
            case "greeting":
                likeness = record.fields["likeness"]
                self._line("greeting", f"“{record.private['text']}” {self._verdict(likeness == 'exact', likeness)}")
                self.seen.add(f"greeting {likeness}")
            case "agent said":
                self._line("agent", f"“{record.private['text']}”")
                if "goodbye" in str(record.private["text"]).lower():
                    self.seen.add("goodbye")
            case "tool called":
                arguments = json.loads(record.private["arguments"])
                shown = ", ".join(f"{key}={json.dumps(value)}" for key, value in arguments.items())
                self._line("tool", f"{record.fields['tool']}({shown})")
            case "tool finished":
                milliseconds = f"{record.fields['seconds'] * 1000:.0f} ms"
                self._line(
                    "",
                    f"→ {record.private['result']} {self._verdict(not record.fields['failed'], milliseconds)}",
                )
                self.seen.add("tool failed" if record.fields["failed"] else "tool")
            case "ended":
                self._ended(record.fields)
            case _ if record.level > 20:
                self._line("warning", f"{record.what} {dict(record.fields)}")
        self.seen.add(record.what)

    def missing(self) -> list[str]:
        """Return what a complete call has and this one had not."""
        needed = [
            "incoming",
            "matched",
            "accepted",
            "attached",
            "confirmed",
            "receipt agrees",
            "caller",
            "goodbye",
        ]
        needed += ["greeting exact"] if self.needs_greeting else []
        needed += ["tool"] if self.needs_tools else []
        missing = [what for what in [*needed, f"outcome {Outcome.CALLER_HUNG_UP}"] if what not in self.seen]
        return missing + (["a tool failed"] if "tool failed" in self.seen else [])

    def close(self, missing: list[str]) -> None:
        if missing:
            print("\n" + self.paint(f"This call was not complete. Missing: {', '.join(missing)}.", "red"))
        else:
            print("\n" + self.paint("All of it happened as the YAML file declares.", "green"))

    def _matched(self, runner: Runner, fields: Mapping[str, Any]) -> None:
        assert runner.match is not None
        agent, rule = runner.match.agent, runner.match.rule
        place = f"{agent.file}:{rule.line}"
        self._line("matched", f"{self.paint(agent.name, 'bold')} by the rule “{fields['rule']}” ({place})")

    def _receipt(self, runner: Runner) -> None:
        receipt = runner.call.receipt
        self._line("confirmed", "the receipt: what the service holds, beside what the agent declares")
        print(self.paint(f"{'':24} {'setting':<16} {'declared':<60} confirmed", "dim"))
        for row in receipt.rows:
            confirmed = self._verdict(row.agrees, "✓" if row.agrees else _short(row.confirmed))
            print(f"{'':24} {row.field:<16} {_short(row.declared):<60} {confirmed}")
        if not receipt.differences:
            self.seen.add("receipt agrees")

    def _ended(self, fields: Mapping[str, Any]) -> None:
        tokens = f", {fields['total_tokens']} tokens" if "total_tokens" in fields else ""
        self._line("ended", f"{fields['outcome']} after {fields['seconds']:.1f} s{tokens}")
        self.seen.add(f"outcome {fields['outcome']}")
        self.ended.set()

    def _verdict(self, good: bool, text: str) -> str:
        return self.paint(f"({text})" if text != "✓" else text, "green" if good else "red")

    def _line(self, what: str, text: str) -> None:
        elapsed = f"{time.monotonic() - self.began:7.3f} s"
        print(f"{self.paint(elapsed, 'dim')}  {self.paint(f'{what:<12}', 'cyan')}  {text}", flush=True)


_MEANINGS = {
    "accepted": "with the complete session: model, instructions, voice, tools, tracing",
    "attached": "the sideband socket is open",
}


def _short(value: Any) -> str:
    if value is None:
        return "off"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 58 else text[:57] + "…"
