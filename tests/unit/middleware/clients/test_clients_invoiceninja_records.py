"""Clients, invoices, payments and the company in Invoice Ninja."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from handlers.errors import Doubtful, NeedsPerson, NotFound, Rejected, Throttled
from mappings.invoiceninja.models import (
    Allocation,
    Invoice,
    InvoiceDraft,
    InvoiceLine,
    InvoiceStatus,
    PaymentDraft,
    PaymentStatus,
    Tax,
)
from mappings.invoiceninja.settings import Rounding, effective_settings
from middleware.clients.http.ttl_cache import Remembered
from tests.support.scripted_server import ninja_answering, page, recorded_answer


def _recorded(name: str, **changes: object) -> httpx.Response:
    return recorded_answer("invoice_ninja", name, **changes)


_MISSING = "01 garbage_id"


async def test_a_client_by_id() -> None:
    """What looks like an id is asked for by id, once in ten minutes."""
    ninja, server = ninja_answering(_recorded("02 get"))
    assert await ninja.find_client("VolejRejNm") == "VolejRejNm"
    assert await ninja.find_client(" VolejRejNm ") == "VolejRejNm"
    assert server.calls == ["GET /api/v1/clients/VolejRejNm"]


async def test_a_client_by_the_number_that_a_person_typed() -> None:
    """Number and id number are compared as Invoice Ninja does: without case and outer blanks."""
    ninja, server = ninja_answering(_recorded("02 filter id_number=taiga:client:77"))
    assert await ninja.find_client("TAIGA:client:77 ") == "VolejRejNm"
    assert await ninja.find_client("c-1001") == "VolejRejNm"
    assert server.calls[0].startswith("GET /api/v1/clients?number=TAIGA%3Aclient%3A77&")
    assert server.calls[1].startswith("GET /api/v1/clients?id_number=TAIGA%3Aclient%3A77&")


async def test_an_ignored_filter_finds_nobody() -> None:
    """When the whole list comes back, no client of it is taken for the one that was asked for."""
    ninja, _ = ninja_answering(_recorded("02 filter vat_number=DE123456789"))
    match = await ninja.match_client("acme-001")
    assert match.client_id == ""
    assert "no client of Invoice Ninja has the id, number or id number 'acme-001'" in match.reason


async def test_a_number_that_looks_like_an_id() -> None:
    """When there is no such id, the text may still be a number."""
    row = {"id": "Wpmbk5ezJn", "number": "ACME0000000001", "name": "Acme"}
    ninja, _ = ninja_answering(_recorded(_MISSING), page(row), page())
    assert await ninja.find_client("ACME0000000001") == "Wpmbk5ezJn"


async def test_ambiguous_and_deleted_clients() -> None:
    """A number of one client and the id number of another mean nobody, nor does a deleted client; it says why."""
    one, two = {"id": "a", "number": "X1", "name": "A"}, {"id": "b", "id_number": "X1", "name": "B"}
    ninja, _ = ninja_answering(page(one), page(two), page(one | {"is_deleted": True}), page())
    assert "means 2 clients: a, b" in (await ninja.match_client("X1")).reason
    ninja.forget_clients()
    assert "'X1' is deleted" in (await ninja.match_client("X1")).reason
    assert await ninja.find_client("X1") is None
    assert (await ninja.match_client("  ")).reason == "no client is named"


def test_answers_are_remembered_for_their_time() -> None:
    """An entry ends after its seconds; a full memory begins anew instead of growing."""
    now = [0.0]
    memory: Remembered[int, str] = Remembered(timer=lambda: now[0])
    memory.put(1, "one", 10)
    now[0] = 9.9
    assert memory.get(1) == "one"
    now[0] = 10
    assert memory.get(1) is None
    for key in range(10_001):
        memory.put(key, "x", 10)
    assert len(memory._entries) == 1


async def test_all_clients_and_projects() -> None:
    """Pages are followed; deleted rows and those of other clients are left out."""
    ninja, server = ninja_answering(
        _recorded("02 list_page"), _recorded("02 list_page_2"), _recorded("02 list_page_beyond")
    )
    names = [client.name async for client in ninja.clients()]
    assert names[0] == "Acme GmbH"
    assert len(server.requests) == 3
    rows = [
        {"id": i, "client_id": c, "name": i, "is_deleted": d}
        for i, c, d in [("a", "C", 0), ("b", "D", 0), ("c", "C", 1)]
    ]
    ninja, _ = ninja_answering(page(*rows))
    assert [project.id async for project in ninja.projects(client_id="C")] == ["a"]
    assert [project.id async for project in ninja.projects()] == ["a", "b"]


async def test_records_by_id() -> None:
    """Client and project as recorded."""
    ninja, _ = ninja_answering(_recorded("02 get"), _recorded("03 project_create"))
    client, project = await ninja.client("VolejRejNm"), await ninja.project("VolejRejNm")
    assert (client.number, client.id_number, client.currency_id) == ("C-1001", "taiga:client:77", "3")
    assert (project.name, project.task_rate, project.client_id) == ("Website", Decimal(90), "VolejRejNm")


_LINE = InvoiceLine("Implement login", Decimal("1.5"), Decimal("80.00"), "VolejRejNm", taxes=(Tax("USt", Decimal(19)),))
_DRAFT = InvoiceDraft(
    client_id="VolejRejNm",
    date="2026-11-21",
    due_date="2026-12-05",
    lines=(_LINE,),
    po_number="PO-1",
    custom_values={"custom_value1": "ext-batch-1"},
    extra={"discount": Decimal(10), "is_amount_discount": False},
)


async def test_an_invoice_is_made() -> None:
    """Lines of type 2 that name their task; without number Invoice Ninja counts; the amount comes back exactly."""
    ninja, server = ninja_answering(_recorded("04 create_with_tasks"))
    invoice = await ninja.create_invoice(_DRAFT)
    assert server.calls == ["POST /api/v1/invoices"]
    assert server.bodies[0] == {
        "client_id": "VolejRejNm",
        "date": "2026-11-21",
        "due_date": "2026-12-05",
        "po_number": "PO-1",
        "custom_value1": "ext-batch-1",
        "discount": 10,
        "is_amount_discount": False,
        "line_items": [
            {
                "type_id": "2",
                "task_id": "VolejRejNm",
                "product_key": "",
                "notes": "Implement login",
                "quantity": 1.5,
                "cost": 80,
                "discount": 0,
                "is_amount_discount": False,
                "tax_name1": "USt",
                "tax_rate1": 19,
            }
        ],
    }
    assert b'"cost":80.00' in server.requests[0].content
    assert (invoice.amount, invoice.balance, invoice.total_taxes) == (Decimal("214.2"), Decimal(0), Decimal("34.2"))
    assert invoice.status_id == InvoiceStatus.DRAFT
    assert invoice.task_ids == ("VolejRejNm", "Wpmbk5ezJn")
    assert invoice.lines[0].taxes == (Tax("USt", Decimal(19)),)
    assert invoice.custom_values == {"custom_value1": "ext-batch-1"}


async def test_an_invoice_that_is_not_ours() -> None:
    """The client and a number that was sent must come back."""
    ninja, _ = ninja_answering(_recorded("04 create_with_tasks", client_id="other"), _recorded("04 create_with_tasks"))
    with pytest.raises(NeedsPerson, match="client_id 'other'"):
        await ninja.create_invoice(_DRAFT)
    with pytest.raises(NeedsPerson, match="number 'TAIGA-INV-1' instead of 'TAIGA-INV-2'"):
        await ninja.create_invoice(InvoiceDraft("VolejRejNm", "2026-11-21", (), number="TAIGA-INV-2"))


async def test_credits() -> None:
    """A credit is made ready for use, found by its number, and refused when the number is taken."""
    ninja, server = ninja_answering(_recorded("05 credit_create"), page(), _recorded("05 credit_duplicate_number"))
    draft = InvoiceDraft("VolejRejNm", "2026-11-21", (), number="CR-1")
    credit = await ninja.create_credit(draft)
    assert server.calls == ["POST /api/v1/credits?mark_sent=true"]
    assert (credit.number, credit.balance) == ("CR-1", Decimal(20))
    assert await ninja.find_credit("CR-1") is None
    with pytest.raises(Rejected) as refused:
        await ninja.create_credit(draft)
    assert refused.value.names("number")


async def test_invoices_by_mark() -> None:
    """The text search finds more than asked for: only rows with exactly this mark count."""
    ninja, _ = ninja_answering(_recorded("04 filter filter=ext-batch-1"))
    assert [i.number for i in await ninja.marked_invoices("custom_value1", "ext-batch-1")] == ["TAIGA-INV-1"]
    assert [i.number for i in await ninja.marked_invoices("po_number", "PO-1")] == ["TAIGA-INV-1"]
    assert await ninja.marked_invoices("custom_value1", "ext-batch") == []


async def test_lists_of_invoices() -> None:
    """Client, status and deletion are re-checked."""
    row: dict[str, Any] = {"id": "a", "client_id": "C", "status_id": "2", "amount": 10, "balance": 10}
    others: list[dict[str, Any]] = [{"client_id": "D"}, {"status_id": "4"}, {"is_deleted": True}, {"balance": -50}]
    rows = [row, *(row | {"id": str(n)} | other for n, other in enumerate(others))]
    ninja, server = ninja_answering(page(*rows))
    assert [i.id async for i in ninja.invoices(client_id="C", statuses=["2", "3"])] == ["a", "3"]
    assert [i.id for i in await ninja.payable_invoices("C")] == ["a"]
    assert "status_id=2%2C3" in server.calls[0]
    assert "payable=C" in server.calls[1]
    assert (await ninja.find_invoice("nope")) is None


async def test_actions_on_invoices() -> None:
    """One bulk request for many; unknown ids are 200 with a text; the guard of one second is a short wait."""
    ninja, server = ninja_answering(
        _recorded("04 bulk_mark_sent"), _recorded("04 bulk_unknown_ids"), _recorded("06 bulk_archive_1")
    )
    sent = await ninja.act_on_invoices("mark_sent", ["kQBeXWdyK8"])
    assert [i.status_id for i in sent] == [InvoiceStatus.SENT]
    assert server.calls == ["POST /api/v1/invoices/bulk?per_page=1"]
    assert server.bodies == [{"action": "mark_sent", "ids": ["kQBeXWdyK8"]}]
    with pytest.raises(NotFound, match="No Invoices Found"):
        await ninja.act_on_invoices("archive", ["XXXXXXXXXX"])
    with pytest.raises(Throttled):
        await ninja.act_on_invoices("archive", ["kQBeXWdyK8"])


async def test_changes_of_an_invoice() -> None:
    """Only what is named is sent, and a cancelled invoice that a PUT made "paid" is not believed."""
    ninja, server = ninja_answering(_recorded("04 put_cancelled"))
    changed = await ninja.update_invoice("Oy5eVMdEP4", {"private_notes": "x"})
    await ninja.update_invoice("Oy5eVMdEP4", {}, lines=[_LINE])
    await ninja.delete_invoice("Oy5eVMdEP4")
    assert server.bodies[0] == {"private_notes": "x"}
    assert server.bodies[1]["line_items"][0]["task_id"] == "VolejRejNm"
    assert server.calls[2] == "DELETE /api/v1/invoices/Oy5eVMdEP4"
    assert changed.status_id == InvoiceStatus.PAID
    assert not changed.is_paid


def test_when_an_invoice_is_paid() -> None:
    """Status, money and an amount above nothing belong together."""
    zero = Decimal(0)
    paid = Invoice("i", "n", "c", "4", Decimal(10), zero, Decimal(10), zero, "", "", ())
    assert paid.is_paid
    assert not Invoice("i", "n", "c", "4", zero, zero, zero, zero, "", "", ()).is_paid


_PAYMENT = PaymentDraft(
    number="STRIPE-pi_3ABC",
    client_id="VolejRejNm",
    amount=Decimal("100.00"),
    date="2026-11-21",
    transaction_reference="pi_3ABC",
    type_id="5",
    invoices=(Allocation("VolejRejNm", Decimal("100.00")),),
    custom_values={"custom_value1": "evt_1"},
)


async def test_a_payment_is_recorded() -> None:
    """Number and idempotency key are the same, no mail goes out unasked, empty fields are left out."""
    ninja, server = ninja_answering(_recorded("05 create_full"))
    payment = await ninja.create_payment(_PAYMENT)
    assert server.bodies == [
        {
            "number": "STRIPE-pi_3ABC",
            "idempotency_key": "STRIPE-pi_3ABC",
            "transaction_reference": "pi_3ABC",
            "client_id": "VolejRejNm",
            "amount": 100,
            "date": "2026-11-21",
            "email_receipt": "false",
            "type_id": "5",
            "invoices": [{"invoice_id": "VolejRejNm", "amount": 100}],
            "custom_value1": "evt_1",
        }
    ]
    assert b'"amount":100.00' in server.requests[0].content
    assert payment.status_id == PaymentStatus.COMPLETED
    assert (payment.paymentables[0].invoice_id, payment.paymentables[0].amount) == ("VolejRejNm", Decimal(100))


async def test_a_payment_from_a_credit() -> None:
    """Money from a credit comes on top of the amount, which may then be 0."""
    ninja, server = ninja_answering(_recorded("05 pay_with_credit", number="CR-PAY"))
    draft = PaymentDraft("CR-PAY", "c", Decimal(0), "2026-11-21", "", credits={"VolejRejNm": Decimal("20.00")})
    payment = await ninja.create_payment(draft)
    assert server.bodies[0]["credits"] == [{"credit_id": "VolejRejNm", "amount": 20}]
    assert payment.paymentables[1].credit_id == "VolejRejNm"


@pytest.mark.parametrize("amount", [Decimal(0), Decimal("-1.00")])
async def test_a_payment_that_cannot_be(amount: Decimal) -> None:
    """Invoice Ninja takes negative payments and makes a sum of nothing: both are refused before sending."""
    ninja, server = ninja_answering(_recorded("05 create_full"))
    with pytest.raises(NeedsPerson, match="has the amount"):
        await ninja.create_payment(PaymentDraft("n", "c", amount, "2026-11-21", "pi"))
    with pytest.raises(ValueError, match="1 to 64 characters"):
        await ninja.create_payment(PaymentDraft("n" * 65, "c", Decimal(1), "2026-11-21", "pi"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "field"), [("05 dup_number", "number"), ("05 dup_idempotency_key", "idempotency_key")]
)
async def test_a_payment_that_is_there(name: str, field: str) -> None:
    """The refusal names the field that was taken."""
    ninja, _ = ninja_answering(_recorded(name))
    with pytest.raises(Rejected) as refused:
        await ninja.create_payment(_PAYMENT)
    assert refused.value.names(field)


async def test_payments_are_found() -> None:
    """By number, and by reference through the text search, row by row."""
    found = _recorded("05 filter filter=pi_3ABC")
    ninja, server = ninja_answering(found)
    numbers = {p.number for p in await ninja.payments_referring_to(["pi_3ABC", "", "ch_3ABC"])}
    assert "STRIPE-pi_3ABC" in numbers
    assert len(server.requests) == 2
    by_number = await ninja.find_payment("STRIPE-pi_3ABC")
    assert by_number is not None
    assert await ninja.find_payment("stripe-pi") is None
    ninja, _ = ninja_answering(_recorded("05 filter transaction_reference=nope"))
    assert await ninja.payments_referring_to(["nope"]) == []
    assert [p.client_id async for p in ninja.payments(client_id="nobody")] == []


async def test_a_deleted_payment() -> None:
    """It is told, with its status."""
    ninja, _ = ninja_answering(_recorded("05 get_deleted_payment"))
    payment = await ninja.payment("X46dBXa79j")
    assert (payment.is_deleted, payment.status_id) == (True, PaymentStatus.CANCELLED)


async def test_a_refund_reads_again() -> None:
    """The refund's own answer shows old parts; no money moves at a gateway and no mail goes out."""
    answer = json.loads(_recorded("05 refund_partial").content)["data"]
    part = answer["paymentables"][0] | {"refunded": 100}
    ninja, server = ninja_answering(
        _recorded("05 refund_partial"), httpx.Response(200, json={"data": answer | {"paymentables": [part]}})
    )
    payment = await ninja.refund_payment("mxkazYeJ0P", "2026-11-21", (Allocation("gl9avmeG1v", Decimal("100.00")),))
    assert server.bodies[0] == {
        "id": "mxkazYeJ0P",
        "amount": 100,
        "date": "2026-11-21",
        "invoices": [{"invoice_id": "gl9avmeG1v", "amount": 100}],
        "gateway_refund": False,
        "send_email": False,
    }
    assert payment.paymentables[0].refunded == Decimal(100)
    assert payment.status_id == PaymentStatus.PARTIALLY_REFUNDED


