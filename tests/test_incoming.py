from datetime import UTC, datetime

import pytest

from runtime.incoming import Headers, IncomingCall, incoming_call

PROJECT = ("To", "<sip:proj_x@sip.api.openai.com;transport=tls>")
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def read(*headers: tuple[str, str], called_header: str | None = None) -> IncomingCall:
    return incoming_call("rtc_1", headers, NOW, called_header)


def test_on_a_twilio_trunk_the_called_number_is_the_diversion_and_not_to() -> None:
    """Trap 29: `To` is always the project."""
    call = read(PROJECT, ("Diversion", "<sip:+15550100001@twilio.com>;reason=unconditional"))
    assert call.called == "+15550100001"


@pytest.mark.parametrize(
    ("headers", "called"),
    [
        ([("P-Called-Party-ID", "<sip:+15550100002@zadarma>"), PROJECT], "+15550100002"),
        ([("X-Original-To", "15550100003"), PROJECT], "+15550100003"),
        ([("To", "<sip:+15550100004@sip.api.openai.com>")], "+15550100004"),
        ([PROJECT], ""),
        ([("diversion", "<sip:+1555@a>"), ("Diversion", "<sip:+1666@b>")], "+1555"),
        ([("Diversion", "<sip:proj_x@a>"), ("To", "sip:+15550100004@b")], "+15550100004"),
    ],
)
def test_the_called_number_is_looked_for_where_carriers_put_it(headers: list[tuple[str, str]], called: str) -> None:
    assert read(*headers).called == called


def test_the_operators_header_goes_before_all_others() -> None:
    headers = [("Diversion", "<sip:+1555@a>"), ("x-did", "+1777")]
    assert read(*headers, called_header="X-DID").called == "+1777"
    assert read(("Diversion", "<sip:+1555@a>"), called_header="X-DID").called == "+1555"


def test_an_anonymous_caller_is_an_empty_number() -> None:
    assert read(("From", '"Anonymous" <sip:anonymous@anonymous.invalid>')).caller == ""


def test_header_names_are_read_without_regard_to_case() -> None:
    headers = Headers([("X-Tenant", "acme"), ("x-tenant", "other")])
    assert headers["x-TENANT"] == "acme"
    assert "X-tenant" in headers
    assert list(headers) == ["X-Tenant"]
    assert headers.get("missing") is None


def test_header_values_are_cleaned_before_anybody_sees_them() -> None:
    """Trap 30: whoever rings chooses them."""
    headers = Headers([("X", "  a\r\nb\x00c\u202ed  "), ("Y", "y" * 5_000)])
    assert headers["X"] == "a  b c d"
    assert len(headers["Y"]) == 200
