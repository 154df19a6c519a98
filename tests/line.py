"""A line under test: the real host and the simulator on loopback, and everything that the host recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from runtime.abilities import ToolReader
from runtime.admission import Admission
from runtime.commands import Record
from runtime.current import Current
from runtime.host import Host
from runtime.runner import Observer, Runner, Witness
from runtime.settings import Settings
from runtime.simulator import Behavior, Script, Service, SimulatedCall, serving
from tests.house import MINIMAL, catalog

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM="
KEY = "sk-test"


@dataclass
class Line:
    """What a scenario needs at hand."""

    service: Service
    host: Host
    address: str
    records: list[tuple[str, Record]] = field(default_factory=list)

    async def ring(
        self, *, script: Script | None = None, behavior: Behavior | None = None, **call: Any
    ) -> SimulatedCall:
        """Ring once and return the call; the host answers in its own time."""
        made = self.service.new_call(script=script, behavior=behavior, **call)
        assert await self.service.ring(made, self.webhook, SECRET) == 200
        return made

    @property
    def webhook(self) -> str:
        return f"{self.address}/openai/webhook"

    async def quiet(self) -> None:
        """Wait until the host has no call left."""
        await self.host.drain(10)

    async def idle(self) -> None:
        """Wait until no call is left, and go on taking others."""
        await self.host.idle()

    def told(self, what: str) -> list[dict[str, Any]]:
        """Return the fields of every record of this kind, public and private."""
        return [{**record.fields, **record.private} for _, record in self.records if record.what == what]

    @property
    def outcome(self) -> str:
        (ended,) = self.told("ended")
        return str(ended["outcome"])


@asynccontextmanager
async def line(
    *agents: str,
    read_tool: ToolReader | None = None,
    key: str = KEY,
    current: Current | None = None,
    observers: tuple[Observer, ...] = (),
    admission: Admission | None = None,
    witness: Witness | None = None,
    pace: float = 0,
    **service: Any,
) -> AsyncIterator[Line]:
    """Serve agents, each given as its YAML text, or a live catalog, to a simulator; `key` is the host's."""
    simulator = Service(api_key=KEY, pace=pace, **service)
    records: list[tuple[str, Record]] = []

    def observe(runner: Runner, record: Record) -> None:
        records.append((runner.call_id, record))

    async with serving(simulator.app) as url:
        settings = Settings(key, (SECRET,), f"{url}/v1", f"{url.replace('http', 'ws')}/v1")
        live = current or Current(catalog(*(agents or (MINIMAL,)), read_tool=read_tool))
        host = Host(live, settings, (observe, *observers), admission=admission, witness=witness)
        async with serving(host.app) as address:
            yield Line(simulator, host, address, records)
