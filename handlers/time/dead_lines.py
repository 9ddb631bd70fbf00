"""Entries that Invoice Ninja calls invoiced and no live invoice line bills: what is said of them, and who is asked."""

from handlers.ports.context import Links, Reviews
from handlers.time.cancelled import LOST, LostEntry, ask_about_cancelled, ask_about_lost, decision_on
from handlers.time.held import Billed, Held

LIVE = "on an invoice already"


def words_for(billed: Billed) -> str:
    """Where the hours of an entry stand: "2 h are ..."."""
    if billed.standing == "cancelled":
        return f"on invoice {billed.name}, which was cancelled"
    if billed.standing == "lost":
        return "called invoiced in Invoice Ninja, though no invoice bills them"
    return LIVE


async def ask_about(subject: str, held: Held, links: Links, reviews: Reviews) -> str:
    """Open the review that an entry needs, unless a person decided before; returns what to tell, "" for nothing."""
    billed, task = held.billed, held.task
    if billed is None or task is None or billed.standing == "live":
        if billed is not None:
            await reviews.close(subject, LOST, "an invoice bills it")
        return ""
    if billed.standing == "lost":
        why = f"invoice {billed.name} is gone, or no longer bills it"
        await ask_about_lost(subject, LostEntry(task.number, held.hours, task.client_id, why), reviews)
        return "a person decides whether they are billed again"
    if await decision_on(billed.invoice_id, task.client_id, links) == "leave":
        return "they stay unbilled, as a person decided"
    await ask_about_cancelled(billed.invoice_id, billed.name, task.client_id, reviews)
    return "a person decides whether they are billed again"
