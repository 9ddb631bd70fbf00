"""Which invoice: what is written on the payment, or what a person decided; never a guess."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from handlers.errors import NeedsPerson
from handlers.outcome import Ignored, Outcome, Processed
from handlers.payments.matching import unpayable
from handlers.ports.billing import PaymentRecord
from mappings.codes import Code
from tests.support.payments.payment_bench import Bench, bench, intent, refund, stripe_event
from tests.support.payments.stripe_story import Json, changed

DAY = 1_790_000_000


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


def paid(key: str = "pi_1", customer: str | None = None, amount: int = 10000, **metadata: str) -> Json:
    """A payment over 100 EUR that succeeded."""
    body = {**intent(amount, key, **metadata), "customer": customer}
    return stripe_event("payment_intent.succeeded", DAY, body)


def session(created: int = DAY, reference: str | None = None, email: str = "", **more: object) -> Json:
    """The Checkout Session of pi_1."""
    body = {
        "id": "cs_1",
        "object": "checkout.session",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "amount_total": 10000,
        "currency": "eur",
        "created": created,
        "client_reference_id": reference,
        "customer_details": {"email": email} if email else None,
        **more,
    }
    return stripe_event("checkout.session.completed", created, body)


async def settled(desk: Bench, *events: Json) -> tuple[str, str]:
    """Deliver, and return the status of pi_1 and why; of what is recorded, what is said beside what became of it."""
    await desk.deliver_all(events)
    record = desk.memory.records["pi_1"]
    story, _, rest = record.reason.partition("; ")
    return record.status, rest if story.startswith("100.00 EUR came, recorded as payment ") else record.reason


class TestWritten:
    """Metadata, client references and our own links."""

    async def test_id_and_number_are_found(self, desk: Bench) -> None:
        """Each of them names the invoice."""
        client = await desk.client()
        first, second = await desk.invoice(client, "100", "R-1"), await desk.invoice(client, "100", "R-2")
        await desk.deliver(paid(invoice_ninja_invoice_id=first))
        await desk.deliver(paid("pi_2", invoice_number="R-2"))
        assert [desk.memory.records[key].invoice_id for key in ("pi_1", "pi_2")] == [first, second]
        assert desk.memory.records["pi_1"].matched_by == "metadata of payment_intent pi_1"

    async def test_id_counts_more_than_a_number_that_changed(self, desk: Bench) -> None:
        """A draft may get another number: the id is certain, the difference is noted."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        await desk.deliver(paid(invoice_ninja_invoice_id=invoice, invoice_number="D-1"))
        assert desk.memory.records["pi_1"].invoice_id == invoice
        assert [note for note in desk.notes() if "names number 'D-1' as well" in note]

    @pytest.mark.parametrize("by", ["id", "number"])
    async def test_client_reference_may_be_either(self, desk: Bench, by: str) -> None:
        """A client reference is a number, or an id."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        await desk.deliver(session(reference=invoice if by == "id" else "R-1"))
        assert desk.memory.records["pi_1"].invoice_id == invoice

    async def test_our_own_link_names_it(self, desk: Bench) -> None:
        """A payment link of ours needs no metadata."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        desk.memory.made["plink_1"] = invoice
        await desk.deliver(session(payment_link="plink_1"))
        assert desk.memory.records["pi_1"].invoice_id == invoice

    @pytest.mark.parametrize(
        ("metadata", "reason"),
        [
            ({"invoice_ninja_invoice_id": "AAAAAAAAAA"}, "no invoice with the id 'AAAAAAAAAA'"),
            ({"invoice_ninja_invoice_id": "../clients/1"}, "no invoice with the id '../clients/1'"),
            ({"invoice_number": "X-99"}, "no invoice with the number 'X-99'"),
        ],
    )
    async def test_unknown_invoice_waits(self, desk: Bench, metadata: dict[str, str], reason: str) -> None:
        """What is named and does not exist is for a person."""
        await desk.invoice(await desk.client(), "100", "R-1")
        status, why = await settled(desk, changed(paid(), metadata=metadata))
        assert (status, reason in why) == ("unmatched", True)
        assert desk.payments() == []

    async def test_unknown_client_reference_waits(self, desk: Bench) -> None:
        """A client reference of somebody else's system means nothing here."""
        await desk.client()
        status, why = await settled(desk, session(reference="cart-77"))
        assert (status, why) == ("unmatched", "client reference: Invoice Ninja has no invoice 'cart-77'")

    async def test_several_invoices_wait_as_candidates(self, desk: Bench) -> None:
        """Metadata that disagree are for a person."""
        client = await desk.client()
        await desk.invoice(client, "100", "R-1")
        await desk.invoice(client, "100", "R-2")
        conflict = [
            paid("pi_2", invoice_number="R-1"),
            session(payment_intent="pi_2", id="cs_2", metadata={"invoice_number": "R-2"}),
        ]
        desk.store_told(conflict[0])
        await desk.deliver(conflict[1])
        record = desk.memory.records["pi_2"]
        assert record.status == "unmatched"
        assert record.reason.startswith("several invoices are written on it")
        assert [one.number for one in record.candidates] == ["R-1", "R-2"]


