"""The table of payments, the history of events, and locks across workers, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from handlers.ports.billing import Candidate, PaymentRecord
from middleware.store.billing.payments import EventHistoryStore, PaymentStore
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.events.events import EventStore
from middleware.store.locks import Locks
from tests.support.pipeline import new_event

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RECORD = PaymentRecord(
    identity="pi_1",
    subject="stripe:payment:pi_1",
    status="paid",
    reason="with \x00 in it",
    currency="EUR",
    amount=10**14,
    fee=5,
    fee_currency="USD",
    customer="cus_1",
    paid_at=NOW,
    livemode=True,
    client_id="c1",
    invoice_id="i1",
    payment_id="p1",
    covered=Decimal("100.125"),
    posted_at=NOW,
    posted_amount=Decimal("100.1"),
    due_date_before="",
    due_date_set="2026-11-01",
    notes=("a", "b"),
    candidates=(Candidate("i1", "R-1", "c1", "5", "why\x00"),),
)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on an empty database."""
    async with open_pool(fresh_database, size=3) as opened:
        yield opened


async def test_record_comes_back_as_it_was(pool: asyncpg.Pool) -> None:
    """Every field; what PostgreSQL cannot hold is replaced."""
    store = PaymentStore(pool)
    assert await store.find("pi_1") is None
    await store.save(RECORD)
    kept = await store.find("pi_1")
    clean = Candidate("i1", "R-1", "c1", "5", "why\N{REPLACEMENT CHARACTER}")
    assert kept == replace(RECORD, reason="with \N{REPLACEMENT CHARACTER} in it", candidates=(clean,))
    await store.save(replace(RECORD, status="refunded", due_date_set=None))
    assert [one.status for one in await store.list()] == ["refunded"]


async def test_questions_about_payments(pool: asyncpg.Pool) -> None:
    """By status and page, of an invoice, the clients of a customer, and the last equal payment."""
    store = PaymentStore(pool)
    await store.save(RECORD)
    await store.save(replace(RECORD, identity="pi_2", client_id="c2", status="unmatched", payment_id="", invoice_id=""))
    assert [one.identity for one in await store.list(status="unmatched")] == ["pi_2"]
    assert [one.identity for one in await store.list(after="pi_1", limit=5)] == ["pi_2"]
    assert [one.identity for one in await store.of_invoice("i1")] == ["pi_1"]
    assert await store.clients_of("cus_1") == {"c1"}
    assert await store.clients_of("") == frozenset()
    assert await store.last_posted("c1", Decimal("100.10")) == NOW
    assert await store.last_posted("c1", Decimal(7)) is None


async def test_links_between_invoices_and_payments(pool: asyncpg.Pool) -> None:
    """Each knows the other; twice is once."""
    store = PaymentStore(pool)
    for _ in range(2):
        await store.link("stripe:invoice:in_1", "stripe:payment:pi_1")
    assert await store.payments_of("stripe:invoice:in_1") == ["stripe:payment:pi_1"]
    assert await store.invoices_of("stripe:payment:pi_1") == ["stripe:invoice:in_1"]
    assert await store.our_links(["plink_1"]) == {}
    assert await store.our_links([]) == {}


async def test_history_is_all_events_but_the_discarded(pool: asyncpg.Pool) -> None:
    """Oldest first, with decimals; an event whose body was removed is there without a payload."""
    events = EventStore(pool)
    body = b'\xef\xbb\xbf{"n": 1.10}'
    late = new_event("s:1", seconds=9, source="stripe", type="late", body=body)
    early = new_event("s:2", seconds=1, source="stripe", type="early", body=b"")
    gone = new_event("s:1", source="stripe", type="gone")
    await events.insert([late, early, gone, new_event("s:3")])
    await pool.execute("UPDATE events SET status = 'discarded' WHERE type = 'gone'")
    history = await EventHistoryStore(pool).of_subjects(["s:1", "s:2"])
    assert [(event.type, event.payload) for event in history] == [("early", {}), ("late", {"n": Decimal("1.10")})]


