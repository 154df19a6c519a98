"""Servers of tools, real ones: over HTTP on loopback, and as programs. What a call gets of them, whatever they do."""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from runtime.catalog import Catalog
from runtime.cli import main
from runtime.context import CallContext
from runtime.current import Current, Status
from runtime.definition import AgentDefinition
from runtime.events import ToolFinished
from runtime.log import Formatter, configure
from runtime.realtime.mcp import McpServers, Tools
from runtime.realtime.model import ToolSession
from runtime.simulator import Script, ToolUse, Turn, serving
from tests.house import MINIMAL, catalog, run
from tests.line import line
from tests.test_host import ready

CONTEXT = CallContext("rtc_1", "+15550100001", "+15557654321", "desk")
PROGRAM = {"command": [sys.executable, "-m", "tests.tool_server"]}


@dataclass
class Shop:
    """A server of tools in this event loop, whose slow tool ends when the test wants it to."""

    server: MCPServer = field(default_factory=lambda: MCPServer("shop", log_level="CRITICAL"))
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    headers: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for tool in (self.order, self.slow, self.picture, self.fails):
            self.server.add_tool(tool, structured_output=False)
        self.server.add_tool(self.order, name="orders.today/all")

    def order(self, number: int) -> str:
        """Tell where an order is."""
        return f"Order {number} is in the oven."

    async def slow(self) -> str:
        """Wait for the kitchen."""
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"

    def picture(self) -> list[Any]:
        """Show the dish."""
        return ["Looks good.", Image(data=b"png", format="png")]

    def fails(self) -> str:
        """Fail."""
        raise ToolError("The kitchen is closed.")

    @asynccontextmanager
    async def open(self, port: int = 0) -> AsyncIterator[str]:
        """Serve the shop and give its address."""
        app = self.server.streamable_http_app()

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
            await app(scope, receive, send)

        async with serving(noting, port=port) as url:
            yield f"{url}/mcp"


def tools(*entries: dict[str, Any]) -> str:
    return f"tools: {json.dumps(entries)}\n"


def agents(*entries: dict[str, Any], name: str = "desk", number: int = 1, more: str = "") -> str:
    return f'name: {name}\nanswers: ["+1555010000{number}"]\ninstructions: Be brief.\n{more}{tools(*entries)}'


def named(made: Catalog, name: str = "desk") -> AgentDefinition:
    return made.agents[name]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@asynccontextmanager
async def following(
    made: Catalog, secrets: dict[str, str] | None = None, look_again: float = 60
) -> AsyncIterator[McpServers]:
    """Follow a catalog as a host does, and leave nothing behind."""
    before = asyncio.all_tasks()
    servers = McpServers((secrets or {}).get, first_pause_seconds=0.01, look_again_seconds=look_again)
    servers.follow(made)
    await servers.tried()
    try:
        yield servers
    finally:
        await servers.close()
    assert asyncio.all_tasks() <= before, "a task was left"


async def until(servers: McpServers, holds: Callable[[], bool]) -> None:
    while not holds():
        await servers.moved()


def connected(servers: McpServers) -> list[bool]:
    return [state["connected"] for state in servers.as_data()]


def names(offered: Tools) -> list[str]:
    return [tool.name for tool in offered.tools]


async def called(offered: Tools, name: str, **arguments: Any) -> str:
    (tool,) = (tool for tool in offered.tools if tool.name == name)
    assert tool.invoke is not None
    return str(await tool.invoke(CONTEXT, json.dumps(arguments)))


