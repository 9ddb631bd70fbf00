"""Reads what a payment needs at Stripe: the object itself, and of the rest only what may exist."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from handlers.errors import NeedsPerson, NotFound
from handlers.ports.billing import Json, StripeMoney
from mappings.codes import Code

_REFERENCE_KEYS = frozenset({"invoice_ninja_invoice_id", "invoice_number"})


async def read_at_stripe(stripe: StripeMoney, subject: str, payloads: Sequence[Json]) -> tuple[Json, ...]:
    """The objects of a payment or Stripe invoice as they are now.

    Raises:
        NeedsPerson: Stripe does not know it with our key, so that nothing says that it is our money.
    """
    key = subject.rpartition(":")[2]
    try:
        return tuple(await _read(stripe, key, payloads))
    except NotFound as error:
        raise NeedsPerson(
            Code.UNKNOWN_AT_STRIPE,
            f"Stripe does not know {key} with this STRIPE_API_KEY: nothing is booked by its events alone",
            "see that STRIPE_API_KEY belongs to the account and mode that sent the event, then replay it; money of "
            f'another account: taiga-billing payments ignore {key} --why "another account"',
        ) from error


async def _read(stripe: StripeMoney, key: str, payloads: Sequence[Json]) -> list[Json]:
    if key.startswith("pi_"):
        return await _intent(stripe, key, payloads)
    if key.startswith(("ch_", "py_")):
        charge = await stripe.charge(key)
        return [charge, *await _money_back(stripe, charge, payloads, charge=key)]
    if key.startswith("in_"):
        links = await _all(stripe.invoice_payments(invoice=key))
        # A canceled link is the payment that Stripe had prepared before the invoice was paid past it.
        return [await stripe.invoice(key), *(link for link in links if link.get("status") != "canceled")]
    return []


async def _intent(stripe: StripeMoney, key: str, payloads: Sequence[Json]) -> list[Json]:
    intent = await stripe.payment_intent(key)
    charge = intent.get("latest_charge")
    read = [intent, *await _money_back(stripe, charge, payloads, payment_intent=key)]
    if not _names_invoice([intent, charge, *_objects(payloads)]):
        read += await _all(stripe.sessions(payment_intent=key))
        read += await _all(stripe.invoice_payments(payment_intent=key))
    named = {_invoice_of(item) for item in [*read, *_objects(payloads)] if isinstance(item, Mapping)}
    read += [one for invoice in sorted(named) if invoice.startswith("in_") for one in await _invoice(stripe, invoice)]
    return read


async def _invoice(stripe: StripeMoney, key: str) -> list[Json]:
    """The Stripe invoice that a payment names, unless it was deleted there (drafts can be)."""
    try:
        return [await stripe.invoice(key)]
    except NotFound:
        return []


async def _money_back(stripe: StripeMoney, taken: Any, payloads: Sequence[Json], **of: str) -> list[Json]:
    """Refunds and disputes, asked for only when the charge or an event says that there are some."""
    shown = taken if isinstance(taken, Mapping) else {}
    types = [str(payload.get("type", "")) for payload in payloads]
    read: list[Json] = []
    if shown.get("amount_refunded") or shown.get("refunded") or any("refund" in kind for kind in types):
        read += await _all(stripe.refunds(**of))
    if shown.get("disputed") or any("dispute" in kind for kind in types):
        read += await _all(stripe.disputes(**of))
    return read


def _names_invoice(objects: Iterable[Any]) -> bool:
    """Whether metadata names an invoice already, so that nothing else has to be asked for it."""
    metadata = (item.get("metadata") for item in objects if isinstance(item, Mapping))
    return any(isinstance(pairs, Mapping) and _REFERENCE_KEYS & pairs.keys() for pairs in metadata)


def _objects(payloads: Iterable[Json]) -> list[Any]:
    data = (payload.get("data") for payload in payloads)
    return [item.get("object") for item in data if isinstance(item, Mapping)]


def _invoice_of(item: Json) -> str:
    """The id of the Stripe invoice that an object is or names, be it an id or an expanded object; "" when none."""
    value = item if item.get("object") == "invoice" else item.get("invoice")
    return str((value.get("id") if isinstance(value, Mapping) else value) or "")


async def _all(pages: AsyncIterator[Json]) -> list[Json]:
    return [item async for item in pages]
