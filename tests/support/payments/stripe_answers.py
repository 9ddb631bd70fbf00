"""Stripe's API made of events: each object as the newest event that shows it, and what other objects say of it."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from handlers.errors import NotFound
from tests.support.payments.stripe_story import Json

OWN_ACCOUNT = "acct_ours"


class StripeAnswers:
    """Implements `handlers.ports.billing.StripeMoney`; `events` gives what happened at Stripe so far."""

    def __init__(self, events: Callable[[], Iterable[Json]]) -> None:
        self._events = events

    async def account_id(self) -> str:
        """The account of the key."""
        return OWN_ACCOUNT

    async def payment_intent(self, intent_id: str) -> Json:
        """The intent as an event showed it, else as its charge or session implies it."""
        known = self._find("payment_intent", intent_id)
        charges = list(self._named("charge", payment_intent=intent_id))
        if known is None:
            known = self._implied(intent_id, charges)
        return {**known, "latest_charge": known.get("latest_charge") or (charges[-1] if charges else None)}

    async def charge(self, charge_id: str) -> Json:
        """A charge."""
        return self._found("charge", charge_id)

    async def invoice(self, invoice_id: str) -> Json:
        """A Stripe invoice; it says nothing of how it was paid, as the newest version does."""
        shown = self._found("invoice", invoice_id)
        return {key: value for key, value in shown.items() if key != "paid_out_of_band"}

    async def refunds(self, **filters: str) -> AsyncIterator[Json]:
        """Refunds of a payment."""
        for one in self._named("refund", **filters):
            yield one

    async def disputes(self, **filters: str) -> AsyncIterator[Json]:
        """Disputes of a payment."""
        for one in self._named("dispute", **filters):
            yield one

    async def sessions(self, **filters: str) -> AsyncIterator[Json]:
        """Checkout Sessions of a payment."""
        for one in self._named("checkout.session", **filters):
            yield one

    async def invoice_payments(self, *, invoice: str = "", payment_intent: str = "") -> AsyncIterator[Json]:
        """The links of an invoice, or of a payment."""
        for one in self._named("invoice_payment"):
            is_of_invoice = invoice and one["invoice"] == invoice
            if is_of_invoice or (payment_intent and one["payment"].get("payment_intent") == payment_intent):
                yield one

    def _objects(self) -> dict[tuple[str, str], Json]:
        shown = sorted(self._events(), key=lambda event: event["created"])
        found = [event["data"]["object"] for event in shown]
        return {(one["object"], one["id"]): one for one in found}

    def _find(self, kind: str, key: str) -> Json | None:
        return self._objects().get((kind, key))

    def _found(self, kind: str, key: str) -> Json:
        found = self._find(kind, key)
        if found is None:
            raise NotFound("stripe", f"GET /v1/{kind}s/{key}", "No such object", status=404)
        return found

    def _named(self, kind: str, **fields: str) -> Iterator[Json]:
        for (found, _), one in self._objects().items():
            if found == kind and all(one.get(name) == value for name, value in fields.items()):
                yield one

    def _implied(self, intent_id: str, charges: list[Json]) -> Json:
        """An intent that no event showed: its money is that of its charge, its session or its link."""
        money: dict[str, Any] | None = None
        for charge in charges:
            amount = charge["amount_captured"]
            money = {"amount": charge["amount"], "amount_received": amount, "currency": charge["currency"]}
            money["metadata"] = charge.get("metadata") or {}
        for session in self._named("checkout.session", payment_intent=intent_id):
            amount = session["amount_total"]
            money = money or {"amount": amount, "amount_received": amount, "currency": session["currency"]}
        links = [one for one in self._named("invoice_payment") if one["payment"].get("payment_intent") == intent_id]
        for link in links:
            amount = link["amount_paid"]
            money = money or {"amount": amount, "amount_received": amount, "currency": link["currency"]}
        if money is None:
            raise NotFound("stripe", f"GET /v1/payment_intents/{intent_id}", "No such object", status=404)
        made = {"id": intent_id, "object": "payment_intent", "status": "succeeded", "created": 1_790_000_000}
        return {"metadata": {}, **made, **money}
