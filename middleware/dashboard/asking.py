"""The way of pages to other systems. The first who asks imports `remote`, in a thread: webhooks go on meanwhile."""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from middleware.dashboard.visit import Visit

if TYPE_CHECKING:
    from handlers.payment_link import PaymentLink
    from middleware.rehearsal import Effect

REMOTE = "middleware.dashboard.remote"


class CannotAskError(Exception):
    """The other system was not asked, or refused; the message is for a person."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What replays would do, by event id; `problem` says why not all are there, "" when they are."""

    effects: "Mapping[int, Effect]"
    problem: str = ""


async def effects_of(visit: Visit, event_ids: Sequence[int]) -> Rehearsed:
    """What a replay of these events would do, within some seconds; nothing is written anywhere."""
    remote = await asyncio.to_thread(importlib.import_module, REMOTE)
    found: Rehearsed = await remote.rehearse_events(visit.services.settings, visit.services.pool, event_ids, visit.now)
    return found


async def link_for(visit: Visit, invoice_id: str) -> "PaymentLink":
    """The payment page for what is open of an invoice.

    Raises:
        CannotAskError: there is none, and why.
    """
    remote = await asyncio.to_thread(importlib.import_module, REMOTE)
    link: PaymentLink = await remote.make_link(visit.services.settings, visit.services.pool, invoice_id)
    return link
