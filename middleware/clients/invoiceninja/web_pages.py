"""Addresses of Invoice Ninja's own pages. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NinjaPages:
    """The pages of the Invoice Ninja behind this API address; "" for all of them while none is configured."""

    api: str

    def task(self, task_id: str) -> str:
        """The page of a time entry."""
        return self._page("tasks", task_id)

    def invoice(self, invoice_id: str) -> str:
        """The page of an invoice."""
        return self._page("invoices", invoice_id)

    def payment(self, payment_id: str) -> str:
        """The page of a payment."""
        return self._page("payments", payment_id)

    def client(self, client_id: str) -> str:
        """The page of a client."""
        return self._page("clients", client_id, action="")

    def _page(self, kind: str, record_id: str, *, action: str = "/edit") -> str:
        if not self.api or not record_id:
            return ""
        host = self.api.removesuffix("/api/v1").replace("://invoicing.co", "://app.invoicing.co")
        return f"{host}/#/{kind}/{record_id}{action}"
