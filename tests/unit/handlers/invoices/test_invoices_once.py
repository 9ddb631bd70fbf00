"""Whatever breaks at whatever moment: every hour ends on exactly one invoice."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import httpx
import pytest

from handlers.errors import WorkError
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import DECEMBER, Killed, Office, office


def _cut() -> BaseException:
    return httpx.RemoteProtocolError("the connection was cut")


async def _prepared(bureau: Office) -> str:
    """A client with grouped hours of people and of Taiga, one entry of which crosses the end of the month."""
    bureau.taiga = FakeTaiga()
    acme = await bureau.client()
    bureau.rules(acme, group_by="none", split_at_period_end=True, auto_send=True)
    await bureau.work(acme, "1.5")
    await bureau.synced(acme, "2", 7)
    await bureau.synced(acme, "4", 8, end="2026-01-01 02:00")
    return acme


async def _is_right(bureau: Office) -> None:
    (invoice,) = await bureau.invoices()
    assert (invoice.amount, len(invoice.task_ids)) == (Decimal("440.00"), 3)
    (rest,) = await bureau.unbilled()
    assert (rest.seconds, rest.number) == (2 * 3600, "TAIGA-T8-2")
    await bureau.check_books()
    assert not bureau.reviews.opened
    told = [key for key in bureau.events.keys if not key.startswith("due:")]
    assert sorted(told) == [f"invoiced:{invoice.id}:TAIGA-T7", f"invoiced:{invoice.id}:TAIGA-T8", f"send:{invoice.id}"]
    invoiced = {link.number: link.remote_id for link in bureau.links.rows.values() if link.kind == "invoiced"}
    assert set(invoiced.values()) == {invoice.id}
    assert len(invoiced) == 3
    open_ones = [
        link for link in bureau.links.rows.values() if link.kind in {"invoice", "split"} and not link.remote_id
    ]
    assert not open_ones


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("spoil", "requests_only"), [(_cut, True), (Killed, False)], ids=["cut", "killed"])
async def test_every_step_in_turn(when: str, spoil: Callable[[], BaseException], requests_only: bool) -> None:
    """The connection is cut at every request, the process killed at every request and write: the end is the same."""
    step, taken = 0, 1
    while step < taken:
        step += 1
        async with office() as bureau:
            acme = await _prepared(bureau)
            made = await bureau.plan()
            await bureau.plans.save(made)
            event = bureau.due(made, acme, is_strict=True)
            bureau.steps.spoil_at(step, spoil, when, requests_only=requests_only)
            told = await bureau.settle(event)
            taken = bureau.steps.taken if bureau.steps.taken < step else max(taken, step + 1)
            bureau.steps.spoil_at(0, spoil, when, requests_only=requests_only)
            assert not told.startswith("dead"), (step, told)
            await _is_right(bureau)
    assert step > 15


async def test_two_runs_at_once_on_two_machines() -> None:
    """Even without the lock of the subject, what two runs make of the same hours is one invoice."""
    async with office() as bureau:
        acme = await _prepared(bureau)
        bureau.rules(acme, group_by="none")
        made = await bureau.plan()
        first, second = bureau.due(made, acme), bureau.due(made, acme)
        ends = await asyncio.gather(bureau.once(first), bureau.once(second), return_exceptions=True)
        assert not [end for end in ends if isinstance(end, BaseException) and not isinstance(end, WorkError)]
        for event in (first, second):
            await bureau.settle(event)
        await bureau.check_books()
        assert sum(invoice.amount for invoice in await bureau.invoices()) == made.invoices[0].totals.total


async def test_an_invoice_deleted_by_hand() -> None:
    """Deleting an invoice frees its hours: the next run bills them, under a new number."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.work(acme, "2")
        await bureau.bill()
        (first,) = await bureau.invoices()
        await bureau.ninja.delete_invoice(first.id)
        await bureau.bill()
        (second,) = await bureau.invoices()
        assert (second.id != first.id, second.amount) == (True, Decimal(160))
        await bureau.check_books()


