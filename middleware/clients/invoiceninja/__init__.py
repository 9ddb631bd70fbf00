"""The client of Invoice Ninja v5."""

from middleware.clients.invoiceninja.clients import ClientMatch
from middleware.clients.invoiceninja.company import Account, CompanyApi
from middleware.clients.invoiceninja.invoices import InvoicesApi
from middleware.clients.invoiceninja.payments import PaymentsApi
from middleware.clients.invoiceninja.tasks import TasksApi


class InvoiceNinja(TasksApi, InvoicesApi, PaymentsApi, CompanyApi):
    """Everything the bridge asks of Invoice Ninja; `handlers.context.TimeEntries` is a part of it."""


__all__ = ["Account", "ClientMatch", "InvoiceNinja"]
