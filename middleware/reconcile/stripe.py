"""Puts together a run of `handlers.reconcile.stripe`: Stripe's lists, Invoice Ninja's pages, our table, the door."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from handlers.event import NewEvent
from handlers.ports.context import Clock
from handlers.ports.events import EventSink
from handlers.reconcile.stripe import Progress, StripeReconciliation
from handlers.reconcile.stripe_models import ReconcileBooks, StripeDifference, StripeReport, StripeScope
from middleware.clients.http.client import Row
from middleware.clients.http.json_codec import write_json
from middleware.clients.stripe.client import STRIPE_VERSION, Stripe
from middleware.reconcile.runs import DifferenceEvents, alone_and_remembered
from middleware.store.billing.payment_events import PaymentEvents
from middleware.store.database import Pool
from middleware.store.operations.reconcile import RunStore

ScopeName = Literal["daily", "manual"]

SOURCE = "stripe"
OVERLAP = timedelta(days=2)
LONGEST_GAP = timedelta(days=30)
SETTLING = timedelta(minutes=10)


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StripeTools:
    """What a run works with; `sink` None: a dry run."""

    stripe: Stripe
    books: ReconcileBooks
    pool: Pool
    sink: EventSink | None
    clock: Clock = utc_now


class Lists:
    """Implements `handlers.reconcile.stripe_models.StripeLists`: a hundred objects a request."""

    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    def intents(self, since: int) -> AsyncIterator[Row]:
        """GET /v1/payment_intents with the latest charge and its balance transaction."""
        expand = ["data.latest_charge.balance_transaction"]
        return self._stripe.payment_intents(created={"gte": since}, expand=expand)

    async def lone_charges(self, since: int) -> AsyncIterator[Row]:
        """GET /v1/charges, of which only those of the older Charges API have no intent."""
        filters = {"created": {"gte": since}, "expand": ["data.balance_transaction"]}
        async for charge in self._stripe.pages("/v1/charges", filters):
            if not charge.get("payment_intent"):
                yield charge

    def refunds(self, since: int) -> AsyncIterator[Row]:
        """GET /v1/refunds."""
        return self._stripe.refunds(created={"gte": since})

    def disputes(self, since: int) -> AsyncIterator[Row]:
        """GET /v1/disputes."""
        return self._stripe.disputes(created={"gte": since})

    async def whole(self, identity: str) -> Sequence[Row]:
        """One payment with all its refunds and disputes."""
        is_intent = identity.startswith("pi_")
        of = {"payment_intent" if is_intent else "charge": identity}
        first = await (self._stripe.payment_intent(identity) if is_intent else self._stripe.charge(identity))
        refunds = [one async for one in self._stripe.refunds(**of)]
        return [first, *refunds, *[one async for one in self._stripe.disputes(**of)]]


def event_of(difference: StripeDifference) -> NewEvent:
    """The event that tells the state of a payment, in the shape of one of Stripe's."""
    shown = difference.shown
    kind = f"{shown['object']}.reconcile"
    payload: Mapping[str, Any] = {
        "id": difference.key,
        "object": "event",
        "api_version": STRIPE_VERSION,
        "type": kind,
        "created": int(difference.read_at.timestamp()),
        "livemode": shown.get("livemode"),
        "data": {"object": shown},
    }
    return NewEvent(
        source=SOURCE,
        type=kind,
        key=difference.key,
        subject=difference.subject,
        occurred_at=difference.read_at,
        body=write_json(payload),
        headers={"x-reconciled-because": difference.why},
    )


async def reconcile(
    tools: StripeTools, scope: StripeScope, name: ScopeName, progress: Progress = lambda _text, _count: None
) -> StripeReport:
    """One run; see `middleware.reconcile.runs.alone_and_remembered`.

    Raises:
        AlreadyRunningError: another run is under way.
        RemoteError: Stripe or Invoice Ninja cannot be read.
    """
    sink = DifferenceEvents(tools.sink, event_of) if tools.sink is not None else None
    records = PaymentEvents(tools.pool)
    run = StripeReconciliation(Lists(tools.stripe), tools.books, records, tools.clock, sink, progress=progress)
    return await alone_and_remembered(tools.pool, SOURCE, name, lambda: run.run(scope), is_dry=sink is None)


async def daily_scope(pool: Pool, now: datetime) -> StripeScope:
    """Since the last run that ended well, with an overlap; the first one begins where this installation began."""
    last = await RunStore(pool).last_good_start(SOURCE, ["daily"])
    since = last - OVERLAP if last else await PaymentEvents(pool).installed_at()
    return StripeScope(since=max(since, now - LONGEST_GAP), settling=SETTLING)