class TestDisagreement:
    """What is found written about another invoice when the money is recorded already."""

    @pytest.fixture
    async def recorded(self, desk: Bench) -> str:
        """pi_1 is recorded for R-1 by a client reference; its client has R-2 as well. Returns the id of R-2."""
        client = await desk.client()
        await desk.invoice(client, "100", "R-1")
        other = await desk.invoice(client, "100", "R-2")
        assert await settled(desk, session(reference="R-1")) == ("paid", "")
        return other

    async def test_is_flagged_and_moves_nothing(self, desk: Bench, recorded: str) -> None:
        """Metadata that come later and name another invoice: the money stays, a person is told what to do."""
        status, why = await settled(desk, paid(invoice_number="R-2"))
        assert (status, why) == ("paid", "metadata of payment_intent pi_1 names invoice R-2")
        assert [desk.memory.records["pi_1"].invoice_number, desk.invoice_row(recorded)["status_id"]] == ["R-1", "2"]
        assert "Stripe pi_1: metadata of payment_intent pi_1 names invoice R-2" in desk.notes()
        ((summary, _),) = desk.reviews.opened.values()
        assert "the money stays on invoice R-1. `taiga-billing payments match pi_1 R-1`" in summary
        assert desk.reviews.kinds == ["payment_problem"]
        assert len(desk.payments()) == 1

    async def test_a_person_may_confirm_it(self, desk: Bench, recorded: str) -> None:
        """Matching it with the invoice it is recorded for says that all is well, now and later."""
        await settled(desk, paid(invoice_ninja_invoice_id=recorded))
        await desk.decide("pi_1", "match", invoice="R-1")
        said = "100.00 EUR came, recorded as payment pi_1 on invoice R-1 (client reference)"
        assert (desk.reviews.kinds, desk.memory.records["pi_1"].reason) == ([], said)
        assert await settled(desk, changed(paid(), created=DAY + 9)) == ("paid", "")

    async def test_a_person_may_move_it(self, desk: Bench, recorded: str) -> None:
        """Deleted in Invoice Ninja and matched with the other one, it is recorded there."""
        await settled(desk, paid(invoice_number="R-2"))
        refused = await desk.decide("pi_1", "match", invoice="R-2")
        assert isinstance(refused, Processed)
        assert "taiga-billing payments unmatch pi_1" in refused.reason
        await desk.decide("pi_1", "unmatch", why="it is for R-2")
        await desk.decide("pi_1", "match", invoice="R-2")
        assert (desk.memory.records["pi_1"].invoice_number, desk.reviews.kinds) == ("R-2", [])
        assert [row["number"] for row in desk.payments()] == ["pi_1-2"]
        assert desk.invoice_row(recorded)["status_id"] == "4"

    async def test_places_that_disagree_with_each_other(self, desk: Bench, recorded: str) -> None:
        """Of several places, those that name another invoice are told."""
        assert recorded
        _, why = await settled(
            desk, paid(invoice_number="R-1"), session(DAY + 1, id="cs_2", metadata={"invoice_number": "R-2"})
        )
        assert why == "metadata of checkout_session cs_2 names invoice R-2"

    @pytest.mark.parametrize("named", ["X-99", "deleted"])
    async def test_nothing_that_could_be_paid_is_no_disagreement(self, desk: Bench, recorded: str, named: str) -> None:
        """An invoice that does not exist, or no longer, is not where the money belongs."""
        await desk.post("/invoices/bulk", {"action": "delete", "ids": [recorded]})
        metadata = {"invoice_ninja_invoice_id": recorded} if named == "deleted" else {"invoice_number": named}
        assert await settled(desk, changed(paid(), metadata=metadata)) == ("paid", "")
        assert desk.reviews.kinds == []

    async def test_recorded_by_a_person_for_another_invoice(self, desk: Bench) -> None:
        """What a person entered counts, and that the payment says otherwise is told."""
        client = await desk.client()
        await desk.invoice(client, "100", "R-1")
        other = await desk.invoice(client, "100", "R-2")
        body = {"client_id": client, "amount": 100, "transaction_reference": "pi_1"}
        await desk.post("/payments", {**body, "invoices": [{"invoice_id": other, "amount": 100}]})
        assert await settled(desk, paid(invoice_number="R-1")) == (
            "paid",
            "metadata of payment_intent pi_1 names invoice R-1",
        )
        assert desk.memory.records["pi_1"].invoice_number == "R-2"


