"""Single steps with a payment link at Stripe, each of which may be done again after a kill at any moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from handlers.errors import NeedsPerson, NotFound, Rejected
from handlers.ports.billing import Json
from handlers.ports.context import Clock
from handlers.ports.payment_links import LinkRecord, LinkWorld
from mappings.codes import Code
from mappings.stripe.payment_links import bears, link_form
from mappings.values.money import to_major

KEY_LASTS = timedelta(hours=20)
"""Stripe remembers idempotency keys for a day at least: after that, the link is looked for by its mark."""

_OVER = frozenset({"ignored", "failed", "canceled", "refunded", "settled_otherwise"})
_ON_ITS_WAY = frozenset({"processing", "succeeded", "requires_capture"})


@dataclass(frozen=True, slots=True)
class LinkSteps:
    """The payment pages of one invoice."""

    world: LinkWorld
    clock: Clock

    async def make(self, record: LinkRecord) -> LinkRecord:
        """Make the link of a plan, or find the one that was made for it before.

        Raises:
            NeedsPerson: Stripe refuses it.
        """
        is_forgotten = self.clock() - record.created_at > KEY_LASTS
        link = await self._marked(record) if is_forgotten else None
        try:
            made = link or await self.world.pages.create(_form(record), f"payment-link-{record.token}")
        except Rejected as error:
            made = await self._refused(record, error)
        return await self._save(record, state="open", link_id=str(made["id"]), url=str(made["url"]))

    async def is_usable(self, record: LinkRecord) -> bool:
        """Whether a customer can still pay with it; one that a person or a payment closed is noted as retired.

        Raises:
            NeedsPerson: it was just paid. It stays as it is until that money arrived or came back.
        """
        try:
            link = await self.world.pages.find(record.link_id)
        except NotFound:
            await self._save(record, state="retired", why="Stripe does not know it with this STRIPE_API_KEY")
            return False
        if link.get("active") is True:
            return True
        await self._demand_settled(record)
        await self._save(record, state="retired", why="closed at Stripe: it was used, or a person closed it")
        return False

    async def retire(self, record: LinkRecord, why: str) -> None:
        """Nobody may pay with it any more, not even on a page that is open already."""
        if record.link_id:
            try:
                await self.world.pages.deactivate(record.link_id)
                await self._expire(record.link_id)
            except NotFound:
                why = f"{why}; Stripe does not know it with this STRIPE_API_KEY"
        await self._save(record, state="retired", why=why)

    async def demand_nothing_under_way(self, records: Sequence[LinkRecord]) -> None:
        """See that no earlier link was just paid: a second one would take the money twice.

        Raises:
            NeedsPerson: money is on its way.
        """
        for record in records:
            if record.link_id:
                await self._demand_settled(record)

    async def _demand_settled(self, record: LinkRecord) -> None:
        try:
            sessions = [one async for one in self.world.pages.sessions(record.link_id, "complete")]
        except NotFound:
            return
        for session in sessions:
            intent = str(session.get("payment_intent") or "")
            if intent and await self._is_under_way(intent, session):
                raise NeedsPerson(
                    Code.PAID_THROUGH_LINK,
                    f"invoice {record.invoice_number} was paid through its link: {intent} is on its way or waits to "
                    "be recorded",
                    "wait until it has arrived; `taiga-billing payments unmatched` shows whether it needs you",
                )

    async def _is_under_way(self, intent: str, session: Json) -> bool:
        known = await self.world.payments.memory.find(intent)
        if known is not None and (known.payment_id or known.status in _OVER):
            return False
        stripe = self.world.payments.stripe
        if session.get("payment_status") == "paid" or stripe is None:
            return True
        return (await stripe.payment_intent(intent)).get("status") in _ON_ITS_WAY

    async def _refused(self, record: LinkRecord, error: Rejected) -> Json:
        if error.names("idempotency_error"):
            made = await self._marked(record)
            if made is not None:
                return made
        await self._save(record, state="retired", why=f"Stripe refused it: {error.message}")
        amount = to_major(record.amount, record.currency)
        raise NeedsPerson(
            Code.NO_PAYMENT_LINK,
            f"Stripe refuses a payment link for invoice {record.invoice_number} over {amount} {record.currency}: "
            f"{error.message}",
            "check that your Stripe account accepts this currency and amount, then try again",
        ) from error

    async def _marked(self, record: LinkRecord) -> Json | None:
        async for link in self.world.pages.active():
            if bears(link, record.token):
                return link
        return None

    async def _expire(self, link_id: str) -> None:
        sessions = [one async for one in self.world.pages.sessions(link_id, "open")]
        for session in sessions:
            try:
                await self.world.pages.expire(str(session["id"]))
            except Rejected:
                # Completed at this very moment: its payment arrives like any other.
                continue

    async def _save(self, record: LinkRecord, **changes: Any) -> LinkRecord:
        changed = replace(record, **changes)
        await self.world.memory.save(changed)
        return changed


def _form(record: LinkRecord) -> dict[str, Any]:
    return link_form(
        invoice_id=record.invoice_id,
        number=record.invoice_number,
        amount=record.amount,
        currency=record.currency,
        token=record.token,
    )
