"""The one visible table: which handler settles which events."""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

from handlers.event import SCHEDULE, Work
from handlers.invoices.generate import generate_invoice
from handlers.invoices.plan import plan_invoices
from handlers.invoices.send import send_invoices
from handlers.outcome import Ignored, Outcome
from handlers.payments.settle import settle_payment
from handlers.ports.context import Context
from handlers.recheck import RECHECK, nothing_to_recheck
from handlers.time.apply_rates import APPLY_RATES, nothing_to_reprice
from handlers.time.mark_invoiced import mark_invoiced
from handlers.time.record import record_time
from handlers.time.write_back import WRITE_BACK
from mappings.codes import Code

Handler = Callable[[Work, Context], Awaitable[Outcome]]

HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    # source, event type, handler
    ("taiga", "task.*", record_time),
    ("taiga", "userstory.*", record_time),
    ("taiga", "issue.*", record_time),
    ("schedule", "invoices.run", plan_invoices),
    ("schedule", "invoice.due", generate_invoice),
    ("schedule", "invoice.send", send_invoices),
    ("schedule", "task.invoiced", mark_invoiced),
    ("schedule", WRITE_BACK, mark_invoiced),
    (SCHEDULE, APPLY_RATES, nothing_to_reprice),
    (SCHEDULE, RECHECK, nothing_to_recheck),
    ("stripe", "*", settle_payment),
    ("operator", "payment.*", settle_payment),
)


def find_handler(source: str, event_type: str) -> Handler | None:
    """The handler of this kind of event; None when nobody handles it."""
    for known_source, pattern, handler in HANDLERS:
        if source == known_source and fnmatchcase(event_type, pattern):
            return handler
    return None


async def dispatch(work: Work, context: Context) -> Outcome:
    """Settle the work with its handler; what nobody handles is ignored with a reason."""
    event = work.newest
    if event.type == "test.test":
        return Ignored(Code.TEST_WEBHOOK, "test")
    handler = find_handler(event.source, event.type)
    if handler is None:
        return Ignored(Code.TYPE_NOT_HANDLED, f"nothing is billed for events of type {event.type}")
    return await handler(work, context)
