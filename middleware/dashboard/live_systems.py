"""What pages ask other systems: the effect of a replay, and the payment page of an invoice; as the command line does.

Imported by the first who asks: the clients take 13 MB, which the receiver does not need otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import SecretStr

from handlers.errors import NeedsPerson, RemoteError
from handlers.payment_links.link import PaymentLink, payment_link
from handlers.payments.decisions import DecisionPreview
from handlers.ports.billing import PaymentRecord
from handlers.ports.context import Context
from mappings.errors import MappingErrors
from middleware.bootstrap import open_context, open_traffic
from middleware.dashboard.live import CannotAskError, DryRunResult
from middleware.intake.decisions import Decision
from middleware.mapping.load import load_mapping
from middleware.replay.decision_preview import decision_preview
from middleware.replay.dry_run import Effect, dry_run
from middleware.settings import Settings, SettingsError
from middleware.store.database import Pool
from middleware.store.events.claim_records import Claim
from middleware.store.events.replayed import as_replayed

DRY_RUN_SECONDS = 8.0
LINK_SECONDS = 30.0
# Invoice Ninja has few workers of its own.
AT_ONCE = 3


class Remote:
    """Taiga, Invoice Ninja and Stripe, as persons before the pages of one receiver ask them."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        # No Redis: nothing here puts events to work.
        self._settings = settings.model_copy(update={"redis_url": SecretStr("")})
        self._pool = pool
        self._traffic = open_traffic(settings, pool, interactive=True)

    async def dry_run_events(self, event_ids: Sequence[int], now: datetime) -> DryRunResult:
        """What a replay of these events would do, as far as it can be seen within `DRY_RUN_SECONDS`."""
        effects: dict[int, Effect] = {}
        turns = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.timeout(DRY_RUN_SECONDS), self._context() as context:

                async def look(claim: Claim) -> None:
                    async with turns:
                        effects.update({effect.event_id: effect for effect in await dry_run(claim, context, now)})

                claims = await as_replayed(self._pool, event_ids, now)
                async with asyncio.TaskGroup() as group:
                    for claim in claims:
                        group.create_task(look(claim))
        except TimeoutError:
            return DryRunResult(
                effects, f"the other systems are slow; this is what was read within {DRY_RUN_SECONDS:.0f} s"
            )
        except CannotAskError as error:
            return DryRunResult(effects, str(error))
        return DryRunResult(effects)

    async def make_link(self, invoice_id: str) -> PaymentLink:
        """The payment page for what is open of an invoice; made if there is none yet.

        Raises:
            CannotAskError: there is none, and why.
        """
        try:
            async with asyncio.timeout(LINK_SECONDS), self._context() as context:
                return await payment_link(invoice_id, context)
        except TimeoutError as error:
            raise CannotAskError(
                f"Stripe and Invoice Ninja took longer than {LINK_SECONDS:.0f} s. Nothing is lost: ask again, it goes"
                " on where it stopped."
            ) from error
        except NeedsPerson as error:
            raise CannotAskError(f"{error.reason}; {error.hint}" if error.hint else error.reason) from error
        except RemoteError as error:
            raise CannotAskError(f"{error}. Nothing is lost: try again, and it continues where it stopped.") from error

    async def preview_decision(self, action: Decision, record: PaymentRecord, invoice: str) -> DecisionPreview:
        """What it would do; when Invoice Ninja cannot be asked within some seconds, that is what is shown."""
        try:
            async with asyncio.timeout(DRY_RUN_SECONDS):
                return await decision_preview(self._settings, self._pool, action, record, invoice)
        except TimeoutError:
            return DecisionPreview(("the result cannot be shown first: Invoice Ninja is slow",))
        except SettingsError as error:
            return DecisionPreview((f"the result cannot be shown first: {'; '.join(error.problems)}",))

    @asynccontextmanager
    async def _context(self) -> AsyncIterator[Context]:
        try:
            mapping = await asyncio.to_thread(load_mapping, self._settings.mappings_file)
            await self._traffic.failing()
            async with open_context(self._settings, mapping, self._pool, self._traffic) as context:
                yield context
        except SettingsError as error:
            raise CannotAskError("; ".join(error.problems)) from error
        except MappingErrors as error:
            raise CannotAskError(f"the mapping file cannot be used: {error}") from error
