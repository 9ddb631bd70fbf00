"""A dry run of payments and invoices reads everything and writes nothing; nothing new can slip past it."""

import json
from dataclasses import fields
from datetime import timedelta

import pytest

from handlers.ports.billing import (
    PaymentBooks,
    PaymentMemory,
    PaymentMemoryReader,
    PaymentMemoryWriter,
    PaymentReader,
    PaymentWriter,
)
from handlers.ports.context import Context
from handlers.ports.invoice_world import BillingBooks, BillingReader, BillingWriter, PlanReader, Plans, PlanWriter
from middleware.replay.dry_run import Effect, dry_run
from middleware.replay.read_only import methods_of
from middleware.store.events.claim_records import Claim, ClaimedEvent
from tests.support.payments.payment_bench import START, Bench, bench, open_invoice, paid, subject_of
from tests.support.payments.stripe_story import Json

WRITES = "POST|PUT|PATCH|DELETE"


def _claim(event: Json) -> Claim:
    row = ClaimedEvent(
        id=1,
        source="stripe",
        type=event["type"],
        key=event["id"],
        subject=subject_of(event),
        occurred_at=START,
        received_at=START - timedelta(days=1),
        series_started_at=START,
        attempts=1,
        body=json.dumps(event).encode(),
    )
    return Claim(row.subject, (row,), row, newest_is_due=True, hold=0)


async def _told(desk: Bench, event: Json) -> Effect:
    desk.store_told(event)
    remembered = dict(desk.memory.records)
    desk.faults.requests.clear()
    (effect,) = await dry_run(_claim(event), desk.context, START)
    assert desk.faults.count(WRITES) == 0
    assert desk.memory.records == remembered
    return effect


async def test_a_payment_would_be_made_then_nothing_is_left() -> None:
    """The first write is told with its amount; once it is done, there is nothing to do."""
    async with bench() as desk:
        await open_invoice(desk)
        effect = await _told(desk, paid(4000, invoice_number="R-1"))
        assert effect.effect == "create"
        assert effect.steps[0].startswith("create payment (number pi_1")
        assert "40" in effect.steps[0]
        await desk.deliver(paid(4000, invoice_number="R-1"))
        assert (await _told(desk, paid(4000, invoice_number="R-1"))).effect == "nothing"


async def test_a_payment_without_invoice_would_wait_for_a_person() -> None:
    """Nobody is asked yet, and no payment is made."""
    async with bench() as desk:
        effect = await _told(desk, paid(4000))
        assert effect.effect in {"review", "dead"}
        assert not desk.payments()


def test_every_part_of_the_context_is_known() -> None:
    """A new part must be made read-only in `read_only.read_only` before it is added here."""
    known = {
        "mapping",
        "clock",
        "ninja",
        "links",
        "reviews",
        "taiga",
        "payments",
        "payment_links",
        "invoicing",
        "events",
    }
    only_read = {"history", "write_back_quiet", "number_prefix"}
    assert {each.name for each in fields(Context)} == known | only_read


@pytest.mark.parametrize(
    ("whole", "reader", "writer"),
    [
        (PaymentBooks, PaymentReader, PaymentWriter),
        (PaymentMemory, PaymentMemoryReader, PaymentMemoryWriter),
        (BillingBooks, BillingReader, BillingWriter),
        (Plans, PlanReader, PlanWriter),
    ],
)
def test_no_read_is_a_write(whole: type, reader: type, writer: type) -> None:
    """Each method of a port is either of its Reader or of its Writer, and none of a Reader begins like a write."""
    reads, writes = methods_of(reader), methods_of(writer)
    assert not reads & writes
    assert reads | writes == methods_of(whole)
    verbs = ("create", "update", "delete", "apply", "refund", "annotate", "add", "email", "replace", "save", "enqueue")
    assert not [name for name in reads if name.startswith(verbs)]
    assert reads
