"""Single rules about money: refunds, releases, disputes, failures, old API versions, and the target they lead to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.stripe import (
    InvoiceConflict,
    InvoiceRef,
    PaymentFacts,
    ReferenceNames,
    fold,
    from_api,
    invoice_reference,
    target,
)
from tests.support.payments.stripe_story import Json, api_objects, changed, story

CAPTURED_AT = 1790000600


def release(amount: int, key: str = "re_release", **fields: object) -> Json:
    """The refund event Stripe sends for the rest of a partial capture."""
    line = story("f_partial_capture")
    charge = line.events[1]["data"]["object"]
    template = story("d1_refund").events[2]
    values = {
        "id": key,
        "amount": amount,
        "charge": charge["id"],
        "payment_intent": charge["payment_intent"],
        "created": CAPTURED_AT,
        "reason": None,
        **fields,
    }
    event = changed(template)
    event["data"]["object"].update(values)
    return {**event, "id": f"evt_{key}", "created": CAPTURED_AT}


class TestPartialCapture:
    """6000 of 10000 are captured; the other 4000 are released, not refunded."""

    line = story("f_partial_capture")

    def test_release_is_no_refund(self) -> None:
        """The refund object of the release changes nothing."""
        held = target(fold([*self.line.events, release(4000)]))
        assert (held.paid, held.refunded, held.status) == (6000, 0, "partial")
        assert held.notes == ("40.00 EUR were authorised but not captured",)

    def test_real_refund_of_the_same_amount_counts(self) -> None:
        """Of two refunds of 4000 the first is the release, the second is real."""
        later = release(4000, "re_0", created=CAPTURED_AT + 86400)
        held = target(fold([later, *self.line.events, release(4000)]))
        assert (held.paid, held.refunded) == (6000, 4000)

    def test_refund_with_a_reason_is_never_the_release(self) -> None:
        """Stripe gives the release no reason."""
        held = target(fold([*self.line.events, release(4000, reason="duplicate")]))
        assert (held.paid, held.refunded) == (6000, 4000)

    def test_release_without_a_refund_object(self) -> None:
        """When the charge's own sum shows that the release has no object, every refund object is real."""
        refunded = changed(self.line.events[1], created=CAPTURED_AT + 9, amount_refunded=8000)
        held = target(fold([*self.line.events, refunded, release(4000)]))
        assert (held.paid, held.refunded) == (6000, 4000)

    def test_failed_refund_beside_the_release(self) -> None:
        """A failed refund does not make the release count, whether the charge's sum went down again or not."""
        for said in (4000, 10000):
            refunded = changed(self.line.events[1], created=CAPTURED_AT + 9, amount_refunded=said)
            failed = release(6000, "re_x", status="failed", reason="duplicate")
            held = target(fold([*self.line.events, refunded, release(4000), failed]))
            assert (held.paid, held.refunded) == (6000, 0)

    def test_full_refund_after_a_partial_capture(self) -> None:
        """Everything that was captured goes back."""
        real = release(6000, "re_z", reason="requested_by_customer")
        held = target(fold([*self.line.events, release(4000), real]))
        assert (held.paid, held.refunded, held.kept, held.status) == (6000, 6000, 0, "refunded")

    def test_release_is_known_without_the_charge(self) -> None:
        """The intent alone tells how much was not captured."""
        held = target(fold([self.line.events[2], release(4000)]))
        assert (held.paid, held.refunded) == (6000, 0)


