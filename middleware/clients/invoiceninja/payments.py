"""What the handling of payments asks of Invoice Ninja (docs/facts/invoice-ninja.md sections 4, 8 and 9)."""

from collections.abc import AsyncIterator, Collection, Mapping
from decimal import Decimal
from typing import Any, Literal

import httpx

from mappings.invoiceninja.decode import read_client, read_payment
from mappings.invoiceninja.models import Allocation, Currency, NinjaClient, Payment, PaymentDraft
from middleware.clients.http.address import segment
from middleware.clients.http.client import Row
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.invoiceninja.clients import ClientsApi
from middleware.clients.invoiceninja.company import CompanyApi
from middleware.clients.invoiceninja.encode import allocation_bodies, payment_body

_CURRENCY_FOR = 60.0
"""Seconds for which the currency of a client is remembered: long enough for a burst of its payments."""

_HISTORY_NAMES = {"invoices": "invoice", "payments": "payment"}


class PaymentsApi(CompanyApi, ClientsApi):
    """Payments. The caller sends those of one client one at a time, equal amounts 1.2 seconds apart."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self._currencies: Remembered[str, Currency] = Remembered()

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

    async def apply_payment(self, payment_id: str, parts: tuple[Allocation, ...]) -> Payment:
        """PUT /payments/{id} with invoices: applied on top of what is applied, each time it is sent.

        Raises:
            Rejected: more than the payment has left, or more than an invoice is open.
        """
        body = {"invoices": allocation_bodies(parts)}
        return await self._write(read_payment, "PUT", f"/payments/{segment(payment_id)}", body)

    async def delete_credit(self, credit_id: str) -> None:
        """DELETE /credits/{id}; its number stays taken."""
        await self._request("DELETE", f"/credits/{segment(credit_id)}")

    async def notes(self, entity: Literal["invoices", "payments"], record_id: str) -> list[str]:
        """POST /activities/entity, which changes nothing: the texts in the history of a record."""
        body = {"entity": _HISTORY_NAMES[entity], "entity_id": record_id}
        reply = await self._request("POST", "/activities/entity", body=body, is_read=True)
        rows = self._data(reply, is_read=True)
        return [str(row["notes"]) for row in rows if isinstance(row, Mapping) and row.get("notes")]

    async def clients_with_email(self, email: str) -> list[NinjaClient]:
        """GET /clients?email=: the live clients with a contact of exactly this address, in any case."""
        wanted = email.strip().casefold()
        if not wanted:
            return []
        found = await self._find(
            _client_and_emails,
            "/clients",
            {"email": email.strip(), "status": "active"},
            lambda pair: wanted in pair[1] and not pair[0].is_deleted,
        )
        return [client for client, _ in found]

    async def client_currency(self, client_id: str) -> Currency:
        """The currency of a client: its own, else the company's; the code is "" when the table lacks it.

        Raises:
            NotFound: there is no such client.
        """
        known = self._currencies.get(client_id)
        if known is not None:
            return known
        currency_id = (await self.client(client_id)).currency_id or (await self.company()).currency_id
        table = (await self.statics()).currencies
        if currency_id not in table:
            # Without decimals nothing can be sent, and no code equals "".
            return Currency(currency_id, "", 0)
        return self._currencies.put(client_id, table[currency_id], _CURRENCY_FOR)


def _client_and_emails(row: Row) -> tuple[NinjaClient, frozenset[str]]:
    contacts: Any = row.get("contacts")
    members = contacts if isinstance(contacts, list) else []
    emails = (str(contact.get("email", "")) for contact in members if isinstance(contact, Mapping))
    return read_client(row), frozenset(email.strip().casefold() for email in emails)
