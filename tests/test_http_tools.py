"""Addresses as tools, against real servers on loopback: what is sent, what the model hears, where nobody may go."""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from runtime.context import CallContext
from runtime.errors import EntrypointError, ToolError
from runtime.hosts import Hosts
from runtime.http_tools import MAX_ANSWER_BYTES, HttpTools
from runtime.log import Formatter
from runtime.simulator.service import serving
from tests.house import run

CONTEXT = CallContext("rtc_1", "+15550100001", "+15557654321", "desk", {}, {"shop": "Casa Nova"})
SECRETS = {"ORDERS_TOKEN": "Bearer s3cret", "BROKEN": "Bearer\nX: 1", "COFFEE": "Bearer café"}


class Shop:
    """A service that answers as its path says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections: set[Any] = set()
        self.app = Starlette(
            routes=[
                Route("/orders/{number}", self.order, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
                Route("/moved", lambda _: RedirectResponse("/orders/17")),
                Route("/status/{status:int}", lambda r: Response("no such order", r.path_params["status"])),
                Route("/long/{size:int}", lambda r: Response(b"x" * r.path_params["size"])),
                Route("/unannounced", lambda _: StreamingResponse(_unannounced())),
                Route("/packed", lambda _: Response(b"x", headers={"content-encoding": "gzip"})),
                Route("/nothing", lambda _: Response(status_code=204), methods=["POST"]),
                Route("/never", self.never),
            ]
        )

    async def order(self, request: Request) -> Response:
        self.asked.append((request.method, str(request.url.path), dict(request.headers), await request.body()))
        self.connections.add(request.client)
        answer = {"number": request.path_params["number"], "status": "baked"}
        return JSONResponse({"order": answer}, headers={"set-cookie": "visitor=1"})

    async def never(self, request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()


async def _unannounced() -> AsyncIterator[bytes]:
    for _ in range(64):
        yield b"x" * 65536


def entry(url: str, arguments: dict[str, Any] | None = None, seconds: float = 5, **http: Any) -> dict[str, Any]:
    written = {"method": "GET", "headers": {}, "url": url, **http}
    return {
        "name": "ask",
        "description": "Asks.",
        "timeout_seconds": seconds,
        "arguments": arguments or {},
        "http": written,
    }


@asynccontextmanager
async def tools(*allowed: str, **more: Any) -> AsyncIterator[HttpTools]:
    made = HttpTools(Hosts(allowed or None), SECRETS.get, serving=True, **more)
    try:
        yield made
    finally:
        await made.close()


Ask = Callable[..., Any]


def with_shop(work: Callable[[Shop, Ask], Any]) -> None:
    """Run work with a shop that listens, and a function that asks it through a tool and returns what is heard."""

    async def whole() -> None:
        shop = Shop()
        async with serving(shop.app) as address, tools(address.removeprefix("http://")) as made:

            async def ask(path: str, given: dict[str, Any] | None = None, **more: Any) -> Any:
                tool = made.read(entry(address + path, **more))
                assert tool.invoke is not None
                return json.loads(await tool.invoke(CONTEXT, json.dumps(given or {})))

            await work(shop, ask)

    run(whole())


NUMBER = {"number": {"type": "string"}, "people": {"type": "integer", "default": 2}}


def test_an_address_is_asked_and_a_part_of_the_answer_is_heard() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        assert await ask("/orders/{{ number }}", {"number": "17"}, arguments=NUMBER, pick="order.status") == "baked"
        ((method, path, headers, body),) = shop.asked
        assert (method, path, body) == ("GET", "/orders/17", b"")
        assert headers["accept"] == "application/json"
        assert headers["host"].startswith("127.0.0.1:")

    with_shop(work)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_body_and_a_secret_are_sent(method: str) -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        http = {"method": method, "headers": {"Authorization": {"env": "ORDERS_TOKEN"}, "X-Call": "{{ call.id }}"}}
        body = {"people": "{{ people }}", "shop": "{{ shop }}"}
        assert await ask("/orders/1", {"number": "17"}, arguments=NUMBER, body=body, **http)
        ((sent, _, headers, raw),) = shop.asked
        assert sent == method
        assert json.loads(raw) == {"people": 2, "shop": "Casa Nova"}
        assert headers["authorization"] == "Bearer s3cret"
        assert headers["content-type"] == "application/json"
        assert headers["x-call"] == "rtc_1"

    with_shop(work)


def test_a_request_without_a_body_says_that_it_has_none() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        await ask("/orders/1", method="POST")
        assert shop.asked[0][2]["content-length"] == "0"
        assert await ask("/nothing", method="POST") is None

    with_shop(work)


def test_calls_share_connections_and_no_cookies() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        for _ in range(3):
            await ask("/orders/1")
        assert len(shop.connections) == 1
        assert all("cookie" not in headers for _, _, headers, _ in shop.asked)

    with_shop(work)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/moved", "The service sends us elsewhere (307), and we do not follow."),
        ("/status/404", "The service refused this (404). It says: no such order"),
        ("/status/503", "The service has failed (503). Tell the caller that this does not work at the moment."),
        (f"/long/{MAX_ANSWER_BYTES + 1}", "The service answered with more than can be read."),
        ("/unannounced", "The service answered with more than can be read."),
        ("/packed", "The service answered in a form that cannot be read (gzip)."),
        ("/orders/17?x", "its answer has no 'order.price'"),
    ],
)
def test_what_goes_wrong_is_a_sentence_for_the_model(path: str, said: str) -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        with pytest.raises(ToolError) as caught:
            await ask(path, pick="order.price")
        assert said in str(caught.value)
        assert len(shop.asked) == (1 if path.startswith("/orders") else 0), "a redirect is not followed"

    with_shop(work)


def test_an_answer_up_to_the_limit_is_heard() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        assert len(await ask(f"/long/{MAX_ANSWER_BYTES}")) == MAX_ANSWER_BYTES

    with_shop(work)


def test_a_service_that_does_not_answer_in_time_is_told() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        with pytest.raises(ToolError, match="The service did not answer"):
            await ask("/never", seconds=0.1)

    with_shop(work)


def test_arguments_that_do_not_fit_are_not_sent() -> None:
    async def work(shop: Shop, ask: Ask) -> None:
        for given, said in (({}, "'number' is missing"), ({"number": "../1"}, "a value is empty, or holds a slash")):
            with pytest.raises(ToolError, match=said):
                await ask("/orders/{{ number }}", given, arguments=NUMBER)
        assert shop.asked == []

    with_shop(work)


def test_neither_secrets_nor_answers_nor_addresses_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def work(shop: Shop, ask: Ask) -> None:
        headers = {"Authorization": {"env": "ORDERS_TOKEN"}}
        for path in ("/status/404", "/status/500", "/never"):
            with pytest.raises(ToolError):
                await ask(f"{path}?caller={{{{ call.caller }}}}", seconds=0.2, headers=headers)

    with_shop(work)
    lines = [Formatter().format(record) for record in caplog.records if record.name == "runtime.http_tools"]
    assert [record.getMessage() for record in caplog.records if record.name == "runtime.http_tools"] == [
        "a tool's host answered with a refusal",
        "a tool's host answered with a refusal",
        "a tool's host did not answer",
    ]
    for line in lines:
        assert "call_id=rtc_1 tool=ask host=127.0.0.1" in line
        assert not any(word in line for word in ("s3cret", "no such order", "1555", "caller"))


# ── what is tried again ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def hanging_up(answers_after: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that hangs up on the first requests without a word."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if len(asked) > answers_after:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n17")
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", asked


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1), ("DELETE", 1)])
def test_a_lost_connection_is_tried_once_more_where_nothing_can_be_done_twice(method: str, times: int) -> None:
    async def work() -> None:
        async with hanging_up(9) as (address, asked), tools(address) as made:
            tool = made.read(entry(f"http://{address}/", method=method))
            assert tool.invoke is not None
            with pytest.raises(ToolError, match="did not answer"):
                await tool.invoke(CONTEXT, "{}")
            assert len(asked) == times

    run(work())


def test_the_second_try_is_heard() -> None:
    async def work() -> None:
        async with hanging_up(1) as (address, _), tools(address) as made:
            tool = made.read(entry(f"http://{address}/"))
            assert tool.invoke is not None
            assert await tool.invoke(CONTEXT, "{}") == "17"

    run(work())


# ── where nobody may go ───────────────────────────────────────────────────────────────────────────────────────


def found_at(*lookups: Sequence[str]) -> tuple[Callable[[str, int], Any], list[str]]:
    """A name server whose answers change, and the names that it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return lookups[min(len(asked), len(lookups)) - 1]

    return resolve, asked


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_with_a_private_address_is_never_connected_to(
    addresses: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        resolve, _ = found_at(addresses)
        shop = Shop()
        async with serving(shop.app) as address, tools(resolve=resolve) as made:
            port = address.rpartition(":")[2]
            tool = made.read(entry(f"http://shop.example.com:{port}/orders/1"))
            assert tool.invoke is not None
            with pytest.raises(ToolError, match="not allowed to ask there"):
                await tool.invoke(CONTEXT, "{}")
            assert shop.asked == []

    run(work())
    assert "a tool's host has a private address" in caplog.text


def test_what_was_judged_is_connected_to_and_no_second_lookup() -> None:
    """DNS rebinding: a name that means one address when it is judged, and another when it is connected to."""

    async def work() -> None:
        resolve, asked = found_at(["127.0.0.1"], ["127.0.0.2"])  # where nobody listens
        shop = Shop()
        async with serving(shop.app) as address, tools("shop.internal", resolve=resolve) as made:
            tool = made.read(entry(f"http://shop.internal:{address.rpartition(':')[2]}/orders/1", method="POST"))
            assert tool.invoke is not None
            for _ in range(2):
                await tool.invoke(CONTEXT, "{}")
            assert len(shop.asked) == 2
            assert asked == ["shop.internal"], "once for a connection, by us, and never by the system"

    run(work())


def test_a_refusal_is_not_tried_again_with_other_addresses() -> None:
    async def work() -> None:
        resolve, asked = found_at(["127.0.0.1"], [])
        async with tools(resolve=resolve) as made:
            tool = made.read(entry("http://shop.example.com/"))
            assert tool.invoke is not None
            with pytest.raises(ToolError, match="not allowed to ask there"):
                await tool.invoke(CONTEXT, "{}")
            assert asked == ["shop.example.com"]

    run(work())


def test_a_host_that_is_named_may_have_a_private_address_and_keeps_its_name() -> None:
    async def work() -> None:
        resolve, asked = found_at(["127.0.0.1"])
        shop = Shop()
        async with serving(shop.app) as address, tools("shop.internal", resolve=resolve) as made:
            port = address.rpartition(":")[2]
            tool = made.read(entry(f"http://shop.internal:{port}/orders/1"))
            assert tool.invoke is not None
            await tool.invoke(CONTEXT, "{}")
            assert shop.asked[0][2]["host"] == f"shop.internal:{port}"
            assert asked == ["shop.internal"]

    run(work())


def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer() -> None:
    async def work() -> None:
        resolve, _ = found_at(["127.0.0.2", "127.0.0.1"])
        shop = Shop()
        async with serving(shop.app) as address, tools("shop.internal", resolve=resolve) as made:
            tool = made.read(entry(f"http://shop.internal:{address.rpartition(':')[2]}/orders/1", method="POST"))
            assert tool.invoke is not None
            await tool.invoke(CONTEXT, "{}")
            assert len(shop.asked) == 1

    run(work())


@pytest.mark.parametrize("host", ["nobody.invalid", f"{'x' * 70}.example.com", "a..b"])
def test_a_name_that_nobody_has_is_told(host: str) -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        host.encode("idna")  # as the system does, which refuses some names itself
        raise OSError("no such name")

    async def work() -> None:
        async with tools(resolve=nothing) as made:
            tool = made.read(entry(f"http://{host}/"))
            assert tool.invoke is not None
            with pytest.raises(ToolError, match="did not answer"):
                await tool.invoke(CONTEXT, "{}")

    run(work())


def certificate(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for names; return its file, key included, and a context that trusts it and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    kinds = [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(kinds), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    secret = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "shop.pem"
    file.write_bytes(secret + made.public_bytes(form))
    return file, ssl.create_default_context(cadata=made.public_bytes(form).decode())


@pytest.mark.parametrize(("names", "is_right"), [(["shop.internal"], True), (["127.0.0.1", "evil.internal"], False)])
def test_the_certificate_must_be_the_names_and_not_the_addresss(
    names: list[str], is_right: bool, tmp_path: Path
) -> None:
    file, trusting = certificate(tmp_path, *names)
    told: list[str | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n17")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def work() -> None:
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(file)
        ours.sni_callback = lambda _, name, __: told.append(name)
        resolve, _ = found_at(["127.0.0.1"])
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=ours)
        async with server, tools("shop.internal", resolve=resolve, tls=trusting) as made:
            tool = made.read(entry(f"https://shop.internal:{server.sockets[0].getsockname()[1]}/", method="POST"))
            assert tool.invoke is not None
            if is_right:
                assert await tool.invoke(CONTEXT, "{}") == "17"
            else:
                with pytest.raises(ToolError, match="did not answer"):
                    await tool.invoke(CONTEXT, "{}")

    run(work())
    assert told == ["shop.internal"]


# ── what is a problem when calls may come ─────────────────────────────────────────────────────────────────────


def wrong(url: str, *allowed: str, **http: Any) -> list[str]:
    made = HttpTools(Hosts(allowed or None), SECRETS.get, serving=True)
    with pytest.raises(EntrypointError) as caught:
        made.read(entry(url, **http))
    return [f"{'.'.join(one.path)}: {one}" for one in (caught.value, *caught.value.others)]


def test_a_secret_that_is_not_set_or_can_be_none_is_a_problem_of_the_agent() -> None:
    headers = {"A": {"env": "NOT_SET"}, "B": {"env": "BROKEN"}, "C": {"env": "COFFEE"}, "D": {"env": "ORDERS_TOKEN"}}
    assert wrong("https://shop.example.com", headers=headers) == [
        "headers.A.env: the environment variable NOT_SET is not set. "
        "Set NOT_SET where Switchboard runs, to the whole value of the header A.",
        "headers.B.env: BROKEN holds a sign that no header can have. Copy the value again, whole and alone.",
        "headers.C.env: COFFEE holds a sign that no header can have. Copy the value again, whole and alone.",
    ]


def test_a_host_that_may_not_be_called_is_a_problem_of_the_agent() -> None:
    assert wrong("https://other.example.com/x", "shop.example.com", "localhost:80") == [
        "url: the host 'other.example.com' may not be called from this machine. "
        "SWITCHBOARD_HTTP_HOSTS names only shop.example.com and localhost:80."
    ]
    assert wrong("http://localhost:8080/x") == [
        "url: the host 'localhost' is in a private network. "
        "Set SWITCHBOARD_HTTP_HOSTS=localhost:8080, and with commas all other hosts that tools call."
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(wrong("http://10.0.0.1/", headers={"A": {"env": "NOT_SET"}})) == 2


def test_where_no_call_comes_neither_is_a_problem_and_no_secret_is_in_the_definition() -> None:
    made = HttpTools(Hosts(["x"]), SECRETS.get, serving=False)
    headers = {"A": {"env": "NOT_SET"}, "Authorization": {"env": "ORDERS_TOKEN"}}
    tool = made.read(entry("http://localhost/", headers=headers))
    assert "s3cret" not in repr(tool)
    assert tool.parameters["properties"] == {}
