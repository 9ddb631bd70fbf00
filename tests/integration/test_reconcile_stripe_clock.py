"""What the workers do with Stripe by the clock, and that a dry run leaves payment links alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handlers.payment_links.link import payment_link
from middleware.clients.connect import Systems
from middleware.intake.ingest import Ingest
from middleware.jobs.periodic import NotNowError
from middleware.jobs.reconcile import stripe_jobs, stripe_run, tend_job
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.reconcile.stripe import StripeTools, utc_now
from middleware.replay.read_only import Script, read_only
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.circuits import CircuitStore
from middleware.store.operations.reconcile import RunStore
from middleware.traffic.traffic import Traffic
from tests.support.reconcile.reconcile_bench import ReconcileBench, reconcile_bench
from tests.support.reconcile.runs import latest_runs


@pytest.fixture
async def desk() -> AsyncIterator[ReconcileBench]:
    """An empty bench."""
    async with reconcile_bench() as made:
        yield made


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Any]:
    """A migrated database without rows."""
    async with open_pool(fresh_database, size=4) as opened:
        yield opened


@pytest.fixture
async def ingest(pool: Any, redis_url: str) -> AsyncIterator[Ingest]:
    """The single door."""
    wakeups = Wakeups(open_queue(redis_url))
    yield Ingest(EventStore(pool), wakeups.notify)
    await wakeups.stop()


async def test_what_is_due(desk: ReconcileBench, pool: Any, ingest: Ingest) -> None:
    """A nightly run and a round over the links; nothing without a key of Stripe."""
    traffic = Traffic(CircuitStore(pool), {}, {})
    systems = Systems(desk.ninja, stripe=desk.client_of_stripe)
    names = [one.name for one in stripe_jobs(systems, lambda: desk.context, pool, ingest, traffic)]
    assert names == ["reconcile stripe", "payment links"]
    assert stripe_jobs(Systems(desk.ninja), lambda: desk.context, pool, ingest, traffic) == []


async def test_the_nightly_run_says_how_it_went(desk: ReconcileBench, pool: Any, ingest: Ingest) -> None:
    """What it found, that another run is under way, or that Stripe is away; it is remembered."""
    await pool.execute("UPDATE migrations SET applied_at = now() - interval '1 day'")
    tools = StripeTools(desk.client_of_stripe, desk.ninja, pool, ingest, clock=lambda: utc_now() + timedelta(hours=1))
    desk.clock.now = utc_now()
    desk.people.pay(1000, "eur")
    assert await stripe_run(tools) == "1 looked at, 1 enqueued"
    assert await stripe_run(tools) == "1 looked at, 0 enqueued"
    (event,) = await EventStore(pool).list(limit=10)
    assert (event.source, event.type, event.status) == ("stripe", "payment_intent.reconcile", "received")
    async with RunStore(pool).alone("stripe"):
        with pytest.raises(NotNowError, match="under way"):
            await stripe_run(tools)
    desk.stripe_faults.add(path="/v1/refunds", status=500)
    with pytest.raises(NotNowError, match="500"):
        await stripe_run(tools)
    runs = await latest_runs(pool, "stripe")
    assert [(run.differed, bool(run.message)) for run in runs] == [(0, True), (0, False), (1, False)]


async def test_the_round_over_links_says_how_it_went(desk: ReconcileBench) -> None:
    """Closed, failed, away."""
    invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
    await payment_link("2026-7", desk.context)
    assert await tend_job(desk.context) == "1 open, 0 changed, 0 failed"
    await desk.post("/invoices/bulk", {"action": "cancel", "ids": [invoice_id]})
    desk.faults.add(path="/invoices", status=500)
    assert "500" in await tend_job(desk.context)
    assert await tend_job(desk.context) == "1 open, 1 changed, 0 failed"


async def test_a_rehearsal_closes_no_link(desk: ReconcileBench) -> None:
    """Looking what a replay would do must not touch Stripe."""
    assert read_only(desk.context, Script()).payment_links is None
    assert replace(desk.context).payment_links is not None
