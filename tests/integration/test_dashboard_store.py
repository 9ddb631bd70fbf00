"""What pages are made of: sums by day, bounded searches, recorded time, books; and what they cost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from handlers.ports.context import Link
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.billing.mirror import STATES, BookStore
from middleware.store.billing.reports import Reports, TimeWanted
from middleware.store.database import open_pool
from middleware.store.events import search as event_search
from middleware.store.events.actions import EventActions
from middleware.store.events.search import EventFilter, EventSearch
from middleware.store.events.statistics import Statistics
from middleware.store.operations.attention import Attention, AttentionStore
from middleware.store.operations.audit import AuditEntry, AuditStore

NOW = datetime.now(UTC)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """An empty database."""
    async with open_pool(fresh_database, size=2) as opened:
        yield opened


async def add(pool: asyncpg.Pool, number: int, **changes: Any) -> int:
    """Store an event as it stands, `number` minutes before the tests began, or before another moment."""
    moment = changes.pop("before", NOW) - timedelta(minutes=number)
    values = {"source": "taiga", "type": "task.change", "status": "ignored", "subject": "taiga:task:1", "reason": ""}
    values["code"] = ""
    values |= changes
    event_id: int = await pool.fetchval(
        "INSERT INTO events (source, type, key, subject, occurred_at, received_at, body, status, reason, outcome_code)"
        " VALUES ($1, $2, gen_random_uuid()::text, $3, $4, $4, '{}', $5, $6, $7) RETURNING id",
        values["source"],
        values["type"],
        values["subject"],
        moment,
        values["status"],
        values["reason"],
        values["code"],
    )
    return event_id


class TestStatistics:
    """Events by day."""

    async def test_sums_are_the_counts(self, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever was added up in whichever steps: the sums equal a count of all rows, and nothing counts twice."""
        monkeypatch.setattr("middleware.store.events.statistics.STEP", 7)
        statistics = Statistics(pool)
        for round_number in range(4):
            for minutes in range(4000, 0, -97):
                await add(pool, minutes, source=("taiga", "stripe")[minutes % 2], type=f"t{minutes % 3}")
            if round_number != 2:
                await statistics.add_up()
        counted = await pool.fetch(
            "SELECT (received_at AT TIME ZONE 'UTC')::date AS day, source, count(*) AS events FROM events"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found = await statistics.by_day(date(2000, 1, 1))
        assert [(one.day, one.source, one.events) for one in found] == [tuple(row) for row in counted]
        assert await statistics.types() == [(source, f"t{n}") for source in ("stripe", "taiga") for n in range(3)]

    async def test_what_may_still_be_committed_behind_waits(self, pool: asyncpg.Pool) -> None:
        """The newest minutes are counted, not added up: a slow transaction may still bring a smaller id."""
        for minutes in (30, 20, 1, 0):
            await add(pool, minutes, before=datetime.now(UTC))
        await Statistics(pool).add_up()
        assert await pool.fetchval("SELECT sum(events) FROM event_days") == 2
        assert sum(one.events for one in await Statistics(pool).by_day(date(2000, 1, 1))) == 4

    async def test_before_the_first_event(self, pool: asyncpg.Pool) -> None:
        """An empty store is added up at once, and the first events are counted when they come."""
        async with asyncio.timeout(60):
            await Statistics(pool).add_up()
        await add(pool, 90)
        await Statistics(pool).add_up()
        assert await pool.fetchval("SELECT sum(events) FROM event_days") == 1

    async def test_gaps_in_the_ids_are_passed(self, pool: asyncpg.Pool) -> None:
        """Rows that were cleared away leave gaps of any size."""
        await add(pool, 90)
        await pool.execute("ALTER TABLE events ALTER COLUMN id RESTART WITH 400000")
        await add(pool, 60)
        await Statistics(pool).add_up()
        assert await pool.fetchval("SELECT sum(events) FROM event_days") == 2


class TestSearch:
    """Finding events."""

    async def test_filters(self, pool: asyncpg.Pool) -> None:
        """Each part of the filter narrows, all together too."""
        ids = [
            await add(pool, 50, status="dead", reason="100% wrong_word"),
            await add(pool, 40, source="stripe", type="charge.refunded", subject="stripe:payment:pi_1"),
            await add(pool, 30, status="processed", subject="taiga:task:2", code=Code.TIME_RECORDED),
            await add(pool, 20, status="retrying"),
        ]
        search = EventSearch(pool)
        minute = timedelta(minutes=1)
        for wanted, expected in (
            (EventFilter(), [3, 2, 1, 0]),
            (EventFilter(status="dead"), [0]),
            (EventFilter(status="processed"), [2]),
            (EventFilter(source="stripe"), [1]),
            (EventFilter(type="task.change"), [3, 2, 0]),
            (EventFilter(subject="taiga:task:2"), [2]),
            (EventFilter(code=Code.TIME_RECORDED), [2]),
            (EventFilter(text="100%"), [0]),
            (EventFilter(text="WRONG_w"), [0]),
            (EventFilter(text="%"), [0]),
            (EventFilter(text="pi_1"), [1]),
            (EventFilter(since=NOW - 41 * minute, until=NOW - 30 * minute), [1]),
            (EventFilter(source="taiga", status="retrying", type="task.change", since=NOW - 25 * minute), [3]),
            (EventFilter(subject="taiga:task:1", status="ignored"), []),
        ):
            page = await search.page(wanted)
            assert [row.id for row in page.rows] == [ids[index] for index in expected], wanted
            assert page.next_before is None

    async def test_pages_show_everything_once(self, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """However small windows and pages are, going on shows each match exactly once, newest first."""
        monkeypatch.setattr(event_search, "WINDOW", 7)
        ids = [await add(pool, 100 - n, status="processed" if n % 5 == 0 else "ignored") for n in range(60)]
        for wanted in (EventFilter(), EventFilter(status="processed"), EventFilter(text="no such text")):
            seen: list[int] = []
            before = None
            for _ in range(100):
                page = await EventSearch(pool).page(wanted, before_id=before, limit=3)
                seen += [row.id for row in page.rows]
                assert len(page.rows) == 3 or page.next_before is None or page.looked_back_to is not None
                before = page.next_before
                if before is None:
                    break
            expected = [one for n, one in enumerate(ids) if wanted.is_empty or (wanted.status and n % 5 == 0)]
            assert seen == expected[::-1]

    async def test_matching_is_bounded(self, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        """All that match are gathered over many windows, up to a number, and none newer than the given one."""
        monkeypatch.setattr(event_search, "WINDOW", 5)
        ids = [await add(pool, 100 - n, status="processed" if n % 4 == 0 else "ignored") for n in range(40)]
        matching = [one for n, one in enumerate(ids) if n % 4 == 0][::-1]
        search, wanted = EventSearch(pool), EventFilter(status="processed")
        assert [row.id for row in (await search.matching(wanted, up_to_id=None, limit=100)).rows] == matching
        some = await search.matching(wanted, up_to_id=matching[1], limit=3)
        assert [row.id for row in some.rows] == matching[1:4]
        assert some.next_before is not None
        cut = await search.matching(EventFilter(text="no such text"), up_to_id=None, limit=100, windows=2)
        assert cut.rows == []
        assert cut.looked_back_to is not None


class TestActions:
    """Replay and discard with their audit."""

    async def test_only_what_fits_is_touched(self, pool: asyncpg.Pool) -> None:
        """Each status is replayed or discarded as it may be; the audit names exactly those events."""
        statuses = ("received", "processing", "retrying", "processed", "ignored", "dead", "discarded")
        ids = {status: await add(pool, 10, status=status) for status in statuses}
        actions, audit = EventActions(pool), AuditStore(pool)
        assert await actions.discard([*ids.values(), 999], "why", "ada") == [ids["retrying"], ids["dead"]]
        replayed = await actions.replay([*ids.values(), 999], "ada")
        assert replayed == [ids[status] for status in statuses[2:]]
        assert [row.action for row in await audit.of_event(ids["dead"])] == ["event.discarded", "event.replayed"]
        assert await audit.of_event(ids["received"]) == []
        assert await actions.replay([999], "ada") == []
        assert [row.summary for row in await audit.list()] == ["put 5 events back to work", "discarded 2 events: why"]

    async def test_an_event_that_is_being_taken_is_passed_over(self, pool: asyncpg.Pool) -> None:
        """A worker that holds the row at this moment is not waited for."""
        event_id = await add(pool, 10, status="dead")
        async with pool.acquire() as other, other.transaction():
            await other.execute("SELECT 1 FROM events WHERE id = $1 FOR UPDATE", event_id)
            assert await EventActions(pool).replay([event_id], "ada") == []

    async def test_audit_pages(self, pool: asyncpg.Pool) -> None:
        """By actor, by action, by key."""
        audit = AuditStore(pool)
        for number in range(5):
            await audit.record(AuditEntry(("ada", "cli:root")[number % 2], f"thing.{number}", f"deed {number}"))
        rows = await audit.list(actor="ada", limit=2)
        assert [row.summary for row in rows] == ["deed 4", "deed 2"]
        assert [row.summary for row in await audit.list(actor="ada", before_id=rows[-1].id)] == ["deed 0"]
        assert [row.actor for row in await audit.list(action="thing.1")] == ["cli:root"]


def time_link(number: str = "TAIGA-T1", hours: str = "2", **state: Any) -> Link:
    """A link as the ledger writes it."""
    sent = {
        "client_id": "abc",
        "project_id": "p",
        "hours": hours,
        "raw_hours": "1.9",
        "rate": "75",
        "ended_at": 1_790_000_000,
    }
    origin = {"person": "mira", "taiga_project_id": 7}
    return Link(
        "taiga:task:1", "time_entry", number, "n1", {"sent": {**sent, "description": "Task"}, "origin": origin, **state}
    )


WHOLE = TimeWanted(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class TestRecordedTime:
    """The columns that follow the links."""

    async def test_life_of_an_entry(self, pool: asyncpg.Pool) -> None:
        """Intended, recorded, changed, invoiced, taken out, recorded again, freed, forgotten: always the right sums."""
        links, reports = LinkStore(pool), Reports(pool)

        async def seen() -> list[tuple[str, str]]:
            return [(str(line.hours), line.invoice_number) for line in await reports.time_lines(WHOLE, None, 9)]

        await links.save(Link("taiga:task:1", "time_entry", "TAIGA-T1", "", {}))
        assert await seen() == []
        await links.save(time_link())
        assert await seen() == [("2", "")]
        await links.save(time_link(hours="3.5"))
        assert [(one.client_id, one.hours) for one in await reports.unbilled()] == [("abc", Decimal("3.5"))]
        invoiced = Link("taiga:task:1", "invoiced", "TAIGA-T1", "inv1", {"invoice_number": "2026-1"})
        await links.save(invoiced)
        assert await seen() == [("3.5", "2026-1")]
        assert await reports.unbilled() == []
        assert [line.number for line in await reports.of_invoice("inv1")] == ["TAIGA-T1"]
        await links.save(time_link(is_removed=True))
        assert await seen() == []
        await links.save(time_link())
        assert await seen() == [("2", "2026-1")]
        await links.remove(invoiced)
        assert await seen() == [("2", "")]
        await links.remove(time_link())
        assert await seen() == []

    async def test_sums_and_lines(self, pool: asyncpg.Pool) -> None:
        """Sums by client, project and person; lines page by key, also when many ended at one moment."""
        links, reports = LinkStore(pool), Reports(pool)
        for number in range(7):
            await links.save(time_link(number=f"TAIGA-T{number}"))
        (total,) = await reports.time_sums(WHOLE)
        assert (total.person, total.taiga_project_id, total.hours, total.entries) == ("mira", 7, Decimal(14), 7)
        assert await reports.time_sums(TimeWanted(WHOLE.since, WHOLE.until, "other")) == []
        seen: list[str] = []
        after = None
        while lines := await reports.time_lines(WHOLE, after, 3):
            seen += [line.number for line in lines]
            after = (lines[-1].ended_at, lines[-1].subject, lines[-1].number)
        assert seen == [f"TAIGA-T{number}" for number in range(7)]

    async def test_links_that_were_there_before(self, pool: asyncpg.Pool) -> None:
        """The migration passes every link through the trigger: rows of older versions without origin as well."""
        await LinkStore(pool).save(
            Link("taiga:task:5", "time_entry", "TAIGA-T5", "n5", {"sent": {"hours": "1", "ended_at": 1}})
        )
        await pool.execute("TRUNCATE recorded_time")
        await pool.execute("UPDATE links SET state = state WHERE kind IN ('time_entry', 'invoiced')")
        (line,) = await Reports(pool).time_lines(TimeWanted(datetime(1960, 1, 1, tzinfo=UTC), NOW), None, 9)
        assert (line.person, line.taiga_project_id, line.hours, line.rate) == ("", None, Decimal(1), Decimal(0))

    async def test_why_work_has_no_entry(self, pool: asyncpg.Pool) -> None:
        """The newest telling outcome of closed work without an entry; open, deleted and recorded work is left out."""
        await add(
            pool, 90, subject="taiga:task:1", status="dead", code=Code.BAD_HOURS, reason="about two is not a number"
        )
        await add(pool, 80, subject="taiga:task:2", code=Code.NOT_CLOSED, reason="not closed")
        await add(pool, 70, subject="taiga:task:3", code=Code.NO_HOURS, reason="no hours yet")
        await add(
            pool, 60, subject="taiga:task:3", code=Code.NOT_MARKED_BILLABLE, reason="not marked billable; nothing to do"
        )
        await add(pool, 50, subject="taiga:task:3", code=Code.OWN_ECHO, reason="caused by our own write-back")
        await add(pool, 40, subject="taiga:task:4", code=Code.NO_HOURS, reason="no hours yet")
        await add(pool, 30, subject="taiga:task:5", code=Code.NO_HOURS, reason="no hours yet")
        await add(pool, 20, subject="taiga:task:5", code=Code.DELETED_IN_TAIGA, reason="deleted in Taiga")
        await LinkStore(pool).save(Link("taiga:task:4", "time_entry", "TAIGA-T4", "n", time_link().state))
        rows = await Reports(pool).unrecorded(None, 10)
        assert [(row.subject, row.reason) for row in rows] == [
            ("taiga:task:3", "not marked billable; nothing to do"),
            ("taiga:task:1", "about two is not a number"),
        ]
        assert [row.subject for row in await Reports(pool).unrecorded(rows[0].event_id, 10)] == ["taiga:task:1"]


class TestAttention:
    """What needs a person."""

    async def test_one_problem_counts_once(self, pool: asyncpg.Pool) -> None:
        """However many events of a task are dead, and whether a review is open: one thing; what was repaired: none."""
        for minutes in (90, 80, 70):
            await add(pool, minutes, subject="taiga:task:1", status="dead")
        await add(pool, 60, subject="taiga:task:2", status="dead")
        await add(pool, 50, subject="taiga:task:2", status="processed")
        reviews = ReviewStore(pool)
        await reviews.open("taiga:task:1", "credit_proposal", "credit 1 h?", {})
        await reviews.open("stripe:payment:pi_1", "unmatched_payment", "for which invoice?", {})
        assert await AttentionStore(pool).attention(100) == Attention(stuck=1, things=2)


def book_row(number: int, day: str, status: str = "2", balance: str = "10", due: str = "2026-01-31") -> Invoice:
    """An invoice as Invoice Ninja answers it."""
    return Invoice(
        id=f"i{number:03}",
        number=str(number),
        client_id="c1",
        status_id=status,
        amount=Decimal(10),
        balance=Decimal(balance),
        paid_to_date=Decimal(0),
        total_taxes=Decimal(0),
        date=day,
        due_date=due,
        lines=(),
        updated_at=number,
    )


class TestBooks:
    """Invoices as they were read last."""

    async def test_pages_and_states(self, pool: asyncpg.Pool) -> None:
        """Newest first, undated ones at the end, each once; every state is a filter."""
        books, today = BookStore(pool), date(2026, 3, 1)
        await books.save_clients([("c1", "Acme", "EUR")])
        days = ["2026-01-01", "2026-01-01", "2026-02-01", "", "2026-01-15"]
        await books.save_invoices([book_row(number, day) for number, day in enumerate(days)])
        seen: list[str] = []
        after = None
        while rows := await books.page("", today, after, 2):
            seen += [row.invoice_id for row in rows]
            after = (rows[-1].day, rows[-1].invoice_id)
        assert seen == ["i002", "i004", "i001", "i000", "i003"]
        await books.save_invoices([book_row(0, "2026-01-01", "4", "0"), book_row(1, "2026-01-01", "1")])
        await books.save_invoices([book_row(2, "2026-02-01", due="2026-03-01")])
        found = {state: [row.invoice_id for row in await books.page(state, today, None, 9)] for state in STATES}
        assert found == {
            "open": ["i002", "i004", "i003"],
            "overdue": ["i004", "i003"],
            "draft": ["i001"],
            "paid": ["i000"],
            "cancelled": [],
        }
        assert (await books.find("i002")) is not None
        await books.read_to_the_end(NOW)
        assert await books.changed_through() == 4

    async def test_ages(self, pool: asyncpg.Pool) -> None:
        """What is owed falls into its age to the day."""
        books, today = BookStore(pool), date(2026, 3, 31)
        dues = [
            "2026-03-31",
            "2026-03-30",
            "2026-03-01",
            "2026-02-28",
            "2026-01-30",
            "2026-01-29",
            "2025-12-31",
            "2020-01-01",
        ]
        await books.save_invoices([book_row(number, "2026-01-01", due=due) for number, due in enumerate(dues)])
        await books.save_invoices([book_row(90, "", due="")])
        sums = {one.bucket: one.invoices for one in await books.open_sums(today)}
        assert sums == {0: 2, 1: 2, 2: 2, 3: 2, 4: 1}