class TestRefunds:
    """The truth is the list of refund objects that succeeded."""

    line = story("d1_refund")

    def test_pending_refund_does_not_count_yet(self) -> None:
        """Until the second refund succeeded only the first is money back."""
        held = target(fold(self.line.events[:6]))
        assert (held.refunded, held.status) == (2345, "partially_refunded")

    def test_charge_refunded_is_only_a_hint(self) -> None:
        """The sum on the charge counts nothing while refund objects are announced by events of their own."""
        assert target(fold([self.line.events[0], self.line.events[5]])).refunded == 0

    def test_old_api_versions_tell_refunds_only_on_the_charge(self) -> None:
        """Before 2024-10-28 the sum on the charge is all there is."""
        old = {**self.line.events[5], "api_version": "2023-10-16"}
        assert target(fold([self.line.events[0], old])).refunded == 12345
        assert target(fold([self.line.events[0], old, self.line.events[2]])).refunded == 2345

    def test_refunds_inside_an_old_charge_are_read(self) -> None:
        """Before 2022-11-15 the charge carried its refunds."""
        refund = self.line.events[2]["data"]["object"]
        charge = changed(self.line.events[3], refunds={"object": "list", "data": [refund], "has_more": False})
        assert target(fold([charge])).refunded == 2345

    def test_refund_that_fails_later_brings_the_money_back(self) -> None:
        """Succeeded, and failed weeks later: the payment stands again, in any order."""
        refund = changed(self.line.events[2], created=1791000000, type_="refund.failed", status="failed")
        for events in ([self.line.events[0], self.line.events[2], refund], [refund, *self.line.events[:3]]):
            assert target(fold(events)).refunded == 0

    def test_null_status_counts_as_pending(self) -> None:
        """Stripe's status of a refund may be null."""
        events = [self.line.events[0], changed(self.line.events[2], status=None)]
        assert target(fold(events)).refunded == 0

    def test_other_currency_goes_to_a_person(self) -> None:
        """What is not in the payment's currency cannot be subtracted."""
        held = target(fold([self.line.events[0], changed(self.line.events[2], currency="usd")]))
        assert held.refunded == 0
        assert held.problems == (f"{self.line.events[2]['data']['object']['id']} is 2345 USD, the payment is in EUR",)

    def test_refund_before_its_payment_waits(self) -> None:
        """While the payment is unknown nothing can be given back."""
        held = target(fold([self.line.events[2]]))
        assert (held.paid, held.refunded, held.status) == (0, 0, "unpaid")


def test_unreadable_amount_stays_as_stripe_sent_it() -> None:
    """A currency that only a person can read does not hide the note."""
    line = story("d1_refund")
    events = [changed(line.events[0], currency="ugx"), changed(line.events[2], currency="ugx")]
    assert target(fold(events)).notes[0].endswith("of 2345 minor units of UGX: succeeded")


class TestDisputes:
    """Open disputes are a status, lost ones money gone, won ones healed."""

    def test_open_dispute(self) -> None:
        """The money is still shown as paid, the invoice as disputed."""
        held = target(fold(story("e1_dispute_lost").events[:3]))
        assert (held.paid, held.refunded, held.status) == (30000, 0, "disputed")
        assert "(fraudulent): needs_response" in held.notes[0]

    def test_lost_dispute_is_refunded_money(self) -> None:
        """Stripe never refunds a lost dispute, but the money is gone."""
        held = target(fold(story("e1_dispute_lost").events))
        assert (held.paid, held.refunded, held.lost, held.status) == (30000, 30000, 30000, "refunded")

    def test_won_dispute_heals(self) -> None:
        """Nothing remains but the note."""
        held = target(fold(story("e2_dispute_won").events))
        assert (held.paid, held.refunded, held.status) == (30000, 0, "paid")

    @pytest.mark.parametrize(
        ("status", "kept", "word"),
        [
            ("warning_needs_response", 30000, "paid"),
            ("appeal_under_review", 0, "refunded"),
            ("prevented", 0, "refunded"),
            ("a_new_word", 30000, "disputed"),
        ],
    )
    def test_other_words_of_a_dispute(self, status: str, kept: int, word: str) -> None:
        """Inquiries move no money, appeals leave it lost, unknown words are open; what a prevented one took is gone."""
        line = story("e1_dispute_lost")
        held = target(fold([line.events[0], changed(line.events[1], status=status)]))
        assert (held.kept, held.status) == (kept, word)

    def test_refund_and_lost_dispute_never_exceed_the_payment(self) -> None:
        """Refunded and lost together are at most what was paid."""
        line = story("d1_refund")
        intent = line.events[0]["data"]["object"]["id"]
        lost = changed(story("e1_dispute_lost").events[4], payment_intent=intent, charge=None)
        held = target(fold([*line.events, lost]))
        assert (held.refunded, held.kept) == (12345, 0)


