"""Invoice Ninja's payments and refunds (docs/facts/invoice-ninja.md sections 4 and 9)."""

from collections.abc import AsyncIterator, Collection
from decimal import Decimal

from mappings.invoiceninja.decode import read_payment
from mappings.invoiceninja.models import Allocation, Payment, PaymentDraft
from middleware.clients.http.address import segment
from middleware.clients.invoiceninja.encode import allocation_bodies, payment_body
from middleware.clients.invoiceninja.transport import NinjaTransport


class PaymentsApi(NinjaTransport):
    """Payments. The caller sends those of one client one at a time, equal amounts 1.2 seconds apart."""

    async def create_payment(self, draft: PaymentDraft) -> Payment:
        """POST /payments; its number is also its idempotency key.

        Raises:
            Rejected: `names("number")` or `names("idempotency_key")` when it is there already; look at these first,
                for the server then also says that the invoice is overpaid.
            Throttled: another payment of this client and amount came within the last second.
            NeedsPerson: an amount that cannot be, or a record that is not what was sent.
        """
        body = payment_body(draft)
        made = await self._write(read_payment, "POST", "/payments", body)
        self._check_echo("POST /payments", made.id, "number", sent=draft.number, got=made.number)
        return made

    async def payment(self, payment_id: str) -> Payment:
        """GET /payments/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return await self._get(read_payment, f"/payments/{segment(payment_id)}")

    async def find_payment(self, number: str) -> Payment | None:
        """GET /payments?number=, deleted ones included: their numbers stay taken."""
        found = await self._find(read_payment, "/payments", {"number": number}, lambda made: made.number == number)
        return found[0] if found else None

    async def payments_referring_to(self, references: Collection[str]) -> list[Payment]:
        """The payments with one of these transaction references exactly, deleted ones included.

        Invoice Ninja's own Stripe gateway stores the charge (`ch_`) for some methods, the intent (`pi_`) for others:
        ask for both.
        """
        found: dict[str, Payment] = {}
        for wanted in filter(None, references):
            async for payment in self._list(read_payment, "/payments", {"filter": wanted}, lambda _payment: True):
                if payment.transaction_reference == wanted:
                    found[payment.id] = payment
        return list(found.values())

    async def payments_since(self, moment: int) -> AsyncIterator[Payment]:
        """All payments that were made or changed since (unix seconds), by id, deleted ones included."""
        filters = {"updated_at": moment}
        async for payment in self._list(read_payment, "/payments", filters, lambda one: one.updated_at >= moment):
            yield payment

    async def payments(self, *, client_id: str = "") -> AsyncIterator[Payment]:
        """All payments that are not deleted, by id; of a client when given."""
        filters = {"status": "active,archived"} | ({"client_id": client_id} if client_id else {})
        async for payment in self._list(read_payment, "/payments", filters, lambda payment: not payment.is_deleted):
            if client_id in {"", payment.client_id}:
                yield payment

    async def annotate_payment(
        self,
        payment_id: str,
        *,
        private_notes: str | None = None,
        transaction_reference: str | None = None,
        type_id: str | None = None,
    ) -> Payment:
        """PUT /payments/{id} for its texts only: invoices in a PUT would be applied once more each time."""
        texts = {"private_notes": private_notes, "transaction_reference": transaction_reference, "type_id": type_id}
        body = {name: text for name, text in texts.items() if text is not None}
        return await self._write(read_payment, "PUT", f"/payments/{segment(payment_id)}", body)

    async def refund_payment(
        self, payment_id: str, date: str, parts: tuple[Allocation, ...], *, amount: Decimal | None = None
    ) -> Payment:
        """POST /payments/refund, without moving money at a gateway, and the payment as it is afterwards.

        Not idempotent: send the difference between what should be refunded and `paymentables[].refunded`. `amount` is
        for a payment of no invoice, which has no `parts`.

        Raises:
            Rejected: more than was paid, or no `parts` for a payment that has invoices.
        """
        body = {
            "id": payment_id,
            "amount": sum((part.amount for part in parts), amount or Decimal(0)),
            "date": date,
            "invoices": allocation_bodies(parts),
            "gateway_refund": False,
            "send_email": False,
        }
        await self._write(read_payment, "POST", "/payments/refund", body)
        # The answer still shows the parts as they were before.
        return await self.payment(payment_id)

    async def delete_payment(self, payment_id: str) -> None:
        """DELETE /payments/{id}: its invoices are owed again; its number stays taken."""
        await self._request("DELETE", f"/payments/{segment(payment_id)}")
