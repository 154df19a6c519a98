"""Addresses on the web as tools: asked over kept connections, and only where the operator and the internet allow.

A name is looked up once for each connection, every address that it has is judged, and one of those is connected to:
a name that means another address a moment later (DNS rebinding) changes nothing. TLS is checked against the name.
Redirects are not followed, cookies not kept, proxies not asked. A secret is held here and shown nowhere.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import httpcore2

from runtime.context import CallContext
from runtime.definition import ToolDefinition
from runtime.errors import EntrypointError, ToolError, listing
from runtime.hosts import Hosts, is_public
from runtime.request import PORTS, Filled, Request, answered, arguments_of, origin, parameters, seen_by

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 256 * 1024  # far more than can be said or than a model should read; `pick` takes a part of it
CONNECT_SECONDS = 3.0  # a caller waits; who cannot be connected to in this time will not answer in it either
KEEP_SECONDS = 60.0  # for how long an idle connection saves the next call its handshake
_CONNECTIONS = 100
_ADDRESSES = 4  # of one name, tried one after another
_TWICE = ("GET", "PUT")  # asked a second time they do no more than the first
_FAILURES = (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError)
_LOST = (httpcore2.ConnectTimeout, httpcore2.NetworkError, httpcore2.RemoteProtocolError)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a name up and returns its addresses, the best first. Raises `OSError`."""


class HttpTools:
    """Makes tools out of `http:` entries and owns the connections that they share, for each event loop its own.

    `secret(name)` returns an environment variable's value. While `serving`, a variable that is not set and a host
    that may not be called are problems of the agent; else nobody calls the tool, and they are nothing.
    """

    def __init__(
        self,
        hosts: Hosts,
        secret: Callable[[str], str | None],
        *,
        serving: bool,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = hosts
        self._secret = secret
        self._serving = serving
        self._backend = _Checked(hosts, resolve or _resolve)
        self._given_tls = tls
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, httpcore2.AsyncConnectionPool] = WeakKeyDictionary()

    def read(self, written: Mapping[str, Any]) -> ToolDefinition:
        """Make a tool out of one complete entry. Raises `EntrypointError`, with all that is wrong at once."""
        http = written["http"]
        schema = parameters(written.get("arguments", {}))
        tool = ToolDefinition(written["name"], written.get("description", ""), schema, written)
        if origin(http["url"]) is None:
            return tool  # a problem that is told already
        request = Request.of(http)
        secrets = {header: self._secret(variable) or "" for header, variable in request.secrets}
        if self._serving:
            wrong = [*self._wrong_with_host(request), *_wrong_with_secrets(request, secrets)]
            if wrong:
                raise EntrypointError(wrong[0].message, wrong[0].cure, wrong[0].path, tuple(wrong[1:]))
            _ = self._tls  # made while the catalog is loaded, and not in a call
        asking = _Asking(tool, request, tuple((name.lower(), value) for name, value in secrets.items()), self._pool)
        return ToolDefinition(tool.name, tool.description, schema, written, asking)

    async def close(self) -> None:
        """Close the connections of this event loop."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def _wrong_with_host(self, request: Request) -> Iterable[EntrypointError]:
        host, port = request.origin.host, request.origin.port
        if self._hosts.may_be_called(host, port):
            return
        if self._hosts.named is None:
            cure = f"Set SWITCHBOARD_HTTP_HOSTS={host}:{port}, and with commas all other hosts that tools call."
            yield EntrypointError(f"the host '{host}' is in a private network", cure, ("url",))
        else:
            cure = f"SWITCHBOARD_HTTP_HOSTS names only {listing(self._hosts.named, 'and')}."
            yield EntrypointError(f"the host '{host}' may not be called from this machine", cure, ("url",))

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpcore2.default_ssl_context()

    def _pool(self) -> httpcore2.AsyncConnectionPool:
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._pools[loop] = httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=_CONNECTIONS,
                keepalive_expiry=KEEP_SECONDS,
                network_backend=self._backend,
            )
        return self._pools[loop]


def _wrong_with_secrets(request: Request, secrets: Mapping[str, str]) -> Iterable[EntrypointError]:
    for header, variable in request.secrets:
        path = ("headers", header, "env")
        if not secrets[header]:
            cure = f"Set {variable} where Switchboard runs, to the whole value of the header {header}."
            yield EntrypointError(f"the environment variable {variable} is not set", cure, path)
        elif not (secrets[header].isascii() and secrets[header].isprintable()):
            cure = "Copy the value again, whole and alone."
            yield EntrypointError(f"{variable} holds a sign that no header can have", cure, path)


class _Asking:
    """Asks one tool's address: called with a call's context and the model's arguments."""

    def __init__(
        self,
        tool: ToolDefinition,
        request: Request,
        secrets: Sequence[tuple[str, str]],
        pool: Callable[[], httpcore2.AsyncConnectionPool],
    ) -> None:
        self._tool = tool
        self._request = request
        self._secrets = secrets
        self._pool = pool

    async def __call__(self, context: CallContext, arguments: str) -> str:
        """Return the answer as JSON text. Raises `ToolError`, whose words are the model's."""
        given = arguments_of(arguments, self._tool.parameters)
        filled = self._request.fill(seen_by(context, given))
        began = time.monotonic()
        fields: dict[str, Any] = {"call_id": context.call_id, "tool": self._tool.name}
        fields["host"] = self._request.origin.host
        try:
            status, raw, charset = await self._ask(filled)
        except _PrivateAddress as error:
            logger.error("a tool's host has a private address, and is not named as allowed", extra=fields)
            raise ToolError("The tool is not allowed to ask there. Tell the caller that this does not work.") from error
        except _FAILURES as error:
            fields |= {"error": type(error).__name__, "seconds": round(time.monotonic() - began, 3)}
            logger.warning("a tool's host did not answer", extra=fields)
            said = "The service did not answer. Tell the caller that this does not work at the moment."
            raise ToolError(said) from error
        if status >= 300:
            fields |= {"status": status, "seconds": round(time.monotonic() - began, 3)}
            logger.warning("a tool's host answered with a refusal", extra=fields)
            logger.debug("what it said", extra={**fields, "said": raw[:1000].decode("utf-8", "replace")})
        return answered(status, raw, charset, self._request.pick)

    async def _ask(self, filled: Filled) -> tuple[int, bytes, str]:
        """Return status, body and charset. Tried once more where the connection is lost and nothing is done twice."""
        if self._request.method in _TWICE:
            try:
                return await self._ask_once(filled)
            except _LOST as error:
                logger.debug("a tool's host is asked again", extra={"error": type(error).__name__})
        return await self._ask_once(filled)

    async def _ask_once(self, filled: Filled) -> tuple[int, bytes, str]:
        here = self._request.origin
        url = httpcore2.URL(
            scheme=here.scheme, host=here.host.encode("ascii"), port=here.port, target=filled.target.encode("ascii")
        )
        host = f"[{here.host}]" if ":" in here.host else here.host
        headers = {"host": f"{host}:{here.port}" if here.port != PORTS[here.scheme] else host}
        headers |= {"user-agent": "switchboard", "accept-encoding": "identity"}
        headers |= {**dict(filled.headers), **dict(self._secrets)}
        encoded = [(name.encode("ascii"), value.encode("utf-8", "replace")) for name, value in headers.items()]
        nothing = None if self._request.method in ("GET", "DELETE") else b""  # which is told with its length
        seconds = self._tool.timeout_seconds  # whoever runs the tool ends it then; here it ends what would outlive it
        connect = min(CONNECT_SECONDS, seconds / 2)
        extensions = {"timeout": {"connect": connect, "read": seconds, "write": seconds, "pool": seconds}}
        body = nothing if filled.body is None else filled.body
        asked = self._pool().stream(self._request.method, url, headers=encoded, content=body, extensions=extensions)
        async with asked as response:
            return response.status, await _read(response), _charset(response)


