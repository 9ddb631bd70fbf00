"""The independent count: what people did and what was acknowledged, against what the store and the books hold.

Shares no code with the handlers and mappings: hours are rounded here by whole hundredths, money is counted in cents.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from middleware.lab.chaos.payers import Bill
from middleware.lab.chaos.sender import Post, as_text
from middleware.lab.chaos.stack import PROJECT_RATES, Stack
from middleware.lab.chaos.taiga_people import STATUS, Wish
from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.store.database import Pool

ENDS = ("processed", "ignored")
QUARTER_SECONDS = 900
HUNDREDTHS_IN_A_QUARTER = 25


@dataclass(frozen=True, slots=True)
class Counted:
    """One line of the table: what should be, what is, and each difference in words."""

    what: str
    wanted: int
    found: int
    differences: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether nothing is lost, doubled or wrong."""
        return not self.differences


async def count_events(post: Post, pool: Pool) -> list[Counted]:
    """Every acknowledged delivery has its row with its content, and an end."""
    rows = {row["id"]: row for row in await pool.fetch("SELECT id, status, reason, body, source, type FROM events")}
    lost = [f"event {event} was acknowledged and is not there" for event in post.acknowledged if event not in rows]
    other = [
        f"event {event} holds another body than the one acknowledged"
        for event, content in post.acknowledged.items()
        if event in rows and json.loads(rows[event]["body"]) != content
    ]
    own = [row for row in rows.values() if row["source"] in ("taiga", "stripe")]
    strange = [
        f"event {row['id']} was sent by nobody" for row in own if as_text(json.loads(row["body"])) not in post.sent
    ]
    open_ = [f"event {row['id']} is {row['status']}: {row['reason']}" for row in rows.values() if _is_open(row)]
    dead = [f"event {row['id']} ({row['type']}) is dead: {row['reason']}" for row in rows.values() if _is_dead(row)]
    there = len(post.acknowledged) - len(lost)
    return [
        Counted("acknowledged events stored", len(post.acknowledged), there, (*lost, *other)),
        Counted("stored events with an end", len(rows), len(rows) - len(open_) - len(dead), (*open_, *dead)),
        Counted("forged or strange deliveries stored", 0, len(strange), tuple(strange)),
        Counted("answers that no sender should get", 0, len(post.mistakes), tuple(post.mistakes)),
    ]


def _is_open(row: Any) -> bool:
    return row["status"] not in (*ENDS, "dead", "discarded")


def _is_dead(row: Any) -> bool:
    return row["status"] in ("dead", "discarded")


def count_entries(wishes: Sequence[Wish], stack: Stack) -> list[Counted]:
    """Invoice Ninja holds one entry for each task that is to be billed, as people left it, and no other."""
    live: dict[str, list[Row]] = defaultdict(list)
    for row in stack.ninja.tables["tasks"]:
        if not row["is_deleted"]:
            live[_task_of(row["number"])].append(row)
    wanted = {str(wish.card.id): wish for wish in wishes if wish.is_billed}
    lost = [f"{_named(wish)} has no entry" for task, wish in wanted.items() if not live[task]]
    doubled = [f"task {task} has {len(rows)} entries" for task, rows in live.items() if len(rows) > 1]
    extra = [
        f"task {task} has an entry and should have none" for task, rows in live.items() if rows and task not in wanted
    ]
    wrong = [text for task, wish in wanted.items() for row in live[task][:1] for text in _differences(wish, row, stack)]
    found = sum(len(rows) for rows in live.values())
    return [
        Counted("time entries", len(wanted), found, (*lost, *doubled, *extra)),
        Counted("time entries with wrong content", 0, len(wrong), tuple(wrong)),
    ]


def _task_of(number: str) -> str:
    """The task of `TAIGA-T12` and of its corrections; anything else stands for itself."""
    return number.removeprefix("TAIGA-T").partition("-")[0] if number.startswith("TAIGA-T") else number


def _named(wish: Wish) -> str:
    return f"task {wish.card.id} ({wish.subject})"


