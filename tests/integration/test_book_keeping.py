"""Reading Invoice Ninja's books: in parts, soon after the first start, and never more often than the clock allows."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from handlers.errors import ServerError
from mappings.config.file import parse_mapping
from mappings.invoiceninja.models import Company, Currency, Invoice, NinjaClient, Statics
from middleware.jobs.mirror import MINUTES, UNREAD_AGAIN_IN, keep_books, mirror_jobs
from middleware.jobs.periodic import Job, run_if_due
from middleware.lab.sandbox.faults import Rule
from middleware.store.billing.mirror import READING, BookStore
from middleware.store.database import open_pool
from middleware.store.operations.timetable import Timetable
from tests.support.fakes import World
from tests.support.invoicing.invoicing_bench import Office, office

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A way into an empty store."""
    async with open_pool(fresh_database, size=2) as opened:
        yield opened


class FakeBooks:
    """Invoice Ninja's books in memory."""

    def __init__(self, invoices: Sequence[Invoice]) -> None:
        self.invoices = list(invoices)
        self.asked: list[int] = []
        self.cut_off_after: int | None = None

    async def client_list(self) -> Sequence[NinjaClient]:
        """Two clients: one with a currency of its own."""
        return [NinjaClient("c1", "1", "Acme"), NinjaClient("c2", "2", "Globex", currency_id="2")]

    async def company(self) -> Company:
        """The company's currency is the euro."""
        return Company(
            id="co",
            name="We",
            currency_id="3",
            timezone_id="1",
            lock_invoices="off",
            locks_invoiced_tasks=False,
            updates_products=False,
            mails_receipts=False,
            default_task_rate=Decimal(0),
        )

    async def statics(self) -> Statics:
        """Two currencies."""
        return Statics({"2": Currency("2", "USD", 2), "3": Currency("3", "EUR", 2)}, {})

    async def invoices_changed_since(self, moment: int) -> AsyncIterator[Invoice]:
        """Those that changed."""
        self.asked.append(moment)
        for number, invoice in enumerate(self.invoices):
            if number == self.cut_off_after:
                raise ServerError("invoiceninja", "GET /invoices", "answered 502", status=502)
            if invoice.updated_at >= moment:
                yield invoice


def invoice(number: int, client: str, updated_at: int, **changes: object) -> Invoice:
    """An invoice of the fake."""
    return Invoice(
        id=f"i{number}",
        number=f"{number}",
        client_id=client,
        status_id="2",
        amount=Decimal("12.34"),
        balance=Decimal("12.34"),
        paid_to_date=Decimal(0),
        total_taxes=Decimal(0),
        date="2026-01-01",
        due_date="",
        lines=(),
        updated_at=updated_at,
        **changes,  # type: ignore[arg-type]  # one field of a known name
    )


async def test_books_are_read_in_part(pool: asyncpg.Pool) -> None:
    """All at first, then what changed, with an overlap; deletions are noticed."""
    store, books = BookStore(pool), FakeBooks([invoice(1, "c1", 1000), invoice(2, "c2", 2000)])
    assert await keep_books(books, store, NOW) == "2 clients, 2 changed invoices"
    found = await store.find("i2")
    assert found is not None
    assert (found.client_name, found.currency, found.day and found.day.isoformat()) == ("Globex", "USD", "2026-01-01")
    books.invoices = [invoice(1, "c1", 1000), invoice(2, "c2", 3000, is_deleted=True)]
    assert await keep_books(books, store, NOW) == "2 clients, 1 changed invoices"
    assert books.asked == [0, 1880]
    found = await store.find("i2")
    assert found is not None
    assert found.is_deleted
    assert await store.client_names() == {"c1": "Acme", "c2": "Globex"}


async def test_a_read_that_is_cut_off_is_begun_anew(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came of it is shown, but does not count as read: invoices that changed earlier may be missing."""
    monkeypatch.setattr("middleware.jobs.mirror.ROWS", 1)
    store, books = BookStore(pool), FakeBooks([invoice(1, "c1", 9000), invoice(2, "c2", 2000)])
    books.cut_off_after = 1
    with pytest.raises(ServerError):
        await keep_books(books, store, NOW)
    assert await store.find("i1") is not None
    assert await store.read_at() is None
    books.cut_off_after = None
    await keep_books(books, store, NOW)
    assert await store.find("i2") is not None
    assert await store.read_at() == NOW
    later = NOW + timedelta(minutes=10)
    await keep_books(books, store, later)
    assert await store.read_at() == later
    assert books.asked == [0, 0, 8880]


class TestClock:
    """When a worker reads them by itself."""

    @pytest.fixture
    async def bureau(self) -> AsyncIterator[Office]:
        """An office with an Invoice Ninja."""
        async with office() as made:
            yield made

    def periodic(self, bureau: Office, pool: asyncpg.Pool) -> Job:
        """Reading the books as a worker that was just started has it."""
        context = World(parse_mapping("{}")).context
        (made,) = mirror_jobs(bureau.ninja, lambda: context, pool)
        return made

    async def looks(self, bureau: Office, pool: asyncpg.Pool, seconds: float) -> list[float]:
        """A worker looks every twenty seconds, and is always a new one; when the books were read, in seconds."""
        read: list[float] = []
        for look in range(round(seconds / 20) + 1):
            at = look * 20
            if await run_if_due(Timetable(pool), self.periodic(bureau, pool), NOW + timedelta(seconds=at)):
                read.append(at)
        return read

    async def test_the_first_time_is_soon(self, bureau: Office, pool: asyncpg.Pool) -> None:
        """The second look reads them; then the period counts, however often workers are started anew."""
        assert await self.looks(bureau, pool, MINUTES * 60) == [20]
        assert len(bureau.faults.requests) == len({request.path for request in bureau.faults.requests})
        row = await Timetable(pool).find(READING)
        assert row is not None
        assert row.next_at == NOW + timedelta(seconds=20, minutes=MINUTES)
        assert await BookStore(pool).read_at() is not None

    async def test_books_that_are_known_wait_for_their_time(self, bureau: Office, pool: asyncpg.Pool) -> None:
        """A start reads them at once only when the period is over."""
        await Timetable(pool).take(READING, NOW, NOW + timedelta(minutes=5))
        assert await self.looks(bureau, pool, 4 * 60) == []
        assert await self.looks(bureau, pool, 6 * 60) == [300]

    async def test_while_nothing_is_known_it_is_tried_again_soon(self, bureau: Office, pool: asyncpg.Pool) -> None:
        """Invoice Ninja is not there at the first start: asked once a minute until it was read, then by its period."""
        bureau.faults.add(Rule(status=503, times=None))
        tried = await self.looks(bureau, pool, 150)
        assert tried == [20, 80, 140]
        assert timedelta(minutes=1) == UNREAD_AGAIN_IN
        row = await Timetable(pool).find(READING)
        assert row is not None
        assert row.message.startswith("not read: invoiceninja")
        bureau.faults.clear()
        await keep_books(bureau.ninja, BookStore(pool), NOW)
        bureau.faults.add(Rule(status=503, times=None))
        assert await self.looks(bureau, pool, 15 * 60) == [200, 800]
