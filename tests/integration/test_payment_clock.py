"""The round over failed payments on the real table: without a key of Stripe."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from handlers.ports.billing import PaymentRecord
from middleware.jobs.failed_payments import heal_job, payment_jobs
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import open_pool
from middleware.store.operations.circuits import CircuitStore
from middleware.traffic.traffic import Traffic
from tests.support.payments.payment_bench import Bench, bench, failed_intent, open_invoice


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Any]:
    """A migrated database without rows."""
    async with open_pool(fresh_database, size=2) as opened:
        yield opened


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja, and no key of Stripe."""
    async with bench() as made:
        yield made


async def test_what_failed_and_names_an_invoice_is_listed(pool: Any) -> None:
    """By status, and only with an invoice."""
    payments = PaymentStore(pool)
    for number, (status, invoice_id) in enumerate([("overdue", "a"), ("failed", "b"), ("failed", ""), ("paid", "a")]):
        identity = f"pi_{number}"
        await payments.save(PaymentRecord(identity, f"stripe:payment:{identity}", status=status, invoice_id=invoice_id))
    assert [one.identity for one in await payments.missed(("overdue", "failed"))] == ["pi_0", "pi_1"]


async def test_the_round_says_how_it_went(desk: Bench, pool: Any) -> None:
    """Healed, away, nothing left to do."""
    invoice = await open_invoice(desk)
    await desk.post("/invoices/bulk", {"action": "mark_paid", "ids": [invoice]})
    payments = PaymentStore(pool)
    await payments.save(PaymentRecord("pi_1", "stripe:payment:pi_1", status="failed", invoice_id=invoice))
    assert desk.context.payments is not None
    context = replace(desk.context, payments=replace(desk.context.payments, memory=payments))
    desk.faults.add(path="/invoices", status=500)
    assert "500" in await heal_job(context)
    (periodic,) = payment_jobs(lambda: context, Traffic(CircuitStore(pool), {}, {}))
    nothing_before = "of 0 paid so before, 0 owed again"
    assert await periodic.act() == f"1 failed before, 1 paid another way; {nothing_before}; 0 problems"
    found = await payments.find("pi_1")
    assert found is not None
    assert (found.status, found.reason) == ("settled_otherwise", "invoice R-1 was paid otherwise")
    nothing_now = "of 1 paid so before, 0 owed again"
    assert await periodic.act() == f"0 failed before, 0 paid another way; {nothing_now}; 0 problems"


async def test_what_is_owed_again_is_seen(desk: Bench, pool: Any) -> None:
    """The payment that settled the invoice otherwise is deleted: it is waited for again, and without a new event."""
    invoice = await open_invoice(desk)
    desk.store_told(failed_intent())
    await desk.post("/invoices/bulk", {"action": "mark_paid", "ids": [invoice]})
    payments = PaymentStore(pool)
    await payments.save(PaymentRecord("pi_1", "stripe:payment:pi_1", status="failed", invoice_id=invoice))
    assert desk.context.payments is not None
    context = replace(desk.context, payments=replace(desk.context.payments, memory=payments))
    await heal_job(context)
    (by_hand,) = desk.payments()
    await desk.ninja.delete_payment(by_hand.id)
    told = await heal_job(context)
    assert told == "1 failed before, 0 paid another way; of 1 paid so before, 1 owed again; 0 problems"
    found = await payments.find("pi_1")
    assert found is not None
    assert (found.status, found.invoice_number) == ("failed", "R-1")


async def test_looks_go_round(pool: Any) -> None:
    """Those that were written or given out longest ago come first; what is known for too long does not come."""
    payments = PaymentStore(pool)
    for number in range(5):
        record = PaymentRecord(f"pi_{number}", f"stripe:payment:pi_{number}", status="settled_otherwise")
        await payments.save(replace(record, invoice_id="a" if number else ""))
    await pool.execute("UPDATE payments SET created_at = now() - interval '91 days' WHERE identity = 'pi_1'")
    await payments.save(PaymentRecord("pi_5", "stripe:payment:pi_5", status="failed", invoice_id="a"))
    rounds = [await payments.next_looks("settled_otherwise", timedelta(days=90), 2) for _ in range(3)]
    assert [{one.identity for one in each} for each in rounds] == [{"pi_2", "pi_3"}, {"pi_4", "pi_2"}, {"pi_3", "pi_2"}]


async def test_nothing_is_due_without_payments(desk: Bench, pool: Any) -> None:
    """A worker that takes no payments has no such round."""
    context = replace(desk.context, payments=None)
    assert payment_jobs(lambda: context, Traffic(CircuitStore(pool), {}, {})) == []
