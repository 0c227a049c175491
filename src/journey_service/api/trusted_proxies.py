"""Trusted proxies: the networks of JOURNEY_TRUSTED_PROXIES."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

EVERY_NETWORK: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def read_networks(values: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Returns the networks of addresses and networks as text; `*` is every network. Other texts are left out."""
    found: list[IPv4Network | IPv6Network] = []
    for value in values:
        if value == "*":
            found += EVERY_NETWORK
            continue
        try:
            found.append(ip_network(value, strict=False))
        except ValueError:
            continue  # a name, which the server compares as text
    return tuple(found)


def contains(networks: Sequence[IPv4Network | IPv6Network], address: str) -> bool:
    """Whether one of the networks contains the address; false for a text that is no address."""
    if not networks:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)
