"""The way of pages to other systems. The first who asks imports `remote`, in a thread: webhooks go on meanwhile."""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from handlers.ports.billing import PaymentRecord
from middleware.dashboard.services import Services
from middleware.intake.decisions import Decision

if TYPE_CHECKING:
    from handlers.payment_links.link import PaymentLink
    from handlers.payments.decisions import DecisionPreview
    from middleware.dashboard.live_systems import Remote
    from middleware.replay.dry_run import Effect

REMOTE = "middleware.dashboard.live_systems"


class CannotAskError(Exception):
    """The other system was not asked, or refused; the message is for a person."""


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What replays would do, by event id; `problem` says why not all are there, "" when they are."""

    effects: "Mapping[int, Effect]"
    problem: str = ""


class Asking:
    """What pages ask; all of them share the ways to the other systems."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._remote: Remote | None = None

    async def effects_of(self, event_ids: Sequence[int], now: datetime) -> DryRunResult:
        """What a replay of these events would do, within some seconds; nothing is written anywhere."""
        return await (await self._opened()).dry_run_events(event_ids, now)

    async def link_for(self, invoice_id: str) -> "PaymentLink":
        """The payment page for what is open of an invoice.

        Raises:
            CannotAskError: there is none, and why.
        """
        return await (await self._opened()).make_link(invoice_id)

    async def decision_preview(self, action: Decision, record: PaymentRecord, invoice: str) -> "DecisionPreview":
        """What a decision about a payment would do; what cannot be asked is said in its place."""
        return await (await self._opened()).preview_decision(action, record, invoice)

    async def _opened(self) -> "Remote":
        module = await asyncio.to_thread(importlib.import_module, REMOTE)
        # Nothing is awaited from here on: two who ask first at the same moment get the same one.
        if self._remote is None:
            self._remote = module.Remote(self._services.settings, self._services.pool)
        return self._remote
