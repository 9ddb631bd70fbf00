"""Opens what reconciling with Stripe reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe, connect_stripe
from middleware.settings import Settings, SettingsError


@asynccontextmanager
async def open_stripe_and_books(settings: Settings) -> AsyncIterator[tuple[Stripe, InvoiceNinja]]:
    """Stripe and Invoice Ninja, closed at the end.

    Raises:
        SettingsError: a key, token or address is missing or cannot be one, or the key is of the other mode.
    """
    async with open_books_and_any_stripe(settings) as (stripe, books):
        if stripe is None:
            raise SettingsError(["STRIPE_API_KEY is not set: payments are compared with Stripe's own lists"])
        yield stripe, books


@asynccontextmanager
async def open_books_and_any_stripe(settings: Settings) -> AsyncIterator[tuple[Stripe | None, InvoiceNinja]]:
    """Invoice Ninja, and Stripe when there is a key; closed at the end.

    Raises:
        SettingsError: a token or address is missing or cannot be one, or the key is of the other mode.
    """
    key = settings.stripe_api_key.get_secret_value()
    if not settings.invoice_ninja_api:
        raise SettingsError(["INVOICE_NINJA_API is not set: the address of Invoice Ninja, ending in /api/v1"])
    theirs = "test" if settings.stripe_is_live else "live"
    if settings.stripe_mode and f"_{theirs}_" in key[:8]:
        raise SettingsError([f"STRIPE_MODE is {settings.stripe_mode}, but STRIPE_API_KEY is of {theirs} mode"])
    try:
        stripe = connect_stripe(settings.stripe_api_base, key) if key else None
        books = connect_invoice_ninja(settings.invoice_ninja_api, settings.invoice_ninja_token.get_secret_value())
    except ValueError as error:
        raise SettingsError([str(error)]) from error
    try:
        yield stripe, books
    finally:
        if stripe is not None:
            await stripe.aclose()
        await books.aclose()
