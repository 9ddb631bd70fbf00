"""People and banks doing what makes Stripe send events; by ids, because objects change.

    people = StripePeople(state)
    people.listen("http://127.0.0.1:8000/webhooks/stripe", secret="whsec_demo")
    intent = people.pay(12345, "eur", metadata={"invoice_number": "2026-0042"})
    people.refund(intent["id"], 2345)
    await state.deliver()

The events wait in the outbox until somebody delivers them.
"""

from collections.abc import Mapping

from middleware.lab.sandbox.stripe import billing, checkout, moneyback, payments
from middleware.lab.sandbox.stripe.payments import Payer
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState


class StripePeople:
    """Customers, banks and merchants of one sandbox Stripe."""

    def __init__(self, state: StripeState, payer: Payer | None = None) -> None:
        self.state = state
        self.payer = payer or Payer()

    def listen(self, url: str, secret: str, *events: str, api_version: str | None = None) -> Json:
        """Register a webhook endpoint with a secret of our choice; all events unless some are named."""
        wanted = list(events) or ["*"]
        endpoint = self.state.create(
            "webhook_endpoint", "we_1", url=url, enabled_events=wanted, api_version=api_version
        )
        self.state.secrets[endpoint["id"]] = secret
        return endpoint

    def pay(self, amount: int, currency: str, metadata: Mapping[str, str] | None = None) -> Json:
        """A card payment without any page. Returns the intent."""
        intent = payments.create_intent(self.state, amount, currency, metadata=dict(metadata or {}))
        intent = payments.pay_by_card(self.state, intent, self.payer)
        payments.settle_later(self.state, intent)
        return intent

    def fail(self, amount: int, currency: str, metadata: Mapping[str, str] | None = None) -> Json:
        """A card payment that is declined; `try_again` may follow. Returns the intent."""
        intent = payments.create_intent(self.state, amount, currency, metadata=dict(metadata or {}))
        return payments.decline(self.state, intent, "insufficient_funds", self.payer)

    def try_again(self, intent_id: str) -> Json:
        """The customer pays a declined intent with a better card. Returns the intent."""
        intent = payments.pay_by_card(self.state, self._intent(intent_id), self.payer)
        payments.settle_later(self.state, intent)
        return intent

    def authorise(self, amount: int, currency: str, metadata: Mapping[str, str] | None = None) -> Json:
        """A card payment that is only authorised, to be captured later. Returns the intent."""
        intent = payments.create_intent(
            self.state, amount, currency, metadata=dict(metadata or {}), capture_method="manual"
        )
        return payments.pay_by_card(self.state, intent, self.payer)

    def capture(self, intent_id: str, amount: int | None = None) -> Json:
        """Capture an authorised payment, whole or in part."""
        return payments.capture(self.state, self._intent(intent_id), amount)

    def pay_link(self, link_id: str, *, debit: bool = False, client_reference: str | None = None) -> Json:
        """Open a payment link and pay it. Returns the session."""
        session = checkout.open_link(self.state, self.state.find("payment_link", link_id), client_reference)
        return self.pay_session(session["id"], debit=debit)

    def pay_session(self, session_id: str, *, debit: bool = False) -> Json:
        """Pay an open session, by card or by a debit that takes days. Returns the session."""
        return checkout.complete(self.state, self._session(session_id), self.payer, debit=debit)

    def pay_with_receipt(self, amount: int, currency: str, metadata: Mapping[str, str] | None = None) -> Json:
        """Pay a new session of which Stripe makes a receipt invoice (`invoice_creation`). Returns the session."""
        state, named = self.state, dict(metadata or {})
        customer = state.create("customer", "cus_", email=self.payer.email, name=self.payer.name)
        receipt = billing.create_invoice(state, customer, currency, metadata=named)
        billing.add_line(state, receipt, amount, "Support plan")
        session = checkout.create_session(state, amount, currency, metadata=named, invoice=receipt["id"])
        paid = checkout.complete(state, session, self.payer, intent_data={"metadata": named})
        billing.receipt_paid(state, self._invoice(receipt["id"]))
        return paid

    def debit_arrives(self, session_id: str) -> Json:
        """The debit of a session succeeds."""
        return checkout.debit_arrives(self.state, self._session(session_id))

    def debit_bounces(self, session_id: str) -> Json:
        """The debit of a session comes back."""
        return checkout.debit_bounces(self.state, self._session(session_id))

    def refund(self, intent_id: str, amount: int | None = None, *, pending: bool = False) -> Json:
        """Give money back, all that is left unless an amount is named. Returns the refund."""
        status = "pending" if pending else "succeeded"
        return moneyback.refund(self.state, self._charge(intent_id), amount, status, reason="requested_by_customer")

    def refund_succeeds(self, refund_id: str) -> Json:
        """A pending refund goes through."""
        return moneyback.refund_succeeds(self.state, self.state.find("refund", refund_id))

    def refund_fails(self, refund_id: str) -> Json:
        """A refund comes back."""
        return moneyback.refund_fails(self.state, self.state.find("refund", refund_id))

    def dispute(self, intent_id: str, amount: int | None = None, reason: str = "fraudulent") -> Json:
        """The customer disputes a payment, or the bank returns a debit. Returns the dispute."""
        return moneyback.dispute(self.state, self._charge(intent_id), amount, reason)

    def dispute_answered(self, dispute_id: str) -> Json:
        """The merchant hands in evidence."""
        return moneyback.dispute_answered(self.state, self.state.find("dispute", dispute_id))

    def dispute_lost(self, dispute_id: str) -> Json:
        """The bank decides for the customer."""
        return moneyback.dispute_lost(self.state, self.state.find("dispute", dispute_id))

    def dispute_won(self, dispute_id: str) -> Json:
        """The bank decides for the merchant."""
        return moneyback.dispute_won(self.state, self.state.find("dispute", dispute_id))

    def bill(self, amount: int, currency: str, metadata: Mapping[str, str] | None = None) -> Json:
        """A finalized Stripe invoice over one line for a new customer. Returns the invoice."""
        customer = self.state.create("customer", "cus_", email=self.payer.email, name=self.payer.name)
        invoice = billing.create_invoice(self.state, customer, currency, metadata=dict(metadata or {}))
        billing.add_line(self.state, invoice, amount, "Support plan")
        return billing.finalize(self.state, self._invoice(invoice["id"]))

    def invoice_fails(self, invoice_id: str) -> Json:
        """An automatic payment of a Stripe invoice fails."""
        return billing.attempt_fails(self.state, self._invoice(invoice_id))

    def invoice_paid(self, invoice_id: str) -> Json:
        """A Stripe invoice is paid by card."""
        return billing.pay(self.state, self._invoice(invoice_id), self.payer)

    def invoice_paid_out_of_band(self, invoice_id: str) -> Json:
        """A Stripe invoice is paid past Stripe."""
        return billing.pay_out_of_band(self.state, self._invoice(invoice_id))

    def _intent(self, key: str) -> Json:
        return self.state.find("payment_intent", key)

    def _session(self, key: str) -> Json:
        return self.state.find("checkout.session", key)

    def _invoice(self, key: str) -> Json:
        return self.state.find("invoice", key)

    def _charge(self, intent_id: str) -> Json:
        return self.state.find("charge", self._intent(intent_id)["latest_charge"])
