import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import SettingsError, WebhookError
from runtime.realtime.webhook import Delivery, check_secret, read
from runtime.simulator.webhook import incoming, sign
from tests.line import SECRET

PAYLOAD = incoming("rtc_1", "+15550100001", "+15557654321", created_at=1_790_000_000)


def deliver(payload: Any, *, secret: str = SECRET, at: float | None = None, **headers: str) -> Delivery:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = {**sign(secret, "wh_1", int(at or time.time()), body), **headers}
    return read(signed, body, (SECRET,))


def refusal(*words: Any, **more: Any) -> str:
    with pytest.raises(WebhookError) as error:
        deliver(*words, **more)
    assert error.value.status == 400
    return error.value.code


def test_a_signed_call_is_read() -> None:
    delivery = deliver(PAYLOAD)
    assert (delivery.call_id, delivery.webhook_id, delivery.created_at) == ("rtc_1", "wh_1", 1_790_000_000)
    assert ("Diversion", "<sip:+15550100001@twilio.com>;reason=unconditional") in delivery.headers


def test_any_of_several_secrets_may_have_signed() -> None:
    body = json.dumps(PAYLOAD).encode()
    assert read(sign("old", "wh_1", int(time.time()), body), body, ("new", "old")).call_id == "rtc_1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"secret": "whsec_b3RoZXI="}, "invalid_signature"),
        ({"at": time.time() - 3600}, "invalid_signature"),
        ({"at": time.time() + 3600}, "invalid_signature"),
        ({"webhook-signature": ""}, "missing_header"),
        ({"webhook-id": ""}, "missing_header"),
        ({"webhook-timestamp": "soon"}, "invalid_signature"),
        ({"webhook-timestamp": "9" * 5000}, "invalid_signature"),
        ({"webhook-signature": "v1,gräßlich"}, "invalid_signature"),
    ],
)
def test_what_is_not_signed_is_refused(change: dict[str, Any], code: str) -> None:
    """Trap 15: the SDK raises four kinds of exception here; all of them are a 400."""
    assert refusal(PAYLOAD, **change) == code


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"[]", b"{}", b"nonsense", b'{"type": 3}', b"[" * 50_000])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    assert refusal(body) in ("invalid_body", "invalid_signature")


@pytest.mark.parametrize("data", [{}, None, {"call_id": None}, {"call_id": ""}, {"call_id": " "}, {"call_id": 7}, []])
def test_a_test_event_without_a_call_id_names_no_call(data: Any) -> None:
    """Trap 14."""
    assert deliver({**PAYLOAD, "data": data}).call_id is None


@pytest.mark.parametrize("kind", ["live.call.incoming", "live.transport.incoming", "response.completed", "x"])
def test_only_the_realtime_event_names_a_call(kind: str) -> None:
    """Traps 16 and 25: told by the word of the type, and one of the two surfaces only."""
    delivery = deliver({**PAYLOAD, "type": kind})
    assert (delivery.type, delivery.call_id) == (kind, None)


@pytest.mark.parametrize("created_at", [None, "x", 10**400, float("nan"), True])
def test_an_unusable_time_makes_a_call_old(created_at: Any) -> None:
    assert deliver({**PAYLOAD, "created_at": created_at}).created_at < 2


@pytest.mark.parametrize("headers", [None, "x", [1], [{"name": 1, "value": "x"}], [{"name": "x"}]])
def test_unusable_sip_headers_are_left_out(headers: Any) -> None:
    payload = {**PAYLOAD, "data": {**PAYLOAD["data"], "sip_headers": headers}}
    assert deliver(payload).headers == ()


@settings(max_examples=150)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_signed_bytes_give_a_delivery_or_a_refusal(body: bytes) -> None:
    signed = sign(SECRET, "wh_1", int(time.time()), body)
    with contextlib.suppress(WebhookError):
        assert isinstance(read(signed, body, (SECRET,)), Delivery)


@pytest.mark.parametrize("secret", ["whsec_YQ", "whsec_Y!==", "whsec_YQ…", "whsec_"])
def test_a_secret_that_cannot_be_one_is_told_at_start_and_never_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as error:
        check_secret(secret)
    assert "YQ" not in str(error.value)
    assert "is not complete" in str(error.value)


@pytest.mark.parametrize("secret", ["whsec_YQ==", "plain secret"])
def test_usable_secrets_pass(secret: str) -> None:
    check_secret(secret)
