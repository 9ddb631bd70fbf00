"""Hours that Invoice Ninja calls invoiced, and no live invoice line bills: a person decides what becomes of them.

An invoice was cancelled (its tasks stay linked), or a link points to an invoice that is gone or names the task no more
(docs/facts/invoice-ninja-2.md section 4). No plan sees such hours, so they wait in a review. The decision is a link of
kind `invoice_decision` under the client's subject, and is made by `handlers.invoices.release`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from handlers.ports.context import Link, Links, Reviews
from handlers.ports.invoice_world import client_subject

CANCELLED = "invoice_cancelled"
LOST = "hours_lost"
DECISION = "invoice_decision"
Decision = Literal["bill_again", "leave"]


@dataclass(frozen=True, slots=True)
class LostEntry:
    """An entry that no invoice bills and no plan sees, why, and what to do ("": free it for the next run)."""

    number: str
    hours: Decimal
    client_id: str
    why: str
    hint: str = ""


async def decision_on(invoice_id: str, client_id: str, links: Links) -> Decision | None:
    """What a person decided about the hours of a cancelled invoice; None as long as nobody did."""
    for link in await links.of_subject(client_subject(client_id)):
        if link.kind == DECISION and link.number == invoice_id:
            decided: Decision = link.state["decision"]
            return decided
    return None


async def remember_decision(invoice_id: str, name: str, client_id: str, decision: Decision, links: Links) -> None:
    """Keep what was decided, so that nobody is asked again."""
    state = {"decision": decision, "invoice_number": name}
    await links.save(Link(client_subject(client_id), DECISION, invoice_id, invoice_id, state))


async def ask_about_cancelled(invoice_id: str, name: str, client_id: str, reviews: Reviews) -> None:
    """Ask whether the hours of a cancelled invoice are billed again."""
    summary = (
        f"invoice {name} was cancelled: are its hours billed again?"
        f" `taiga-billing invoices bill-again {name}` frees them for the next run,"
        f" `taiga-billing invoices leave {name}` leaves them unbilled"
    )
    details = {"invoice_id": invoice_id, "number": name, "client_id": client_id}
    await reviews.open(cancelled_subject(invoice_id, client_id), CANCELLED, summary, details)


def cancelled_subject(invoice_id: str, client_id: str) -> str:
    """The subject of the review of a cancelled invoice."""
    return f"{client_subject(client_id)}:{invoice_id}"


async def ask_about_lost(subject: str, lost: LostEntry, reviews: Reviews) -> None:
    """Ask about an entry that is neither billed nor in any plan."""
    hint = lost.hint or f"`taiga-billing invoices bill-again {lost.number}` frees it for the next run"
    summary = f"{lost.number} ({lost.hours} h) is billed by no invoice and in no plan: {lost.why}; {hint}"
    details = {"number": lost.number, "hours": str(lost.hours), "client_id": lost.client_id}
    await reviews.open(subject, LOST, summary, details)
