"""Looks at Stripe: the key and its mode, and the endpoint that our webhooks come from."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from handlers.errors import Refused, RemoteError
from mappings.stripe import RELEVANT_TYPES
from middleware.checks.findings import Finding, finding_of
from middleware.clients.http.client import Row
from middleware.clients.stripe.client import STRIPE_VERSION, Stripe
from middleware.sources.addresses import leads_here, webhook_address

OUR_OWN = ".reconcile"
"""The end of types that Stripe does not know: they are made here."""

WANTED_EVENTS = tuple(sorted(kind for kind in RELEVANT_TYPES if not kind.endswith(OUR_OWN)))
"""The types of events that change anything; an endpoint needs no others."""

WRONG_KEY = "set STRIPE_API_KEY to a secret (or restricted) key: Stripe dashboard, Developers, API keys"
LONGEST_LIST = 5


@dataclass(frozen=True, slots=True)
class ExpectedEndpoint:
    """What the endpoint should be like. `is_live` None: both modes are taken; `has_secret`: we can verify events."""

    public_url: str
    is_live: bool | None
    has_secret: bool


async def endpoints(stripe: Stripe) -> list[Row]:
    """GET /v1/webhook_endpoints.

    Raises:
        Refused: a restricted key may not read them.
    """
    return [row async for row in stripe.pages("/v1/webhook_endpoints", {})]


def ours_among(rows: Sequence[Row], public_url: str) -> list[Row]:
    """The endpoints that lead to us."""
    return [row for row in rows if leads_here(str(row.get("url", "")), public_url, "stripe")]


def missing_events(endpoint: Row) -> list[str]:
    """What an endpoint does not send and should; `*` sends everything."""
    enabled = _texts(endpoint.get("enabled_events"))
    return [] if "*" in enabled else [kind for kind in WANTED_EVENTS if kind not in enabled]


async def check_stripe(stripe: Stripe, expected: ExpectedEndpoint) -> AsyncIterator[Finding]:
    """Every finding about Stripe; stops after the first when it does not answer."""
    modes: list[bool] = []

    async def balance() -> str:
        answer = await stripe.get("/v1/balance")
        modes.append(answer.get("livemode") is True)
        return f"answers in {'live' if modes[0] else 'test'} mode"

    first = await finding_of("stripe", balance, {Refused: WRONG_KEY + "; a restricted one needs read on Balance"})
    yield first
    if first.level != "ok":
        return
    if expected.is_live is not None and expected.is_live is not modes[0]:
        message = f"the key is a {'live' if modes[0] else 'test'} key, but STRIPE_MODE says otherwise"
        yield Finding("stripe mode", "failed", message, "set both to the same mode, or leave STRIPE_MODE empty")
    try:
        found = endpoint_findings(await endpoints(stripe), expected)
    except Refused as error:
        hint = 'give the restricted key "read" on Webhook Endpoints, or check the endpoint yourself'
        found = [Finding("stripe webhook", "warning", f"cannot be seen: {error}", hint)]
    except RemoteError as error:
        found = [Finding("stripe webhook", "failed", str(error), "try again")]
    for finding in found:
        yield finding


def endpoint_findings(rows: Sequence[Row], expected: ExpectedEndpoint) -> list[Finding]:
    """What the registered endpoints say."""
    ours = ours_among(rows, expected.public_url)
    if not ours:
        address = webhook_address(expected.public_url or "https://your-host", "stripe")
        hint = "run taiga-billing setup, or add it in Stripe (Developers, Webhooks)"
        return [Finding("stripe webhook", "failed", f"no endpoint leads to {address}", hint)]
    findings = []
    if len(ours) > 1:
        hint = "remove all but one in Stripe; duplicates do no harm, but each costs a request"
        findings.append(Finding("stripe webhook", "warning", f"{len(ours)} endpoints lead here", hint))
    if not expected.has_secret:
        hint = "set STRIPE_WEBHOOK_SECRETS to the signing secret of the endpoint (whsec_...)"
        findings.append(Finding("stripe webhook", "failed", "its events cannot be verified", hint))
    for row in ours:
        findings += _one(row)
    return findings


def _one(row: Row) -> list[Finding]:
    name = f"stripe webhook {row.get('id', '')}"
    findings = []
    if row.get("status") == "disabled":
        hint = "enable it in Stripe (Developers, Webhooks); Stripe does this after days of failures"
        findings.append(Finding(name, "failed", "is disabled: nothing is sent", hint))
    if missing := missing_events(row):
        few = ", ".join(missing[:LONGEST_LIST]) + (", ..." if len(missing) > LONGEST_LIST else "")
        hint = "run taiga-billing setup, or add them to the endpoint in Stripe"
        findings.append(Finding(name, "failed", f"does not send {len(missing)} events that we need: {few}", hint))
    version = row.get("api_version")
    if version != STRIPE_VERSION:
        message = f"sends events of API version {version or 'of the account'}; tested is {STRIPE_VERSION}"
        hint = "older versions work too; to use the tested one, delete the endpoint and run taiga-billing setup"
        findings.append(Finding(name, "warning", message, hint))
    return findings or [Finding(name, "ok", f"sends all {len(WANTED_EVENTS)} events, API version {version}")]


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
