"""Asks Invoice Ninja what a decision about a payment would do, before it is stored."""

from handlers.errors import RemoteError
from handlers.payments.decisions import DecisionPreview, preview_ignore, preview_match, preview_unmatch
from handlers.ports.billing import PaymentRecord, PaymentWorld
from middleware.bootstrap import open_payments, open_stripe, open_traffic
from middleware.clients.connect import connect_invoice_ninja
from middleware.intake.decisions import Decision
from middleware.settings import Settings, SettingsError
from middleware.store.billing.mirror import BookStore
from middleware.store.database import Pool


async def decision_preview(
    settings: Settings, pool: Pool, action: Decision, record: PaymentRecord, invoice: str
) -> DecisionPreview:
    """What it would do, or why it cannot be done. When Invoice Ninja cannot be asked, that is what is shown.

    Raises:
        SettingsError: the address or the token of Invoice Ninja cannot be one.
    """
    try:
        ninja = connect_invoice_ninja(settings.invoice_ninja_api, settings.invoice_ninja_token.get_secret_value())
    except ValueError as error:
        raise SettingsError([str(error)]) from error
    ninja.through(open_traffic(settings, pool, interactive=True).admit("invoiceninja"))
    names = await BookStore(pool).client_names()
    try:
        async with open_stripe(settings) as stripe, open_payments(settings, ninja, stripe, pool) as world:
            return await _ask(action, record, invoice, world, names)
    except RemoteError as error:
        return DecisionPreview((f"the result cannot be shown first: {error}",))
    finally:
        await ninja.aclose()


async def _ask(
    action: Decision, record: PaymentRecord, invoice: str, world: PaymentWorld, names: dict[str, str]
) -> DecisionPreview:
    def client(key: str) -> str:
        return names.get(key) or f"client {key}"

    if action == "match":
        return await preview_match(record, invoice, world, client)
    if action == "ignore":
        return await preview_ignore(record, world)
    return await preview_unmatch(record, world, client)
