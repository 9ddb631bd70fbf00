"""The life of an entry: whatever people do to it or to its invoice, its hours stand somewhere, and it is said where.

The table in docs/invoicing.md has a line for each case.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.errors import NeedsPerson
from handlers.invoices.balance import hour_balance
from handlers.invoices.release import decide
from handlers.invoices.watch import look_at_items_of
from handlers.time.cancelled import CANCELLED, LOST
from mappings.invoiceninja.models import Invoice, InvoiceDraft
from mappings.invoiceninja.tasks import Task
from mappings.invoices.balance import CHANGED, CREDIT_WAITS, DELETED, GONE, NO_LINE, RESTORED, ClientBalance, Stand
from middleware.lab.sandbox.invoiceninja import ledger, records
from middleware.lab.sandbox.invoiceninja.invoice_actions import cancel, delete_invoice, restore_invoice
from tests.support.invoicing.life_bench import Desk, desk

Act = Callable[[Desk], Awaitable[None]]


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    """A desk whose entry is recorded."""
    async with desk() as made:
        yield made


async def _nothing(_at: Desk) -> None:
    """Nobody does anything."""


async def _bill(at: Desk) -> None:
    await at.office.bill()


async def _send(at: Desk) -> None:
    await _bill(at)
    ledger.mark_sent(at.office.state, at.invoice())


async def _archive(at: Desk) -> None:
    await at.act("POST", "/tasks/bulk", action="archive", ids=[at.task().id])


async def _delete(at: Desk) -> None:
    records.delete(at.office.state, "tasks", at.task())


async def _purge(at: Desk) -> None:
    at.office.state.tables["tasks"].remove(at.task())


async def _move(at: Desk) -> None:
    at.office.state.tables["tasks"].change(at.task(), {"client_id": at.other_id})


async def _change_hours(at: Desk) -> None:
    start = 1765350000
    at.office.state.tables["tasks"].change(at.task(), {"time_log": f'[[{start},{start + 7200},"",true]]'})


async def _start_timer(at: Desk) -> None:
    at.office.state.tables["tasks"].change(at.task(), {"time_log": '[[1765350000,0,"",true]]'})


async def _empty_log(at: Desk) -> None:
    at.office.state.tables["tasks"].change(at.task(), {"time_log": "[]"})


async def _merge_client(at: Desk) -> None:
    at.office.state.password_was_given = True
    await at.act("POST", f"/clients/{at.other_id}/{at.client_id}/merge")


async def _purge_client(at: Desk) -> None:
    at.office.state.password_was_given = True
    await at.act("POST", f"/clients/{at.client_id}/purge")


async def _delete_client(at: Desk) -> None:
    client = at.office.state.tables["clients"].get(at.client_id)
    assert client is not None
    records.delete(at.office.state, "clients", client)


async def _archive_then_bill(at: Desk) -> None:
    await _bill(at)
    await _archive(at)


async def _cancel(at: Desk) -> None:
    await _send(at)
    cancel(at.office.state, at.invoice())


async def _reverse(at: Desk) -> None:
    await _send(at)
    records.change(at.office.state, "invoices", at.invoice(), {"status_id": "6"})


async def _delete_invoice(at: Desk) -> None:
    await _bill(at)
    delete_invoice(at.office.state, at.invoice())


async def _restore_invoice(at: Desk) -> None:
    await _delete_invoice(at)
    restore_invoice(at.office.state, at.invoice())


async def _archive_invoice(at: Desk) -> None:
    await _send(at)
    records.archive(at.office.state, "invoices", at.invoice())


async def _take_line_off(at: Desk) -> None:
    await _bill(at)
    await at.act("PUT", f"/invoices/{at.invoice().id}", line_items=[])


async def _link_without_line(at: Desk) -> None:
    await _bill(at)
    at.office.state.tables["invoices"].change(at.invoice(), {"line_items": []})


async def _invoice_gone(at: Desk) -> None:
    await _bill(at)
    at.office.state.tables["invoices"].remove(at.invoice())


async def _billed_by_hand(at: Desk) -> None:
    line = {"type_id": "2", "task_id": at.task().id, "quantity": 5, "cost": 80}
    await at.act("POST", "/invoices", client_id=at.client_id, line_items=[line], date="2026-01-01")


async def _move_billed(at: Desk) -> None:
    await _bill(at)
    await _move(at)


async def _delete_billed(at: Desk) -> None:
    await _bill(at)
    await _delete(at)


async def _cancel_and_delete(at: Desk) -> None:
    await _cancel(at)
    delete_invoice(at.office.state, at.invoice())


async def _leave(at: Desk) -> None:
    await _cancel(at)
    await at.balance()
    assert (await decide("0001", "leave", at.office.context)).problems == ()


async def _bill_again(at: Desk) -> None:
    await _cancel(at)
    assert (await decide("0001", "bill_again", at.office.context)).done == ("TAIGA-T7 (5 h) is free again",)


async def _free_lost(at: Desk) -> None:
    await _invoice_gone(at)
    await at.balance()
    assert (await decide("TAIGA-T7", "bill_again", at.office.context)).problems == ()


def _sums(of_client: ClientBalance) -> dict[str, Decimal]:
    """Where the hours of a client stand, by the place or the reason; what is 0 is left away."""
    places = {"closed": of_client.closed, "billed": of_client.billed, "billable": of_client.billable}
    places |= {**of_client.left_out, **of_client.waiting, "difference": of_client.difference}
    return {place: hours for place, hours in places.items() if hours}


def _h(**hours: int) -> dict[str, Decimal]:
    """Expected sums."""
    return {place: Decimal(number) for place, number in hours.items()}


LIFE: tuple[tuple[Act, Stand, str], ...] = (
    (_nothing, Stand.BILLABLE, ""),
    (_archive, Stand.LEFT_OUT, "it is archived in Invoice Ninja"),
    (_delete, Stand.WAITING, DELETED),
    (_purge, Stand.WAITING, GONE),
    (_move, Stand.BILLABLE, ""),
    (_start_timer, Stand.LEFT_OUT, "its timer is running"),
    (_empty_log, Stand.WAITING, "no plan sees it: it has no time any more"),
    (_delete_client, Stand.LEFT_OUT, "it has no client"),
    (_merge_client, Stand.BILLABLE, ""),
    (_purge_client, Stand.WAITING, GONE),
    (_bill, Stand.BILLED, ""),
    (_send, Stand.BILLED, ""),
    (_billed_by_hand, Stand.BILLED, ""),
    (_archive_then_bill, Stand.BILLED, ""),
    (_move_billed, Stand.BILLED, ""),
    (_delete_billed, Stand.BILLED, ""),
    (_archive_invoice, Stand.BILLED, ""),
    (_restore_invoice, Stand.BILLED, ""),
    (_delete_invoice, Stand.BILLABLE, ""),
    (_take_line_off, Stand.BILLABLE, ""),
    (_cancel, Stand.WAITING, "invoice 0001 was cancelled"),
    (_reverse, Stand.WAITING, "invoice 0001 was cancelled"),
    (_cancel_and_delete, Stand.BILLABLE, ""),
    (_leave, Stand.LEFT_OUT, "left on invoice 0001, cancelled"),
    (_bill_again, Stand.BILLABLE, ""),
    (_link_without_line, Stand.WAITING, NO_LINE),
    (_invoice_gone, Stand.WAITING, NO_LINE),
    (_free_lost, Stand.BILLABLE, ""),
)


@pytest.mark.parametrize(("act", "stand", "reason"), LIFE, ids=lambda case: getattr(case, "__name__", None))
async def test_every_hour_stands_somewhere(at: Desk, act: Act, stand: Stand, reason: str) -> None:
    """The 5 h are billed by a live line, billable, left out with a reason, or wait for a person; nothing is missing."""
    await act(at)
    found = await at.balance()
    assert not found.mismatches
    (of_client,) = found.clients
    assert of_client.difference == 0
    assert _sums(of_client) == _h(closed=5) | {reason or stand.value: Decimal(5)}
    if stand is Stand.WAITING:
        assert set(at.office.reviews.kinds) == {CANCELLED if "cancelled" in reason else LOST}


@pytest.mark.parametrize("act", [act for act, stand, _reason in LIFE if stand is Stand.BILLABLE])
async def test_what_is_billable_is_billed_once(at: Desk, act: Act) -> None:
    """The next run bills what the balance calls billable, exactly once."""
    await act(at)
    client = at.task()["client_id"]
    await at.office.bill()
    found = await at.balance()
    assert [(one.client_id, _sums(one)) for one in found.clients] == [(client, _h(closed=5, billed=5))]
    assert found.difference == 0


@pytest.mark.parametrize("act", [act for act, _stand, _reason in LIFE], ids=lambda act: act.__name__)
async def test_a_comment_in_taiga_takes_nothing_back(at: Desk, act: Act) -> None:
    """Looked at again, the hours still add up, what is billed stays billed, and a move of a person stands."""
    await act(at)
    before = await at.balance()
    # Where the mapped client is gone, the event is dead with a hint.
    with nullcontext() if act not in {_delete_client, _merge_client, _purge_client} else suppress(NeedsPerson):
        await at.look_again()
    found = await at.balance()
    assert found.difference == 0
    assert [one.billed for one in found.clients] == [one.billed for one in before.clients]
    assert [one.client_id for one in found.clients] == [one.client_id for one in before.clients]


async def test_hours_that_a_person_changed(at: Desk) -> None:
    """Somebody made 2 h of 5 in Invoice Ninja: 2 are billed, and 3 are named as changed there."""
    await _change_hours(at)
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=5, billable=2) | {CHANGED: Decimal(3)}


async def test_fewer_hours_after_the_invoice(at: Desk) -> None:
    """5 h are billed and 3 are right: a credit of 2 waits, and once a person has settled it, it stays settled."""
    await _bill(at)
    await at.tell(at.stories[0], hours="3")
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=3, billed=5) | {CREDIT_WAITS: Decimal(-2)}
    at.office.reviews.settle("taiga:task:7", "credit_proposal")
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=3, billed=5) | {"billed, and settled by a person": Decimal(-2)}


async def test_reopened_after_the_invoice(at: Desk) -> None:
    """Work that is open again counts 0 h: those on the invoice wait until it is closed."""
    await _bill(at)
    at.stories[0].is_closed = False
    at.taiga.put(at.stories[0].item)
    await at.tell(at.stories[0])
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(billed=5) | {"it is open again in Taiga": Decimal(-5)}


async def test_more_hours_after_a_cancelled_invoice(at: Desk) -> None:
    """Nobody decided yet about 5 h of a cancelled invoice; 2 h more are billable, and 5 are not called billed."""
    await _cancel(at)
    told = await at.tell(at.stories[0], hours="7")
    assert told.startswith("5 h are on invoice 0001, which was cancelled; correction: TAIGA-T7-2 created: 2 h")
    assert "a person decides whether they are billed again" in told
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=7, billable=2) | {"invoice 0001 was cancelled": Decimal(5)}
    await decide("0001", "bill_again", at.office.context)
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=7, billable=7)


async def test_an_hour_is_not_lost_by_freeing_it(at: Desk) -> None:
    """Where Invoice Ninja rounds down, the times that were sent are sent again, not those that it shows."""
    settings = {"task_round_to_nearest": 5 * 3600, "task_round_up": False}
    at.office.state.company["settings"] |= settings
    at.office.state.tables["tasks"].change(at.task(), {"time_log": "[]"})
    await at.tell(at.stories[0], hours="5.5")
    await _cancel(at)
    await decide("0001", "bill_again", at.office.context)
    await at.office.bill()
    assert [invoice.lines[0].quantity for invoice in await at.office.invoices()][-1] == Decimal("5.5")


async def test_what_cannot_be_decided(at: Desk) -> None:
    """A live invoice is not freed, an unknown one is named, an entry without an invoice is free already."""
    context = at.office.context
    assert "no invoice and no task 0009" in (await decide("0009", "bill_again", context)).problems[0]
    assert (await decide("TAIGA-T7", "bill_again", context)).problems == ("TAIGA-T7 is on no invoice",)
    assert "cannot be left" in (await decide("TAIGA-T7", "leave", context)).problems[0]
    await _bill(at)
    assert (await decide("0001", "leave", context)).problems[0].startswith("invoice 0001 is not cancelled")
    assert (await decide("TAIGA-T7", "bill_again", context)).problems == ("TAIGA-T7 is billed by invoice 0001",)
    await _delete_billed(at)
    assert "no task TAIGA-T7" in (await decide("TAIGA-T7", "bill_again", context)).problems[0]


async def test_a_lock_on_invoiced_tasks(at: Desk) -> None:
    """With invoice_task_lock nothing can be unlinked: the person is told how, and the question stays open."""
    await _cancel(at)
    await at.balance()
    at.office.state.company["invoice_task_lock"] = True
    released = await decide("0001", "bill_again", at.office.context)
    assert (released.done, "invoice_task_lock" in released.problems[0]) == ((), True)
    assert at.office.reviews.kinds == [CANCELLED]


async def test_a_cancelled_invoice_of_work_that_is_not_billable_any_more(at: Desk) -> None:
    """Nothing is to be credited: the question stays what becomes of the hours, and they are not wanted any more."""
    await _cancel(at)
    assert (await at.tell(at.stories[0], billable=False)).startswith(
        "not marked billable; 5 h are on invoice 0001, which was cancelled, a person decides"
    )
    (of_client,) = (await at.balance()).clients
    assert (of_client.closed, of_client.difference) == (Decimal(0), Decimal(0))
    assert at.office.reviews.kinds == [CANCELLED]


async def test_nobody_is_asked_twice(at: Desk) -> None:
    """What a person left stays left: a comment in Taiga says so, and opens no review."""
    await _leave(at)
    assert "they stay unbilled, as a person decided" in await at.look_again()
    await at.balance()
    assert at.office.reviews.kinds == []


async def test_work_of_another_month(at: Desk) -> None:
    """The balance of a month is that of the work that was closed in it."""
    world, context = at.office.world, at.office.context
    assert (await hour_balance(world, context, at.office.month("2025-11"))).clients == ()
    (of_client,) = (await hour_balance(world, context, at.office.month("2025-12"))).clients
    assert _sums(of_client) == _h(closed=5, billable=5)


async def test_an_entry_that_is_archived_in_that_moment(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody archives it between our look and the invoice: Invoice Ninja links it not, and it is taken out again."""
    real = at.office.ninja.create_invoice

    async def meanwhile(draft: InvoiceDraft) -> Invoice:
        await _archive(at)
        return await real(draft)

    monkeypatch.setattr(at.office.ninja, "create_invoice", meanwhile)
    (told,) = await at.office.bill()
    assert told == "invoice 0001 was deleted again: TAIGA-T7 was archived just now: taken out"
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=5) | {"it is archived in Invoice Ninja": Decimal(5)}