class TestFailures:
    """A failure counts until the payment goes on."""

    def test_failed_invoice_payment_makes_overdue(self) -> None:
        """With attempt count, next attempt and the reason."""
        facts = fold(story("c0_invoice_acacia").events[:3])
        assert (target(facts).status, facts.overdue_since) == ("overdue", 1790003603)
        assert facts.failure is not None
        assert (facts.failure.attempt_count, facts.failure.next_attempt_at) == (1, 1790259200)
        assert target(facts).notes == (
            "Payment failed: Your card has insufficient funds, attempt 1, next attempt 2026-09-24 14:13 UTC",
        )

    def test_newer_invoice_fails_without_naming_its_payment(self) -> None:
        """Since 2025-03-31 the invoice event alone must do."""
        facts = fold([story("c1_invoice_new").events[2]])
        assert (target(facts).status, facts.identity[:3]) == ("overdue", "in_")

    def test_success_heals_and_late_failures_do_not_undo_it(self) -> None:
        """Once succeeded, always succeeded."""
        line = story("c0_invoice_acacia")
        late = {**line.events[1], "created": 1799999999}
        held = target(fold([*line.events, late]))
        assert (held.status, held.paid) == ("paid", 9900)

    def test_failed_sepa_payment(self) -> None:
        """Without a Stripe invoice a failure is only a failure."""
        facts = fold(story("b2_sepa_fail").events)
        assert target(facts).status == "failed"
        assert facts.failure is not None
        assert facts.failure.failed_at == 1790432001

    def test_session_alone_tells_of_the_failure(self) -> None:
        """Only its event type says that the payment failed."""
        line = story("b2_sepa_fail")
        assert fold([line.events[2]]).status == "processing"
        assert fold([line.events[5], line.events[2]]).status == "failed"

    def test_failure_in_the_second_of_the_attempt(self) -> None:
        """Stripe's times have whole seconds: the failure is what came last."""
        failed = story("b2_sepa_fail").events[4]
        started = changed(story("b2_sepa_fail").events[1], created=failed["created"])
        assert fold([started, failed]) == fold([failed, started])
        assert fold([started, failed]).status == "failed"

    def test_failed_charge_without_an_intent(self) -> None:
        """The old Charges API fails by its charge alone."""
        failed = changed(story("b2_sepa_fail").events[3], payment_intent=None)
        facts = fold([failed])
        assert (facts.status, facts.identity[:3]) == ("failed", "py_")
        assert facts.failure is not None
        assert facts.failure.code == "insufficient_funds"

    def test_overdue_without_the_event_of_the_failure(self) -> None:
        """The API shows an open invoice and its failed intent: that is enough."""
        line = story("c0_invoice_acacia")
        facts = from_api(line.events[1]["data"]["object"], invoice=line.events[2]["data"]["object"])
        assert (target(facts).status, facts.overdue_since) == ("overdue", 1790000000)

    def test_voided_and_overdue_invoices(self) -> None:
        """Stripe's own word for overdue is taken; a voided invoice owes nothing."""
        assert target(fold(story("c2_invoice_overdue").events)).status == "overdue"
        assert target(fold(story("c2_invoice_voided").events)).status == "canceled"
        failed = story("c1_invoice_new").events[2]
        voided = changed(failed, created=1790300000, type_="invoice.voided", status="void")
        assert target(fold([voided, failed])).status == "canceled"

    def test_invoice_paid_by_its_payments_is_no_money_of_its_own(self) -> None:
        """The money comes with the payment; counting the invoice too would double it."""
        held = target(fold([story("c1_invoice_new").events[6]]))
        assert (held.paid, held.status) == (0, "by_its_payments")

    def test_processing_and_canceled(self) -> None:
        """A SEPA payment on its way, and one given up."""
        line = story("b1_sepa_ok")
        assert target(fold(line.events[:3])).status == "processing"
        given_up = changed(line.events[1], created=1790000100, type_="payment_intent.canceled", status="canceled")
        assert target(fold([given_up, *line.events[:3]])).status == "canceled"


