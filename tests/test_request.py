"""A declared request: what is filled in and cannot break out, what an answer gives the model, what is a problem."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.context import CallContext
from runtime.errors import ToolError
from runtime.request import Filled, Request, answered, arguments_of, origin, parameters, seen_by

CONTEXT = CallContext(
    call_id="rtc_1",
    called="+15550100001",
    caller="+15557654321",
    agent="desk",
    headers={"X-Tenant": "acme"},
    variables={"shop": "Casa Nova", "number": "hidden by the argument"},
)


def fill(url: str, given: dict[str, Any] | None = None, **http: Any) -> Filled:
    written = {"method": "GET", "headers": {}, "url": url, **http}
    return Request.of(written).fill(seen_by(CONTEXT, given or {}))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://shop.example.com", "/"),
        ("https://shop.example.com?a={{ number }}", "/?a=17"),
        ("https://shop.example.com/orders/{{ number }}", "/orders/17"),
        ("https://shop.example.com/orders/A-{{ number }}.json?shop={{ shop }}", "/orders/A-17.json?shop=Casa%20Nova"),
        ("https://shop.example.com/o?q={{ words }}", "/o?q=a%26b%3Dc%23%3F%2F%2B%25%20%C3%BC"),
        ("https://shop.example.com/o?open={{ open }}&days={{ days }}", "/o?open=true&days=%5B%22Mon%22%5D"),
        ("https://shop.example.com/o?from={{ call.caller }}&id={{ call.id }}", "/o?from=%2B15557654321&id=rtc_1"),
        ("https://shop.example.com/{{ call.headers['X-Tenant'] }}/{{ agent.name }}", "/acme/desk"),
        ("https://shop.example.com/o?a={{ empty }}&b=", "/o?a=&b="),
        ("https://shop.example.com/a b/ü#part-{{ number }}", "/a%20b/%C3%BC"),
        ("https://shop.example.com/{% set x = number %}{{ x }}{% if open %}/open{% endif %}", "/17/open"),
        ("https://shop.example.com/x//y/", "/x//y/"),
    ],
)
def test_an_address_is_filled_in_and_its_values_are_escaped(url: str, target: str) -> None:
    given = {"number": "17", "words": "a&b=c#?/+% ü", "open": True, "days": ["Mon"], "empty": ""}
    assert fill(url, given).target == target


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "../admin", "a\\b", "/", "..\\"])
def test_a_value_that_would_change_the_path_is_refused_in_words_for_the_model(value: str) -> None:
    with pytest.raises(ToolError, match="a value is empty, or holds a slash or only dots"):
        fill("https://shop.example.com/orders/{{ number }}/status", {"number": value})
    assert fill("https://shop.example.com/orders?number={{ number }}", {"number": value}).target.startswith("/orders?")


def test_values_that_are_dots_only_together_are_refused_too() -> None:
    with pytest.raises(ToolError):
        fill("https://shop.example.com/{{ a }}.{{ b }}/x", {"a": "", "b": ""})


anything = st.text() | st.text(alphabet="./\\%?#&=:@;,+ \r\n\t\0eE2fF[]{}") | st.integers() | st.booleans()


@settings(max_examples=500)
@given(anything, anything, anything)
def test_no_value_changes_scheme_or_host_or_leaves_its_place(segment: Any, part: Any, asked: Any) -> None:
    url = "https://shop.example.com:8443/orders/{{ a }}/x-{{ b }}?q={{ c }}&shop={{ shop }}"
    request = Request.of({"method": "GET", "headers": {}, "url": url})
    assert (request.origin.scheme, request.origin.host, request.origin.port) == ("https", "shop.example.com", 8443)
    try:
        target = request.fill(seen_by(CONTEXT, {"a": segment, "b": part, "c": asked})).target
    except ToolError:
        return
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    found = urlsplit(f"https://shop.example.com:8443{target}")
    assert found.netloc == "shop.example.com:8443"
    assert not found.fragment
    first, orders, filled, second = found.path.split("/")
    assert (first, orders) == ("", "orders")
    assert filled
    assert second.startswith("x-")
    for decoded in (unquote(filled), unquote(second)):
        assert decoded not in (".", "..")
        assert not set("/\\") & set(decoded)
    pairs = parse_qsl(found.query, keep_blank_values=True, strict_parsing=True, errors="strict")
    assert [name for name, _ in pairs] == ["q", "shop"]
    assert pairs[1][1] == "Casa Nova"
    if isinstance(asked, str):
        assert pairs[0][1] == asked.replace("\0", "")


def test_a_half_of_a_sign_is_no_crash() -> None:
    assert fill("https://shop.example.com/o?q={{ q }}", {"q": "\ud800"}).target == "/o?q=%3F"


def test_a_body_keeps_kinds_and_fills_in_texts() -> None:
    body = {
        "people": "{{ people }}",
        "note": "for {{ call.caller }}, {{ people }}, {{ outside }}",
        "tags": ["{{ tags }}", "{{ outside }}", 3, None, {"deep": "{{ shop }}"}],
        "{{ people }}": "a key is no template",
    }
    given = {"people": 4, "outside": True, "tags": ["a"]}
    filled = fill("https://shop.example.com/o", given, method="POST", body=body)
    assert filled.body is not None
    assert json.loads(filled.body) == {
        "people": 4,
        "note": "for +15557654321, 4, true",
        "tags": [["a"], True, 3, None, {"deep": "Casa Nova"}],
        "{{ people }}": "a key is no template",
    }
    assert dict(filled.headers)["content-type"] == "application/json"


def test_a_value_cannot_break_out_of_the_body() -> None:
    filled = fill("https://x.example", {"a": '"}, "admin": true, {"'}, method="POST", body={"a": "x{{ a }}"})
    assert filled.body is not None
    assert json.loads(filled.body) == {"a": 'x"}, "admin": true, {"'}


def test_headers_are_templates_and_the_secret_ones_are_not_among_them() -> None:
    headers = {"X-Call": "{{ call.id }}", "Accept": "text/plain", "Authorization": {"env": "TOKEN"}}
    filled = fill("https://x.example", headers=headers)
    assert dict(filled.headers) == {"accept": "text/plain", "x-call": "rtc_1"}
    request = Request.of({"method": "GET", "url": "https://x.example", "headers": headers})
    assert request.secrets == (("Authorization", "TOKEN"),)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: yes", "a\nb", "a\0b"])
def test_a_value_cannot_begin_another_header(value: str) -> None:
    with pytest.raises(ToolError, match="a line break"):
        fill("https://x.example", {"a": value}, headers={"X-A": "is {{ a }}"})


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "rest"),
    [
        ("https://shop.example.com/a?b", "https", "shop.example.com", 443, "/a?b"),
        ("http://localhost:8080", "http", "localhost", 8080, ""),
        ("http://[::1]:80/x", "http", "::1", 80, "/x"),
        ("https://my_shop?x=1", "https", "my_shop", 443, "?x=1"),
    ],
)
def test_an_address_says_where_it_goes(url: str, scheme: str, host: str, port: int, rest: str) -> None:
    found = origin(url)
    assert found is not None
    assert (found[0].scheme, found[0].host, found[0].port, found[1]) == (scheme, host, port, rest)


@pytest.mark.parametrize("url", ["https://a:b/", "https://a:0/", "https://a:65536/", "https://a\\b/", "https://ü.de/"])
def test_an_address_that_goes_nowhere_is_none(url: str) -> None:
    assert origin(url) is None


ARGUMENTS = {
    "number": {"type": "string", "description": "The order's number.", "minLength": 2},
    "people": {"type": "integer", "default": 2, "maximum": 8},
    "place": {"type": "string", "enum": ["in", "out"], "default": "in"},
}


def test_the_model_sees_the_arguments_as_a_schema() -> None:
    assert parameters(ARGUMENTS) == {
        "type": "object",
        "properties": ARGUMENTS,
        "required": ["number"],
        "additionalProperties": False,
    }


def test_arguments_that_fit_are_completed_with_defaults() -> None:
    assert arguments_of('{"number": "17"}', parameters(ARGUMENTS)) == {"number": "17", "people": 2, "place": "in"}
    assert arguments_of("", parameters({})) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "They are not JSON."),
        ("[" * 100_000, "They are not JSON."),
        ("[]", "must be a mapping of fields."),
        ("{}", "'number' is missing."),
        ('{"number": 1234567}', "number: must be text."),
        ('{"number": "1"}', "number: does not keep to minLength 2."),
        ('{"number": "17", "people": 1234567}', "people: does not keep to maximum 8."),
        ('{"number": "17", "place": "1234567"}', "place: must be 'in' or 'out'."),
        ('{"number": "17", "x1234567": 1}', "there is more than it knows."),
        ('{"people": "a"}', "'number' is missing; people: must be a whole number."),
    ],
)
def test_arguments_that_do_not_fit_are_told_without_their_values(text: str, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        arguments_of(text, parameters(ARGUMENTS))
    assert str(caught.value) == f"The arguments do not fit. {said}"
    assert "1234567" not in str(caught.value)


def heard(raw: str | bytes, pick: str = "", status: int = 200, charset: str = "") -> Any:
    return json.loads(answered(status, raw.encode() if isinstance(raw, str) else raw, charset, pick))


ORDER = '{"order": {"status": "baked", "items": [{"name": "Margherita"}, null]}}'


@pytest.mark.parametrize(
    ("pick", "value"),
    [
        ("order.status", "baked"),
        ("order.items.0.name", "Margherita"),
        ("order.items.1", None),
        ("order.items", [{"name": "Margherita"}, None]),
        ("", json.loads(ORDER)),
    ],
)
def test_a_part_of_the_answer_is_picked(pick: str, value: Any) -> None:
    assert heard(ORDER, pick) == value


@pytest.mark.parametrize(
    "pick", ["order.state", "order.items.2", "order.items.-1", "order.status.x", "0", "order.items.x"]
)
def test_a_part_that_is_missing_is_told_to_the_model(pick: str) -> None:
    with pytest.raises(ToolError, match=f"has no '{pick}'"):
        heard(ORDER, pick)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("It is baked.", "It is baked."),
        ("", None),
        (b"", None),
        ("NaN", "NaN"),
        ("9" * 5000, "9" * 5000),
        ("[" * 5000, "[" * 5000),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"caf\xe9", "caf\ufffd"),
        ('"\\ud800"', "?"),
    ],
)
def test_an_answer_that_is_no_json_is_given_as_text(raw: str | bytes, value: Any) -> None:
    assert heard(raw) == value


def test_the_charset_of_an_answer_is_heeded_where_it_is_one() -> None:
    assert heard(b"caf\xe9", charset="latin-1") == "café"
    assert heard("café", charset="klingon") == "café"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (302, "The service sends us elsewhere (302), and we do not follow. It cannot be asked now."),
        (404, "The service refused this (404). It says: no order 17"),
        (500, "The service has failed (500). Tell the caller that this does not work at the moment."),
    ],
)
def test_a_refusal_is_a_sentence_for_the_model(status: int, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        answered(status, b"no order 17", "", "order.status")
    assert str(caught.value) == said


def test_of_a_long_refusal_the_model_hears_the_beginning() -> None:
    with pytest.raises(ToolError) as caught:
        answered(400, b"x" * 10_000, "", "")
    assert len(str(caught.value)) < 600
