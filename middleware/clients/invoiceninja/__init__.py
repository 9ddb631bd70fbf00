"""The client of Invoice Ninja v5."""

from middleware.clients.invoiceninja.clients import ClientMatch
from middleware.clients.invoiceninja.tasks import TasksApi


class InvoiceNinja(TasksApi):
    """Everything the bridge asks of Invoice Ninja; `handlers.context.TimeEntries` is a part of it."""


__all__ = ["ClientMatch", "InvoiceNinja"]
