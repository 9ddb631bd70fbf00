"""Puts together a run of `handlers.reconcile_stripe`: Stripe's lists, Invoice Ninja's pages, our table, the door."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from handlers.context import Clock
from handlers.errors import RemoteError
from handlers.reconcile_stripe import Progress, StripeReconciliation
from handlers.reconcile_stripe_world import Books, Difference, Report, Scope
from middleware.clients.http import Row
from middleware.clients.jsonbody import write_json
from middleware.clients.stripe import STRIPE_VERSION, Stripe
from middleware.ingest import Ingest
from middleware.store.database import Pool
from middleware.store.events import NewEvent
from middleware.store.payment_events import PaymentEvents
from middleware.store.seen import RunStore

log = structlog.get_logger()

ScopeName = Literal["daily", "manual"]

SOURCE = "stripe"
RUN_LOCK = 0x7461_6967_6103
OVERLAP = timedelta(days=2)
LONGEST_GAP = timedelta(days=30)
SETTLING = timedelta(minutes=10)


class AlreadyRunningError(Exception):
    """Another run is under way."""


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; `ingest` None: a dry run."""

    stripe: Stripe
    books: Books
    pool: Pool
    ingest: Ingest | None
    clock: Clock = utc_now


class Lists:
    """Implements `handlers.reconcile_stripe_world.StripeLists`: a hundred objects a request."""

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


class EventDoor:
    """Implements `handlers.reconcile_stripe_world.Door`: differences become events of the source `stripe`."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def put(self, differences: Sequence[Difference]) -> None:
        """Store each as an event, once; they share commits."""
        await asyncio.gather(*(self._ingest.accept(event_of(one)) for one in differences))


def event_of(difference: Difference) -> NewEvent:
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
    tools: Tools, scope: Scope, name: ScopeName, progress: Progress = lambda _text, _count: None
) -> Report:
    """One run, alone in its database and remembered in `reconcile_runs`; a dry run is not remembered.

    Raises:
        AlreadyRunningError: another run is under way.
        RemoteError: Stripe or Invoice Ninja cannot be read.
    """
    runs = RunStore(tools.pool)
    async with runs.alone(RUN_LOCK) as is_alone:
        if not is_alone:
            raise AlreadyRunningError("another run of reconcile stripe is under way; it does the same")
        if tools.ingest is None:
            return await _run(tools, scope, progress)
        run_id = await runs.begin(SOURCE, name)
        try:
            report = await _run(tools, scope, progress)
        except Exception as error:
            await runs.end(run_id, None, f"{type(error).__name__}: {error}")
            raise
        await runs.end(run_id, report, "; ".join(report.problems[:20]))
        return report


async def _run(tools: Tools, scope: Scope, progress: Progress) -> Report:
    door = EventDoor(tools.ingest) if tools.ingest is not None else None
    records = PaymentEvents(tools.pool)
    run = StripeReconciliation(Lists(tools.stripe), tools.books, records, tools.clock, door, progress=progress)
    return await run.run(scope)


async def daily_scope(pool: Pool, now: datetime) -> Scope:
    """Since the last run that ended well, with an overlap; the first one begins where this installation began."""
    last = await RunStore(pool).last_good_start(SOURCE, ["daily"])
    since = last - OVERLAP if last else await PaymentEvents(pool).installed_at()
    return Scope(since=max(since, now - LONGEST_GAP), settling=SETTLING)


async def reconcile_by_clock(tools: Tools) -> str:
    """A run that nobody waits for: says in one line how it went, whatever happened at Stripe."""
    scope = await daily_scope(tools.pool, tools.clock())
    try:
        report = await reconcile(tools, scope, "daily")
    except AlreadyRunningError as error:
        return str(error)
    except RemoteError as error:
        log.warning("reconcile.failed", source=SOURCE, error=str(error), hint="tried again tomorrow, from where it was")
        return str(error)
    log.info(
        "reconcile.done",
        source=SOURCE,
        looked_at=report.looked_at,
        differed=len(report.differences),
        waiting=report.waiting,
        postponed=report.postponed,
        problems=list(report.problems[:5]),
    )
    return f"{report.looked_at} looked at, {len(report.differences)} put in"