async def test_people_s_own_hours_on_a_cancelled_invoice(at: Desk) -> None:
    """Hours that are not from Taiga are freed as well; where Invoice Ninja rounds, they keep the time they show."""
    at.office.state.company["settings"] |= {"task_round_to_nearest": 3600, "task_round_up": False}
    own = await at.office.work(at.other_id, "1.0003")
    line = {"type_id": "2", "task_id": own.id, "quantity": 1, "cost": 80}
    await at.act("POST", "/invoices", client_id=at.other_id, line_items=[line], number="H-1", date="2026-01-01")
    ledger.mark_sent(at.office.state, at.invoice())
    cancel(at.office.state, at.invoice())
    assert (await decide("H-1", "bill_again", at.office.context)).done == ("0001 (1 h) is free again",)
    (free,) = [task for task in await at.office.unbilled() if task.client_id == at.other_id]
    assert free.seconds == 3600
    assert (await decide("H-1", "bill_again", at.office.context)).done == ("nothing is linked to invoice H-1 any more",)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "TAIGA-T7 stays linked to its invoice, though Invoice Ninja refused nothing"),
        ({"invoice_id": "", "log": ()}, "TAIGA-T7 is free, but shows other times than before"),
    ],
)
async def test_an_answer_that_is_not_what_was_asked(
    at: Desk, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], problem: str
) -> None:
    """The answer of each write is compared with what was meant."""
    await _cancel(at)

    async def otherwise(task: Task, _log: object) -> Task:
        return replace(task, **changes)  # type: ignore[arg-type]  # fields by name

    monkeypatch.setattr(at.office.ninja, "free_task", otherwise)
    assert (await decide("0001", "bill_again", at.office.context)).problems == (problem,)


