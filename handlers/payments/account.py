"""Whose money an event is about, where one webhook serves a whole organisation (docs/facts/stripe.md section 9).

Since 2025-04-30 such events name their account. Ours is `STRIPE_ACCOUNT`, else that of `STRIPE_API_KEY`.
"""

from collections.abc import Iterable
from dataclasses import replace

from handlers.errors import NeedsPerson, Refused, Rejected
from handlers.ports.billing import Json, PaymentWorld
from mappings.codes import Code
from mappings.stripe import account_of


async def knowing_account(world: PaymentWorld, payloads: Iterable[Json]) -> PaymentWorld:
    """What payments need, with our own account when an event asks for it.

    Raises:
        NeedsPerson: an event names its account, and ours is not known.
        RemoteError: Stripe failed.
    """
    named = {account for payload in payloads if (account := account_of(payload))}
    if not named or world.account:
        return world
    account = await _own_account(world)
    if not account:
        raise NeedsPerson(
            Code.STRIPE_ACCOUNT_UNKNOWN,
            f"the event comes from Stripe account {', '.join(sorted(named))}, and it is not known which one is ours",
            "set STRIPE_ACCOUNT to your own account (acct_..., in Stripe's dashboard under Settings, Account details), "
            "then replay this event",
        )
    return replace(world, account=account)


async def _own_account(world: PaymentWorld) -> str:
    """The account of the key; "" without a key, or when the key may not read it."""
    if world.stripe is None:
        return ""
    try:
        return await world.stripe.account_id()
    except (Refused, Rejected):
        return ""
