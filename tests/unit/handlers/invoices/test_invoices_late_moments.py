"""Late invoices meet changed hours, people and each other: found by the simulation, told here one by one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from handlers.errors import Doubtful, RetryLater
from handlers.event import Event, Work
from handlers.invoices.invoice_linking import link_again
from handlers.outcome import Outcome
from handlers.recheck import RECHECK
from handlers.registry import dispatch
from mappings.invoiceninja.tasks import LogEntry, Task
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import Office
from tests.support.invoicing.race_fakes import Race


async def due(bureau: Office, **rules: str) -> tuple[Event, Task]:
    """Two hours that are to be billed."""
    acme = await bureau.client()
    bureau.rules(acme, **rules)
    task = await bureau.work(acme, "2")
    made = await bureau.plan()
    await bureau.plans.save(made)
    return bureau.due(made, acme), task


async def asked_in_vain(bureau: Office, event: Event) -> None:
    """The invoice is asked for, without an answer; it will be made later. Time passes until it is given up."""
    bureau.faults.add(method="POST", path="/invoices", action="late", seconds=3600)
    with pytest.raises(Doubtful):
        await bureau.once(event)
    bureau.clock.wait(60)


async def put_aside(bureau: Office) -> Callable[[], Awaitable[object]]:
    """The requests that are late by now come when what this returns is called, whatever comes before."""
    # Until now they did not even begin to wait.
    await asyncio.sleep(0)
    hurry, tasks = bureau.faults.hurry, set(bureau.faults.late)
    bureau.faults.hurry, bureau.faults.late = asyncio.Event(), set()

    async def come() -> None:
        hurry.set()
        await asyncio.gather(*tasks)

    return come


async def looked_again(bureau: Office, after: Event) -> Outcome:
    """The recheck."""
    before = after.occurred_at - timedelta(microseconds=1)
    look = replace(after, id=900, type=RECHECK, key="look", occurred_at=before, payload={})
    return await dispatch(Work(after.subject, (look,), after), bureau.context)


async def lengthen(bureau: Office, task: Task) -> None:
    """Somebody corrects the two hours to three."""
    (entry,) = task.log
    await bureau.ninja.replace_log(task, [LogEntry(entry.started_at, entry.ended_at + 3600)])


async def by_hand(bureau: Office, task: Task) -> None:
    """Somebody bills the hours."""
    line = {"type_id": "2", "task_id": task.id, "quantity": 2, "cost": 80}
    body = {"client_id": task.client_id, "line_items": [line], "date": "2026-01-01"}
    await bureau.ninja._request("POST", "/invoices", body=body)


async def only_invoice(bureau: Office) -> Decimal:
    """What the only invoice is over."""
    (invoice,) = await bureau.invoices()
    await bureau.check_books()
    return invoice.amount


async def test_hours_that_changed_meanwhile(bureau: Office) -> None:
    """What was asked for came late, when the hours were others: they are billed as they are."""
    event, task = await due(bureau)
    await asked_in_vain(bureau, event)
    await lengthen(bureau, task)
    await bureau.faults.catch_up()
    assert "was changed just now: billed as it is now" in await bureau.settle(event)
    assert await only_invoice(bureau) == Decimal(240)


async def test_first_of_three_requests_with_other_hours(bureau: Office) -> None:
    """It was asked for anew with other hours, and again; the first comes: it bills what is right now."""
    event, task = await due(bureau)
    await asked_in_vain(bureau, event)
    first = await put_aside(bureau)
    await lengthen(bureau, task)
    await asked_in_vain(bureau, event)
    await asked_in_vain(bureau, event)
    await first()
    assert "differed on it: billed as it is now" in await bureau.settle(event)
    assert await only_invoice(bureau) == Decimal(240)


async def test_second_request_after_the_first_was_taken_over(bureau: Office) -> None:
    """One that came late and was taken over does not let the other be forgotten."""
    event, _task = await due(bureau)
    await asked_in_vain(bureau, event)
    first = await put_aside(bureau)
    await asked_in_vain(bureau, event)
    await first()
    assert "is adopted" in await bureau.settle(event)
    await bureau.faults.catch_up()
    assert "deleted again" in (await looked_again(bureau, event)).reason
    assert await only_invoice(bureau) == Decimal(160)


async def test_dated_by_the_period(bureau: Office) -> None:
    """The invoice in its place is dated long before it was asked for: the late one is found to be its double."""
    bureau.clock.wait(timedelta(days=9).total_seconds())
    event, _task = await due(bureau, invoice_date="period_end")
    await asked_in_vain(bureau, event)
    await bureau.settle(event)
    await bureau.faults.catch_up()
    assert "deleted again" in (await looked_again(bureau, event)).reason
    assert await only_invoice(bureau) == Decimal(160)


async def test_late_one_comes_right_before_the_other(bureau: Office, race: Race) -> None:
    """The late one is there when the other is made, which lets go: one of them bills the hours."""
    event, _task = await due(bureau)
    await asked_in_vain(bureau, event)
    race.before("create_invoice", bureau.faults.catch_up)
    with pytest.raises(RetryLater, match="the other invoice is one of ours"):
        await bureau.once(event)
    assert "is adopted" in await bureau.settle(event)
    assert await only_invoice(bureau) == Decimal(160)


async def test_late_one_comes_while_the_work_is_read(bureau: Office, race: Race) -> None:
    """It is not taken for one that lost its links: another one may bill its hours, too."""
    event, task = await due(bureau)
    await asked_in_vain(bureau, event)

    async def meanwhile() -> None:
        await by_hand(bureau, task)
        await bureau.faults.catch_up()

    race.after("unbilled_tasks", meanwhile)
    assert await bureau.settle(event) == "nothing is unbilled"
    assert "deleted again" in (await looked_again(bureau, event)).reason
    assert await only_invoice(bureau) == Decimal(160)


async def test_billed_by_hand_right_before(bureau: Office, race: Race) -> None:
    """Ours takes the task over, which the person's invoice bills: ours goes, and theirs has its task as before."""
    event, task = await due(bureau)
    race.before("create_invoice", lambda: by_hand(bureau, task))
    assert "went onto another invoice just now: taken out" in await bureau.settle(event)
    assert await only_invoice(bureau) == Decimal(160)