class TestObstacles:
    """Invoices that cannot take the money."""

    @pytest.mark.parametrize(("action", "word"), [("delete", "deleted"), ("cancel", "cancelled")])
    async def test_gone_invoice_waits(self, desk: Bench, action: str, word: str) -> None:
        """Deleted or cancelled: a person chooses another one."""
        client = await desk.client()
        invoice = await desk.invoice(client, "100", "R-1")
        await desk.post("/invoices/bulk", {"action": action, "ids": [invoice]})
        other = await desk.invoice(client, "100", "R-2")
        status, why = await settled(desk, paid(invoice_ninja_invoice_id=invoice))
        assert status == "unmatched"
        assert word in why
        candidates = desk.memory.records["pi_1"].candidates
        assert [one.invoice_id for one in candidates] == [invoice, other]
        assert word in candidates[0].why_not
        ((summary, details),) = desk.reviews.opened.values()
        assert "100.00 EUR" in summary
        assert details["candidates"] == [one.number for one in candidates]
        outcome = await desk.decide("pi_1", "match", invoice="R-2")
        assert isinstance(outcome, Processed)
        assert desk.invoice_row(other)["status_id"] == "4"
        assert desk.memory.records["pi_1"].matched_by == "decided by eva: invoice R-2"

    async def test_cancelled_and_written_again_is_not_paid(self, desk: Bench) -> None:
        """A PUT makes a cancelled invoice "paid": nothing was ever paid on it."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        await desk.ninja.act_on_invoices("cancel", [invoice])
        await desk.ninja.update_invoice(invoice, {"private_notes": "x"})
        status, why = await settled(desk, paid(invoice_number="R-1"))
        assert (status, "it was cancelled and changed afterwards" in why) == ("unmatched", True)

    async def test_reversed_invoice_is_cancelled(self, desk: Bench) -> None:
        """Status 6 as well."""
        invoice = await desk.ninja.invoice(await desk.invoice(await desk.client(), "100", "R-1"))
        assert "cancelled" in unpayable(replace(invoice, status_id="6"))

    async def test_other_currency_is_never_converted(self, desk: Bench) -> None:
        """An invoice in dollars takes no euros."""
        await desk.invoice(await desk.client("USD"), "100", "R-1")
        status, why = await settled(desk, paid(invoice_number="R-1"))
        assert status == "unmatched"
        assert "is in USD, the payment in EUR: nothing is converted" in why

    async def test_currency_that_invoice_ninja_lacks_waits(self, desk: Bench) -> None:
        """A currency id that no table knows equals none of Stripe's."""
        client = await desk.client()
        desk.state.tables["clients"].get(client).data["settings"]["currency_id"] = "4711"  # type: ignore[union-attr]
        await desk.invoice(client, "100", "R-1")
        _, why = await settled(desk, paid(invoice_number="R-1"))
        assert "is in an unknown currency" in why

    async def test_customer_of_another_client_waits(self, desk: Bench) -> None:
        """A Stripe customer who paid for one client does not pay for another one by mistake."""
        mine, theirs = await desk.client(), await desk.client()
        await desk.invoice(mine, "100", "R-1")
        await desk.invoice(theirs, "100", "R-2")
        await desk.deliver(paid("pi_0", "cus_1", invoice_number="R-1"))
        status, why = await settled(desk, paid(customer="cus_1", invoice_number="R-2"))
        assert status == "unmatched"
        assert f"R-2 belongs to client {theirs}, but cus_1 has paid for client {mine}" in why
        await desk.decide("pi_1", "match", invoice="R-2")
        assert desk.memory.records["pi_1"].status == "paid"
        await desk.invoice(theirs, "100", "R-3")
        await desk.deliver(paid("pi_3", "cus_1", invoice_number="R-3"))
        assert desk.memory.records["pi_3"].status == "paid"


