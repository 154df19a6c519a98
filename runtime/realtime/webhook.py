"""The webhook's request: is it the service's, is it for us, and which call does it tell of."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import httpx2
from openai import InvalidWebhookSignatureError, OpenAI

from runtime.errors import SettingsError, WebhookError

INCOMING = "realtime.call.incoming"
TOLERANCE_SECONDS = 300  # the SDK's default, both ways (protocol 1.2)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified request. `call_id` is None for other events and for the dashboard's test events.

    `created_at` is in Unix seconds: when the call came, however often it is delivered.
    """

    webhook_id: str
    type: str
    created_at: float
    call_id: str | None
    headers: tuple[tuple[str, str], ...] = ()


def check_secret(secret: str) -> None:
    """Raise `SettingsError` when a webhook secret cannot be one; never shows it."""
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not key:
            cure = "Copy it again from the webhook's page; it is shown once, when the webhook is made."
            raise SettingsError("OPENAI_WEBHOOK_SECRET", "is not complete: no base64 text follows whsec_", cure)


def read(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> Delivery:
    """Verify a request with any of the secrets and read what it tells. Raises `WebhookError`, nothing else.

    The type is compared as a word and the call's id checked by us: the SDK builds some class out of any payload
    (protocol 1.2).
    """
    verify(headers, body, secrets)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise WebhookError("invalid_body", "the body is not JSON") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise WebhookError("invalid_body", "the body is not an event")
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    call_id, created_at = data.get("call_id"), event.get("created_at")
    known = isinstance(call_id, str) and call_id.strip() and event["type"] == INCOMING
    return Delivery(
        webhook_id=headers.get("webhook-id", ""),
        type=event["type"],
        created_at=created_at if isinstance(created_at, int | float) and 0 <= created_at < 1e11 else 0.0,
        call_id=call_id if known else None,
        headers=_sip_headers(data.get("sip_headers")),
    )


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a request as the service signs its own (protocol 1.2)."""
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
    """Make sure that a request was signed with one of the secrets, lately. Raises `WebhookError`, nothing else."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not headers.get(name):
            raise WebhookError("missing_header", f"the header {name} is missing")
    said = "the signature does not match"
    for secret in secrets:
        try:
            _verifier().webhooks.verify_signature(body, headers, secret=secret, tolerance=TOLERANCE_SECONDS)
        except InvalidWebhookSignatureError as error:
            said = _sentence(str(error))
        except (ValueError, TypeError):  # not UTF-8, a timestamp of a thousand digits, a header not ASCII
            said = "the signature or the body cannot be read"
        else:
            return
    raise WebhookError("invalid_signature", said)


@cache
def _verifier() -> OpenAI:
    # Without certificates: they would take 25 ms of the first call, and nothing is ever sent.
    plain = httpx2.Client(verify=False, trust_env=False)
    return OpenAI(api_key="not used to verify", base_url="http://127.0.0.1", http_client=plain)


def _sentence(said: str) -> str:
    if "too old" in said or "too new" in said:
        return "the timestamp is more than five minutes off; compare the clocks"
    return "the signature does not match" if "match" in said else "the timestamp is not a number"


def _sip_headers(written: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(written, list):
        return ()
    pairs = ((h.get("name"), h.get("value")) for h in written[:200] if isinstance(h, dict))
    return tuple((name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str))
