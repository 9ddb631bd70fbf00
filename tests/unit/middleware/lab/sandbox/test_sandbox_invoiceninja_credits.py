"""What deleting and refunding do to credits and to the sums of a client, by the rules of Invoice Ninja 5.10.42.

Source: app/Services/Payment/DeletePayment.php, RefundPayment.php and app/Services/Credit/CreditService.php.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.payments.payment_bench import Bench, bench
from tests.support.payments.stripe_story import Json


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


async def credit_used(desk: Bench, amount: int = 60, of: str = "100", money: int = 0) -> tuple[Json, Json, str]:
    """A payment that used a credit (and `money`) for an invoice over `of`, the credit, and the invoice's id."""
    client_id = await desk.client()
    invoice = await desk.invoice(client_id, of)
    line = {"notes": "back", "quantity": 1, "cost": amount}
    credit = await desk.post("/credits?mark_sent=true", {"client_id": client_id, "line_items": [line]})
    body = {
        "client_id": client_id,
        "amount": money,
        "invoices": [{"invoice_id": invoice, "amount": amount + money}],
        "credits": [{"credit_id": credit["id"], "amount": amount}],
    }
    return await desk.post("/payments", body), credit, invoice


def sums(desk: Bench) -> tuple[Any, ...]:
    """Balance, paid to date and credit balance of the only client."""
    (client,) = desk.state.tables["clients"]
    return tuple(client[name] for name in ("balance", "paid_to_date", "credit_balance"))


def credit_row(desk: Bench) -> tuple[Any, ...]:
    """Status, balance and paid to date of the only credit."""
    (credit,) = desk.state.tables["credits"]
    return tuple(credit[name] for name in ("status_id", "balance", "paid_to_date"))


def invoice_row(desk: Bench, invoice: str) -> tuple[Any, ...]:
    """Status, balance and paid to date of an invoice."""
    row = desk.invoice_row(invoice)
    return tuple(row[name] for name in ("status_id", "balance", "paid_to_date"))


async def test_deleted_payment_gives_its_credit_back(desk: Bench) -> None:
    """A payment of 0 that used a credit counted as paid by the client; deleted, it no longer does."""
    payment, _, invoice = await credit_used(desk)
    assert (sums(desk), credit_row(desk)) == ((40, 60, 0), ("4", 0, 60))
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    assert (sums(desk), credit_row(desk)) == ((100, 0, 60), ("2", 60, 0))
    assert invoice_row(desk, invoice) == ("2", 100, 0)


async def test_deleted_payment_of_money_and_credit(desk: Bench) -> None:
    """Both parts leave what the client has paid."""
    payment, _, invoice = await credit_used(desk, money=30)
    assert sums(desk) == (10, 90, 0)
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    assert (sums(desk), invoice_row(desk, invoice)) == ((100, 0, 60), ("2", 100, 0))


async def test_credit_that_was_deleted_first_stays_used(desk: Bench) -> None:
    """The trap: who deletes the credit before the payment gets nothing of it back."""
    payment, credit, _ = await credit_used(desk)
    await desk.post(f"/credits/{credit['id']}", {}, "DELETE")
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    assert (sums(desk), credit_row(desk)) == ((100, 0, 0), ("4", 0, 60))


async def test_deleted_and_restored_credit_moves_its_rest(desk: Bench) -> None:
    """What is left of a credit is the client's as long as the credit is there; deleting twice is once."""
    payment, credit, _ = await credit_used(desk)
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    for _ in range(2):
        await desk.post(f"/credits/{credit['id']}", {}, "DELETE")
        assert sums(desk) == (100, 0, 0)
    for _ in range(2):
        await desk.post("/credits/bulk", {"action": "restore", "ids": [credit["id"]]})
        assert sums(desk) == (100, 0, 60)


@pytest.mark.parametrize(
    ("gone", "back", "refunded", "status"), [(20, 20, 0, "5"), (60, 60, 0, "5"), (80, 60, 20, "5"), (90, 60, 30, "6")]
)
async def test_refund_takes_credits_first(desk: Bench, gone: int, back: int, refunded: int, status: str) -> None:
    """Of 30 in money and 60 in credit the credit goes back first; only the rest counts as refunded money."""
    payment, _, invoice = await credit_used(desk, money=30)
    body = {"id": payment["id"], "date": "2026-11-21", "invoices": [{"invoice_id": invoice, "amount": gone}]}
    await desk.post("/payments/refund", body)
    (row,) = desk.payments()
    assert (row["refunded"], row["status_id"]) == (refunded, status)
    assert credit_row(desk) == ("2", back, 60 - back)
    assert sums(desk)[:2] == (10 + gone, 90 - gone)


async def test_payment_of_a_cancelled_invoice_leaves_its_balance(desk: Bench) -> None:
    """The balance is gone with the cancelling; only what was paid goes down."""
    client_id = await desk.client()
    invoice = await desk.invoice(client_id, "100")
    part = [{"invoice_id": invoice, "amount": 40}]
    payment = await desk.post("/payments", {"client_id": client_id, "amount": 40, "invoices": part})
    await desk.ninja.act_on_invoices("cancel", [invoice])
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    assert (sums(desk), invoice_row(desk, invoice)) == ((0, 0, 0), ("5", 0, 0))


async def test_deleted_refunded_payment_leaves_what_others_paid(desk: Bench) -> None:
    """A refunded payment pays nothing: without it, the invoice that another payment settled stays paid."""
    client_id = await desk.client()
    invoice = await desk.invoice(client_id, "100")
    body = {"client_id": client_id, "amount": 100, "invoices": [{"invoice_id": invoice, "amount": 100}]}
    first = await desk.post("/payments", {**body, "number": "one"})
    refund = {"id": first["id"], "date": "2026-11-21", "invoices": body["invoices"]}
    await desk.post("/payments/refund", refund)
    desk.clock.wait(2)
    await desk.post("/payments", {**body, "number": "two"})
    await desk.post(f"/payments/{first['id']}", {}, "DELETE")
    assert (sums(desk), invoice_row(desk, invoice)) == ((0, 100, 0), ("4", 0, 100))


async def test_deleted_negative_payment_raises_what_was_paid(desk: Bench) -> None:
    """Invoice Ninja takes negative payments; deleting one is their opposite."""
    payment = await desk.post("/payments", {"client_id": await desk.client(), "amount": -25})
    assert sums(desk) == (0, -25, 0)
    await desk.post(f"/payments/{payment['id']}", {}, "DELETE")
    assert sums(desk) == (0, 0, 0)
