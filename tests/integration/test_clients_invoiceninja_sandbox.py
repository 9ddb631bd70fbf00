"""The Invoice Ninja client against the sandbox server, which behaves as the recorded one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from handlers.errors import Doubtful, NotFound, Refused, Rejected, ServerError, Throttled, Unreachable
from mappings.invoiceninja.decode import read_client, read_project
from mappings.invoiceninja.models import (
    Allocation,
    InvoiceDraft,
    InvoiceLine,
    InvoiceStatus,
    PaymentDraft,
    PaymentStatus,
)
from mappings.time.models import TimeEntry
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app


class Clock:
    """A time that tests move on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """The sandbox's time."""
    return Clock()


@pytest.fixture
def faults() -> Faults:
    """The sandbox's failure switches."""
    return Faults()


@pytest.fixture
async def ninja(clock: Clock, faults: Faults) -> AsyncIterator[InvoiceNinja]:
    """A client of a fresh sandbox."""
    app = create_app(NinjaState(clock=clock), faults)
    client = connect_invoice_ninja("http://ninja.sandbox", DEFAULT_TOKEN, httpx.ASGITransport(app))
    yield client
    await client.aclose()


async def _client(ninja: InvoiceNinja, number: str = "ACME-1", **fields: object) -> str:
    made = await ninja._write(read_client, "POST", "/clients", {"name": "Acme", "number": number, **fields})
    return made.id


def _entry(number: str, project_id: str = "", rate: str = "75.50") -> TimeEntry:
    start = 1795240800
    hours = Decimal("1.50")
    return TimeEntry(
        number,
        f"Task {number} \U0001f680\u2028",
        "ACME-1",
        project_id,
        Decimal(rate),
        hours,
        hours,
        start,
        start + 5400,
    )


async def test_who_we_are(ninja: InvoiceNinja) -> None:
    """Ping, company and tables can be read; a wrong token is refused."""
    assert (await ninja.ping()).company_name
    company, statics = await ninja.company(), await ninja.statics()
    assert statics.currencies[company.currency_id].precision == 2
    assert company.timezone_id in statics.timezones
    wrong = connect_invoice_ninja("http://ninja.sandbox", "wrong", ninja._http._transport)
    with pytest.raises(Refused):
        await wrong.ping()


async def test_the_life_of_a_time_entry(ninja: InvoiceNinja) -> None:
    """Made, found, changed, deleted, restored: always one task with our number."""
    client_id = await _client(ninja)
    assert await ninja.find_client("acme-1") == client_id
    made = await ninja.create_task(_entry("TAIGA-T1"), client_id)
    assert await ninja.find_task("TAIGA-T1") == made
    assert (made.rate, made.spans, made.client_id) == (Decimal("75.50"), ((1795240800, 1795246200),), client_id)
    with pytest.raises(Rejected) as taken:
        await ninja.create_task(_entry("TAIGA-T1"), client_id)
    assert taken.value.names("number")
    changed = await ninja.update_task(made.id, _entry("TAIGA-T1", rate="80"), client_id)
    assert (changed.id, changed.number, changed.rate) == (made.id, "TAIGA-T1", Decimal(80))
    await ninja.delete_task(made.id)
    deleted = await ninja.find_task("TAIGA-T1")
    assert deleted is not None
    assert deleted.is_deleted
    with pytest.raises(Rejected, match="Restore the record"):
        await ninja.update_task(made.id, _entry("TAIGA-T1"), client_id)
    await ninja.restore_task(made.id)
    restored = await ninja.task(made.id)
    assert (restored.is_deleted, restored.is_archived, restored.rate) == (False, False, Decimal(80))
    with pytest.raises(NotFound):
        await ninja.task("XXXXXXXXXX")


async def test_a_task_of_an_unknown_client(ninja: InvoiceNinja) -> None:
    """The refusal names the field."""
    with pytest.raises(Rejected) as refused:
        await ninja.create_task(_entry("TAIGA-T1"), "XXXXXXXXXX")
    assert refused.value.names("client_id")


