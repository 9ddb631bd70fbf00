"""What happens in Invoice Ninja in the very moment in which an invoice is made: no hour is billed twice or silently."""

import json
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import (
    Doubtful,
    Refused,
    Rejected,
    RemoteError,
    RetryLater,
    Suspended,
    Throttled,
    Unreachable,
)
from handlers.invoices.intents import STILL_ON_ITS_WAY
from mappings.invoiceninja.tasks import Task
from tests.support.fakes import NINJA
from tests.support.invoicing.invoicing_bench import DECEMBER, Office
from tests.support.invoicing.race_fakes import Act, Race, failing

REQUEST = "POST /invoices"


async def _client(bureau: Office, **rules: Any) -> str:
    acme = await bureau.client()
    bureau.rules(acme, **rules)
    return acme


def _longer(bureau: Office, task: Task, seconds: int) -> Act:
    """Somebody adds time to a task, each time anew."""

    async def grow() -> None:
        table = bureau.state.tables["tasks"]
        row = table.get(task.id)
        assert row is not None
        ((begin, end, *rest),) = json.loads(row["time_log"])
        table.change(row, {"time_log": json.dumps([[begin, end + seconds, *rest]])})

    return grow


async def _take_over(bureau: Office, client_id: str, task: Task) -> None:
    """Somebody bills a task by hand."""
    line = {"type_id": "2", "task_id": task.id, "quantity": 2, "cost": 80}
    body = {"client_id": client_id, "line_items": [line], "date": "2026-01-01"}
    await bureau.ninja._request("POST", "/invoices", body=body)


class TestTasks:
    """Tasks that change between our last look and the invoice."""

    async def test_a_task_that_is_deleted_is_taken_out(self, bureau: Office, race: Race) -> None:
        """Its line goes, the sum follows, and the outcome says so."""
        acme = await _client(bureau)
        await bureau.work(acme, "1")
        task = await bureau.work(acme, "2")
        race.before("create_invoice", lambda: bureau.ninja.delete_task(task.id))
        (told,) = await bureau.bill()
        assert told == f"invoice 0001: 80.00 USD for 1 h ({task.number} was deleted just now: taken out)"
        (invoice,) = await bureau.invoices()
        assert (invoice.amount, task.id in invoice.task_ids) == (Decimal(80), False)

    async def test_when_nothing_is_left_the_invoice_goes(self, bureau: Office, race: Race) -> None:
        """An empty invoice is deleted again, the outcome names it, and nothing is left half done."""
        acme = await _client(bureau)
        task = await bureau.work(acme, "2")
        race.before("create_invoice", lambda: bureau.ninja.delete_task(task.id))
        (told,) = await bureau.bill()
        assert told == f"invoice 0001 was deleted again: {task.number} was deleted just now: taken out"
        assert await bureau.invoices() == []
        assert await bureau.bill(DECEMBER, acme) == ["nothing is unbilled"]
        await bureau.work(acme, "1")
        assert await bureau.bill() == ["invoice 0002: 80.00 USD for 1 h"]

    async def test_a_task_that_a_person_bills_is_theirs(self, bureau: Office, race: Race) -> None:
        """Invoice Ninja lets a second invoice take a task over: ours lets it go, so it is billed once."""
        acme = await _client(bureau)
        await bureau.work(acme, "1")
        task = await bureau.work(acme, "2")
        race.after("create_invoice", lambda: _take_over(bureau, acme, task))
        (told,) = await bureau.bill()
        assert f"{task.number} went onto another invoice just now: taken out" in told
        assert sorted(invoice.amount for invoice in await bureau.invoices()) == [Decimal(80), Decimal(160)]
        await bureau.check_books()

    async def test_a_link_that_the_server_did_not_make(self, bureau: Office, race: Race) -> None:
        """An invoice whose task stayed free is saved once more, which links it."""
        acme = await _client(bureau)
        task = await bureau.work(acme, "2")
        table = bureau.state.tables["tasks"]

        async def unlink() -> None:
            row = table.get(task.id)
            assert row is not None
            table.change(row, {"invoice_id": ""})

        race.after("create_invoice", unlink)
        assert await bureau.bill() == [
            f"invoice 0001: 160.00 USD for 2 h ({task.number} was not linked: linked again)",
        ]
        await bureau.check_books()

    async def test_a_task_that_never_rests(self, bureau: Office, race: Race) -> None:
        """After three corrections in vain a person is asked to look, and nothing is sent."""
        acme = await _client(bureau, auto_send=True)
        task = await bureau.work(acme, "2")
        race.before("logged_tasks", *[_longer(bureau, task, 3600)] * 3)
        (told,) = await bureau.bill()
        assert "after 3 corrections its tasks are still not as it bills them" in told
        assert bureau.reviews.kinds == ["invoice_flagged"]
        assert not [key for key in bureau.events.keys if key.startswith("send:")]


