"""Puts together a count of the money: Stripe's lists or our own table, and Invoice Ninja's pages."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from handlers.reconcile.money_balance import MoneyBalance, PaidSpan, Progress
from mappings.stripe.balance import MoneyReport
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe
from middleware.reconcile.stripe import SETTLING, Lists
from middleware.store.billing.balances import BalanceRow, BalanceStore
from middleware.store.billing.payment_events import PaymentEvents
from middleware.store.database import Pool


@dataclass(frozen=True, slots=True)
class BalanceTools:
    """What a count works with. `stripe` None: without a key our own table says what was received."""

    books: InvoiceNinja
    pool: Pool
    stripe: Stripe | None


async def count_money(
    tools: BalanceTools,
    now: datetime,
    months: tuple[datetime, datetime] | None = None,
    progress: Progress = lambda _text, _count: None,
) -> MoneyReport:
    """Count the money that arrived between two moments; None: everything since the installation, which is remembered.

    Raises:
        RemoteError: Stripe or Invoice Ninja cannot be read.
        StoreUnavailableError: PostgreSQL is away.
    """
    records = PaymentEvents(tools.pool)
    installed = await records.installed_at()
    begin, end = months or (installed, None)
    span = PaidSpan(begin, end, known_since=installed, settled_at=now - SETTLING)
    lists = Lists(tools.stripe) if tools.stripe is not None else None
    report = await MoneyBalance(tools.books, records, lists, progress=progress).count(span)
    if months is None:
        differing = Decimal(len(report.differing))
        await BalanceStore(tools.pool).save(BalanceRow("money", now, differing, report.sentence, report.as_json()))
    return report
