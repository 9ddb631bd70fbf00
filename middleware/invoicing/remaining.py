"""Whether an invoice of a stored plan is still to be made: one decision, for the command and for the page of the plan.

What was made is done with, until the work behind it is free again because the invoice was deleted. The command sees
that by the work itself. A page asks nobody: it goes by Invoice Ninja's books as they were read last
(`middleware.store.billing.mirror`), and the worker that carries an order out looks at the work once more.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from handlers.ports.invoice_world import Planned
from mappings.invoices.identity import fingerprint
from mappings.invoices.models import PlannedInvoice

Key = tuple[str, str]
"""What tells the invoices of a plan apart: client id and scope."""

IsFree = Callable[[Planned], bool]
"""Whether the work behind an invoice that was made may be billed once more."""


def key_of(invoice: PlannedInvoice) -> Key:
    """Which invoice of its plan it is."""
    return invoice.client_id, invoice.scope


def still_to_make(rows: Sequence[Planned], is_free: IsFree) -> list[Planned]:
    """The invoices of a plan that an order would make."""
    return [row for row in rows if not row.invoice_id or is_free(row)]


def by_the_work(present: Mapping[Key, PlannedInvoice]) -> IsFree:
    """By what would be planned now: exactly this invoice once more."""

    def is_free(row: Planned) -> bool:
        fresh = present.get(key_of(row.invoice))
        return fresh is not None and fingerprint(fresh) == fingerprint(row.invoice)

    return is_free


def by_the_books(freed: Collection[Key]) -> IsFree:
    """By the books as they were read last (`BookStore.deleted_of_plan`)."""
    return lambda row: key_of(row.invoice) in freed
