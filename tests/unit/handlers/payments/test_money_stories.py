"""Money by chance: receipts, money past Stripe, double payments, refunds, parts of disputes, returned debits.

The count of the generator shares no code with the handlers; the sums agree in every order and with repetitions.
"""

import random
from decimal import Decimal

import pytest

from tests.support.payments.money_stories import WHOLE, money_story
from tests.support.payments.payment_bench import bench, open_invoice


@pytest.mark.parametrize("rule", ["close", "reopen"])
@pytest.mark.parametrize("seed", range(60))
async def test_sums_agree(seed: int, rule: str) -> None:
    """Each payment once, what is kept and owed to the cent, and clients whose sums follow from the records."""
    story = money_story(seed)
    chance = random.Random(seed + 1000)  # noqa: S311 - repeatable chance
    events = [*story.events, *chance.choices(story.events, k=2)]
    chance.shuffle(events)
    async with bench() as desk:
        desk.rule(on_refund=rule)
        invoice = await open_invoice(desk)
        await desk.deliver_all(events)
        references = {f"{row['transaction_reference']}" for row in desk.payments()} & {"pi_1", "pi_2", "in_1"}
        mine = [row for row in desk.payments() if row["transaction_reference"] in references]
        kept = sum((Decimal(str(row["amount"])) - Decimal(str(row["refunded"])) for row in mine), Decimal(0))
        balance = Decimal(str(desk.invoice_row(invoice)["balance"]))
        assert references == set(story.received), story.words
        counted = (Decimal(story.kept) / 100, Decimal(story.balance(closes=rule == "close")) / 100)
        assert (kept, balance) == counted, story.words
        assert desk.misfits() == [], story.words


def test_every_kind_is_told() -> None:
    """The seeds that are run tell of every way to pay and to lose money."""
    words = {word for seed in range(60) for word in money_story(seed).words}
    assert words == {
        *("card", "receipt", "twice", "past and card"),
        *("nothing", "refund", "refunds", "part of a dispute", "dispute won", "returned debit"),
    }
    assert all(sum(money_story(seed).received.values()) >= WHOLE for seed in range(60))