async def heard(agent: AgentDefinition, offered: Tools, name: str, arguments: str = "{}") -> ToolFinished:
    """Call a tool as the model does and return what it hears."""
    finished: asyncio.Future[ToolFinished] = asyncio.get_running_loop().create_future()

    async def finish(event: ToolFinished) -> None:
        finished.set_result(event)

    async def send(event: Any) -> None:
        raise AssertionError(f"{event} was sent")

    session = ToolSession([agent.with_tools(offered.tools)], CONTEXT, send, finish)
    await session.run("call_1", name, arguments)
    try:
        return await finished
    finally:
        await session.close()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def told(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(Formatter().format(record) for record in caplog.records)


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tools_of_a_server_are_described_and_called() -> None:
    async def work() -> None:
        async with Shop().open() as url:
            made = catalog(agents({"mcp": {"url": url}, "timeout_seconds": 4, "on_timeout": "Sorry."}))
            async with following(made) as servers:
                offered = servers.tools_of(named(made), "rtc_1")
                assert offered.away == ()
                order = offered.tools[0]
                assert (order.name, order.description) == ("order", "Tell where an order is.")
                assert order.parameters["properties"]["number"]["type"] == "integer"
                assert (order.timeout_seconds, order.written["on_timeout"]) == (4, "Sorry.")
                assert await called(offered, "order", number=7) == "Order 7 is in the oven."

    run(work())


def test_an_agent_gets_only_the_tools_that_it_names_and_a_missing_one_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        async with Shop().open() as url:
            made = catalog(agents({"mcp": {"url": url}, "only": ["order", "pizza"]}))
            async with following(made) as servers:
                assert names(servers.tools_of(named(made), "rtc_1")) == ["order"]

    run(work())
    assert "a server does not have the tools that an agent names agent=desk server=http" in told(caplog)
    assert 'only=["pizza"]' in told(caplog)


def test_a_secret_is_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop = Shop()

    async def work() -> None:
        async with shop.open() as url:
            headers = {"Authorization": {"env": "TOOLS_TOKEN"}, "X-Shop": "one"}
            made = catalog(agents({"mcp": {"url": f"{url}?key=hidden", "headers": headers}}))
            async with following(made, {"TOOLS_TOKEN": "Bearer s3cret"}) as servers:
                assert connected(servers) == [True]
                assert "s3cret" not in json.dumps(servers.as_data())
                assert servers.as_data()[0]["name"] == url

    run(work())
    assert {(sent["authorization"], sent["x-shop"]) for sent in shop.headers} == {("Bearer s3cret", "one")}
    assert "s3cret" not in told(caplog)


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        ({}, "TOOLS_TOKEN is not set. Set it in the environment of the host, and start it again."),
        (
            {"TOOLS_TOKEN": "s3cret\nmore"},
            "TOOLS_TOKEN holds a character that no header can carry. Copy it again, whole and alone.",
        ),
    ],
)
def test_a_secret_that_cannot_be_sent_is_a_reason_to_be_away(secrets: dict[str, str], reason: str) -> None:
    async def work() -> None:
        entry = {"mcp": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": {"env": "TOOLS_TOKEN"}}}}
        async with following(catalog(agents(entry)), secrets) as servers:
            assert servers.as_data()[0]["reason"] == reason

    run(work())


def test_a_server_that_refuses_is_away_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body"})

    async def work() -> None:
        async with (
            serving(refuse) as url,
            following(catalog(agents({"mcp": {"url": f"{url}/mcp"}}))) as servers,
        ):
            assert servers.as_data()[0]["reason"] == "Server returned an error response"

    run(work())
    assert "a server of tools is away server=http://127.0.0.1" in told(caplog)


def test_a_server_that_is_away_at_the_start_is_there_when_it_comes() -> None:
    async def work() -> None:
        port = free_port()
        made = catalog(agents({"mcp": {"url": f"http://127.0.0.1:{port}/mcp"}}))
        async with following(made) as servers:
            assert servers.tools_of(named(made), "rtc_1") == Tools((), (f"http://127.0.0.1:{port}/mcp",))
            async with Shop().open(port):
                await until(servers, lambda: connected(servers) == [True])
                offered = servers.tools_of(named(made), "rtc_2")
                assert await called(offered, "order", number=1) == "Order 1 is in the oven."

    run(work())


def test_a_server_that_is_away_is_told_once_and_not_at_each_try(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        port = free_port()
        made = catalog(agents({"mcp": {"url": f"http://127.0.0.1:{port}/mcp"}}))
        async with following(made) as servers, Shop().open(port):
            await until(servers, lambda: connected(servers) == [True])

    run(work())
    lines = [record.getMessage() for record in caplog.records if record.name == "runtime.realtime.mcp"]
    assert lines.count("a server of tools is away") == 1


def test_a_server_that_started_anew_is_connected_again_and_a_call_keeps_its_tools() -> None:
    async def work() -> None:
        port = free_port()
        made = catalog(agents({"mcp": {"url": f"http://127.0.0.1:{port}/mcp"}}))
        async with AsyncExitStack() as first:
            await first.enter_async_context(Shop().open(port))
            async with following(made) as servers:
                offered = servers.tools_of(named(made), "rtc_1")
                await first.aclose()
                with pytest.raises(ConnectionError):
                    await called(offered, "order", number=1)
                await until(servers, lambda: connected(servers) == [False])
                assert (await heard(named(made), offered, "order", '{"number": 1}')).failed
                async with Shop().open(port):
                    await until(servers, lambda: connected(servers) == [True])
                    assert await called(offered, "order", number=1) == "Order 1 is in the oven."

    run(work())


def test_a_slow_tool_of_one_call_holds_up_no_other() -> None:
    """The SDK's own `call_tool` over HTTP sends one request at a time."""

    async def work() -> None:
        shop = Shop()
        async with shop.open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made) as servers:
                offered = servers.tools_of(named(made), "rtc_1")
                slow = asyncio.create_task(called(offered, "slow"))
                await shop.begun.wait()
                assert await called(servers.tools_of(named(made), "rtc_2"), "order", number=2)
                shop.go_on.set()
                assert await slow == "done"

    run(work())


def test_a_tool_that_takes_too_long_is_ended_there_and_the_model_is_told() -> None:
    async def work() -> None:
        shop = Shop()
        async with shop.open() as url:
            made = catalog(agents({"mcp": {"url": url}, "timeout_seconds": 0.3}))
            async with following(made) as servers:
                offered = servers.tools_of(named(made), "rtc_1")
                finished = await heard(named(made), offered, "slow")
                assert finished.failed
                assert finished.output.startswith("The tool took too long.")
                await shop.cancelled.wait()
                assert not (await heard(named(made), offered, "order", '{"number": 1}')).failed
                assert connected(servers) == [True]

    run(work())


def test_what_a_tool_says_is_an_error_goes_to_the_model() -> None:
    async def work() -> None:
        async with Shop().open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made) as servers:
                offered = servers.tools_of(named(made), "rtc_1")
                finished = await heard(named(made), offered, "fails")
                assert finished.failed
                assert "The kitchen is closed." in finished.output
                for wrong in ("[]", "{", '{"number": "many"}'):
                    assert (await heard(named(made), offered, "order", wrong)).failed

    run(work())


