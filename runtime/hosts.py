"""Which hosts a tool may call: those that the operator names, and addresses that the whole internet sees. Pure.

A name is looked up by whoever connects; here it is judged, and each address that it turned out to mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_TRANSLATED = ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address, for hosts that have IPv6 only


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts that an operator names, as `name` or `name:port`; without a port each of its ports is meant.

    Elsewhere a host is a name, or an address without the brackets that IPv6 has in a URL.

    None names nobody, and then every public address may be called. A private one may only be called by a name that
    stands here.
    """

    named: Sequence[str] | None = None

    def has(self, host: str, port: int) -> bool:
        """Tell whether a host is named, whatever address it has."""
        name = _plain(f"[{host}]" if ":" in host else host)
        return any(_plain(one) in (name, f"{name}:{port}") for one in self.named or ())

    def may_be_called(self, host: str, port: int) -> bool:
        """Tell whether a host may be called, as far as its name tells: its addresses are another question."""
        if self.named is not None:
            return self.has(host, port)
        name = _plain(host)
        if name == "localhost" or name.endswith(".localhost"):
            return False
        return is_public(name) or not _is_address(name)


def is_public(address: str) -> bool:
    """Tell whether an address is one of the internet, and not of this machine or of a network around it.

    An IPv4 address that stands inside an IPv6 one is judged as what it is. What cannot be read is not public.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inside(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    is_local = isinstance(found, IPv6Address) and found.is_site_local
    return found.is_global and not (found.is_multicast or found.is_reserved or is_local)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, in any of the ways there are."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _plain(host: str) -> str:
    """Return a host, with its port where it has one, as all spellings of it are: a last dot says nothing more."""
    return host.lower().replace(".:", ":").rstrip(".")