async def test_uninvoiced_time_over_many_pages(ninja: InvoiceNinja) -> None:
    """All of a project, nothing of others, nothing deleted, and nothing that an invoice bills."""
    client_id, other_id = await _client(ninja), await _client(ninja, "ACME-2")
    project = await ninja._write(read_project, "POST", "/projects", {"name": "Web", "client_id": client_id})
    ids = [(await ninja.create_task(_entry(f"TAIGA-T{n}", project.id), client_id)).id for n in range(1005)]
    await ninja.create_task(_entry("TAIGA-T9999"), other_id)
    await ninja.delete_task(ids[0])
    line = InvoiceLine("Task 1", Decimal("1.5"), Decimal("75.50"), ids[1])
    await ninja.create_invoice(InvoiceDraft(client_id, "2026-11-21", (line,)))
    found = [task.id for task in await ninja.unbilled_tasks(client_id)]
    assert found == ids[2:]
    assert [project.name async for project in ninja.projects(client_id=client_id)] == ["Web"]
    assert len([client async for client in ninja.clients()]) == 2


async def test_lost_answers_are_doubtful(ninja: InvoiceNinja, faults: Faults) -> None:
    """The work was done, the answer was an error, a page or nothing: the record is found afterwards."""
    client_id = await _client(ninja)
    for number, fault, error in (
        ("TAIGA-T1", {"action": "answer", "status": 500}, ServerError),
        ("TAIGA-T2", {"action": "html"}, Doubtful),
        ("TAIGA-T3", {"action": "answer", "status": 429, "retry_after": 3}, Throttled),
        ("TAIGA-T4", {"action": "cut"}, Doubtful),
        ("TAIGA-T5", {"action": "hang"}, Doubtful),
    ):
        faults.add(method="POST", path="/tasks$", when="after", **fault)
        with pytest.raises(error):
            await ninja.create_task(_entry(number), client_id)
        assert await ninja.find_task(number) is not None


async def test_an_invoice_and_its_payment(ninja: InvoiceNinja, clock: Clock) -> None:
    """Billed, sent, paid once, refunded in part; the money is exact at every step."""
    client_id = await _client(ninja)
    task = await ninja.create_task(_entry("TAIGA-T1"), client_id)
    line = InvoiceLine("Task 1", Decimal("1.333"), Decimal("75.50"), task.id)
    draft = InvoiceDraft(
        client_id, "2026-11-21", (line,), due_date="2026-12-21", custom_values={"custom_value1": "run-1"}
    )
    invoice = await ninja.create_invoice(draft)
    assert (invoice.status_id, invoice.amount, invoice.balance) == (InvoiceStatus.DRAFT, Decimal("100.64"), Decimal(0))
    assert (await ninja.task(task.id)).invoice_id == invoice.id
    assert [i.id for i in await ninja.marked_invoices("custom_value1", "run-1")] == [invoice.id]
    sent = (await ninja.act_on_invoices("mark_sent", [invoice.id]))[0]
    assert (sent.status_id, sent.balance) == (InvoiceStatus.SENT, Decimal("100.64"))
    assert [i.id for i in await ninja.payable_invoices(client_id)] == [invoice.id]

    money = PaymentDraft(
        "STRIPE-pi_1",
        client_id,
        Decimal("100.64"),
        "2026-11-22",
        "pi_1",
        invoices=(Allocation(invoice.id, Decimal("100.64")),),
    )
    payment = await ninja.create_payment(money)
    paid = await ninja.invoice(invoice.id)
    assert paid.is_paid
    assert payment.applied == Decimal("100.64")
    with pytest.raises(Throttled):
        await ninja.create_payment(money)
    clock.wait(1.5)
    with pytest.raises(Rejected) as taken:
        await ninja.create_payment(money)
    assert taken.value.names("number")
    assert await ninja.find_payment("STRIPE-pi_1") == await ninja.payment(payment.id)
    assert [p.id for p in await ninja.payments_referring_to(["ch_1", "pi_1"])] == [payment.id]

    refunded = await ninja.refund_payment(payment.id, "2026-11-23", (Allocation(invoice.id, Decimal("0.64")),))
    assert (refunded.status_id, refunded.refunded) == (PaymentStatus.PARTIALLY_REFUNDED, Decimal("0.64"))
    assert refunded.paymentables[0].refunded == Decimal("0.64")
    assert (await ninja.invoice(invoice.id)).balance == Decimal("0.64")
    noted = await ninja.annotate_payment(payment.id, private_notes="fee 1.46")
    assert (noted.private_notes, noted.applied) == ("fee 1.46", Decimal("100.64"))
    await ninja.add_note("invoices", invoice.id, "refunded 0.64")
    await ninja.delete_payment(payment.id)
    assert (await ninja.payment(payment.id)).is_deleted