def test_what_is_no_text_is_only_named() -> None:
    async def work() -> str:
        async with Shop().open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made) as servers:
                return await called(servers.tools_of(named(made), "rtc_1"), "picture")

    assert run(work()) == "Looks good.\n(There is also something that cannot be told: image.)"


def test_a_name_that_the_service_does_not_take_is_made_to_fit() -> None:
    async def work() -> str:
        async with Shop().open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made) as servers:
                return await called(servers.tools_of(named(made), "rtc_1"), "orders_today_all", number=3)

    assert run(work()) == "Order 3 is in the oven."


def test_a_tool_whose_name_is_taken_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with Shop().open() as url:
            own = {"use": "keypad", "name": "order"}
            made = catalog(agents(own, {"mcp": {"url": url}}, {"mcp": {"url": url}, "only": ["slow"]}))
            async with following(made) as servers:
                for call_id in ("rtc_1", "rtc_2"):
                    offered = servers.tools_of(named(made), call_id)
                    assert names(offered) == ["slow", "picture", "fails", "orders_today_all"]

    run(work())
    left_out = [record for record in caplog.records if "left out" in record.getMessage()]
    assert [vars(record)["tool"] for record in left_out] == ["order", "slow"]


def test_a_server_that_has_other_tools_is_noticed() -> None:
    async def work() -> None:
        shop = Shop()
        async with shop.open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made, look_again=0.01) as servers:
                shop.server.remove_tool("slow")
                await until(servers, lambda: "slow" not in servers.as_data()[0]["tools"])
                assert "slow" not in names(servers.tools_of(named(made), "rtc_1"))

    run(work())


