"""Who sends bad signatures again and again is refused before anything is read: a bounded memory of addresses, pure.

An address that has proven itself with a good signature is never refused: behind a proxy that is not trusted with
`FORWARDED_ALLOW_IPS` everybody has the same address, and Taiga sends each webhook once.
"""

import ipaddress
from collections import OrderedDict
from typing import TypeVar

BUDGET = 50.0
"""Bad signatures that an address may send at once ..."""

PER_SECOND = 1.0
"""... and how many more each second after."""

PROVEN_SECONDS = 24 * 3600.0
MOST_ADDRESSES = 10_000
IPV6_BITS = 64

_Value = TypeVar("_Value")


class BadSenders:
    """Counts bad signatures by address; times are seconds of any steady clock."""

    def __init__(self, most: int = MOST_ADDRESSES) -> None:
        self._most = most
        self._budgets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._proven: OrderedDict[str, float] = OrderedDict()

    def is_refused(self, address: str, now: float) -> bool:
        """Whether this address has used up its budget."""
        key = network_of(address)
        if now - self._proven.get(key, float("-inf")) < PROVEN_SECONDS:
            return False
        return self._left(key, now) < 1

    def failed(self, address: str, now: float) -> None:
        """It sent a bad signature."""
        key = network_of(address)
        left = self._left(key, now)
        _remember(self._budgets, key, (max(0.0, left - 1), now), self._most)

    def proved(self, address: str, now: float) -> None:
        """It sent a good signature."""
        _remember(self._proven, network_of(address), now, self._most)

    def _left(self, key: str, now: float) -> float:
        left, at = self._budgets.get(key, (BUDGET, now))
        return min(BUDGET, left + (now - at) * PER_SECOND)


def _remember(memory: OrderedDict[str, _Value], key: str, value: _Value, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)


def network_of(address: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 that one IPv6 customer has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], IPV6_BITS), strict=False))
    except ValueError:
        return address