async def test_draft_deleted_by_hand_before_it_was_corrected(bureau: Office, race: Race) -> None:
    """A draft that a person deletes at once is not called made, and its hours are billed by the next run."""
    event, task = await due(bureau)
    race.after("create_invoice", lambda: lengthen(bureau, task))

    async def delete() -> None:
        (draft,) = await bureau.invoices()
        await bureau.ninja.delete_invoice(draft.id)

    race.before("update_invoice", delete)
    assert "a person deleted it" in await bureau.settle(event)
    assert not bureau.reviews.opened
    await bureau.bill()
    assert await only_invoice(bureau) == Decimal(240)


async def test_links_that_a_double_took_along(bureau: Office) -> None:
    """A person deletes the late double, which frees the hours of the first: the recheck links them again."""
    event, _task = await due(bureau)
    await asked_in_vain(bureau, event)
    await bureau.settle(event)
    await bureau.faults.catch_up()
    late = max(await bureau.invoices(), key=lambda invoice: invoice.number)
    await bureau.ninja.delete_invoice(late.id)
    assert "is linked to its tasks again" in (await looked_again(bureau, event)).reason
    assert await only_invoice(bureau) == Decimal(160)


@pytest.mark.parametrize("is_made_anew", [False, True])
async def test_hours_of_taiga_are_looked_at_again(bureau: Office, *, is_made_anew: bool) -> None:
    """As long as a late invoice named hours, Taiga's changes of them went by: they are looked at when it lets go."""
    event, _own = await due(bureau)
    bureau.taiga = FakeTaiga()
    task = await bureau.synced(event.payload["client_id"], "4", 7)
    await asked_in_vain(bureau, event)
    await bureau.ninja.delete_task(task.id)
    if is_made_anew:
        await bureau.settle(event)
    await bureau.faults.catch_up()
    late = max(await bureau.invoices(), key=lambda invoice: invoice.amount)
    await bureau.settle(event)
    assert await only_invoice(bureau) == Decimal(160)
    assert f"invoiced:{late.id}:TAIGA-T7" in bureau.events.keys


async def test_one_over_nothing_is_not_saved(bureau: Office) -> None:
    """Saving an invoice over 0 would make it paid."""
    acme = await bureau.client()
    await bureau.ninja._request("POST", "/invoices", body={"client_id": acme, "line_items": []})
    (empty,) = await bureau.invoices()
    assert await link_again(empty, bureau.ninja) == ""
    assert bureau.faults.count("PUT") == 0
