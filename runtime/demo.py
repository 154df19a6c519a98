"""The demonstration: host and simulator on loopback, one scripted call, shown as it happens.

The caller and the model are simulated; webhook, routing, accept, sideband, receipt, greeting and tools are the
host's real code over real sockets.
"""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from runtime.catalog import Catalog
from runtime.definition import AgentDefinition
from runtime.outcome import Outcome
from runtime.ringing import Background, Ringing, loopback, ringing_for
from runtime.screen import HERE, Screen, errors_told
from runtime.settings import samples_kept_in
from runtime.simulator.script import Script, ToolUse, Turn
from runtime.terminal import Paint, width, wrapped

PACE = 0.2  # a fifth of the time that the call would take: nobody wants to wait for a demonstration
TIMEOUT_SECONDS = 14.0
HESITATION_SECONDS = 0.1  # before a caller speaks whom nobody greets: the service must confirm the session first

_TOLD_FIRST = "The caller and the model are simulated; everything else is what answers real calls."
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
    ringing = ringing_for(catalog, name)
    agent = ringing.agent
    booking = _TOLD.keys() <= {tool.name for tool in agent.tools}
    script = _booking(_friday_after(date.today())) if booking else _CHAT
    if agent.greeting is None or agent.greeting.wait_for_caller:
        first = (Turn("Hello?"),) if agent.greeting else ()
        script = replace(script, steps=(*first, *script.steps), caller_first=True, rest=HESITATION_SECONDS)
    screen = _Screen(agent, _TOLD if booking else {})
    with (
        errors_told(screen),
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


# ── the call ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _call(
    catalog: Catalog, ringing: Ringing, script: Script, screen: "_Screen", pace: float, background: Background
) -> bool:
    async with loopback(catalog, screen, background, pace=pace, script=script) as made:
        call = made.new_call(ringing.called, ringing.caller, screen.hear)
        screen.begin(HERE, _TOLD_FIRST, ringing.headers)
        await made.ring(call, ringing.headers)
        try:
            await asyncio.wait_for(screen.ended.wait(), TIMEOUT_SECONDS)
        except TimeoutError:
            return False
    return True


# ── what is seen ──────────────────────────────────────────────────────────────────────────────────────────────


class _Screen(Screen):
    """Knows what must be seen in a call of this agent. `told` is what its tools must tell, as in `_TOLD`."""

    def __init__(self, agent: AgentDefinition, told: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(Paint())
        self.agent, self.told = agent, told

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
        result, (field, disagreed) = self.results[tool], self.told[tool]
        return "" if isinstance(result, dict) and result.get(field) else disagreed

    def close(self, missing: list[str]) -> None:
        told = f"This call was not complete: {'; '.join(missing)}." if missing else _COMPLETE
        self.print("")
        for line in wrapped(told, width()):
            self.print(self.paint(line, "red" if missing else "green"))


_COMPLETE = "All of it happened as the YAML file declares."
