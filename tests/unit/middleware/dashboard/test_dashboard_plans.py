"""How the invoices of a plan stand on its page."""

import pytest

from handlers.ports.invoice_world import Planned
from mappings.invoices.models import PlannedInvoice
from middleware.dashboard.pages.plans import Row, rows_of
from middleware.store.billing.reports import DueRow
from tests.support.dashboard.seed import planned_invoice

CLIENT = "c1"


def invoice(scope: str = "") -> PlannedInvoice:
    """A planned invoice of a client, or of one of its projects."""
    return planned_invoice(CLIENT, "Acme", scope)


def order(status: str) -> DueRow:
    """The newest order for the client."""
    return DueRow(CLIENT, 7, status, "", "")


def row(invoice_id: str, status: str, deleted: dict[tuple[str, str], bool]) -> Row:
    """The row of a plan of one invoice."""
    (made,) = rows_of([Planned(invoice(), invoice_id, "0001")], deleted, {CLIENT: order(status)} if status else {})
    return made


@pytest.mark.parametrize(
    ("invoice_id", "status", "deleted", "stands"),
    [
        ("", "", {}, "waiting"),
        ("", "received", {}, "at work"),
        ("", "dead", {}, "waiting"),
        ("i1", "processed", {}, "made"),
        ("i1", "processing", {}, "made"),
        ("i1", "processed", {(CLIENT, ""): True}, "waiting"),
        ("i1", "received", {(CLIENT, ""): True}, "at work"),
        ("i1", "processed", {(CLIENT, ""): False}, "made"),
        ("i1", "processed", {("c2", ""): True, (CLIENT, "web"): True}, "made"),
    ],
)
def test_each_is_made_at_work_or_waiting(
    invoice_id: str, status: str, deleted: dict[tuple[str, str], bool], stands: str
) -> None:
    """It is exactly one of them; what was deleted waits again, unless another invoice bills its work."""
    one = row(invoice_id, status, deleted)
    assert (one.is_made, one.is_at_work, one.is_waiting) == (stands == "made", stands == "at work", stands == "waiting")
    assert one.was_deleted == ((CLIENT, "") in deleted)


def test_projects_of_a_client_are_told_apart() -> None:
    """One of two invoices of a client was deleted: only that one waits."""
    rows = rows_of(
        [Planned(invoice("web"), "i1", "1"), Planned(invoice("shop"), "i2", "2")], {(CLIENT, "shop"): True}, {}
    )
    assert [(one.planned.invoice.scope, one.is_waiting) for one in rows] == [("web", False), ("shop", True)]
