"""A payment is taken off its invoice, and what a decision would do is shown before it is stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations

import pytest

from handlers.outcome import Processed
from handlers.payments.decisions import preview_ignore, preview_match, preview_unmatch
from mappings.codes import Code
from tests.support.payments.payment_bench import Bench, bench, open_invoice, paid, refund


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """An empty bench."""
    async with bench() as made:
        yield made


async def _paid(desk: Bench, amount: int = 10000) -> str:
    invoice = await open_invoice(desk)
    await desk.deliver(paid(amount, invoice_number="R-1"))
    return invoice


class TestUnmatch:
    """The payment is deleted in Invoice Ninja, its invoice is owed again, and it waits for another decision."""

    async def test_a_wrong_match_is_undone(self, desk: Bench) -> None:
        """Taken off R-1 although it is written on it, then matched with R-2: the sums are right."""
        first = await _paid(desk)
        second = await desk.invoice(str(desk.invoice_row(first)["client_id"]), "100", "R-2")
        outcome = await desk.decide("pi_1", "unmatch", why="it was for R-2")
        assert isinstance(outcome, Processed)
        assert outcome.code == Code.PAYMENT_UNMATCHED
        record = desk.memory.records["pi_1"]
        assert (record.status, record.invoice_id, record.reason) == (
            "unmatched",
            "",
            "eva took it off its invoice: it was for R-2",
        )
        assert (desk.invoice_row(first)["balance"], desk.payments()) == (100, [])
        await desk.deliver(paid(10000, created=1_790_000_777, invoice_number="R-1"))
        assert desk.payments() == []
        await desk.decide("pi_1", "match", invoice="R-2")
        assert (desk.invoice_row(first)["balance"], desk.invoice_row(second)["balance"]) == (100, 0)
        assert [row["number"] for row in desk.payments()] == ["pi_1-2"]
        assert desk.misfits() == []
        await desk.deliver(refund("re_1", 4000))
        assert [row["refunded"] for row in desk.payments()] == [40]
        assert desk.memory.records["pi_1"].reason == (
            "100.00 EUR came, recorded as payment pi_1-2 on invoice R-2 (decided by eva: invoice R-2); "
            "40.00 EUR of it went back"
        )

    async def test_decided_twice_before_a_worker_came(self, desk: Bench) -> None:
        """Unmatched and matched again at once: both are carried out."""
        first = await _paid(desk)
        second = await desk.invoice(str(desk.invoice_row(first)["client_id"]), "100", "R-2")
        desk.clock.wait(1)
        subject = "stripe:payment:pi_1"
        desk.store("operator", "payment.unmatch", subject, {"by": "eva", "why": "wrong"})
        await desk.decide("pi_1", "match", invoice="R-2")
        assert (desk.invoice_row(first)["balance"], desk.invoice_row(second)["balance"]) == (100, 0)

    async def test_unmatched_and_ignored(self, desk: Bench) -> None:
        """Both before a worker came: nothing is recorded."""
        first = await _paid(desk)
        desk.clock.wait(1)
        desk.store("operator", "payment.unmatch", "stripe:payment:pi_1", {"by": "eva", "why": "wrong"})
        await desk.decide("pi_1", "ignore", why="a test")
        assert (desk.invoice_row(first)["balance"], desk.payments()) == (100, [])
        assert desk.memory.records["pi_1"].status == "ignored"

    async def test_it_is_carried_out_once(self, desk: Bench) -> None:
        """What a person enters by hand afterwards stays."""
        first = await _paid(desk)
        await desk.decide("pi_1", "unmatch")
        client = str(desk.invoice_row(first)["client_id"])
        body = {"client_id": client, "amount": 100, "transaction_reference": "pi_1"}
        await desk.post("/payments", body)
        for created in (1_790_000_777, 1_790_000_778):
            await desk.deliver(paid(10000, created=created, invoice_number="R-1"))
        assert [row["amount"] for row in desk.payments()] == [100]

    async def test_money_that_went_back_is_followed(self, desk: Bench) -> None:
        """A refund cannot be undone in Invoice Ninja: nothing is deleted, and further refunds count."""
        await _paid(desk)
        await desk.deliver(refund("re_1", 4000))
        await desk.decide("pi_1", "unmatch")
        assert [(row["amount"], row["refunded"]) for row in desk.payments()] == [(100, 40)]
        await desk.deliver(refund("re_2", 1000))
        assert [row["refunded"] for row in desk.payments()] == [50]
        await desk.decide("pi_1", "match", invoice="R-1")
        assert [row["refunded"] for row in desk.payments()] == [50]

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    async def test_a_match_elsewhere_hides_no_refund(self, desk: Bench, order: tuple[int, ...]) -> None:
        """A mistyped match of recorded money changes nothing: status and refunds are those of the money (N25)."""
        first = await _paid(desk)
        await desk.invoice(str(desk.invoice_row(first)["client_id"]), "100", "R-2")
        steps = [
            lambda: desk.decide("pi_1", "match", invoice="R-2"),
            lambda: desk.deliver(refund("re_1", 3000)),
            lambda: desk.deliver(refund("re_2", 2000)),
        ]
        for index in order:
            outcome = await steps[index]()
            assert isinstance(outcome, Processed)
        assert [row["refunded"] for row in desk.payments()] == [50]
        assert desk.memory.records["pi_1"].status == "partially_refunded"


class TestPreview:
    """What is shown first, and what is refused."""

    async def test_match(self, desk: Bench) -> None:
        """Payer, client, open balance and the result."""
        invoice = await open_invoice(desk)
        await desk.deliver(paid(10000))
        record, world = desk.memory.records["pi_1"], desk.context.payments
        assert world is not None
        shown = await preview_match(record, "R-1", world, lambda _key: "Acme")
        assert shown.lines == (
            "payment pi_1: 100.00 EUR of an unknown payer",
            "invoice R-1 of Acme: 100 EUR are open",
            "afterwards the invoice is paid",
        )
        assert (await preview_match(record, invoice, world, lambda _key: "Acme")).lines == shown.lines
        small = await desk.invoice(await desk.client(), "70", "R-2")
        large = await desk.invoice(await desk.client(), "130", "R-3")
        assert "30.00 EUR stay as the client's unapplied credit" in (await _last(desk, small))
        assert "30.00 EUR of the invoice stay open" in (await _last(desk, large))

    async def test_match_refused(self, desk: Bench) -> None:
        """A mistyped number, another currency, a deleted invoice: nothing is stored that waits for ever."""
        await open_invoice(desk)
        await desk.deliver(paid(10000))
        record, world = desk.memory.records["pi_1"], desk.context.payments
        assert world is not None
        other = await desk.invoice(await desk.client("USD"), "100", "R-2")
        gone = await desk.invoice(await desk.client(), "100", "R-3")
        await desk.post("/invoices/bulk", {"action": "delete", "ids": [gone]})
        for text, why in (
            ("9999", 'there is no invoice "9999" in Invoice Ninja'),
            ("../x", 'there is no invoice "../x" in Invoice Ninja'),
            (other, "invoice R-2 is in USD, the payment in EUR: nothing is converted."),
            (gone, "is deleted in Invoice Ninja"),
        ):
            assert why in (await preview_match(record, text, world, str)).refusal

    async def test_recorded_money(self, desk: Bench) -> None:
        """Ignoring it and matching it elsewhere are refused, with what to do; its own invoice is fine."""
        invoice = await _paid(desk)
        await desk.invoice(str(desk.invoice_row(invoice)["client_id"]), "100", "R-2")
        record, world = desk.memory.records["pi_1"], desk.context.payments
        assert world is not None
        where = "payment pi_1 is recorded in Invoice Ninja as payment pi_1 of invoice R-1"
        unmatch = "taiga-billing payments unmatch pi_1 --why REASON"
        refused = (await preview_ignore(record, world)).refusal
        assert refused == f"{where}, so it cannot be ignored. To take it off: {unmatch}"
        moved = (await preview_match(record, "R-2", world, str)).refusal
        assert moved == f"{where}. To move it: {unmatch}"
        same = await preview_match(record, "R-1", world, str)
        assert same.lines == ("payment pi_1 is recorded on invoice R-1 already",)
        shown = await preview_unmatch(record, world, lambda _key: "Acme")
        assert shown.lines == (
            "payment pi_1 over 100 EUR is deleted in Invoice Ninja",
            "invoice R-1 of Acme is owed again: 100 EUR are open",
            "payment pi_1 then needs a decision: `payments match` or `payments ignore`",
        )
        await desk.deliver(refund("re_1", 1000))
        refunded = desk.memory.records["pi_1"]
        assert "Invoice Ninja cannot undo a refund" in (await preview_unmatch(refunded, world, str)).refusal

    async def test_money_that_is_not_recorded(self, desk: Bench) -> None:
        """It can be ignored; there is nothing to take off."""
        await desk.deliver(paid(10000))
        record, world = desk.memory.records["pi_1"], desk.context.payments
        assert world is not None
        assert (await preview_ignore(record, world)).lines == (
            "100.00 EUR of an unknown payer stay at Stripe and are not recorded",
        )
        assert "holds nothing of payment pi_1" in (await preview_unmatch(record, world, str)).refusal

    async def test_money_of_no_invoice_and_amounts_that_nobody_can_read(self, desk: Bench) -> None:
        """Unapplied money can be matched; an amount that Stripe cannot charge is shown without a result."""
        client = await desk.client()
        await desk.invoice(client, "100", "R-1")
        await desk.post("/payments", {"client_id": client, "amount": 100, "transaction_reference": "pi_1"})
        await desk.deliver(paid(10000))
        record, world = desk.memory.records["pi_1"], desk.context.payments
        assert world is not None
        assert (await preview_match(record, "R-1", world, str)).lines[-1] == "afterwards the invoice is paid"
        assert (await preview_ignore(record, world)).refusal.startswith("payment pi_1 is recorded in Invoice Ninja")
        dinars = await desk.invoice(await desk.client("KWD"), "100", "R-2")
        odd = replace(record, identity="pi_2", payment_id="", currency="KWD", amount=1005)
        assert len((await preview_match(odd, dinars, world, str)).lines) == 2


async def _last(desk: Bench, invoice: str) -> str:
    world = desk.context.payments
    assert world is not None
    return (await preview_match(desk.memory.records["pi_1"], invoice, world, str)).lines[-1]
