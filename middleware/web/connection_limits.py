"""How many connections there may be, of one address and of all: whoever keeps us waiting the longest goes first."""

import ipaddress
from typing import Protocol

from uvicorn.middleware.proxy_headers import _TrustedHosts

IPV6_BITS = 64
ADDRESS_SHARE = 4
"""One address may have a quarter of all connections; a proxy that is trusted speaks for many and may have all."""

BEYOND_ALL_LIMITS = 2
"""Above the limit a waiting connection is closed for each new one; above so many times of it, new ones are dropped."""


class LimitedConnection(Protocol):
    """What is asked of a connection."""

    @property
    def waits_for_sender(self) -> bool:
        """Whether the next step is the sender's: nothing is being answered."""

    @property
    def waiting_since(self) -> float:
        """Since when it waits; seconds of a steady clock."""

    def give_up(self) -> None:
        """Close it."""


class ConnectionLimits:
    """All connections of one server by their address."""

    def __init__(self, most: int, trusted_proxies: str) -> None:
        self._most = most
        self._most_of_one = max(1, most // ADDRESS_SHARE)
        self._proxies = _TrustedHosts(trusted_proxies)
        self._by_address: dict[str, set[LimitedConnection]] = {}
        self._count = 0

    def enter(self, connection: LimitedConnection, host: str) -> bool:
        """Let a connection in, closing another one for it if need be; False when it must go itself."""
        if self._count >= BEYOND_ALL_LIMITS * self._most:
            return False
        address = self._address(host)
        of_address = self._by_address.setdefault(address, set())
        if len(of_address) >= self._most_of_one and address not in self._proxies:
            _close_one(of_address)
        elif self._count >= self._most:
            # An idle connection of a proxy may be about to bring somebody's webhook: it goes last.
            others = [name for name in self._by_address if name not in self._proxies]
            if not _close_one({one for name in others for one in self._by_address[name]}):
                _close_one(of_address)
        of_address.add(connection)
        self._count += 1
        return True

    def leave(self, connection: LimitedConnection, host: str) -> None:
        """Forget a connection; one that was not let in is not known."""
        address = self._address(host)
        of_address = self._by_address.get(address)
        if of_address is None or connection not in of_address:
            return
        of_address.remove(connection)
        self._count -= 1
        if not of_address:
            del self._by_address[address]

    def _address(self, host: str) -> str:
        return host if host in self._proxies else network_of(host)


def _close_one(connections: set[LimitedConnection]) -> bool:
    """Close the one that has kept us waiting the longest; False when all are being answered."""
    waiting = [one for one in connections if one.waits_for_sender]
    if not waiting:
        return False
    min(waiting, key=lambda one: one.waiting_since).give_up()
    return True


def network_of(address: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 that one IPv6 customer has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], IPV6_BITS), strict=False))
    except ValueError:
        return address