class TestLooking:
    """Work that changes while it is looked at, before anything was made."""

    async def test_work_that_changes_all_the_time(self, bureau: Office, race: Race) -> None:
        """No invoice is made of hours that are being written; once they rest, all of them are billed."""
        acme = await _client(bureau)
        task = await bureau.work(acme, "2")
        made = await bureau.plan()
        await bureau.plans.save(made)
        event = bureau.due(made, acme)
        race.before("unbilled_tasks", *[_longer(bureau, task, 90)] * 10)
        with pytest.raises(RetryLater, match="is changing while it is billed"):
            await bureau.once(event)
        assert await bureau.invoices() == []
        assert await bureau.settle(event) == "invoice 0001: 180.00 USD for 2.25 h"

    async def test_a_client_that_was_purged(self, bureau: Office) -> None:
        """There is nobody to bill: a run says so, an approved plan is not applied."""
        acme = await _client(bureau)
        await bureau.work(acme, "2")
        made = await bureau.plan()
        await bureau.plans.save(made)
        for name in ("tasks", "clients"):
            table = bureau.state.tables[name]
            for row in list(table):
                table.remove(row)
        assert await bureau.settle(bureau.due(made, acme)) == "nothing is unbilled"
        told = await bureau.settle(bureau.due(made, acme, is_strict=True))
        assert told.startswith("dead: the work for 2025-12 is not as in plan")
        assert "is not due any more" in told


class TestLocks:
    """Invoices that Invoice Ninja does not let us correct."""

    async def test_sent_and_locked_before_it_was_checked(self, bureau: Office, race: Race) -> None:
        """A person sent it at once, and it is locked: what it bills too little is told, and it is not sent again."""
        acme = await _client(bureau, auto_send=True)
        task = await bureau.work(acme, "2")
        bureau.state.company["settings"]["lock_invoices"] = "when_sent"

        async def send() -> None:
            await _longer(bureau, task, 3600)()
            (invoice,) = await bureau.invoices()
            await bureau.ninja.act_on_invoices("mark_sent", [invoice.id])

        race.after("create_invoice", send)
        (told,) = await bureau.bill()
        assert "was changed just now: billed as it is now" in told
        assert "it could not be corrected: " in told
        ((summary, _details),) = bureau.reviews.opened.values()
        assert "invoice 0001 of Acme differs from what was meant" in summary
        assert "locked" in summary
        assert not [key for key in bureau.events.keys if key.startswith("send:")]

    async def test_links_that_a_lock_does_not_let_us_mend(self, bureau: Office) -> None:
        """Its hours stay off every other invoice, and the outcome says why."""
        acme = await _client(bureau)
        task = await bureau.work(acme, "2")
        await bureau.bill()
        (invoice,) = await bureau.invoices()
        await bureau.ninja.act_on_invoices("mark_sent", [invoice.id])
        bureau.state.company["settings"]["lock_invoices"] = "when_sent"
        table = bureau.state.tables["tasks"]
        row = table.get(task.id)
        assert row is not None
        table.change(row, {"invoice_id": ""})
        (told,) = await bureau.bill(DECEMBER, acme)
        assert told.startswith("invoice 0001 could not be linked to its tasks again: ")
        assert "locked" in told
        assert len(await bureau.invoices()) == 1


class TestRequests:
    """What is known of a request that failed decides how soon another may be made."""

    @pytest.mark.parametrize(
        "error",
        [
            Rejected(NINJA, REQUEST, "The selected client id is invalid.", status=422),
            Unreachable(NINJA, REQUEST, "no connection"),
            Suspended(NINJA, REQUEST, "left alone for now", delay=1),
            Throttled(NINJA, REQUEST, "Too Many Attempts.", retry_after=1, status=429),
            Refused(NINJA, REQUEST, "Invalid token", status=403),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_surely_not_carried_out(self, bureau: Office, race: Race, error: RemoteError) -> None:
        """It is forgotten: the next try makes the invoice at once."""
        acme = await _client(bureau)
        await bureau.work(acme, "2")
        race.before("create_invoice", failing(error))
        began = bureau.clock()
        assert await bureau.bill() == ["invoice 0001: 160.00 USD for 2 h"]
        assert bureau.clock() - began < STILL_ON_ITS_WAY
        assert len(await bureau.invoices()) == 1

    async def test_perhaps_still_on_its_way(self, bureau: Office, race: Race) -> None:
        """A request whose answer was lost may arrive late: another is made only when that is ruled out."""
        acme = await _client(bureau)
        await bureau.work(acme, "2")
        race.before("create_invoice", failing(Doubtful(NINJA, REQUEST, "no answer")))
        began = bureau.clock()
        assert await bureau.bill() == ["invoice 0001: 160.00 USD for 2 h"]
        assert bureau.clock() - began >= STILL_ON_ITS_WAY
        assert len(await bureau.invoices()) == 1

    def test_what_a_suspended_request_tells(self) -> None:
        """It was never sent, is part of an outage of everybody's, and says when to come back."""
        error = Suspended(NINJA, REQUEST, "failed 20 times in a row", delay=30)
        assert isinstance(error, Unreachable)
        assert (error.is_outage, error.delay) == (True, 30)
        assert str(error) == "invoiceninja: POST /invoices: failed 20 times in a row"
