"""Limits of connections, of one address and of all: the connection that has kept us waiting longest is closed first."""

import ipaddress
from typing import Protocol

from uvicorn.middleware.proxy_headers import _TrustedHosts

IPV6_BITS = 64
ADDRESS_SHARE = 4
"""One address may have a quarter of all connections; a proxy that is trusted speaks for many and may have all."""

PATIENCE_SECONDS = 1.0
"""Above a limit a connection that has waited this long is closed for each new one; a newer one may be about to send."""

BEYOND_ALL_LIMITS = 2
"""Above so many times of it any waiting connection is closed; when all are being answered, the new one is dropped."""


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

    def enter(self, connection: LimitedConnection, host: str, now: float) -> bool:
        """Let a connection in, closing another one for it if need be; False when it must go itself."""
        address = self._address(host)
        of_address = self._by_address.setdefault(address, set())
        is_greedy = len(of_address) >= self._most_of_one and address not in self._proxies
        if is_greedy or self._count >= self._most:
            has, may = (len(of_address), self._most_of_one) if is_greedy else (self._count, self._most)
            is_crowded = has >= BEYOND_ALL_LIMITS * may
            kept_waiting = now if is_crowded else now - PATIENCE_SECONDS
            if not self._make_room(address, kept_waiting, only_own=is_greedy) and is_crowded:
                return False
        # Making room may have emptied it.
        self._by_address.setdefault(address, of_address).add(connection)
        self._count += 1
        return True

    def _make_room(self, address: str, since: float, *, only_own: bool) -> bool:
        """Close the one that has kept us waiting the longest; False when nobody has, since this moment."""
        # An idle connection of a proxy may be about to bring somebody's webhook: it goes last.
        others = [] if only_own else [name for name in self._by_address if name not in self._proxies]
        for names in (others, [address]):
            waiting = [
                (one.waiting_since, name, one)
                for name in names
                for one in self._by_address.get(name, ())
                if one.waits_for_sender and one.waiting_since <= since
            ]
            if waiting:
                _, name, one = min(waiting, key=lambda entry: entry[0])
                self._forget(one, name)
                one.give_up()
                return True
        return False

    def leave(self, connection: LimitedConnection, host: str) -> None:
        """Forget a connection; one that was not let in is not known."""
        self._forget(connection, self._address(host))

    def _forget(self, connection: LimitedConnection, address: str) -> None:
        of_address = self._by_address.get(address)
        if of_address is None or connection not in of_address:
            return
        of_address.remove(connection)
        self._count -= 1
        if not of_address:
            del self._by_address[address]

    def _address(self, host: str) -> str:
        return host if host in self._proxies else network_of(host)


def network_of(address: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 that one IPv6 customer has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], IPV6_BITS), strict=False))
    except ValueError:
        return address
