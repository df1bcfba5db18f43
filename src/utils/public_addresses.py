"""Which internet addresses the service may connect to when a caller names the host: those of the public internet.

Without this a caller could reach, through the service, what only the service's network can: databases, the metadata
server of a cloud, the machine itself. Addresses that carry another address inside are judged by the inner one.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
"""How a network without IPv4 reaches it (RFC 6052): the last 32 bits are the address."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is assigned for the public internet today, except for what follows."""

_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, among them Teredo, benchmarks and ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which is given up (RFC 7526), and reaches any IPv4 address
        "3fff::/20",  # documentation
    )
)
_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared behind a provider's NAT; the metadata server of one cloud is there
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's own services, on an address that looks public
        "169.254.0.0/16",  # link-local, with the metadata servers
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols; the metadata server of one cloud is there
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved and broadcast
    )
)


def is_public(address: Address) -> bool:
    """Whether it belongs to one host of the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_V4)
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_V6)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


class AddressRules:
    """`allowed`: networks that may be reached although they are not public."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """Raises ValueError for what is no network."""
        self._allowed: tuple[Network, ...] = tuple(ip_network(network) for network in allowed)

    def permit(self, address: Address) -> bool:
        """Never one with a zone (`%eth0`): it means something on this machine only."""
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return False
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return is_public(address) or any((inner or address) in network for network in self._allowed)
