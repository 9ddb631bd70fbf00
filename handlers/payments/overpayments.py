"""Money of another payment for the same invoice: it covers what a refund opened.

A customer who paid twice and got one payment back has paid: nothing is owed, and no credit is left to spend.
"""

from collections.abc import Sequence
from decimal import Decimal

from handlers.payments.amounts import open_amount, spare
from handlers.payments.ledger_rows import PaymentRows, find_recorded
from mappings.invoiceninja.models import Payment


async def overpaid(rows: PaymentRows) -> list[Payment]:
    """The payments of ours for the same invoice that have money left which is used for nothing."""
    found: list[Payment] = []
    for record in await rows.world.memory.of_invoice(rows.invoice_id):
        if record.identity != rows.record.identity and record.payment_id:
            found += await find_recorded(record, (record.identity,), rows.world)
    return [row for row in found if not row.is_deleted and row.client_id == rows.draft.client_id and spare(row) > 0]


async def cover_by(rows: PaymentRows, others: Sequence[Payment]) -> None:
    """Use what others have left for what is open of the invoice."""
    for other in others:
        invoice = await rows.look_again()
        part = min(spare(other), open_amount(invoice)) if invoice else Decimal(0)
        if part > 0:
            await rows.apply_other(other, part)
