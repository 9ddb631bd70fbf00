"""The client of Invoice Ninja v5."""

from middleware.clients.invoiceninja.billing import BillingApi
from middleware.clients.invoiceninja.clients import ClientMatch
from middleware.clients.invoiceninja.company import Account
from middleware.clients.invoiceninja.payments import PaymentsApi
from middleware.clients.invoiceninja.tasks import TasksApi


class InvoiceNinja(TasksApi, BillingApi, PaymentsApi):
    """Everything the bridge asks of Invoice Ninja; the books that `handlers` declare are parts of it."""


__all__ = ["Account", "ClientMatch", "InvoiceNinja"]
