"""Which hosts a tool may call: by name where an operator says so, by address where nobody does."""

import pytest

from runtime.hosts import Hosts, is_public


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "2001:0:7f00:1::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "2002:7f00:1::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "not an address",
        "",
    ],
)
def test_an_address_of_this_machine_or_around_it_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", ["shop.example.com", "8.8.8.8", "2606:4700::1111", "localhost.example.com"])
def test_without_names_each_host_may_be_called_whose_name_does_not_tell_that_it_is_private(host: str) -> None:
    assert Hosts().may_be_called(host, 443)
    assert not Hosts().has(host, 443), "and its addresses are judged"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "db.localhost", "127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"]
)
def test_a_private_host_may_not_be_called_unless_it_is_named(host: str) -> None:
    assert not Hosts().may_be_called(host, 80)
    assert not Hosts(["shop.example.com"]).may_be_called(host, 80)
    named = f"[{host}]:80" if ":" in host else f"{host}:80"
    assert Hosts([named]).may_be_called(host, 80)
    assert Hosts([named]).has(host, 80)


def test_with_names_nobody_else_may_be_called() -> None:
    hosts = Hosts(["Shop.Example.com", "localhost:8080", "[::1]"])
    assert hosts.may_be_called("shop.example.com", 443)
    assert hosts.may_be_called("shop.example.com.", 8443), "a name without a port means each of them"
    assert hosts.may_be_called("localhost", 8080)
    assert hosts.may_be_called("::1", 9)
    assert not hosts.may_be_called("localhost", 8081)
    assert not hosts.may_be_called("other.example.com", 443)
    assert not hosts.may_be_called("evil-shop.example.com", 443)
    assert not hosts.may_be_called("shop.example.com.evil.org", 443)
