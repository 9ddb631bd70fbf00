"""What a payment's rows in Invoice Ninja decide by themselves: a refused refund, and what was remembered."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.errors import Rejected
from handlers.payments.ledger_rows import PaymentRows, find_recorded
from handlers.ports.billing import PaymentRecord
from mappings.invoiceninja.models import Allocation, Payment, PaymentDraft

RECORD = PaymentRecord("pi_1", "stripe:payment:pi_1", currency="EUR", amount=10000, payment_id="P1")


def row(refunded: str = "0", amount: str = "100") -> Payment:
    """The payment in Invoice Ninja, used for nothing."""
    return Payment("P1", "pi_1", "C1", "4", Decimal(amount), Decimal(0), Decimal(refunded), "2026-11-01", "pi_1")


class Books:
    """Invoice Ninja with one payment, which refuses the first refund as more than is left."""

    def __init__(self, now: Payment) -> None:
        self.now = now
        self.asked: list[Decimal | None] = []

    async def payment(self, _payment_id: str) -> Payment:
        """The payment as it is now."""
        return self.now

    async def refund_payment(
        self, _payment_id: str, _date: str, _parts: tuple[Allocation, ...], *, amount: Decimal | None
    ) -> Payment:
        """Refuse the first, take the second."""
        self.asked.append(amount)
        if len(self.asked) == 1:
            raise Rejected("Invoice Ninja", "POST /payments/refund", "too much", errors={"id": ["too much"]})
        return row("100")

    async def find_payment(self, number: str) -> Payment | None:
        """The payment by its number."""
        return self.now if number == self.now.number else None

    async def payments_referring_to(self, references: tuple[str, ...]) -> list[Payment]:
        """The payments that name one of these."""
        return [self.now] if self.now.transaction_reference in references else []


def rows(books: Books) -> PaymentRows:
    """The rows of a payment of no invoice."""
    draft = PaymentDraft("pi_1", "C1", Decimal(100), "2026-11-01", "pi_1")
    world: Any = SimpleNamespace(books=books)
    return PaymentRows(RECORD, draft, None, world, lambda: datetime(2026, 11, 1, tzinfo=UTC))


async def test_unused_money_is_refunded_a_hair_short() -> None:
    """Exact numbers allow it, so only binary fractions refused it: a hair less is sent, and the whole is reported."""
    books = Books(row())
    ledger = rows(books)
    await ledger.note_refund(row(), "2026-11-01", (), Decimal(100))
    assert books.asked == [Decimal(100), Decimal("99.999999999")]
    assert ledger.done == ["100 EUR refunded"]
    assert ledger.refunded == Decimal(100)


@pytest.mark.parametrize("now", [row("40"), row(amount="99")], ids=["refunded meanwhile", "less than asked for"])
async def test_a_real_refusal_is_not_tried_again(now: Payment) -> None:
    """Somebody refunded a part meanwhile, or there is less than what went back: nothing smaller is sent."""
    books = Books(now)
    with pytest.raises(Rejected, match="too much"):
        await rows(books).note_refund(row(), "2026-11-01", (), Decimal(100))
    assert books.asked == [Decimal(100)]


async def test_a_remembered_amount_that_nobody_can_read() -> None:
    """Whether one payment holds all the money cannot be said, so all that refer to it are looked for."""
    record = PaymentRecord("pi_1", "stripe:payment:pi_1", currency="UGX", amount=50000, payment_id="P1")
    world: Any = SimpleNamespace(books=Books(row()))
    assert await find_recorded(record, ("pi_1",), world) == [row()]