class TestAmount:
    """`match_by_amount`: off, propose or auto."""

    async def test_off_proposes_nothing(self, desk: Bench) -> None:
        """Not even an exact amount."""
        desk.rule(match_by_amount="off")
        await desk.invoice(await desk.client(email="eva@example.test"), "100", "R-1")
        await settled(desk, paid(), session(email="eva@example.test"))
        assert desk.memory.records["pi_1"].candidates == ()
        desk.memory.records.clear()
        await desk.deliver(paid("pi_2"))
        assert desk.memory.records["pi_2"].candidates == ()

    async def test_the_only_exact_one_of_the_client_is_proposed_first(self, desk: Bench) -> None:
        """Known by the e-mail address: the exact one first, the others with their balance."""
        client = await desk.client(email="Eva@example.test")
        await desk.invoice(client, "50", "R-0")
        await desk.invoice(client, "100", "R-1")
        status, _ = await settled(desk, paid(), session(email="eva@Example.test"))
        record = desk.memory.records["pi_1"]
        assert status == "unmatched"
        assert [one.number for one in record.candidates] == ["R-1", "R-0"]
        assert record.candidates[0].why_not.startswith("the only open invoice of this client over exactly this amount")
        assert record.candidates[1].why_not == "its open balance is 50"

    async def test_several_exact_ones_are_all_proposed(self, desk: Bench) -> None:
        """Nothing is chosen, in `auto` neither."""
        desk.rule(match_by_amount="auto")
        client = await desk.client(email="eva@example.test")
        await desk.invoice(client, "100", "R-1")
        await desk.invoice(client, "100", "R-2")
        await settled(desk, paid(), session(email="eva@example.test"))
        whys = {one.why_not for one in desk.memory.records["pi_1"].candidates}
        assert whys == {"2 open invoices are over exactly this amount"}

    async def test_auto_takes_the_only_exact_one_of_a_known_customer(self, desk: Bench) -> None:
        """The Stripe customer paid for this client before."""
        desk.rule(match_by_amount="auto")
        client = await desk.client()
        await desk.invoice(client, "70", "R-1")
        await desk.deliver(paid("pi_0", "cus_1", 7000, invoice_number="R-1"))
        second = await desk.invoice(client, "100", "R-2")
        status, _ = await settled(desk, paid(customer="cus_1"))
        assert (status, desk.memory.records["pi_1"].invoice_id) == ("paid", second)
        assert desk.memory.records["pi_1"].matched_by.startswith("amount")

    async def test_other_currencies_are_no_candidates(self, desk: Bench) -> None:
        """100 dollars are not 100 euros."""
        client = await desk.client("USD", email="eva@example.test")
        await desk.invoice(client, "100", "R-1")
        await settled(desk, paid(), session(email="eva@example.test"))
        assert desk.memory.records["pi_1"].candidates == ()

    async def test_unknown_payer_gets_exact_amounts_of_anybody(self, desk: Bench) -> None:
        """As proposals only, in the currency of the payment."""
        desk.rule(match_by_amount="auto")
        await desk.invoice(await desk.client(), "100", "R-1")
        await desk.invoice(await desk.client("USD"), "100", "R-2")
        await desk.invoice(await desk.client(), "99", "R-3")
        await settled(desk, paid(), session(email="nobody@example.test"))
        (one,) = desk.memory.records["pi_1"].candidates
        assert (one.number, "not known to be this payer" in one.why_not) == ("R-1", True)
        assert desk.payments() == []


