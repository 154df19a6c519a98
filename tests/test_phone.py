import pytest

from runtime.phone import mask, matches, number_in


@pytest.mark.parametrize(
    "address",
    [
        "<sip:+15550100001@twilio.com>;reason=unconditional",
        '"Ann \\"A\\" <x>" <sip:+15550100001@pstn.twilio.com:5060>;tag=1',
        "sips:+15550100001@example.com;transport=tls",
        "SIP:%2B15550100001@example.com",
        "tel:+1-555-010-0001",
        "<tel:+1(555)010.0001;phone-context=x>",
        "sip:15550100001@example.com",
        "sip:+15550100001:secret@example.com",
        "+15550100001",
        "15550100001",
        "+15550100001@example.com",
    ],
)
def test_a_number_is_read_out_of_every_address_form(address: str) -> None:
    assert number_in(address) == "+15550100001"


@pytest.mark.parametrize(
    "address",
    ["", "<sip:proj_abc@sip.api.openai.com;transport=tls>", "sip:anonymous@x", "sip:12345678901234567@x", "<>"],
)
def test_what_is_no_number_gives_none(address: str) -> None:
    assert number_in(address) == ""


@pytest.mark.parametrize(
    ("pattern", "number", "fits"),
    [
        ("+15550100001", "+15550100001", True),
        ("+15550100001", "+155501000011", False),
        ("+1555*", "+15550100001", True),
        ("+1555*", "+1554", False),
        ("*", "+1", True),
        ("*", "", True),
        ("+1*", "", False),
    ],
)
def test_a_number_fits_its_pattern(pattern: str, number: str, fits: bool) -> None:
    assert matches(pattern, number) is fits


def test_a_log_never_shows_a_whole_number() -> None:
    assert mask("+15550100001") == "+1555•••0001"
    assert mask("+29012345") == "+29•••45"
    assert mask("+12345") == "+1•••5"
    assert mask("+123") == "+•••"
    assert mask("") == "unknown"
