"""The webhook of an incoming call: its signature and its payload, headers as carriers send them. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Trunk: TypeAlias = Literal["twilio", "zadarma", "plain"]

USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
PROJECT = "<sip:proj_simulated@sip.api.openai.com;transport=tls>"


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of one signed delivery (protocol 1.2)."""
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"))
    except binascii.Error as error:
        raise ValueError("the webhook secret is not base64 after 'whsec_'") from error


def incoming(
    call_id: str,
    called: str,
    caller: str,
    *,
    created_at: int,
    trunk: Trunk = "twilio",
    extra_headers: Sequence[tuple[str, str]] = (),
    event_id: str | None = None,
) -> dict[str, Any]:
    """The payload of `realtime.call.incoming` (protocol 1.4), the called number where the trunk puts it.

    That is, by protocol 5.2, Diversion for a Twilio trunk and P-Called-Party-ID for Zadarma; "plain" keeps it
    in To.
    """
    headers = [*_invite(call_id, called, caller, trunk), *extra_headers]
    return {
        "object": "event",
        "id": event_id or f"evt_{call_id}",
        "type": "realtime.call.incoming",
        "created_at": created_at,
        "data": {
            "call_id": call_id,
            "sip_media_security": "srtp",
            "sip_headers": [{"name": name, "value": value} for name, value in headers],
        },
    }


def _invite(call_id: str, called: str, caller: str, trunk: Trunk) -> list[tuple[str, str]]:
    domain = {"twilio": "pstn.twilio.com", "zadarma": "sip.zadarma.com", "plain": "pbx.example.com"}[trunk]
    to = f"<sip:{called}@sip.api.openai.com;transport=tls>" if trunk == "plain" else PROJECT
    headers = [
        ("Via", "SIP/2.0/TLS 203.0.113.7:5061;branch=z9hG4bK7f2c.1;rport"),
        ("Max-Forwards", "66"),
        ("From", f'"{caller}" <sip:{caller}@{domain}:5060>;tag=58213614_c3356d0b'),
        ("To", to),
        ("Contact", f"<sip:{caller}@203.0.113.7:5061;transport=tls>"),
        ("Call-ID", f"{call_id}@203.0.113.7"),
        ("CSeq", "1 INVITE"),
        ("User-Agent", {"twilio": "Twilio Gateway", "zadarma": "Zadarma", "plain": "Asterisk PBX"}[trunk]),
    ]
    if trunk == "twilio":
        headers += [
            ("Diversion", f"<sip:{called}@twilio.com>;reason=unconditional"),
            ("P-Asserted-Identity", f"<sip:{caller}@{domain}:5060>"),
            ("X-Twilio-AccountSid", "AC00000000000000000000000000000000"),
            ("X-Twilio-CallSid", f"CA{hashlib.md5(call_id.encode(), usedforsecurity=False).hexdigest()}"),
        ]
    elif trunk == "zadarma":
        headers.append(("P-Called-Party-ID", f"<sip:{called}@{domain}>"))
    return headers


def empty_event(*, created_at: int) -> dict[str, Any]:
    """What the dashboard's "send test event" delivers: the event with nothing in it (protocol 1.3)."""
    return {
        "object": "event",
        "id": "evt_test",
        "type": "realtime.call.incoming",
        "created_at": created_at,
        "data": {},
    }