def test_a_server_that_is_busy_with_a_tool_is_not_asked_for_its_tools() -> None:
    """One that can do a single thing at a time would be taken for dead."""

    async def work() -> None:
        shop = Shop()
        async with shop.open() as url:
            made = catalog(agents({"mcp": {"url": url}}))
            async with following(made, look_again=0.01) as servers:
                slow = asyncio.create_task(called(servers.tools_of(named(made), "rtc_1"), "slow"))
                await shop.begun.wait()
                shop.server.remove_tool("order")
                asked = len(shop.headers)
                await asyncio.wait({slow}, timeout=0.1)
                assert len(shop.headers) - asked <= 1
                shop.go_on.set()
                await slow
                await until(servers, lambda: "order" not in servers.as_data()[0]["tools"])

    run(work())


# ── programs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_program_is_started_without_our_keys_and_ended_with_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    async def work() -> int:
        made = catalog(agents({"mcp": PROGRAM}))
        async with following(made) as servers:
            offered = servers.tools_of(named(made), "rtc_1")
            assert "OPENAI_API_KEY" not in await called(offered, "environment")
            process = int(await called(offered, "process"))
            assert is_alive(process)
        return process

    assert not is_alive(run(work()))


def test_several_agents_share_one_connection() -> None:
    async def work() -> None:
        made = catalog(
            agents({"mcp": PROGRAM, "only": ["process"]}),
            agents({"mcp": PROGRAM, "timeout_seconds": 3}, name="bar", number=2),
        )
        async with following(made) as servers:
            assert len(servers.as_data()) == 1
            here, there = (servers.tools_of(named(made, name), "rtc_1") for name in ("desk", "bar"))
            assert (len(here.tools), len(there.tools)) == (1, 3)
            assert await called(here, "process") == await called(there, "process")

    run(work())


def test_a_program_that_dies_in_the_middle_of_a_call_leaves_the_call_in_control_and_is_started_again() -> None:
    async def work() -> None:
        made = catalog(agents({"mcp": PROGRAM}))
        async with following(made) as servers:
            offered = servers.tools_of(named(made), "rtc_1")
            process = await called(offered, "process")
            finished = await heard(named(made), offered, "die")
            assert finished.failed
            assert finished.output.startswith("The tool failed.")
            await until(servers, lambda: connected(servers) == [False])
            await until(servers, lambda: connected(servers) == [True])
            assert await called(offered, "process") != process

    run(work())


def test_a_program_that_is_not_there_is_away_with_the_reason() -> None:
    async def work() -> None:
        async with following(catalog(agents({"mcp": {"command": ["no-such-program", "--port", "1"]}}))) as servers:
            (state,) = servers.as_data()
            assert state == {
                "name": "no-such-program --port 1",
                "connected": False,
                "tools": [],
                "reason": "its program cannot be started (No such file or directory)",
            }

    run(work())


