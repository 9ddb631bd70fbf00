"""Hand-written stand-ins for what payments need beside the books: clock, memory, history and locks."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from handlers.event import Event
from handlers.ports.billing import PaymentRecord

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class FakeMemory:
    """The table of payments in memory."""

    def __init__(self) -> None:
        self.records: dict[str, PaymentRecord] = {}
        self.links: set[tuple[str, str]] = set()
        self.made: dict[str, str] = {}
        self.given_out: list[str] = []

    async def find(self, identity: str) -> PaymentRecord | None:
        """What is known of a payment."""
        return self.records.get(identity)

    async def save(self, record: PaymentRecord) -> None:
        """Insert or replace."""
        self.records[record.identity] = record

    async def of_invoice(self, invoice_id: str) -> Sequence[PaymentRecord]:
        """Those of one invoice."""
        return sorted(
            (one for one in self.records.values() if one.invoice_id == invoice_id), key=lambda one: one.identity
        )

    async def missed(self, statuses: Collection[str]) -> Sequence[PaymentRecord]:
        """Those of these statuses that name an invoice."""
        return [one for one in self.records.values() if one.status in statuses and one.invoice_id]

    async def next_looks(self, status: str, known_for: timedelta, limit: int) -> Sequence[PaymentRecord]:
        """Those of this status that were given out longest ago; none of them is too old."""
        waiting = [one for one in await self.missed((status,)) if one.identity not in self.given_out]
        again = [self.records[key] for key in self.given_out if self.records[key].status == status]
        chosen = [*waiting, *again][:limit]
        keys = [one.identity for one in chosen]
        self.given_out = [*(key for key in self.given_out if key not in keys), *keys]
        return chosen

    async def clients_of(self, customer: str) -> frozenset[str]:
        """The clients whose invoices this customer has paid."""
        mine = (one for one in self.records.values() if one.customer == customer and one.payment_id)
        return frozenset(one.client_id for one in mine)

    async def last_posted(self, client_id: str, amount: Decimal) -> datetime | None:
        """When an equal payment was last sent."""
        mine = (one for one in self.records.values() if one.client_id == client_id and one.posted_amount == amount)
        return max((one.posted_at for one in mine if one.posted_at), default=None)

    async def link(self, subject: str, payment: str) -> None:
        """Remember a link."""
        self.links.add((subject, payment))

    async def payments_of(self, subject: str) -> Sequence[str]:
        """The payments of a Stripe invoice."""
        return sorted(payment for one, payment in self.links if one == subject)

    async def invoices_of(self, payment: str) -> Sequence[str]:
        """The Stripe invoices of a payment."""
        return sorted(subject for subject, one in self.links if one == payment)

    async def our_links(self, ids: Collection[str]) -> Mapping[str, str]:
        """The invoices of our payment links."""
        return {key: self.made[key] for key in ids if key in self.made}


class FakeHistory:
    """All events by subject."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = defaultdict(list)

    async def of_subjects(self, subjects: Collection[str]) -> Sequence[Event]:
        """The events of these subjects, oldest first."""
        found = [event for subject in subjects for event in self.events[subject]]
        return sorted(found, key=lambda event: (event.occurred_at, event.id))


class FakeLocks:
    """Locks within one process; `held` tells which are taken."""

    def __init__(self) -> None:
        self.locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.held: list[str] = []

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[None]:
        """Hold the lock of this name."""
        async with self.locks[name]:
            self.held.append(name)
            try:
                yield
            finally:
                self.held.remove(name)
