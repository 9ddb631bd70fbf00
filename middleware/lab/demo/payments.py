"""The money of the demo: customers pay at the sandbox Stripe; what arrives in Invoice Ninja is shown beside it."""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import click
from rich.console import Console
from rich.table import Table

from handlers.ports.billing import PaymentRecord
from mappings.invoiceninja.models import Invoice, InvoiceDraft, InvoiceLine, InvoiceStatus, LineType, Payment
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.lab.demo.stack import NINJA_TOKEN, STRIPE_SECRET, DemoFailedError, Stack, part_environment
from middleware.lab.sandbox.stripe.people import StripePeople
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import Pool

_COMMAND_SECONDS = 60
_SETTLE_SECONDS = 30
_CURRENCY = "usd"
_WORDS = {InvoiceStatus.SENT: "open", InvoiceStatus.PARTIAL: "part paid", InvoiceStatus.PAID: "paid"}


@dataclass(frozen=True, slots=True)
class Story:
    """One payment as the customer made it, and what should come of it: money that arrives, invoice, our word for it.

    `at_stripe` is what stays there after refunds.
    """

    told: str
    intent: str
    number: str
    at_stripe: Decimal
    arrives: Decimal
    invoice: str
    word: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One story with what became of it."""

    story: Story
    rows: tuple[Payment, ...]
    invoice: Invoice | None
    record: PaymentRecord | None

    @property
    def kept(self) -> Decimal:
        """What stays of it in Invoice Ninja."""
        return sum((row.amount - row.refunded for row in self.rows), Decimal(0))

    @property
    def state(self) -> str:
        """The invoice in a word."""
        return _WORDS.get(InvoiceStatus(self.invoice.status_id), "?") if self.invoice else "-"

    @property
    def word(self) -> str:
        """Our word for the payment."""
        return self.record.status if self.record else "not known"

    @property
    def is_as_expected(self) -> bool:
        """Whether Invoice Ninja holds just what it should."""
        story = self.story
        return (self.kept, self.state, self.word) == (story.arrives, story.invoice, story.word)


async def settle(stack: Stack, redis_url: str, pool: Pool) -> bool:
    """Let customers pay, with one webhook lost and found again; returns whether everything arrived as expected.

    Raises:
        DemoFailedError: a command or the events did not end.
    """
    ninja = connect_invoice_ninja(f"{stack.ninja_url}/api/v1", NINJA_TOKEN)
    environment = part_environment(stack, redis_url, 0)
    try:
        acme, globex = await _bills(ninja)
        click.echo(f"\n$ taiga-billing invoices link {acme.number}")
        if not await _run(("invoices", "link", acme.number), environment, stack):
            return False
        click.echo("\ncustomers pay at Stripe, one webhook gets lost ...")
        stories = await _play(stack, ninja, acme, globex)
        await _finished(pool)
        click.echo("\n$ taiga-billing reconcile stripe --since 1d")
        if not await _run(("reconcile", "stripe", "--since", "1d"), environment, stack):
            return False
        await _finished(pool)
        seen = [await _look(story, ninja, pool) for story in stories]
    finally:
        await ninja.aclose()
    _print(seen)
    return all(one.is_as_expected for one in seen)


async def _bills(ninja: InvoiceNinja) -> tuple[Invoice, Invoice]:
    """The two invoices that the hours became, sent."""
    ids = [invoice.id async for invoice in ninja.invoices() if invoice.status_id == InvoiceStatus.DRAFT]
    if ids:
        await ninja.act_on_invoices("mark_sent", ids)
    by_client = {invoice.client_id: invoice async for invoice in ninja.invoices()}
    acme, globex = [by_client.get(await ninja.find_client(name) or "") for name in ("acme", "globex")]
    if acme is None or globex is None:
        raise DemoFailedError("the invoices of the hours are not there, so nobody can pay them")
    return acme, globex


async def _play(stack: Stack, ninja: InvoiceNinja, acme: Invoice, globex: Invoice) -> list[Story]:
    people = StripePeople(stack.stripe)
    people.listen(f"{stack.receiver_url}/webhooks/stripe", STRIPE_SECRET)
    third, fourth = [await _bill(ninja, globex.client_id, amount) for amount in ("80.00", "55.00")]
    (link,) = stack.stripe.tables["payment_link"]
    opened = people.pay_link(link["id"])["payment_intent"]
    part = people.pay(12000, _CURRENCY, {"invoice_number": globex.number})["id"]
    back = people.pay(8000, _CURRENCY, {"invoice_ninja_invoice_id": third.id})["id"]
    people.refund(back)
    stray = people.pay(4500, _CURRENCY)["id"]
    await stack.stripe.deliver()
    lost = people.pay(5500, _CURRENCY, {"invoice_number": fourth.number})["id"]
    stack.stripe.outbox.clear()
    whole = acme.amount
    return [
        Story("pays the payment link of the invoice", opened, acme.number, whole, whole, "paid", "paid"),
        Story("pays a part", part, globex.number, Decimal(120), Decimal(120), "part paid", "paid"),
        Story("pays and gets the money back", back, third.number, Decimal(0), Decimal(0), "paid", "refunded"),
        Story("pays without saying what for", stray, "", Decimal(45), Decimal(0), "-", "unmatched"),
        Story("pays, but the webhook gets lost", lost, fourth.number, Decimal(55), Decimal(55), "paid", "paid"),
    ]


async def _bill(ninja: InvoiceNinja, client_id: str, amount: str) -> Invoice:
    line = InvoiceLine(notes="Rush order", quantity=Decimal(1), cost=Decimal(amount), type_id=LineType.PRODUCT)
    draft = InvoiceDraft(client_id, f"{datetime.now(UTC):%Y-%m-%d}", (line,))
    return await ninja.create_invoice(draft, mark_sent=True)


async def _run(arguments: tuple[str, ...], environment: Mapping[str, str], stack: Stack) -> bool:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "middleware", *arguments),
        env=dict(environment),
        cwd=stack.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise DemoFailedError(f"`{' '.join(arguments)}` did not end after {_COMMAND_SECONDS} s") from error
    click.echo(told.decode().rstrip())
    return process.returncode == 0


async def _finished(pool: Pool) -> None:
    """Wait until every event has ended.

    Raises:
        DemoFailedError: they did not.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while await pool.fetchval("SELECT count(*) FROM events WHERE finished_at IS NULL"):
        if time.monotonic() > deadline:
            raise DemoFailedError(f"events of Stripe had no end after {_SETTLE_SECONDS} s")
        await asyncio.sleep(0.05)


async def _look(story: Story, ninja: InvoiceNinja, pool: Pool) -> Seen:
    rows = [row for row in await ninja.payments_referring_to([story.intent]) if not row.is_deleted]
    invoice = await ninja.find_invoice(story.number) if story.number else None
    return Seen(story, tuple(rows), invoice, await PaymentStore(pool).find(story.intent))


def _print(seen: list[Seen]) -> None:
    console = Console()
    table = Table(title="\nMoney at Stripe, payments in Invoice Ninja", title_justify="left", show_edge=False)
    table.add_column("the customer ...")
    table.add_column("invoice")
    for name in ("at Stripe", "arrived"):
        table.add_column(name, justify="right")
    table.add_column("invoice is")
    table.add_column("payment is")
    table.add_column("")
    for one in seen:
        mark = "[green]as expected[/]" if one.is_as_expected else "[red]NOT as expected[/]"
        numbers = (f"{one.story.at_stripe:.2f}", f"{one.kept:.2f}")
        table.add_row(one.story.told, one.story.number or "-", *numbers, one.state, one.word, mark)
    Console(width=None if console.is_terminal else 170).print(table)