class TestDecisions:
    """What a person decides."""

    async def decided(self, desk: Bench, action: str, **payload: str) -> Outcome | Exception:
        """An unmatched payment, and a decision."""
        await desk.deliver(paid())
        return await desk.decide("pi_1", action, **payload)

    @pytest.mark.parametrize("choice", ["R-9", ""])
    async def test_unknown_choice_needs_a_person(self, desk: Bench, choice: str) -> None:
        """The event of the decision dies with what to do."""
        error = await self.decided(desk, "match", invoice=choice)
        assert isinstance(error, NeedsPerson)
        assert "there is no invoice" in error.reason
        record = desk.memory.records["pi_1"]
        assert (record.status, record.reason) == ("unmatched", error.reason), "it still waits among the unmatched"
        await desk.invoice(await desk.client(), "100", "R-1")
        await desk.decide("pi_1", "match", invoice="R-1")
        assert desk.memory.records["pi_1"].status == "paid"

    async def test_choice_that_cannot_be_paid_needs_a_person(self, desk: Bench) -> None:
        """A decision does not convert currencies."""
        await desk.invoice(await desk.client("USD"), "100", "R-1")
        error = await self.decided(desk, "match", invoice="R-1")
        assert isinstance(error, NeedsPerson)
        assert "nothing is converted" in error.reason

    async def test_newest_decision_counts(self, desk: Bench) -> None:
        """Ignored first, matched later."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        outcome = await self.decided(desk, "ignore", why="our own test")
        assert outcome == Ignored(Code.PAYMENT_IGNORED, "eva decided to ignore it: our own test")
        assert (desk.memory.records["pi_1"].status, desk.reviews.kinds) == ("ignored", [])
        await desk.deliver(paid())
        assert desk.payments() == []
        await desk.decide("pi_1", "match", invoice="R-1")
        assert desk.invoice_row(invoice)["status_id"] == "4"

    async def test_ignoring_needs_no_reason_here(self, desk: Bench) -> None:
        """The doors ask for one; what was stored without is carried out all the same."""
        outcome = await self.decided(desk, "ignore")
        assert outcome == Ignored(Code.PAYMENT_IGNORED, "eva decided to ignore it: no reason given")

    async def test_recorded_money_is_not_ignored(self, desk: Bench) -> None:
        """A refund that comes after such a decision is taken off as usual: nothing vanishes."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        await desk.deliver(paid(invoice_number="R-1"))
        outcome = await desk.decide("pi_1", "ignore", why="a wrong click")
        assert isinstance(outcome, Processed)
        assert desk.memory.records["pi_1"].status == "paid"
        await desk.deliver(refund("re_1", 10000))
        (payment,) = desk.payments()
        assert (payment["refunded"], desk.memory.records["pi_1"].status) == (100, "refunded")
        assert desk.invoice_row(invoice)["balance"] == 0

    async def test_money_that_a_person_entered_is_not_ignored(self, desk: Bench) -> None:
        """It was ignored, and later entered by hand with its id: from then on its refunds count."""
        client = await desk.client()
        await self.decided(desk, "ignore", why="our own test")
        await desk.post("/payments", {"client_id": client, "amount": 100, "transaction_reference": "pi_1"})
        await desk.deliver(refund("re_1", 10000))
        (payment,) = desk.payments()
        assert (payment["refunded"], desk.memory.records["pi_1"].status) == (100, "refunded")

    async def test_recorded_money_is_not_moved(self, desk: Bench) -> None:
        """Another invoice is possible only after the payment was deleted."""
        client = await desk.client()
        await desk.invoice(client, "100", "R-1")
        second = await desk.invoice(client, "100", "R-2")
        await desk.deliver(paid(invoice_number="R-1"))
        refused = await desk.decide("pi_1", "match", invoice="R-2")
        assert isinstance(refused, Processed)
        assert "recorded as payment pi_1 of invoice R-1 already, and nothing was moved" in refused.reason
        assert desk.memory.records["pi_1"].status == "paid"
        await desk.decide("pi_1", "match", invoice="R-1")
        assert desk.memory.records["pi_1"].status == "paid"
        await desk.decide("pi_1", "match", invoice="R-2")
        await desk.ninja.delete_payment(desk.payments()[0].id)
        await desk.decide("pi_1", "match", invoice="R-2")
        assert desk.invoice_row(second)["status_id"] == "4"
        outcome = await desk.decide("pi_1", "match", invoice="R-2")
        assert isinstance(outcome, Processed)

    async def test_decision_holds_when_the_number_changes(self, desk: Bench) -> None:
        """The invoice was renamed after the payment was matched by its number."""
        invoice = await desk.invoice(await desk.client(), "100", "R-1")
        await self.decided(desk, "match", invoice="R-1")
        await desk.ninja.update_invoice(invoice, {"number": "R-1b"})
        outcome = await desk.deliver(paid())
        assert isinstance(outcome, Processed)
        assert desk.memory.records["pi_1"].invoice_number == "R-1b"
        outcome = await desk.decide("pi_1", "match", invoice="R-1b")
        assert isinstance(outcome, Processed)

    async def test_unapplied_money_finds_its_invoice(self, desk: Bench) -> None:
        """A person recorded it on no invoice; a decision uses it for one."""
        client = await desk.client()
        invoice = await desk.invoice(client, "100", "R-1")
        await desk.post("/payments", {"client_id": client, "amount": 100, "transaction_reference": "pi_1"})
        await desk.deliver(paid())
        assert desk.invoice_row(invoice)["balance"] == 100
        await desk.decide("pi_1", "match", invoice="R-1")
        assert desk.invoice_row(invoice)["balance"] == 0
        assert len(desk.payments()) == 1


async def test_decision_without_any_event_is_for_nobody(desk: Bench) -> None:
    """A decision about a payment that Stripe never told of changes nothing."""
    outcome = await desk.decide("pi_7", "ignore", why="?")
    assert outcome == Ignored(Code.NO_PAYMENT_EVENT, "no event of this payment is for us")
    assert desk.memory.records == {}
    assert PaymentRecord("pi_7", "stripe:payment:pi_7").status == "unpaid"
