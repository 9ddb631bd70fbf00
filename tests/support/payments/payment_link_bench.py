"""A bench for payment links: the real handler and clients on the sandbox Stripe and Invoice Ninja."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from handlers.errors import NeedsPerson
from handlers.payment_links.link import payment_link
from handlers.ports.billing import Json, PaymentRecord
from handlers.ports.context import Context
from handlers.ports.payment_links import LinkPlan, LinkRecord, LinkWorld
from middleware.clients.stripe.client import Stripe, connect_stripe
from middleware.clients.stripe.payment_links import StripeLinks
from middleware.lab.sandbox.faults import Faults, Rule
from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.lab.sandbox.stripe import StripeState, create_app
from middleware.lab.sandbox.stripe.people import StripePeople
from tests.support.payments.payment_bench import Bench, Clock

KEY = "sk_live_sandbox"
PRICE = {"price_data": {"currency": "eur", "unit_amount": 500, "product_data": {"name": "x"}}, "quantity": 1}


class FakeLinkMemory:
    """The table of payment links in memory."""

    def __init__(self, clock: Clock) -> None:
        self.rows: dict[tuple[str, int], LinkRecord] = {}
        self.clock = clock

    async def of_invoice(self, invoice_id: str) -> Sequence[LinkRecord]:
        """All links of an invoice, oldest first."""
        return [row for key, row in sorted(self.rows.items()) if key[0] == invoice_id]

    async def live(self) -> Sequence[LinkRecord]:
        """All links that are not retired."""
        return [row for _, row in sorted(self.rows.items()) if row.is_live]

    async def plan(self, plan: LinkPlan) -> LinkRecord:
        """Store a plan."""
        generation = len(await self.of_invoice(plan.invoice_id)) + 1
        made = LinkRecord(
            plan.invoice_id,
            generation,
            f"token-{plan.invoice_id}-{generation}",
            plan.invoice_number,
            plan.client_id,
            plan.currency,
            plan.amount,
            self.clock(),
        )
        self.rows[plan.invoice_id, generation] = made
        return made

    async def save(self, record: LinkRecord) -> None:
        """Replace it."""
        self.rows[record.invoice_id, record.generation] = replace(record)


class LinkBench(Bench):
    """One Invoice Ninja, one Stripe, one handler."""

    def __init__(self, state: NinjaState, clock: Clock) -> None:
        super().__init__(state, clock)
        self.account = StripeState(clock=clock, livemode=True)
        self.account.hold = True
        self.people = StripePeople(self.account)
        self.link_memory = FakeLinkMemory(clock)
        self.spoil_stripe(Faults())

    def spoil_stripe(self, faults: Faults) -> None:
        """From now on these faults act on what Stripe is asked."""
        self.stripe_faults = faults
        transport = httpx.ASGITransport(create_app(self.account, faults))
        self.client_of_stripe: Stripe = connect_stripe("http://stripe.test", KEY, transport)
        self.stripe = self.client_of_stripe

    @property
    def context(self) -> Context:
        """What the handler gets."""
        base = super().context
        assert base.payments is not None
        return replace(
            base, payment_links=LinkWorld(base.payments, self.link_memory, StripeLinks(self.client_of_stripe))
        )

    def links(self, *, active: bool = True) -> list[Any]:
        """The links at Stripe."""
        return [link for link in self.account.tables["payment_link"] if link["active"] is active]

    async def pay_by_hand(self, client_id: str, invoice_id: str, amount: str) -> None:
        """A person enters money for an invoice; a while after the last time, as Invoice Ninja wants it."""
        self.clock.wait(2)
        part = {"invoice_id": invoice_id, "amount": amount}
        body = {"client_id": client_id, "amount": amount, "date": "2026-11-21", "invoices": [part]}
        await self.post("/payments", body)

    async def open_page(self, link_id: str) -> Json:
        """A customer opens the page of a link, and it stays open."""
        fields = {"mode": "payment", "success_url": "https://x.test", "line_items": [PRICE]}
        page = await self.client_of_stripe.post("/v1/checkout/sessions", fields, idempotency_key="page")
        self.account.change({**page}, payment_link=link_id)
        return page

    async def refusal(self, reference: str) -> NeedsPerson:
        """What a person is told who asks for the link of an invoice in vain."""
        with pytest.raises(NeedsPerson) as refused:
            await payment_link(reference, self.context)
        return refused.value

    def remember(self, identity: str, **fields: Any) -> None:
        """Put a payment into the memory."""
        self.memory.records[identity] = PaymentRecord(identity, f"stripe:payment:{identity}", **fields)


class OneLost(Faults):
    """Spoils one request that writes, counted from 0: cut off before or after its effect, or answered otherwise."""

    def __init__(self, index: int, rule: Rule) -> None:
        super().__init__()
        self.left = index
        self.rule = rule
        self.writes = 0

    def choose(self, method: str, target: str) -> Rule | None:
        """The rule, when its request has come."""
        if method == "GET" or target.endswith(("/current", "/entity")):
            return None
        self.writes += 1
        self.left -= 1
        return self.rule if self.left == -1 else None


@asynccontextmanager
async def link_bench() -> AsyncIterator[LinkBench]:
    """A bench with an empty Invoice Ninja and an empty Stripe."""
    clock = Clock()
    desk = LinkBench(NinjaState(clock=clock), clock)
    try:
        yield desk
    finally:
        await desk.ninja.aclose()
        await desk.client_of_stripe.aclose()