async def test_a_restored_invoice_of_a_person(at: Desk) -> None:
    """It bills 5 h, though Invoice Ninja shows the entry as free: after a correction to 2 h the balance finds it."""
    await _billed_by_hand(at)
    delete_invoice(at.office.state, at.invoice())
    restore_invoice(at.office.state, at.invoice())
    assert "TAIGA-T7 updated: 2 h" in await at.tell(at.stories[0], hours="2")
    found = await hour_balance(at.office.world, at.office.context)
    assert [(one.subject, int(one.closed), int(one.found)) for one in found.mismatches] == [("taiga:task:7", 2, 5)]
    await at.balance()
    (event,) = at.office.events.waiting.values()
    assert (event.subject, event.type) == ("taiga:task:7", "task.invoiced")
    await at.look_again()
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(closed=2, billed=5) | {CREDIT_WAITS: Decimal(-3)}


async def test_an_entry_that_a_person_brings_back(at: Desk) -> None:
    """Unticked in Taiga it was taken out; somebody restores it in Invoice Ninja on purpose, and it is billed."""
    await at.tell(at.stories[0], billable=False)
    assert [_sums(one) for one in (await at.balance()).clients] == [{}]
    records.restore(at.office.state, "tasks", at.task())
    (of_client,) = (await at.balance()).clients
    assert _sums(of_client) == _h(billable=5) | {RESTORED: Decimal(-5)}
    await _archive(at)
    assert (await at.balance()).difference == 0


async def test_items_of_an_invoice_are_looked_at_once_for_each_change(at: Desk) -> None:
    """A cancelled invoice lets its item be looked at; without Taiga's credentials nobody could look."""
    await _cancel(at)
    (invoice,) = await at.office.invoices()
    at.office.events.waiting.clear()
    assert await look_at_items_of([invoice], at.office.context) == 1
    assert await look_at_items_of([invoice], at.office.context) == 1
    assert [event.subject for event in at.office.events.waiting.values()] == ["taiga:task:7"]
    assert await look_at_items_of([], at.office.context) == 0
    assert await look_at_items_of([invoice], replace(at.office.context, taiga=None)) == 0