class TestWitnesses:
    """One sign of success is enough."""

    @pytest.mark.parametrize(
        ("name", "index"), [("a_card", 0), ("a_card", 2), ("c1_invoice_new", 5), ("c0_invoice_acacia", 5)]
    )
    def test_any_witness_alone_tells_the_money(self, name: str, index: int) -> None:
        """Charge, session, invoice payment or an old invoice: same key, same amount."""
        whole, alone = fold_payment(name), fold([story(name).events[index]])
        assert (target(alone).key, target(alone).paid, target(alone).currency) == (
            target(whole).key,
            target(whole).paid,
            "EUR",
        )
        assert alone.paid_at in {1790000001, 1790000002, 1790259200, 1790259201}

    def test_authorised_money_is_not_received(self) -> None:
        """A charge that is not captured moved nothing."""
        line = story("f_partial_capture")
        authorised = changed(line.events[1], type_="charge.succeeded", captured=False, amount_captured=0)
        assert target(fold([authorised])).status == "unpaid"
        assert fold([line.events[0]]).status == "authorized"

    def test_own_gateway_is_left_to_invoice_ninja(self) -> None:
        """Its ids are kept for adoption, its money is not counted again."""
        line = story("a3_invoice_ninja_own_gateway")
        facts = fold(line.events)
        assert facts.own_gateway
        assert (target(facts).paid, target(facts).status) == (0, "own_gateway")
        assert {reference[:3] for reference in facts.references} == {"pi_", "ch_"}

    def test_payer_fee_and_mode_are_known(self) -> None:
        """Who paid, what Stripe took, and that it was real money."""
        answer = api_objects("c1_invoice_new")
        facts = from_api(
            answer["payment_intent"],
            [{**answer["charge"], "balance_transaction": answer["balance_transaction"]}],
            others=[answer["invoice_payment"]],
        )
        assert (facts.person.email, facts.person.name) == ("ada@example.org", "Ada Példa")
        assert facts.stripe_invoices == (answer["invoice"]["id"],)
        assert facts.livemode is True
        assert target(facts).notes[0].startswith("Stripe fee 1.73 EUR (txn_")

    def test_invoice_paid_by_several_payments(self) -> None:
        """Partial payments of one Stripe invoice are each money of their own."""
        answer = api_objects("c1_invoice_new")
        other = {**answer["invoice_payment"], "id": "inpay_2", "payment": {"payment_intent": "pi_other"}}
        payments = {"object": "list", "data": [answer["invoice_payment"], other]}
        invoice = {**answer["invoice"], "payments": payments}
        assert target(from_api(answer["payment_intent"], invoice=invoice)).paid == 9900
        assert target(from_api(None, invoice=invoice)).paid == 0


def fold_payment(name: str) -> PaymentFacts:
    """All events of a story that are about its payment."""
    return fold(story(name).events)


