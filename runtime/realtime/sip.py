"""The service's SIP address, as far as it can be reached from here: its name, its port, its certificate.

Blocks, so that it belongs into a thread of its own. Sends no SIP.
"""

import socket
import ssl
from dataclasses import replace
from typing import Any

from runtime.doctor import Reached

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


def resolve(host: str, port: int) -> Reached:
    """Return the addresses of a name, or why there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Reached(said=_reason(error))
    return Reached(tuple(dict.fromkeys(str(address[4][0]) for address in found)))


def connect(host: str, port: int, reached: Reached, seconds: float, trusted: ssl.SSLContext | None = None) -> Reached:
    """Return how far a secure connection comes, each step within `seconds`.

    The certificate's chain is verified and its names are told, not judged: OpenAI's SIP host was seen with one for
    its API (protocol 5.1). `trusted` takes the place of this machine's own certificates, and must not check names.
    """
    context = trusted or _by_this_machine()
    try:
        connection = socket.create_connection((host, port), seconds)
    except OSError as error:
        return replace(reached, said=_reason(error))
    reached = replace(reached, connected=True)
    try:
        with connection, context.wrap_socket(connection, server_hostname=host) as secure:
            certificate: dict[str, Any] = secure.getpeercert() or {}
            names = tuple(name for _, name in certificate.get("subjectAltName", ()))
            return replace(reached, version=secure.version() or "TLS", names=names)
    except ssl.SSLCertVerificationError as error:
        return replace(reached, said=error.verify_message, expired=error.verify_code == _EXPIRED)
    except (OSError, ValueError) as error:
        return replace(reached, said=_reason(error))


def _by_this_machine() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "TLS failed").replace("_", " ").lower()
    return str(getattr(error, "strerror", None) or error)
