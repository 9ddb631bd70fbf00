"""What is missing in Stripe: the endpoint that sends its events here (docs/facts/stripe.md sections 1 and 4)."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from handlers.errors import RemoteError
from middleware.checks.stripe import WANTED_EVENTS, endpoints, missing_events, ours_among
from middleware.clients.http.address import segment
from middleware.clients.http.client import Row
from middleware.clients.stripe.client import STRIPE_VERSION, Stripe
from middleware.setup.steps import Step
from middleware.sources.addresses import webhook_address

PATH = "/v1/webhook_endpoints"
HINT = "Stripe needs a public https:// address; or create the endpoint in its dashboard and set STRIPE_WEBHOOK_SECRETS"
PASTE = (
    "Stripe shows the signing secret of an endpoint only once: copy it from its dashboard (Developers, Webhooks) into"
    " STRIPE_WEBHOOK_SECRETS"
)

KeepSecret = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StripePlan:
    """The steps, what a person must do, and whether there is an endpoint whose secret only a person can fetch."""

    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()
    needs_secret: bool = False


async def plan_stripe(stripe: Stripe, public_url: str, keep_secret: KeepSecret, *, has_secret: bool) -> StripePlan:
    """What is missing. `keep_secret` gets the signing secret of a new endpoint: Stripe shows it only once."""
    if not public_url:
        return StripePlan(remarks=("Without PUBLIC_URL no webhook of Stripe is registered.",))
    try:
        ours = ours_among(await endpoints(stripe), public_url)
    except RemoteError as error:
        return StripePlan(
            remarks=(f"Stripe's endpoints cannot be read: {error}. {PASTE}.",), needs_secret=not has_secret
        )
    if not ours:
        url = webhook_address(public_url, "stripe")
        title = f"Stripe: register the webhook {url} for {len(WANTED_EVENTS)} events, API version {STRIPE_VERSION}"

        async def create() -> None:
            await keep_secret(await _create(stripe, url))

        return StripePlan((Step(title, create, HINT),))
    steps = tuple(_completing(stripe, row, missing) for row in ours if (missing := missing_events(row)))
    return StripePlan(steps, () if has_secret else (f"{PASTE}.",), needs_secret=not has_secret)


async def _create(stripe: Stripe, url: str) -> str:
    fields = {
        "url": url,
        "enabled_events": WANTED_EVENTS,
        "api_version": STRIPE_VERSION,
        "description": "taiga-billing",
    }
    made = await stripe.post(PATH, fields, idempotency_key=f"taiga-billing-setup-{secrets.token_hex(8)}")
    return str(made.get("secret", ""))


def _completing(stripe: Stripe, row: Row, missing: list[str]) -> Step:
    endpoint_id, enabled = str(row.get("id")), [str(kind) for kind in row.get("enabled_events", ())]

    async def complete() -> None:
        fields = {"enabled_events": [*enabled, *missing]}
        key = f"taiga-billing-setup-{secrets.token_hex(8)}"
        await stripe.post(f"{PATH}/{segment(endpoint_id)}", fields, idempotency_key=key)

    return Step(f"Stripe: make {endpoint_id} send {len(missing)} more events", complete)