async def test_a_credit_settles_an_invoice(ninja: InvoiceNinja, clock: Clock) -> None:
    """A credit is used through a payment of nothing."""
    client_id = await _client(ninja)
    lines = (InvoiceLine("x", Decimal(1), Decimal("20.00"), type_id="1"),)
    invoice = await ninja.create_invoice(InvoiceDraft(client_id, "2026-11-21", lines), mark_sent=True)
    credit = await ninja.create_credit(InvoiceDraft(client_id, "2026-11-21", lines, number="CR-1"))
    assert await ninja.find_credit("CR-1") == credit
    money = PaymentDraft(
        "CR-1-PAY",
        client_id,
        Decimal(0),
        "2026-11-21",
        "",
        invoices=(Allocation(invoice.id, Decimal("20.00")),),
        credits={credit.id: Decimal("20.00")},
    )
    await ninja.create_payment(money)
    assert (await ninja.invoice(invoice.id)).balance == Decimal(0)


async def test_changes_and_actions(ninja: InvoiceNinja, clock: Clock) -> None:
    """Partial changes keep the lines; cancelling a draft does nothing; the same action twice in a second must wait."""
    client_id = await _client(ninja)
    lines = (InvoiceLine("x", Decimal(1), Decimal("20.00"), type_id="1"),)
    draft = await ninja.create_invoice(InvoiceDraft(client_id, "2026-11-21", lines))
    changed = await ninja.update_invoice(draft.id, {"public_notes": "pay here"})
    assert (changed.public_notes, changed.amount) == ("pay here", Decimal(20))
    more = await ninja.update_invoice(draft.id, {}, lines=[*lines, replace(lines[0], quantity=Decimal(2))])
    assert more.amount == Decimal(60)
    assert [i.status_id for i in await ninja.act_on_invoices("cancel", [draft.id])] == [InvoiceStatus.DRAFT]
    with pytest.raises(Throttled):
        await ninja.act_on_invoices("cancel", [draft.id])
    clock.wait(1.5)
    with pytest.raises(NotFound):
        await ninja.act_on_invoices("archive", ["XXXXXXXXXX"])
    assert [i.id async for i in ninja.invoices(client_id=client_id, statuses=["1"])] == [draft.id]
    await ninja.delete_invoice(draft.id)
    assert [i async for i in ninja.invoices(client_id=client_id)] == []
    assert await ninja.find_invoice(draft.number) is None


async def test_a_wrong_base_address() -> None:
    """A path that the server answers with its web page names the setting."""
    app = create_app()
    ninja = connect_invoice_ninja("http://ninja.sandbox/below", DEFAULT_TOKEN, httpx.ASGITransport(app))
    with pytest.raises(Doubtful, match="check the base address INVOICE_NINJA_API"):
        await ninja.ping()
    with pytest.raises(Doubtful, match="Method not supported"):
        await ninja.create_task(_entry("TAIGA-T1"), "x")
    await ninja.aclose()


async def test_nobody_listens() -> None:
    """Over a real socket: a port without a server leaves no doubt that nothing was done."""
    ninja = connect_invoice_ninja("http://127.0.0.1:1", DEFAULT_TOKEN)
    with pytest.raises(Unreachable, match="no connection"):
        await ninja.create_task(_entry("TAIGA-T1"), "x")
    await ninja.aclose()