async def _read(response: httpcore2.Response) -> bytes:
    encoding = _header(response, b"content-encoding")
    if encoding not in ("", "identity"):
        raise ToolError(f"The service answered in a form that cannot be read ({encoding[:20]}).")
    raw = bytearray()
    async for part in response.aiter_stream():
        raw += part
        if len(raw) > MAX_ANSWER_BYTES:
            if response.status < 300:
                raise ToolError("The service answered with more than can be read. Ask for something narrower.")
            break  # of a refusal the beginning says enough
    return bytes(raw)


def _charset(response: httpcore2.Response) -> str:
    _, found, charset = _header(response, b"content-type").partition("charset=")
    return charset.partition(";")[0].strip("\"' ") if found else ""


def _header(response: httpcore2.Response, name: bytes) -> str:
    found = next((value for key, value in response.headers if key.lower() == name), b"")
    return found.decode("latin-1").strip().lower()


class _PrivateAddress(Exception):
    """A name means an address of this machine or of a network around it."""


class _Checked(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were judged, and never to a name, which may mean another one by then."""

    def __init__(self, hosts: Hosts, resolve: Resolve) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the interface has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("the name was not found in time") from error
        except (OSError, UnicodeError) as error:  # a name whose parts are too long, too
            raise httpcore2.ConnectError("the name was not found") from error
        if not self._hosts.has(host, port) and not all(map(is_public, addresses)):
            raise _PrivateAddress
        lost: Exception = httpcore2.ConnectError("the name has no address")
        tried = addresses[:_ADDRESSES]
        for address in tried:
            share = None if timeout is None else timeout / len(tried)
            try:
                return await self._inner.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                lost = error
        raise lost

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