async def test_store_that_is_away_says_so(pool: asyncpg.Pool) -> None:
    """A pool that is closed is no mistake of the handler."""
    store = PaymentStore(pool)
    await pool.close()
    with pytest.raises(StoreUnavailableError):
        await store.find("pi_1")


async def test_lock_is_exclusive_across_workers(fresh_database: str) -> None:
    """Two workers, ten tasks: never two inside; other names are free."""
    one, two = Locks(fresh_database), Locks(fresh_database)
    inside: list[int] = []
    most = 0

    async def enter(locks: Locks) -> None:
        nonlocal most
        async with locks.exclusive("client c1"), locks.exclusive(f"other {id(locks)}"):
            inside.append(1)
            most = max(most, len(inside))
            await asyncio.sleep(0.002)
            inside.pop()

    await asyncio.gather(*(enter(locks) for locks in (one, two) for _ in range(5)))
    assert most == 1
    await one.aclose()
    await two.aclose()


async def test_cancelled_waiter_leaves_no_lock(fresh_database: str) -> None:
    """Who gives up while asking holds nothing afterwards."""
    one, two = Locks(fresh_database), Locks(fresh_database)
    async with one.exclusive("a"):
        tasks = [asyncio.create_task(hold(two, "a")) for _ in range(3)]
        await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    quick = [asyncio.create_task(hold(two, "b")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in quick:
        task.cancel()
    await asyncio.gather(*quick, return_exceptions=True)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        for name in ("a", "b"):
            await hold(one, name)
            await hold(two, name)
    await one.aclose()
    await two.aclose()


async def test_lost_connection_frees_and_heals(fresh_database: str, pool: asyncpg.Pool) -> None:
    """When the connection dies the lock is free: who held it is stopped before another is inside, and connects anew."""
    locks, other = Locks(fresh_database), Locks(fresh_database)
    inside, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with locks.exclusive("subject"), locks.exclusive("client"):
            inside.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

    working = asyncio.create_task(work())
    await inside.wait()
    await cut(pool)
    async with asyncio.timeout(20), other.exclusive("client"):
        assert ended.is_set()
    with pytest.raises(StoreUnavailableError):
        await working
    assert working.cancelling() == 0
    await hold(locks, "client")
    await locks.aclose()
    await locks.aclose()
    await other.aclose()


async def test_cancellation_stays_one_when_the_lock_is_lost_as_well(fresh_database: str, pool: asyncpg.Pool) -> None:
    """Who is stopped by somebody else is not told that it was the lock; what ends by itself is not stopped later."""
    locks = Locks(fresh_database)
    async with locks.exclusive("a"):
        pass
    inside = asyncio.Event()

    async def work() -> None:
        async with locks.exclusive("a"):
            inside.set()
            try:
                await asyncio.sleep(60)
            finally:
                await cut(pool)
                # Until the end of the connection is noticed here.
                await asyncio.sleep(60)

    working = asyncio.create_task(work())
    await inside.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await asyncio.sleep(0.02)
    await locks.aclose()


async def test_lock_whose_answer_was_lost(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that the server gave, and nobody heard of, is not held for ever."""
    locks, other = Locks(fresh_database), Locks(fresh_database)
    fetchval = asyncpg.Connection.fetchval

    async def lose(self: asyncpg.Connection, query: str, *arguments: Any) -> None:
        await fetchval(self, query, *arguments)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetchval", lose)
        with pytest.raises(StoreUnavailableError):
            await hold(locks, "a")
    async with asyncio.timeout(60):
        await hold(other, "a")
    await locks.aclose()
    await other.aclose()


async def cut(pool: asyncpg.Pool) -> None:
    """End all other connections as an administrator would."""
    await pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_no_server_is_unavailable() -> None:
    """A lock that cannot be asked for is not held."""
    with pytest.raises(StoreUnavailableError):
        await hold(Locks("postgresql://127.0.0.1:1/none"), "a")


async def hold(locks: Locks, name: str) -> None:
    """Take a lock and give it back."""
    async with locks.exclusive(name):
        await asyncio.sleep(0)