def test_a_program_that_never_answers_holds_up_a_start_only_so_long(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        servers = McpServers(lambda name: None)
        servers.follow(catalog(agents({"mcp": {"command": [sys.executable, "-c", "import sys; sys.stdin.read()"]}})))
        await servers.tried(0.1)
        assert servers.as_data()[0]["reason"] == "it has not answered yet"
        await servers.close()

    run(work())
    assert 'reason="it has not answered yet"' in told(caplog)


def test_python_is_the_one_that_runs_the_host_and_the_sample_is_a_server() -> None:
    async def work() -> None:
        made = catalog(agents({"mcp": {"command": ["python", "-m", "samples.weather"]}}))
        async with following(made) as servers:
            offered = servers.tools_of(named(made), "rtc_1")
            assert names(offered) == ["forecast"]
            assert not json.loads(await called(offered, "forecast", place="Bergen", day="soon"))["known"]

    run(work())


# ── another catalog ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_reload_connects_to_new_servers_and_leaves_old_ones_when_no_call_uses_them() -> None:
    async def work() -> None:
        shop = Shop()
        async with shop.open() as url:
            old, new = catalog(agents({"mcp": PROGRAM})), catalog(agents({"mcp": {"url": url}}))
            current = Current(old)
            async with following(old) as servers:
                current.listen(servers.follow)
                begun = servers.tools_of(named(old), "rtc_1")
                process = int(await called(begun, "process"))
                current.swap(new, Status("rev2", current.status.live_since, current.status.looked_at))
                await until(servers, lambda: connected(servers) == [True, True])
                assert int(await called(begun, "process")) == process
                servers.forget("rtc_1")
                assert [state["name"] for state in servers.as_data()] == [url]
                assert await called(servers.tools_of(named(new), "rtc_2"), "order", number=1)
                servers.forget("rtc_2")
                assert connected(servers) == [True]
            assert not is_alive(process)

    run(work())


def test_a_server_that_comes_back_into_the_catalog_before_its_call_has_ended_is_kept() -> None:
    async def work() -> None:
        made = catalog(agents({"mcp": PROGRAM}))
        async with following(made) as servers:
            process = await called(servers.tools_of(named(made), "rtc_1"), "process")
            servers.follow(catalog(MINIMAL))
            servers.follow(made)
            servers.forget("rtc_1")
            assert await called(servers.tools_of(named(made), "rtc_2"), "process") == process

    run(work())


def test_closed_servers_connect_to_nothing_any_more() -> None:
    async def work() -> None:
        servers = McpServers(lambda name: None)
        await servers.close()
        servers.follow(catalog(agents({"mcp": PROGRAM})))
        assert servers.as_data() == []

    run(work())


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "auto"),
        ("{type: function, name: order}", "auto"),
        ("none", "none"),
    ],
)
def test_a_choice_among_tools_that_are_away_is_left_to_the_model(choice: str, expected: str) -> None:
    made = named(catalog(agents({"mcp": PROGRAM}, more=f"tool_choice: {choice}\n")))
    assert made.with_tools(()).data["tool_choice"] == expected


# ── in a call ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_uses_a_tool_of_a_server_and_readyz_shows_it() -> None:
    async def work() -> None:
        async with Shop().open() as url:
            script = Script((Turn("My order?", (ToolUse("order", '{"number": 4}'), "It is in the oven.")),))
            async with line(agents({"mcp": {"url": url}, "only": ["order"]}, more="greeting: Hello.\n")) as served:
                made = await served.ring(script=script)
                await served.quiet()
                assert [tool["name"] for tool in made.peer.accepted["tools"]] == ["order"]
                assert made.peer.tool_outputs[0]["output"] == "Order 4 is in the oven."
                assert (await ready(served))[1]["servers"][0]["connected"]

    run(work())


def test_a_call_goes_on_without_the_tools_of_a_server_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        entry = {"mcp": {"url": f"http://127.0.0.1:{free_port()}/mcp"}}
        async with line(agents(entry, more="greeting: Hello.\ntool_choice: required\n")) as served:
            made = await served.ring(script=Script((Turn("Hello?", "Yes?"),)))
            await served.quiet()
            assert (made.peer.accepted["tools"], made.peer.accepted["tool_choice"]) == ([], "auto")
            assert served.outcome == "caller_hung_up"

    run(work())
    assert "servers of tools are away" in told(caplog)


def test_a_reload_reaches_the_servers_of_a_host_and_a_call_that_ends_lets_go_of_them() -> None:
    async def work() -> None:
        async with Shop().open() as url:
            old, new = catalog(agents({"mcp": {"url": url}}, more="greeting: Hello.\n")), catalog(MINIMAL)
            current = Current(new)
            async with line(current=current) as served:
                servers = served.host._servers
                current.swap(old, current.status)
                await until(servers, lambda: connected(servers) == [True])
                made = await served.ring()
                await made.happened("attached")
                current.swap(new, current.status)
                assert connected(servers) == [True]
                made.hangs_up()
                await served.quiet()
                assert connected(servers) == []

    run(work())


def test_check_starts_no_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun = tmp_path / "begun"
    program = {"command": [sys.executable, "-c", f"open({str(begun)!r}, 'w')"]}
    (tmp_path / "desk.yaml").write_text(agents({"mcp": program}))
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 agent file: no problems.\n"
    assert not begun.exists()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.getLogger("mcp").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize(("level", "speaks"), [(logging.INFO, False), (logging.DEBUG, True)])
def test_what_a_server_sent_that_cannot_be_read_is_told_at_debug_only(level: int, speaks: bool) -> None:
    configure(level)
    assert logging.getLogger("mcp.client.stdio").isEnabledFor(logging.ERROR) == speaks