def _differences(wish: Wish, row: Row, stack: Stack) -> Iterable[str]:
    quarters = -(-(wish.hundredths or 0) // HUNDREDTHS_IN_A_QUARTER)
    seconds = sum(end - start for start, end in (span[:2] for span in json.loads(row["time_log"])))
    rate = wish.cents if wish.cents is not None else PROJECT_RATES[wish.project] * 100
    told = {
        "seconds": (quarters * QUARTER_SECONDS, seconds),
        "rate": (rate, round(Decimal(str(row["rate"])) * 100)),
        "client": (stack.client_ids[wish.project], row["client_id"]),
        "end": (_finished_at(wish), max((end for _, end, *_ in json.loads(row["time_log"])), default=0)),
        "description": (f"Task #{wish.card.item.ref}: {wish.subject}", row["description"]),
    }
    return [
        f"{_named(wish)}: {name} is {found}, not {right}" for name, (right, found) in told.items() if found != right
    ]


def _finished_at(wish: Wish) -> int:
    """When Taiga says the work ended, in unix seconds."""
    finished = wish.card.item.finished_date
    return int(finished.timestamp()) if finished else 0


def count_edits(wishes: Sequence[Wish], *, writes_back: bool) -> list[Counted]:
    """Nothing that people typed into Taiga was lost to our writing back, and what we wrote is right."""
    lost, wrong = [], []
    for wish in (one for one in wishes if not one.is_deleted):
        values = wish.card.values
        typed = None if wish.hundredths is None else wish.hundredths / 100
        if values.get("Duration (Hours)") != typed or bool(values.get("Billable")) != wish.is_billable:
            lost.append(f"{_named(wish)}: people typed {typed} h, Taiga has {values}")
        status = values.get(STATUS) or ""
        if writes_back and (status == "Pending Invoice") != wish.is_billed:
            wrong.append(f'{_named(wish)}: "{STATUS}" is "{status}", billed: {wish.is_billed}')
    return [
        Counted("edits of people lost in Taiga", 0, len(lost), tuple(lost)),
        Counted('wrong "Invoice Status" in Taiga', 0, len(wrong), tuple(wrong)),
    ]


def count_payments(bills: Sequence[Bill], ninja: NinjaState, *, closes_refunds: bool) -> list[Counted]:
    """One payment in Invoice Ninja for each intent that was paid, with its money, and exact sums of clients."""
    held: dict[str, list[Row]] = defaultdict(list)
    for row in ninja.tables["payments"]:
        if not row["is_deleted"]:
            held[str(row["transaction_reference"])].append(row)
    intents = {intent: amounts for bill in bills for intent, amounts in bill.intents.items()}
    lost = [f"payment {intent} is not there" for intent in intents if intent not in held]
    first = {reference: [row for row in rows if not _makes_good(row)] for reference, rows in held.items()}
    doubled = [f"payment {reference} is there {len(rows)} times" for reference, rows in first.items() if len(rows) > 1]
    closing = {refund for bill in bills for refund in bill.refunds} if closes_refunds else set()
    extra = [f"payment {reference} should not be there" for reference in held.keys() - intents.keys() - closing]
    wrong = [text for intent, cents in intents.items() for text in _wrong_amounts(intent, held.get(intent, []), cents)]
    sums = [text for bill in bills for text in _sums(bill, ninja, closes_refunds=closes_refunds)]
    found = sum(len(rows) for reference, rows in first.items() if reference not in closing)
    return [
        Counted("payments", len(intents), found, (*lost, *doubled, *extra)),
        Counted("payments with wrong amounts", 0, len(wrong), tuple(wrong)),
        Counted("invoices and clients whose sums are exact", len(bills), len(bills) - len(sums), tuple(sums)),
    ]


def _makes_good(row: Row) -> bool:
    """Whether the payment gives back what was refunded twice because a refund was carried out late, after its repeat.

    Its number goes on after that of the payment, which is the intent's id (docs/reliability.md).
    """
    return str(row["number"]).startswith(f"{row['transaction_reference']}-")


def _wrong_amounts(intent: str, rows: Sequence[Row], cents: Sequence[int]) -> Iterable[str]:
    """A payment holds what Stripe says; one refunded too much has payments that make it good, and is right in sum."""
    received, refunded = cents
    told = [(_cents(row["amount"]), _cents(row["refunded"])) for row in rows]
    if len(rows) > 1:
        kept = sum(one - back for one, back in told)
        is_right = kept == received - refunded and max(back for _, back in told) > refunded
    else:
        is_right = told in ([], [(received, refunded)])
    if not is_right:
        yield f"payment {intent}: {told} received and given back, not {(received, refunded)} cents"


def _sums(bill: Bill, ninja: NinjaState, *, closes_refunds: bool) -> Iterable[str]:
    """A credit that settles a refund counts as paid, as it does in Invoice Ninja; a returned debit is owed again."""
    client = ninja.tables["clients"].get(bill.client_id)
    (invoice,) = [row for row in ninja.tables["invoices"] if row["number"] == bill.number]
    credits_ = [row for row in ninja.tables["credits"] if row["client_id"] == bill.client_id and not row["is_deleted"]]
    settled = bill.missing - bill.never_came if closes_refunds else 0
    kept = bill.received - bill.given_back
    told = {
        "invoice balance": (bill.missing - settled, _cents(invoice["balance"])),
        "paid_to_date": (kept + settled, _cents(client["paid_to_date"]) if client else None),
        "credits": (settled, sum(_cents(row["amount"]) for row in credits_)),
    }
    return [
        f"client of invoice {bill.number}: {name} {found} cents, not {right}"
        for name, (right, found) in told.items()
        if found != right
    ]


def _cents(amount: Any) -> int:
    return round(Decimal(str(amount)) * 100)
