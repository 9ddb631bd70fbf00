"""Open payment links follow their invoices: after every payment, and by the clock for all that happened elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import Refused, RemoteError
from handlers.payment_links.link import LinkKeeper, lock_of
from handlers.ports.context import Context
from handlers.ports.payment_links import LinkRecord, LinkWorld
from mappings.invoiceninja.models import InvoiceStatus
from mappings.values.money import to_major

_OPEN = (InvoiceStatus.SENT, InvoiceStatus.PARTIAL)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What one round over the open links did. `problems` are links that wait for the next one."""

    looked_at: int
    changed: tuple[str, ...]
    problems: tuple[str, ...]


async def follow_payment(identity: str, context: Context) -> None:
    """After a payment was settled: the link of its invoice is closed or replaced.

    Raises:
        RemoteError: Stripe or Invoice Ninja failed.
    """
    world = context.payment_links
    if world is None:
        return
    record = await world.payments.memory.find(identity)
    if record is not None and record.invoice_id:
        await tend(record.invoice_id, context, world)


async def tend(invoice_id: str, context: Context, world: LinkWorld) -> str:
    """Bring the link of one invoice to what it should be; says what was done, "" for nothing."""
    if not any(record.is_live for record in await world.memory.of_invoice(invoice_id)):
        return ""
    async with world.payments.exclusive(lock_of(invoice_id)):
        return await LinkKeeper(invoice_id, context, world).tend()


async def tend_all(context: Context) -> Upkeep:
    """Look at every open link; the balances come in pages, and only what differs is asked for one by one.

    Raises:
        RemoteError: Invoice Ninja cannot be read.
    """
    world = context.payment_links
    live = await world.memory.live() if world is not None else ()
    if world is None or not live:
        return Upkeep(0, (), ())
    differing = await _differing(live, world)
    changed, problems = [], []
    for invoice_id, number in differing.items():
        try:
            done = await tend(invoice_id, context, world)
        except Refused:
            raise
        except RemoteError as error:
            problems.append(f"invoice {number}: {error}")
        else:
            changed += [f"invoice {number}: {done}"] if done else []
    return Upkeep(len(live), tuple(changed), tuple(problems))


async def _differing(live: Sequence[LinkRecord], world: LinkWorld) -> dict[str, str]:
    """Invoices, by id with their numbers, whose link is not what it should be."""
    wanted = {record.invoice_id for record in live}
    balances: dict[str, Decimal] = {}
    async for invoice in world.payments.books.invoices(statuses=_OPEN):
        if invoice.id in wanted:
            balances[invoice.id] = invoice.balance
    return {
        record.invoice_id: record.invoice_number
        for record in live
        if record.state == "planned" or balances.get(record.invoice_id) != to_major(record.amount, record.currency)
    }
