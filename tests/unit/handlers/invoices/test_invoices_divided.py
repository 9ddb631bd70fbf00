"""Work across the end of a period is divided; whatever happens meanwhile, each hour is billed once."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.errors import Rejected, RetryLater
from handlers.invoices.split import KIND
from mappings.invoiceninja.tasks import Task
from mappings.invoices.splitting import split_log
from tests.support.fakes import rejected
from tests.support.invoicing.invoicing_bench import Killed, Office
from tests.support.invoicing.race_fakes import Race, failing

NEW_YEAR = "2026-01-01 02:00"


async def _night(bureau: Office) -> tuple[str, Task]:
    """A client, and four hours of a Taiga task, two of them in the new year."""
    acme = await bureau.client()
    bureau.rules(acme, split_at_period_end=True)
    return acme, await bureau.synced(acme, "4", 8, end=NEW_YEAR)


async def _bill_by_hand(bureau: Office, client_id: str, task: Task) -> None:
    """Somebody bills the whole task."""
    line = {"type_id": "2", "task_id": task.id, "quantity": 4, "cost": 80}
    body = {"client_id": client_id, "line_items": [line], "date": "2026-01-01"}
    await bureau.ninja._request("POST", "/invoices", body=body)


async def _only_the_person_s_invoice(bureau: Office) -> None:
    (invoice,) = await bureau.invoices()
    assert invoice.amount == Decimal(320)
    assert await bureau.unbilled() == []
    assert not [link for link in bureau.links.rows.values() if link.kind == KIND]
    await bureau.check_books()


async def test_billed_whole_by_a_person_after_the_rest_was_made(bureau: Office, race: Race) -> None:
    """We were killed between making the rest and cutting it off; a person billed it all: the rest goes again."""
    acme, task = await _night(bureau)
    race.after("create_rest", failing(Killed()))
    made = await bureau.plan()
    with pytest.raises(Killed):
        await bureau.once(bureau.due(made, acme))
    assert {one.number for one in await bureau.unbilled()} == {"TAIGA-T8", "TAIGA-T8-2"}
    await _bill_by_hand(bureau, acme, task)
    assert await bureau.settle(bureau.due(made, acme)) == "nothing is unbilled"
    await _only_the_person_s_invoice(bureau)


async def test_billed_whole_by_a_person_in_the_moment_of_cutting(bureau: Office, race: Race) -> None:
    """Our cut hit a task that was just invoiced: it gets its hours back, as the invoice bills them."""
    acme, task = await _night(bureau)
    race.before("replace_log", lambda: _bill_by_hand(bureau, acme, task))
    assert await bureau.bill() == ["nothing is unbilled"]
    whole = await bureau.ninja.find_task("TAIGA-T8")
    assert whole is not None
    assert whole.seconds == 4 * 3600
    await _only_the_person_s_invoice(bureau)


async def test_work_that_the_bridge_does_not_know_any_more(bureau: Office, race: Race) -> None:
    """Its link went while we were away: both parts are billed as what they are, tasks in Invoice Ninja."""
    acme, _task = await _night(bureau)
    race.after("replace_log", failing(Killed()))
    made = await bureau.plan()
    with pytest.raises(Killed):
        await bureau.once(bureau.due(made, acme))
    for link in await bureau.links.of_subject("taiga:task:8"):
        await bureau.links.remove(link)
    assert await bureau.settle(bureau.due(made, acme)) == "invoice 0001: 160.00 USD for 2 h"
    assert await bureau.links.of_subject("taiga:task:8") == []
    assert await bureau.bill(bureau.month("2026-01")) == ["invoice 0002: 160.00 USD for 2 h"]
    await bureau.check_books()


async def test_a_number_that_is_taken_in_that_moment(bureau: Office, race: Race) -> None:
    """Something else got the number of the rest first: the next free one is taken, by itself."""
    acme, task = await _night(bureau)
    other = replace(task, description="Correction")

    async def take() -> None:
        await bureau.ninja.create_rest(other, "TAIGA-T8-2", split_log(task.log, task.started_at + 600)[0])

    race.before("create_rest", take)
    made = await bureau.plan()
    with pytest.raises(RetryLater, match="TAIGA-T8-2 was taken"):
        await bureau.once(bureau.due(made, acme))
    await bureau.settle(bureau.due(made, acme))
    assert sum(invoice.amount for invoice in await bureau.invoices()) == Decimal("173.36")
    (rest,) = await bureau.unbilled()
    assert (rest.number, rest.seconds) == ("TAIGA-T8-3", 2 * 3600)
    await bureau.check_books()


async def test_a_rest_that_invoice_ninja_refuses(bureau: Office, race: Race) -> None:
    """The refusal is told, nothing is divided, and nothing is remembered as begun."""
    acme, task = await _night(bureau)
    race.before("create_rest", failing(rejected("POST /tasks", "rate", "The rate is invalid.")))
    made = await bureau.plan()
    with pytest.raises(Rejected, match="The rate is invalid"):
        await bureau.once(bureau.due(made, acme))
    assert [(one.number, one.seconds) for one in await bureau.unbilled()] == [("TAIGA-T8", task.seconds)]
    assert not [link for link in bureau.links.rows.values() if link.kind == KIND]


async def test_work_that_was_divided_too_often(bureau: Office) -> None:
    """When no number is left for another part, a person is asked: waiting would not help."""
    _acme, task = await _night(bureau)
    table = bureau.state.tables["tasks"]
    row = table.get(task.id)
    assert row is not None
    for suffix in range(2, 50):
        table.add({**row.data, "number": f"TAIGA-T8-{suffix}", "is_deleted": True}, {"hash": ""})
    (told,) = await bureau.bill()
    assert told.startswith("dead: TAIGA-T8 goes beyond the end of the period")
    assert await bureau.invoices() == []
    assert json.loads(row["time_log"])[0][1] == task.ended_at


async def _rounds_from_now_on(bureau: Office) -> None:
    bureau.state.company["settings"] |= {"task_round_to_nearest": 3 * 3600, "task_round_up": True}


@pytest.mark.parametrize("moment", ["create_rest", "replace_log"])
async def test_a_part_that_did_not_stay_as_it_was_cut(bureau: Office, race: Race, moment: str) -> None:
    """Rounding was switched on after we looked: the task is made whole again, a person is told, nothing is divided."""
    acme, task = await _night(bureau)
    race.before(moment, lambda: _rounds_from_now_on(bureau))
    (told,) = await bureau.bill()
    assert told == (
        "dead: Invoice Ninja changed the time of a part of TAIGA-T8 (4 h) when it was divided at the end of the"
        " period; the task is whole again and shows 6 h there"
    )
    assert [(one.number, one.seconds) for one in await bureau.unbilled()] == [("TAIGA-T8", 6 * 3600)]
    assert not [link for link in bureau.links.rows.values() if link.kind == KIND]
    made = await bureau.plan(bureau.month("2026-01"))
    assert [invoice.seconds for invoice in made.invoices] == [task.seconds]
    assert (await bureau.bill(bureau.month("2026-01"), acme)) == ["invoice 0001: 320.00 USD for 4 h"]


async def test_a_client_who_rounds_is_billed_whole(bureau: Office) -> None:
    """16.8 h are never divided where the client rounds: they become one line of 16.8 h, not 29 h in 49 parts."""
    acme = await bureau.client(settings={"task_round_to_nearest": 900, "task_round_up": True})
    bureau.rules(acme, split_at_period_end=True)
    await bureau.synced(acme, "16.8", 70, end="2026-01-01 16:15", rate="60")
    assert await bureau.bill() == []
    assert await bureau.bill(bureau.month("2026-01")) == ["invoice 0001: 1008.00 USD for 16.8 h"]
    assert len(bureau.state.tables["tasks"]) == 1


async def test_a_task_that_changed_before_the_rest_was_cut_off(bureau: Office, race: Race) -> None:
    """We were killed after the rest was made, and the task was shortened since: the old rest goes, nothing is lost."""
    acme, task = await _night(bureau)
    race.after("create_rest", failing(Killed()))
    made = await bureau.plan()
    with pytest.raises(Killed):
        await bureau.once(bureau.due(made, acme))
    shorter = (replace(task.log[0], ended_at=task.log[0].ended_at - 3600),)
    await bureau.ninja.replace_log(task, shorter)
    await bureau.settle(bureau.due(made, acme))
    await bureau.bill(bureau.month("2026-01"))
    assert sum(invoice.amount for invoice in await bureau.invoices()) == Decimal(240)
    await bureau.check_books()


async def test_a_log_that_invoice_ninja_would_cut(bureau: Office) -> None:
    """Its texts are too long for Invoice Ninja: cut there, the whole log would be lost, so a person is asked."""
    acme = await bureau.client()
    bureau.rules(acme, split_at_period_end=True)
    night = await bureau.work(acme, "4", NEW_YEAR)
    table = bureau.state.tables["tasks"]
    row = table.get(night.id)
    assert row is not None
    entry = [night.started_at, night.ended_at, "x" * 65_535, True]
    table.change(row, {"time_log": json.dumps([entry])})
    (told,) = await bureau.bill()
    assert told.startswith("dead: the time log of 0001-2 with its texts is longer than 65535 bytes")
    assert [one.seconds for one in await bureau.unbilled()] == [4 * 3600]
