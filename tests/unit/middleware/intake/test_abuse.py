"""Who sends bad signatures again and again is refused; who has proven itself never."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.intake.rate_limit import BUDGET, PROVEN_SECONDS, BadSenders, network_of


def spent(senders: BadSenders, address: str, now: float = 0.0) -> None:
    """This address used up its budget."""
    for _ in range(int(BUDGET)):
        senders.failed(address, now)


def test_budget() -> None:
    """After the budget an address is refused; others are not; a second later one more try is allowed."""
    senders = BadSenders()
    spent(senders, "192.0.2.1")
    assert senders.is_refused("192.0.2.1", 0.0)
    assert not senders.is_refused("192.0.2.2", 0.0)
    assert not senders.is_refused("192.0.2.1", 1.0)


def test_proven_sender_is_never_refused() -> None:
    """A good signature keeps the door open for a day, whatever else comes from the same address (a proxy's)."""
    senders = BadSenders()
    senders.proved("192.0.2.1", 0.0)
    spent(senders, "192.0.2.1")
    assert not senders.is_refused("192.0.2.1", 0.0)
    spent(senders, "192.0.2.1", PROVEN_SECONDS)
    assert senders.is_refused("192.0.2.1", PROVEN_SECONDS)


@given(st.lists(st.integers(0, 300), max_size=400))
def test_memory_is_bounded(addresses: list[int]) -> None:
    """However many addresses send, only so many are remembered."""
    senders = BadSenders(most=20)
    for number in addresses:
        senders.failed(f"192.0.2.{number}", 0.0)
        senders.proved(f"198.51.100.{number}", 0.0)
    assert len(senders._budgets) <= 20
    assert len(senders._proven) <= 20


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_ipv6_customers_are_one_sender(address: str, network: str) -> None:
    """An IPv6 customer has 2^64 addresses: they count as one."""
    assert network_of(address) == network
