"""Reads Invoice Ninja's clients and changed invoices now and then, so that pages show them without asking."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from handlers.errors import RemoteError
from handlers.invoices.watch import look_at_items_of
from handlers.ports.context import Context
from mappings.invoiceninja.models import Company, Invoice, NinjaClient, Statics
from middleware.jobs.periodic import Job, NotNowError, every
from middleware.store.billing.mirror import READING, BookStore
from middleware.store.database import Pool

MINUTES = 10
OVERLAP_SECONDS = 120
ROWS = 200
# While nothing is known at all, pages are empty: a first read that fails is tried again before its period is over.
UNREAD_AGAIN_IN = timedelta(minutes=1)


class MirrorSource(Protocol):
    """Invoice Ninja as the book keeping sees it."""

    async def client_list(self) -> Sequence[NinjaClient]:
        """All clients that are not deleted."""
        ...

    async def company(self) -> Company:
        """The company."""
        ...

    async def statics(self) -> Statics:
        """Invoice Ninja's own tables."""
        ...

    def invoices_changed_since(self, moment: int) -> AsyncIterator[Invoice]:
        """The invoices that changed since a moment (unix seconds), deleted ones included."""
        ...


async def keep_books(
    books: MirrorSource,
    store: BookStore,
    now: datetime,
    look: Callable[[Sequence[Invoice]], Awaitable[int]] | None = None,
) -> str:
    """Bring what is remembered up to date; returns what was read, in words. A read that fails is begun anew.

    `look` is given the invoices that were cancelled, deleted or restored since the last read.

    Raises:
        RemoteError: Invoice Ninja failed; what was read before is kept.
        StoreUnavailableError: PostgreSQL is away.
    """
    clients, company, statics = await books.client_list(), await books.company(), await books.statics()
    codes: Mapping[str, str] = {key: currency.code for key, currency in statics.currencies.items()}
    await store.save_clients(
        [(one.id, one.name, codes.get(one.currency_id or company.currency_id, "")) for one in clients]
    )
    # Changes of one second may come in two reads.
    since = max(0, await store.changed_through() - OVERLAP_SECONDS)
    batch: list[Invoice] = []
    number = 0

    async def keep() -> None:
        if look is not None and (changed := await store.changed_standing(batch)):
            await look(changed)
        await store.save_invoices(batch)

    async for invoice in books.invoices_changed_since(since):
        batch.append(invoice)
        if len(batch) >= ROWS:
            await keep()
            number, batch = number + len(batch), []
    await keep()
    await store.read_to_the_end(now)
    return f"{len(clients)} clients, {number + len(batch)} changed invoices"


def mirror_jobs(books: MirrorSource, context: Callable[[], Context], pool: Pool) -> list[Job]:
    """Reading the books by the clock, the first time soon after the first start of all."""
    store = BookStore(pool)

    async def read() -> str:
        try:
            return await keep_books(
                books, store, datetime.now(UTC), lambda changed: look_at_items_of(changed, context())
            )
        except RemoteError as error:
            message = f"not read: {error}"
            if await store.read_at() is None:
                raise NotNowError(message, UNREAD_AGAIN_IN) from error
            return message

    return [Job(READING, every(MINUTES), read, begins_soon=True)]
