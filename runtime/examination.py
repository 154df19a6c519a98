"""Walks the chain that a call takes: asks the service, the network and a running host, and lets `doctor` judge.

Each question blocks in a thread of its own and gets three seconds; one that hangs keeps nothing waiting, neither
the next step nor the end.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, TypeVar

from runtime import doctor
from runtime.catalog import Catalog
from runtime.doctor import Answer, Reached, Step
from runtime.errors import Problem, SettingsError
from runtime.realtime import sip
from runtime.realtime.account import TIMEOUT_SECONDS, Account
from runtime.realtime.webhook import check_secret
from runtime.settings import Settings
from runtime.threads import in_thread

T = TypeVar("T")

Ask = Callable[[], Any]
"""Asks a running host for what `/readyz` says. Raises `SettingsError` when nobody answers."""


def look_at_settings(settings: Settings, wrong: Sequence[SettingsError]) -> list[Step]:
    """Return the steps of the environment: what was wrong when it was read, and secrets that cannot be whole."""
    found = list(wrong)
    for secret in settings.webhook_secrets:
        try:
            check_secret(secret)
        except SettingsError as error:
            found.append(error)
    return doctor.settings(settings.api_key, settings.webhook_secrets, settings.base_url, found)


async def examine(
    settings: Settings,
    catalog: Catalog,
    problems: Sequence[Problem],
    *,
    url: str | None = None,
    ask: Ask | None = None,
    sip_address: tuple[str, int] | None = None,
    trusted: ssl.SSLContext | None = None,
) -> AsyncIterator[Step]:
    """Yield each step behind the settings as soon as it is known; one that fails keeps no other from being looked at.

    `url` is a running host's, which `ask` asks: a test event is sent only then. `sip_address` and `trusted` take the
    place of the region's SIP host and of this machine's certificates.
    """
    if settings.api_key:
        async for step in _service(Account(settings.api_key, settings.base_url), settings.base_url, catalog, url, ask):
            yield step
    else:
        yield doctor.no_key()
        if url and ask:
            yield (await _host(url, ask))[0]
    for step in await _sip(settings.base_url, sip_address, trusted):
        yield step
    for step in doctor.routing(catalog, problems):
        yield step


async def _service(
    account: Account, base_url: str, catalog: Catalog, url: str | None, ask: Ask | None
) -> AsyncIterator[Step]:
    uses = doctor.uses(catalog)
    answers = await asyncio.gather(*(_answer(partial(account.model, use.model)) for use in uses))
    yield doctor.key(answers, base_url)
    for ahead in [answer.ahead for answer in answers if answer.ahead is not None][:1]:
        yield doctor.clock(ahead)
    for use, answer in zip(uses, answers, strict=True):
        if step := doctor.model(use, answer, date.today()):
            yield step
    listed = Answer(None)
    if any(answer.status is not None for answer in answers):
        listed = await _answer(account.webhooks)
        for step in doctor.webhooks(listed, local=doctor.is_local(base_url)):
            yield step
    if url and ask:
        step, before = await _host(url, ask)
        yield step
        for endpoint in doctor.hearing(listed) if before else ():
            tested = await _answer(partial(account.test, endpoint.id))
            after = (await _host(url, ask))[1]
            yield doctor.event(endpoint, tested, before, after)
            before = after


async def _host(url: str, ask: Ask) -> tuple[Step, Mapping[str, Any]]:
    """Return what a running host says of itself as a step, and what it says of webhooks."""
    try:
        ready = await _within(ask)
        step, webhooks = doctor.host(url, ready), ready.get("webhooks")
    except TimeoutError:
        return doctor.host(url, None, "does not answer in time"), {}
    except SettingsError as error:
        return doctor.host(url, None, error.message), {}
    except (KeyError, TypeError, ValueError, AttributeError):
        return doctor.host(url, None, "is something else than a Switchboard host"), {}
    return step, webhooks if isinstance(webhooks, Mapping) else {}


async def _sip(base_url: str, address: tuple[str, int] | None, trusted: ssl.SSLContext | None) -> list[Step]:
    region = doctor.sip_host(base_url)
    name, port = address or (region or "", doctor.SIP_PORT)
    if not name:
        return [] if doctor.is_local(base_url) else [doctor.no_sip_host(base_url)]
    reached = Reached(said="no answer in time")
    with contextlib.suppress(TimeoutError):
        reached = await _within(lambda: sip.resolve(name, port))
    if reached.addresses:
        known = reached
        with contextlib.suppress(TimeoutError):  # each of its two steps has a limit of its own
            reached = await _within(lambda: sip.connect(name, port, known, TIMEOUT_SECONDS, trusted), steps=2)
    return doctor.sip(name, port, reached)


async def _answer(question: Callable[[], Answer]) -> Answer:
    try:
        return await _within(question)
    except TimeoutError:
        return Answer(None, f"no answer within {TIMEOUT_SECONDS:g} s")


async def _within(question: Callable[[], T], steps: int = 1) -> T:
    """Ask in a thread and wait for no longer than its steps may take. Raises `TimeoutError`."""
    return await asyncio.wait_for(in_thread(question, "examination"), TIMEOUT_SECONDS * steps + 0.5)
