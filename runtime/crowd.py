"""The other calls of a rehearsed host: those that came before, those that go on, and the tools that they use.

They are not rung: they only take the places that they would take. Who has to wait or is turned away is decided where
it always is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from runtime.admission import Admission
from runtime.conduct import limits_of
from runtime.definition import AgentDefinition, ToolDefinition
from runtime.realtime.model import Gates
from runtime.scenarios import Scenario


def admission_for(scenario: Scenario, agent: AgentDefinition | None) -> Admission:
    """Return the admission of a host on which others ring the agent too, and the caller rang before."""
    admission = Admission(0 if "over_capacity" in scenario.down else None)
    if agent is not None:
        limits, now = limits_of(agent.data["limits"]), time.monotonic()
        for number in range(scenario.rang_before):
            admission.admit(f"before {number}", agent.name, scenario.caller, limits, now)
            admission.leave(f"before {number}")
        for number in range(scenario.other_calls):
            admission.admit(f"meanwhile {number}", agent.name, "", limits, now)
    return admission


class CrowdedGates(Gates):
    """The gates of a host on which others have taken every place of some tools, for so many seconds from when one of
    them is first wanted. `taken` are these seconds by the tool's name."""

    def __init__(self, taken: Mapping[str, float]) -> None:
        super().__init__()
        self._taken = dict(taken)
        self._others: list[asyncio.Task[None]] = []

    def of(self, tool: ToolDefinition) -> AbstractAsyncContextManager[None]:
        """Return what a tool waits for before it runs: the first time, behind all the others."""
        gate, places = super().of(tool), tool.max_parallel
        if places is None or tool.name not in self._taken:
            return gate
        return self._behind_others(gate, places, self._taken.pop(tool.name))

    @asynccontextmanager
    async def _behind_others(
        self, gate: AbstractAsyncContextManager[None], places: int, seconds: float
    ) -> AsyncIterator[None]:
        self._others += [asyncio.create_task(_use(gate, seconds)) for _ in range(places)]
        await asyncio.sleep(0)  # they are there first
        async with gate:
            yield


async def _use(gate: AbstractAsyncContextManager[None], seconds: float) -> None:
    async with gate:
        await asyncio.sleep(seconds)
