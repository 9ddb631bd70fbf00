"""What only the handling of payments asks of Invoice Ninja (docs/facts/invoice-ninja.md sections 4, 8 and 9)."""

from collections.abc import Mapping
from typing import Any, Literal

import httpx

from mappings.invoiceninja.decode import read_client, read_payment
from mappings.invoiceninja.models import Allocation, Currency, NinjaClient, Payment
from middleware.clients.http.address import segment
from middleware.clients.http.client import Row
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.invoiceninja.clients import ClientsApi
from middleware.clients.invoiceninja.company import CompanyApi
from middleware.clients.invoiceninja.encode import allocation_bodies

_CURRENCY_FOR = 60.0
"""Seconds for which the currency of a client is remembered: long enough for a burst of its payments."""

_HISTORY_NAMES = {"invoices": "invoice", "payments": "payment"}


class SettlingApi(CompanyApi, ClientsApi):
    """Applying payments, deleting credits, reading notes, and the currency of a client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self._currencies: Remembered[str, Currency] = Remembered()

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
