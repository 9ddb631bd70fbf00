"""Invoice Ninja's invoices and credits (docs/facts/invoice-ninja.md sections 7 and 8)."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Literal

from handlers.errors import NotFound
from mappings.invoiceninja.decode import read_invoice
from mappings.invoiceninja.models import CustomField, Invoice, InvoiceDraft, InvoiceLine, InvoiceStatus
from middleware.clients.http.address import segment
from middleware.clients.invoiceninja.encode import invoice_body, line_body
from middleware.clients.invoiceninja.transport import NinjaTransport

InvoiceAction = Literal["email", "mark_sent", "cancel", "archive", "restore", "delete"]
Mark = Literal["po_number"] | CustomField

_PAYABLE = (InvoiceStatus.SENT, InvoiceStatus.PARTIAL)


class InvoicesApi(NinjaTransport):
    """Invoices and credits. Nothing here prevents that a task is billed twice: neither does the server."""

    async def create_invoice(self, draft: InvoiceDraft, *, mark_sent: bool = False) -> Invoice:
        """POST /invoices: a draft, or with `mark_sent` an invoice that is owed. Compare its `amount` with your own sum.

        Raises:
            Rejected: `names("number")` when the number is taken, `names("client_id")` for a client that is gone.
            NeedsPerson: the server made a record that is not what was sent.
        """
        return await self._create("/invoices", draft, mark_sent=mark_sent)

    async def create_credit(self, draft: InvoiceDraft, *, mark_sent: bool = True) -> Invoice:
        """POST /credits; only one that is marked sent can be used in a payment.

        Raises:
            Rejected: `names("number")` when the number is taken.
            NeedsPerson: the server made a record that is not what was sent.
        """
        return await self._create("/credits", draft, mark_sent=mark_sent)

    async def invoice(self, invoice_id: str) -> Invoice:
        """GET /invoices/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return await self._get(read_invoice, f"/invoices/{segment(invoice_id)}")

    async def find_invoice(self, number: str) -> Invoice | None:
        """GET /invoices?number=; a deleted invoice has lost its number and is not found."""
        return await self._find_numbered("/invoices", number)

    async def find_credit(self, number: str) -> Invoice | None:
        """GET /credits?number=."""
        return await self._find_numbered("/credits", number)

    async def marked_invoices(self, field: Mark, mark: str) -> list[Invoice]:
        """All invoices that carry exactly this mark, deleted ones included (a text search, re-checked row by row)."""
        return await self._find(
            read_invoice,
            "/invoices",
            {"filter": mark},
            lambda invoice: (invoice.po_number if field == "po_number" else invoice.custom_values.get(field)) == mark,
        )

    async def invoices(self, *, client_id: str = "", statuses: Collection[str] = ()) -> AsyncIterator[Invoice]:
        """All invoices that are not deleted, by id; of a client, and of stored statuses, when given."""
        filters = {"status": "active,archived"} | ({"client_id": client_id} if client_id else {})
        filters |= {"status_id": ",".join(statuses)} if statuses else {}

        def keep(invoice: Invoice) -> bool:
            fits = client_id in {"", invoice.client_id} and (not statuses or invoice.status_id in statuses)
            return fits and not invoice.is_deleted

        async for invoice in self._list(read_invoice, "/invoices", filters, keep):
            yield invoice

    async def payable_invoices(self, client_id: str) -> list[Invoice]:
        """The invoices of a client that are sent and not wholly paid."""

        def keep(invoice: Invoice) -> bool:
            is_owed = invoice.status_id in _PAYABLE and invoice.balance > 0 and not invoice.is_deleted
            return is_owed and invoice.client_id == client_id

        return await self._find(read_invoice, "/invoices", {"payable": client_id}, keep)

    async def update_invoice(
        self, invoice_id: str, changes: Mapping[str, Any], *, lines: Sequence[InvoiceLine] | None = None
    ) -> Invoice:
        """PUT /invoices/{id} with some of its fields by their API names, and all lines anew when given; the rest stays.

        Never for a cancelled invoice, nor for one over 0: any PUT makes it paid. Lines anew link their tasks anew.
        """
        body = dict(changes) if lines is None else {**changes, "line_items": [line_body(line) for line in lines]}
        return await self._write(read_invoice, "PUT", f"/invoices/{segment(invoice_id)}", body)

    async def act_on_invoices(self, action: InvoiceAction, invoice_ids: Collection[str]) -> list[Invoice]:
        """POST /invoices/bulk: one action for many, and their state afterwards; look whether it was done.

        The server answers 200 also when it does nothing (to cancel a draft or a paid invoice). It takes an action once
        a second, whatever the ids are: send them together.

        Raises:
            NotFound: it knows none of the ids.
            Throttled: the same action was sent within the last second.
        """
        body = {"action": action, "ids": list(invoice_ids)}
        reply = await self._request("POST", "/invoices/bulk", params={"per_page": len(invoice_ids)}, body=body)
        if isinstance(reply.data, Mapping) and "data" not in reply.data and "message" in reply.data:
            raise NotFound(self._dialect.system, reply.request, str(reply.data["message"]), status=reply.status)
        rows = self._data(reply, is_read=False)
        return [self._typed(read_invoice, row, reply.request, is_read=False) for row in rows]

    async def delete_invoice(self, invoice_id: str) -> None:
        """DELETE /invoices/{id}: frees its number, unlinks its tasks, deletes or reduces its payments."""
        await self._request("DELETE", f"/invoices/{segment(invoice_id)}")

    async def _create(self, path: str, draft: InvoiceDraft, *, mark_sent: bool) -> Invoice:
        body = invoice_body(draft)
        params = {"mark_sent": "true"} if mark_sent else None
        made = await self._write(read_invoice, "POST", path, body, params)
        self._check_echo(f"POST {path}", made.id, "client_id", sent=draft.client_id, got=made.client_id)
        if draft.number:
            self._check_echo(f"POST {path}", made.id, "number", sent=draft.number, got=made.number)
        return made

    async def _find_numbered(self, path: str, number: str) -> Invoice | None:
        found = await self._find(read_invoice, path, {"number": number}, lambda invoice: invoice.number == number)
        return found[0] if found else None
