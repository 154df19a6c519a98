"""What tests build with: agents from a few lines of YAML, calls, coroutines run to their end, and a steady clock."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from types import FrameType
from typing import Any, TypeVar

from runtime.abilities import ToolReader
from runtime.catalog import Catalog, Source, build
from runtime.company import Company, company_of
from runtime.definition import AgentDefinition
from runtime.incoming import Headers, IncomingCall
from runtime.routing import Match, route

T = TypeVar("T")

MINIMAL = 'name: desk\nanswers: ["+15550100001"]\ninstructions: Be brief.\n'


def run(work: Coroutine[Any, Any, T], seconds: float = 20) -> T:
    """Run a coroutine; one that hangs fails the test instead of the suite."""
    return asyncio.run(asyncio.wait_for(work, seconds))


def source(text: str, file: str = "agents/desk.yaml", beside: dict[str, bytes] | None = None) -> Source:
    def sibling(path: str) -> bytes:
        try:
            return (beside or {})[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    return Source(file, text.encode(), sibling)


def catalog(*texts: str, read_tool: ToolReader | None = None) -> Catalog:
    return build([source(text, f"agents/{n}.yaml") for n, text in enumerate(texts, 1)], read_tool, "rev1")


def company(*texts: str, read_tool: ToolReader | None = None) -> Company:
    return company_of([source(text, f"agents/{n}.yaml") for n, text in enumerate(texts, 1)], read_tool)


def agent(more: str = "", read_tool: ToolReader | None = None) -> AgentDefinition:
    return next(iter(catalog(MINIMAL + more, read_tool=read_tool).agents.values()))


def incoming(
    called: str = "+15550100001",
    caller: str = "+15557654321",
    headers: dict[str, str] | None = None,
    at: datetime = datetime(2026, 11, 27, 17, 0, tzinfo=UTC),
) -> IncomingCall:
    return IncomingCall("rtc_1", called, caller, Headers((headers or {}).items()), at)


def match(definition: AgentDefinition) -> Match:
    found = route(Catalog({definition.name: definition}, "rev1"), incoming())
    return found if isinstance(found, Match) else Match(definition, definition.answers[0], "rev1")


def calls_made(work: Callable[[], object]) -> int:
    """Return how many Python functions are called in a piece of work: a clock that no busy machine slows."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
