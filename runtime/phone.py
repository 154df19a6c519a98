"""Phone numbers: read out of SIP and tel addresses, compare, mask for logs. Knows nothing of calls."""

import re
from urllib.parse import unquote

_ADDRESS = re.compile(r"(?:sips?|tel):([^@;>?\s]*)", re.IGNORECASE)
_VISUAL = re.compile(r"[\s().-]+")  # RFC 3966 section 5.1.1: visual separators carry no meaning
_NUMBER = re.compile(r"\+?[0-9]{2,15}")  # E.164: at most 15 digits


def number_in(text: str) -> str:
    """Return the number in a SIP or tel address as E.164, or `""` when there is none.

    Understands display names, angle brackets, parameters, ports, `%2B`, visual separators and a missing plus:
    `'"Ann" <sip:%2B15550100001@example.com;transport=tls>;tag=1'` gives `'+15550100001'`. A user part that is
    no number, such as a project's `proj_…`, gives `""` (protocol 5.2).
    """
    address = _ADDRESS.search(text)
    user = address.group(1) if address else text.split(";")[0].split("@")[0].strip().strip("<>")
    user = _VISUAL.sub("", unquote(user).split(":")[0])
    if not _NUMBER.fullmatch(user):
        return ""
    return "+" + user.lstrip("+")


def matches(pattern: str, number: str) -> bool:
    """Tell whether a number fits `"+15550100001"`, a beginning such as `"+1555*"`, or `"*"`.

    `"*"` fits a number that is not known too; the others never do.
    """
    if pattern.endswith("*"):
        return number.startswith(pattern[:-1])
    return pattern == number


def mask(number: str) -> str:
    """Return a number fit for a log: `'+1555•••0001'`. Short ones show no more than half of their digits."""
    if not number:
        return "unknown"
    digits = len(number) - 1
    shown = 4 if digits >= 11 else digits // 4
    return f"{number[: 1 + shown]}•••{number[len(number) - shown :]}"
