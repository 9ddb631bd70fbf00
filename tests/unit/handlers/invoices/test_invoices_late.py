"""Invoice Ninja carries out the making of an invoice late, when another one was made: no hour stays billed twice."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from handlers.errors import Doubtful
from handlers.event import Event, Work
from handlers.invoices.late_requests import REMEMBERED
from handlers.outcome import Ignored, Outcome, Processed
from handlers.recheck import RECHECK
from handlers.registry import dispatch
from mappings.codes import Code
from tests.support.invoicing.invoicing_bench import Office, office


async def given_up(bureau: Office, *, is_made_anew: bool = True) -> Event:
    """Three hours are billed: the first request got no answer and is still to be carried out, a second one followed."""
    acme = await bureau.client()
    bureau.rules(acme)
    await bureau.work(acme, "1")
    await bureau.work(acme, "2")
    made = await bureau.plan()
    await bureau.plans.save(made)
    bureau.faults.add(method="POST", path="/invoices", action="late", seconds=3600)
    event = bureau.due(made, acme)
    with pytest.raises(Doubtful):
        await bureau.once(event)
    if is_made_anew:
        bureau.clock.wait(60)
        await bureau.settle(event)
        (only,) = await bureau.invoices()
        assert only.amount == Decimal("240.00")
    return event


async def looked_again(bureau: Office, after: Event) -> Outcome:
    """The recheck, minutes later."""
    bureau.clock.wait(300)
    before = after.occurred_at - timedelta(microseconds=1)
    look = replace(after, id=900, type=RECHECK, key="look", occurred_at=before, payload={"because": "POST"})
    return await dispatch(Work(after.subject, (look,), after), bureau.context)


def doubts(bureau: Office) -> int:
    """How many requests are kept in mind."""
    return sum(link.kind == "invoice_doubt" for link in bureau.links.rows.values())


async def test_second_invoice_is_deleted() -> None:
    """The late invoice is deleted again, and the tasks belong to the first one as before."""
    async with office() as bureau:
        event = await given_up(bureau)
        (kept,) = await bureau.invoices()
        await bureau.faults.catch_up()
        assert len(await bureau.invoices()) == 2
        outcome = await looked_again(bureau, event)
        assert isinstance(outcome, Processed)
        assert f"was made by a late request for the hours of invoice {kept.number}: deleted again" in outcome.reason
        assert [invoice.id for invoice in await bureau.invoices()] == [kept.id]
        await bureau.check_books()
        assert await looked_again(bureau, event) == Ignored(
            Code.NOTHING_TO_RECHECK, "no invoice was made by a late request"
        )


async def test_only_invoice_is_taken_over() -> None:
    """Nothing was made in its place yet: the late invoice becomes the one that was wanted."""
    async with office() as bureau:
        event = await given_up(bureau, is_made_anew=False)
        bureau.clock.wait(60)
        (intent,) = [link for link in bureau.links.rows.values() if link.kind == "invoice"]
        bureau.links.rows[intent.subject, "invoice_doubt", intent.number] = replace(intent, kind="invoice_doubt")
        del bureau.links.rows[intent.subject, "invoice", intent.number]
        await bureau.faults.catch_up()
        outcome = await looked_again(bureau, event)
        assert isinstance(outcome, Processed)
        assert "was created late and is adopted" in outcome.reason
        (invoice,) = await bureau.invoices()
        finished = [link.remote_id for link in bureau.links.rows.values() if link.kind == "invoice"]
        assert (finished, doubts(bureau)) == ([invoice.id], 1)
        await bureau.check_books()


async def test_next_run_finds_it_too() -> None:
    """When the recheck came too early, the next run for the client finds the late invoice."""
    async with office() as bureau:
        event = await given_up(bureau)
        assert isinstance(await looked_again(bureau, event), Ignored)
        await bureau.faults.catch_up()
        assert "deleted again" in await bureau.settle(event)
        assert len(await bureau.invoices()) == 1
        await bureau.check_books()


async def test_sent_invoice_is_for_a_person() -> None:
    """What a client has received already is not deleted: a person is asked."""
    async with office() as bureau:
        event = await given_up(bureau)
        (kept,) = await bureau.invoices()
        await bureau.faults.catch_up()
        (late,) = [invoice for invoice in await bureau.invoices() if invoice.id != kept.id]
        await bureau.ninja.email_invoices([late.id])
        outcome = await looked_again(bureau, event)
        assert isinstance(outcome, Processed)
        assert "a person must cancel one of them" in outcome.reason
        assert len(bureau.reviews.opened) == 1
        assert len(await bureau.invoices()) == 2


async def test_locked_invoice_is_told() -> None:
    """An invoice that may not be saved any more keeps its tasks unlinked, and the reason says so."""
    async with office() as bureau:
        event = await given_up(bureau)
        (kept,) = await bureau.invoices()
        await bureau.faults.catch_up()
        body = {"errors": {}, "message": "the invoice is locked"}
        bureau.faults.add(method="PUT", path="/invoices/", status=422, body=body)
        outcome = await looked_again(bureau, event)
        assert f"invoice {kept.number} could not be linked to its tasks again" in outcome.reason


async def test_forgotten_after_a_day() -> None:
    """What was not carried out in a day never will be, and is not looked for any more."""
    async with office() as bureau:
        event = await given_up(bureau)
        assert doubts(bureau) == 1
        bureau.clock.wait(REMEMBERED.total_seconds())
        assert isinstance(await looked_again(bureau, event), Ignored)
        assert doubts(bureau) == 0
