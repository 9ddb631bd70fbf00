"""Worker composition root: opens the clients and puts together what handlers get."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from handlers.ports.billing import PaymentWorld
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld
from handlers.ports.payment_links import LinkWorld
from mappings.config.file import MappingFile
from middleware.clients.connect import Systems, connect_invoice_ninja, connect_taiga
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe, connect_stripe
from middleware.clients.stripe.payment_links import StripeLinks
from middleware.clients.taiga import Credentials, Taiga
from middleware.intake.ingest import open_ingest
from middleware.settings import Settings, SettingsError
from middleware.sources.table import sources_by_system
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.billing.payment_links import PaymentLinkStore
from middleware.store.billing.payments import EventHistoryStore, PaymentStore
from middleware.store.billing.plans import PlanStore
from middleware.store.clock import StoreClock
from middleware.store.database import STORE_ERRORS, Pool
from middleware.store.locks import Locks
from middleware.store.operations.circuits import CircuitStore
from middleware.store.operations.workers import WorkerStore
from middleware.traffic.gate import TrafficLimits
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

SECONDS_BETWEEN_NOTES = 30.0


def taiga_credentials(settings: Settings) -> Credentials:
    """The credentials for Taiga as configured."""
    return Credentials(
        token=settings.taiga_token.get_secret_value(),
        username=settings.taiga_username,
        password=settings.taiga_password.get_secret_value(),
    )


@asynccontextmanager
async def open_taiga(settings: Settings) -> AsyncIterator[Taiga | None]:
    """Taiga, when credentials are configured.

    Raises:
        SettingsError: the address cannot be one.
    """
    if not settings.has_taiga_credentials:
        yield None
        return
    try:
        taiga = connect_taiga(settings.taiga_api, taiga_credentials(settings))
    except ValueError as error:
        raise SettingsError([str(error)]) from error
    try:
        yield taiga
    finally:
        await taiga.aclose()


@asynccontextmanager
async def open_stripe(settings: Settings) -> AsyncIterator[Stripe | None]:
    """Stripe, when a key is configured.

    Raises:
        SettingsError: the address or key cannot be one.
    """
    key = settings.stripe_api_key.get_secret_value()
    if not key:
        yield None
        return
    try:
        stripe = connect_stripe(settings.stripe_api_base, key)
    except ValueError as error:
        raise SettingsError([str(error)]) from error
    try:
        yield stripe
    finally:
        await stripe.aclose()


@asynccontextmanager
async def open_payments(
    settings: Settings, ninja: InvoiceNinja, stripe: Stripe | None, pool: Pool
) -> AsyncIterator[PaymentWorld]:
    """What payments need; without Stripe the events alone are believed."""
    locks = Locks(settings.database_url.get_secret_value())
    try:
        yield PaymentWorld(
            books=ninja,
            memory=PaymentStore(pool),
            history=EventHistoryStore(pool),
            exclusive=locks.exclusive,
            stripe=stripe,
            live=settings.stripe_is_live,
            account=settings.stripe_account,
        )
    finally:
        await locks.aclose()


@asynccontextmanager
async def open_systems(settings: Settings, traffic: Traffic | None = None) -> AsyncIterator[Systems]:
    """The clients of the remote systems, closed at the end; with `traffic`, its limits and circuits hold for them.

    Raises:
        SettingsError: an address or token is missing or cannot be one.
    """
    if not settings.invoice_ninja_api:
        raise SettingsError(["INVOICE_NINJA_API is not set: the address of Invoice Ninja, ending in /api/v1"])
    try:
        ninja = connect_invoice_ninja(settings.invoice_ninja_api, settings.invoice_ninja_token.get_secret_value())
    except ValueError as error:
        raise SettingsError([str(error)]) from error
    try:
        async with open_taiga(settings) as taiga, open_stripe(settings) as stripe:
            systems = Systems(ninja, taiga, stripe)
            if traffic is not None:
                _send_through(traffic, systems)
            yield systems
    finally:
        await ninja.aclose()


@asynccontextmanager
async def open_context(
    settings: Settings, mapping: MappingFile, pool: Pool, traffic: Traffic | None = None
) -> AsyncIterator[Context]:
    """Everything a handler may use, with clients of its own, closed at the end; PostgreSQL is asked once for the time.

    Raises:
        SettingsError: an address or token is missing or cannot be one.
    """
    async with open_systems(settings, traffic) as systems:
        clock = StoreClock(pool)
        await clock.try_to_read()
        async with context_of(systems, settings, mapping, pool, clock) as context:
            yield context


@asynccontextmanager
async def context_of(
    systems: Systems, settings: Settings, mapping: MappingFile, pool: Pool, clock: StoreClock
) -> AsyncIterator[Context]:
    """Everything a handler may use, with these clients; the caller keeps `clock` right."""
    ninja, stripe = systems.ninja, systems.stripe
    async with open_payments(settings, ninja, stripe, pool) as payments, open_ingest(settings, pool) as events:
        yield Context(
            mapping=mapping,
            clock=clock.now,
            ninja=ninja,
            links=LinkStore(pool),
            reviews=ReviewStore(pool),
            taiga=systems.taiga,
            payments=payments,
            # Each step of a payment link is one at Stripe.
            payment_links=None if stripe is None else LinkWorld(payments, PaymentLinkStore(pool), StripeLinks(stripe)),
            invoicing=InvoiceWorld(ninja, PlanStore(pool), events, settings.taiga_number_prefix),
            history=EventHistoryStore(pool),
            events=events,
            write_back_quiet=settings.write_back_quiet_seconds,
            number_prefix=settings.taiga_number_prefix,
        )


def open_traffic(settings: Settings, pool: Pool, *, interactive: bool = False) -> Traffic:
    """The ways to the three systems, at the rates that are set; `interactive`: for the command of a person."""
    rates = {
        "invoiceninja": TrafficLimits(settings.invoice_ninja_max_concurrency, settings.invoice_ninja_max_rate),
        "taiga": TrafficLimits(settings.taiga_max_concurrency, settings.taiga_max_rate),
        "stripe": TrafficLimits(settings.stripe_max_concurrency, settings.stripe_max_rate),
    }
    # Taiga and Stripe are asked only when we have credentials for them.
    has_stripe = bool(settings.stripe_api_key.get_secret_value())
    asked = {"invoiceninja": True, "taiga": settings.has_taiga_credentials, "stripe": has_stripe}
    needs = sources_by_system([system for system, is_asked in asked.items() if is_asked])
    return Traffic(CircuitStore(pool), rates, needs, interactive=interactive)


def _send_through(traffic: Traffic, systems: Systems) -> None:
    systems.ninja.through(traffic.admit("invoiceninja"))
    if systems.taiga is not None:
        systems.taiga.through(traffic.admit("taiga"))
    if systems.stripe is not None:
        systems.stripe.through(traffic.admit("stripe"))


class RemoteObserver:
    """Writes down what the workers learn of the remote systems: at once when it changes, else now and then."""

    def __init__(self, workers: WorkerStore) -> None:
        self._workers = workers
        self._known: dict[str, tuple[str, float]] = {}

    async def __call__(self, system: str, state: str, message: str) -> None:
        """Note one observation."""
        known_state, noted_at = self._known.get(system, ("", 0.0))
        now = time.monotonic()
        if state == known_state and now - noted_at < SECONDS_BETWEEN_NOTES:
            return
        self._known[system] = (state, now)
        if state != known_state and (known_state or state != "ok"):
            report = log.info if state == "ok" else log.error
            report("remote.changed", system=system, state=state, message=message)
        try:
            await self._workers.note(system, state, message)
        except STORE_ERRORS as error:
            self._known.pop(system, None)
            log.warning("store.unreachable", error=str(error))
