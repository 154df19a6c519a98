"""One incoming call: what the carrier says of it, distrusted once, here. No decision is made in this module."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from runtime.phone import number_in

MAX_HEADER_LENGTH = 200  # what a template or a tool may see of a value that a stranger chose

# Where carriers put the number that was rung, after the operator's own choice (protocol 5.2).
_CALLED_HEADERS = ("Diversion", "P-Called-Party-ID", "X-Original-To", "To")
_CALLER_HEADERS = ("From", "P-Asserted-Identity")


class Headers(Mapping[str, str]):
    """SIP headers by name, without regard to case. Of a repeated header the first counts.

    Values are trimmed, freed of control characters and cut to 200 characters: whoever rings chooses them.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, tuple[str, str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), (name, _cleaned(value)))

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


def _cleaned(value: str) -> str:
    if value.isprintable():  # nearly all are
        return value.strip()[:MAX_HEADER_LENGTH].strip()
    printable = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in value[:2000])
    return printable.strip()[:MAX_HEADER_LENGTH].strip()


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call before it is accepted. Numbers are E.164 or `""`; `started_at` is aware.

    These five are what templates see as `call`.
    """

    id: str
    called: str
    caller: str
    headers: Headers
    started_at: datetime


def incoming_call(
    call_id: str, headers: Iterable[tuple[str, str]], started_at: datetime, called_header: str | None = None
) -> IncomingCall:
    """Read an incoming call from its SIP headers, in the order that carriers made necessary.

    `started_at` is aware, in the host's own time zone, so that templates say the caller's day. On a Twilio trunk
    `To` is the project and the called number stands in `Diversion`; `called_header` names a header that goes
    before all others (protocol 5.2).
    """
    known = Headers(headers)
    called_in = (called_header, *_CALLED_HEADERS) if called_header else _CALLED_HEADERS
    return IncomingCall(call_id, _number(known, called_in), _number(known, _CALLER_HEADERS), known, started_at)


def _number(headers: Headers, names: Iterable[str]) -> str:
    return next((number for name in names if (number := number_in(headers.get(name, "")))), "")


SAMPLE_CALL = IncomingCall(
    id="rtc_sample",
    called="+15550100001",
    caller="+15557654321",
    headers=Headers([("From", "<sip:+15557654321@carrier.example>;tag=1")]),
    started_at=datetime(2026, 11, 27, 17, 0, tzinfo=UTC),
)
"""The call that templates are tried with, and that `show --accept` shows settings for."""
