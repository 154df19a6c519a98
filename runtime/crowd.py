"""The other calls of a rehearsed host: those that came before, those that go on, and the tools that they use.

They are not rung: they only take the places that they would take. Who has to wait or is turned away is decided where
it always is.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from runtime.admission import Admission
from runtime.conduct import limits_of
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.realtime.model import Gates
from runtime.scenarios import Scenario


def admission_for(scenario: Scenario, agent: AgentDefinition | None, at: float) -> Admission:
    """Return the admission of a host on which others ring the agent too, and the caller rang just before a time."""
    admission = Admission(0 if "over_capacity" in scenario.down else None)
    if agent is not None:
        limits = limits_of(agent.data["limits"])
        for number in range(scenario.rang_before):
            admission.admit(f"before {number}", agent.name, scenario.caller, limits, at)
            admission.leave(f"before {number}")
        for number in range(scenario.other_calls):
            admission.admit(f"meanwhile {number}", agent.name, "", limits, at)
    return admission


class CrowdedGates(Gates):
    """The gates of a host on which others have taken every place of some tools, for so many seconds from when one of
    them is first wanted. `taken` are these seconds by the tool's name."""

    def __init__(self, taken: Mapping[str, float]) -> None:
        super().__init__()
        self._taken = dict(taken)

    def of(self, tool: ToolDefinition) -> AbstractAsyncContextManager[None]:
        """Return what a tool waits for before it runs: the first time, behind all the others."""
        gate, seconds = super().of(tool), self._taken.get(tool.name)
        if seconds is None or not isinstance(gate, asyncio.Semaphore):
            return gate
        del self._taken[tool.name]
        return _behind_others(gate, tool.max_parallel or 0, seconds)


@asynccontextmanager
async def _behind_others(gate: asyncio.Semaphore, places: int, seconds: float) -> AsyncIterator[None]:
    for _ in range(places):
        await gate.acquire()
        asyncio.get_running_loop().call_later(seconds, gate.release)
    async with gate:
        yield