class TestInvoiceReference:
    """What is written on a payment, and nothing else, says which invoice it is for."""

    session = story("a_card").events[2]
    intent = story("a_card").events[1]

    def test_metadata_of_the_intent_comes_first(self) -> None:
        """Both the id and the number are told, and where they stand."""
        found = invoice_reference(fold(story("a_card").events), ReferenceNames())
        assert isinstance(found, InvoiceRef)
        assert (found.invoice_id, found.number) == ("Wpmbk5ezJn", "2026-0042")
        assert found.found_in.startswith("metadata of payment_intent pi_")

    def test_metadata_only_on_the_session_or_the_stripe_invoice(self) -> None:
        """A payment link without payment_intent_data, and Stripe Billing, write it elsewhere."""
        bare = changed(self.intent, metadata={})
        found = invoice_reference(fold([bare, self.session]), ReferenceNames())
        assert isinstance(found, InvoiceRef)
        assert found.found_in.startswith("metadata of checkout_session cs_")
        billed = invoice_reference(fold(story("c0_invoice_acacia").events[:3]), ReferenceNames())
        assert isinstance(billed, InvoiceRef)
        assert billed.found_in.startswith("metadata of stripe_invoice in_")

    def test_client_reference_is_used_when_nothing_else_is_there(self) -> None:
        """It may be an id or a number: the text is told as it is."""
        found = invoice_reference(fold([changed(self.session, metadata={}, payment_link=None)]), ReferenceNames())
        assert found == InvoiceRef(None, None, "2026-0042", "client reference")

    def test_client_reference_never_overrules(self) -> None:
        """The customer can change it in the address of a payment link."""
        found = invoice_reference(fold([changed(self.session, client_reference_id="2026-0001")]), ReferenceNames())
        assert isinstance(found, InvoiceRef)
        assert found.number == "2026-0042"
        assert found.remarks == ("client reference '2026-0001' says otherwise",)

    def test_our_own_payment_link_is_known(self) -> None:
        """The link was made for one invoice."""
        link = self.session["data"]["object"]["payment_link"]
        bare = fold([changed(self.session, metadata={}, client_reference_id=None)])
        found = invoice_reference(bare, ReferenceNames(our_links={link: "Abc"}))
        assert found == InvoiceRef("Abc", None, None, f"our payment link {link}")
        assert invoice_reference(bare, ReferenceNames()) is None

    def test_conflict_is_reported_and_not_guessed(self) -> None:
        """Two invoices on one payment are for a person."""
        other = changed(self.session, metadata={"invoice_ninja_invoice_id": "Other"})
        found = invoice_reference(fold([self.intent, other]), ReferenceNames())
        assert isinstance(found, InvoiceConflict)
        assert [ref.invoice_id for ref in found.candidates] == ["Wpmbk5ezJn", "Other"]

    def test_two_client_references_are_a_conflict(self) -> None:
        """Two sessions of one payment that name different invoices decide nothing."""
        one = changed(self.session, metadata={}, payment_link=None)
        other = changed(one, id="cs_2", client_reference_id="2026-0001")
        assert isinstance(invoice_reference(fold([one, other]), ReferenceNames()), InvoiceConflict)

    def test_names_are_configurable_and_blanks_are_nothing(self) -> None:
        """Other metadata keys can be chosen; a blank value names no invoice."""
        labelled = fold([changed(self.intent, metadata={"bill": " 77 ", "invoice_number": " "})])
        assert invoice_reference(labelled, ReferenceNames()) is None
        found = invoice_reference(labelled, ReferenceNames(invoice_number="bill"))
        assert isinstance(found, InvoiceRef)
        assert found.number == "77"


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.sampled_from(["succeeded", "pending", "failed"])), max_size=5),
    st.integers(1, 12345),
)
def test_refunds_add_up_to_the_minor_unit(parts: list[tuple[int, str]], received: int) -> None:
    """What is shown as refunded is the sum of what succeeded, at most the payment."""
    line = story("d1_refund")
    paid = changed(line.events[0], amount=received, amount_received=received)
    events = [changed(line.events[2], id=f"re_{n}", amount=a, status=s) for n, (a, s) in enumerate(parts)]
    held = target(fold([*events, paid]))
    assert held.refunded == min(sum(amount for amount, status in parts if status == "succeeded"), received)