async def test_a_refund_of_too_much() -> None:
    """The server's limit is told."""
    ninja, _ = ninja_answering(_recorded("05 refund_too_much"))
    with pytest.raises(Rejected, match="maximum refundable amount is 100"):
        await ninja.refund_payment("mxkazYeJ0P", "2026-11-21", (Allocation("gl9avmeG1v", Decimal(150)),))


async def test_texts_of_a_payment() -> None:
    """Only texts are ever PUT: invoices would be applied again."""
    ninja, server = ninja_answering(_recorded("05 put_reference"))
    await ninja.annotate_payment("gl9avmeG1v", private_notes="n")
    await ninja.delete_payment("gl9avmeG1v")
    assert server.bodies[0] == {"private_notes": "n"}
    assert server.calls[1] == "DELETE /api/v1/payments/gl9avmeG1v"


async def test_the_account() -> None:
    """Ping, settings and tables, the last one asked for once."""
    ninja, server = ninja_answering(
        _recorded("01 ping_ok"),
        _recorded("01 companies_current"),
        _recorded("01 statics"),
        _recorded("04 activities_note"),
    )
    assert (await ninja.ping()).company_name == "Lab GmbH"
    company = await ninja.company()
    assert (company.name, company.currency_id) == ("Lab GmbH", "1")
    assert (company.locks_invoiced_tasks, company.lock_invoices) == (False, "off")
    assert effective_settings(None, company, {}).rounding == Rounding(1, is_up=True)
    assert (company.updates_products, company.mails_receipts) == (True, True)
    statics = await ninja.statics()
    assert await ninja.statics() is statics
    assert statics.timezones[company.timezone_id] == "Pacific/Midway"
    assert {currency.code for currency in statics.currencies.values()} >= {"ALL"}
    await ninja.add_note("invoices", "Opnel5aKBz", "note from middleware")
    assert server.bodies[-1] == {"entity": "invoices", "entity_id": "Opnel5aKBz", "notes": "note from middleware"}


async def test_a_ping_that_is_answered_by_something_else() -> None:
    """Another JSON service at this address is no Invoice Ninja."""
    ninja, _ = ninja_answering(httpx.Response(200, json={"ok": True}))
    with pytest.raises(Doubtful, match="check the base address INVOICE_NINJA_API"):
        await ninja.ping()