async def test_a_line_taken_out_by_hand() -> None:
    """Hours whose line a person took out are billed again, and only those."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.work(acme, "2")
        await bureau.work(acme, "1")
        await bureau.bill()
        (first,) = await bureau.invoices()
        await bureau.ninja.update_invoice(first.id, {}, lines=first.lines[:1])
        await bureau.bill()
        assert sorted(invoice.amount for invoice in await bureau.invoices()) == [Decimal(80), Decimal(160)]
        await bureau.check_books()


async def test_a_server_that_died_before_linking() -> None:
    """An invoice of ours whose tasks are not linked is saved anew, not made twice."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        task = await bureau.work(acme, "2")
        await bureau.bill()
        table = bureau.state.tables["tasks"]
        row = table.get(task.id)
        assert row is not None
        table.change(row, {"invoice_id": ""})
        (waiting,) = (await bureau.plan()).left_out
        assert waiting.reason == "it is on invoice 0001 already"
        assert await bureau.bill(DECEMBER, acme) == ["invoice 0001 is linked to its tasks again"]
        assert len(await bureau.invoices()) == 1
        await bureau.check_books()


async def test_a_person_bills_the_same_task_twice() -> None:
    """A task that a person's invoice bills, though Invoice Ninja calls it free, is left out with a reason."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        task = await bureau.work(acme, "2")
        line = {"type_id": "2", "task_id": task.id, "quantity": 2, "cost": 80}
        for _invoice in range(2):
            await bureau.ninja._request(
                "POST", "/invoices", body={"client_id": acme, "line_items": [line], "date": "2026-01-01"}
            )
        await bureau.ninja.delete_invoice((await bureau.invoices())[-1].id)
        assert (await bureau.unbilled())[0].id == task.id
        made = await bureau.plan()
        assert (made.invoices, made.left_out[0].reason) == ((), "it is on invoice 0001 already")
        assert await bureau.bill(DECEMBER, acme) == ["nothing is unbilled"]


async def test_hours_that_change_while_the_invoice_is_made() -> None:
    """Hours written between our look and the invoice are billed as they are; the plan's sum follows."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        task = await bureau.work(acme, "2")
        create = bureau.ninja.create_invoice

        async def racing(draft: object) -> object:
            await bureau.ninja.replace_log(
                task, [type(task.log[0])(task.log[0].started_at, task.log[0].ended_at + 3600)]
            )
            return await create(draft)  # type: ignore[arg-type]  # passed on as it is

        bureau.ninja.create_invoice = racing  # type: ignore[method-assign,assignment]  # the race, by hand
        (told,) = await bureau.bill()
        assert "was changed just now: billed as it is now" in told
        (invoice,) = await bureau.invoices()
        assert invoice.amount == Decimal(240)
        await bureau.check_books()


async def test_a_sum_that_differs_is_flagged_and_not_sent() -> None:
    """What Invoice Ninja adds up otherwise is not sent: a person looks at it."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, auto_send=True)
        await bureau.work(acme, "2")
        create = bureau.ninja.create_invoice

        async def with_a_fee(draft: object) -> object:
            made = await create(draft)  # type: ignore[arg-type]  # passed on as it is
            return await bureau.ninja.update_invoice(made.id, {"custom_surcharge1": 5})

        bureau.ninja.create_invoice = with_a_fee  # type: ignore[method-assign,assignment]  # a server with fees
        (told,) = await bureau.bill()
        assert "Invoice Ninja's total is 165 USD, ours is 160.00" in told
        assert bureau.reviews.kinds == ["invoice_flagged"]
        assert not [key for key in bureau.events.keys if key.startswith("send:")]


async def test_a_changed_plan_is_not_applied() -> None:
    """A plan that a person approved is followed exactly, or not at all."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.work(acme, "2")
        made = await bureau.plan()
        await bureau.plans.save(made)
        await bureau.work(acme, "1")
        told = await bureau.settle(bureau.due(made, acme, is_strict=True))
        assert told.startswith("dead: the work for 2025-12 is not as in plan")
        assert not await bureau.invoices()
