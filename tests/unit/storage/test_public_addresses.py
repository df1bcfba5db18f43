"""Addresses that a stranger may have the service connect to, and those that are nobody else's business."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.utils.public_addresses import AddressRules, is_public

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
    "4000::1",
]
OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "128.0.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert not AddressRules().permit(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_of_the_public_internet_is_permitted(address: str) -> None:
    assert AddressRules().permit(ip_address(address))


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(2 << 124, (4 << 124) - 1).map(IPv6Address))
def test_python_knows_no_reason_against_what_is_permitted(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_address_in_another_is_judged_as_itself(address: IPv4Address) -> None:
    for wrapped in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_public(ip_address(wrapped)) == is_public(address)


def test_a_network_may_be_allowed() -> None:
    rules = AddressRules(["10.1.0.0/16", "fd00::/8"])
    permitted = [rules.permit(ip_address(address)) for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "8.8.8.8")]
    refused = [rules.permit(ip_address(address)) for address in ("10.2.0.1", "127.0.0.1", "fe80::1", "::1")]
    assert (permitted, refused) == ([True] * 4, [False] * 4)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "everywhere", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AddressRules([network])
