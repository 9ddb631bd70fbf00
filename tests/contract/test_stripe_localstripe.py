"""What somebody else's imitation of Stripe says is read correctly: localstripe, old API version, other gaps than ours.

It knows payment intents, cards, refunds and events, but no sessions, links, disputes, invoice payments and no
`amount_received`.
"""

import asyncio
import json
import time
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mappings.stripe import Relevant, classify, fold, from_api, target
from middleware.lab.sandbox.serve import serve
from middleware.sources.signing import verify_stripe

Json = dict[str, Any]
SECRET = "whsec_localstripe"
# Loaded late: what they warn of while they are loaded would be errors here.
LOADED = ("aiohttp.web", "localstripe.resources", "localstripe.server", "localstripe.webhooks")
GOOD, DECLINED = "4242424242424242", "4000000000000341"


@dataclass
class Hook:
    """Our end of the webhook: what arrived, as bytes with its signature."""

    arrived: "asyncio.Queue[tuple[bytes, str]]" = field(default_factory=asyncio.Queue)

    async def receive(self, request: Request) -> Response:
        """Take one delivery."""
        await self.arrived.put((await request.body(), request.headers["Stripe-Signature"]))
        return Response()

    async def event(self) -> Json:
        """The next event, verified."""
        body, header = await asyncio.wait_for(self.arrived.get(), timeout=60)
        assert verify_stripe(body, header, ["whsec_other", SECRET], int(time.time())) == 1
        decoded: Json = json.loads(body)
        return decoded


@pytest.fixture
def hook() -> Hook:
    """An empty hook."""
    return Hook()


@pytest.fixture
async def client(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of localstripe, which runs in this process, writes no file and sends events at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        web, resources, server, webhooks = (import_module(name) for name in LOADED)
    monkeypatch.setattr(resources.Store, "dump_to_disk", lambda _: None)
    at_once = SimpleNamespace(sleep=_no_pause, ensure_future=asyncio.ensure_future)
    monkeypatch.setattr(webhooks, "asyncio", at_once)
    runner = web.AppRunner(server.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with (
        serve(Starlette(routes=[Route("/hook", hook.receive, methods=["POST"])])) as ours,
        httpx.AsyncClient(base_url=base, auth=("sk_test_12345", ""), trust_env=False) as made,
    ):
        await made.post("/_config/webhooks/ours", json={"url": f"{ours}/hook", "secret": SECRET})
        yield made
    await runner.cleanup()


async def pay(client: httpx.AsyncClient, number: str) -> Json:
    """Pay 123.45 EUR with this card; the answer is the intent, or the error."""
    card = {"type": "card", "card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2035", "card[cvc]": "1"}
    method = (await client.post("/v1/payment_methods", data={**card, "card[cvc]": "123"})).json()
    intent = {"amount": "12345", "currency": "eur", "payment_method": method["id"], "confirm": "true"}
    answer = await client.post("/v1/payment_intents", data={**intent, "metadata[invoice_number]": "2026-0042"})
    decoded: Json = answer.json()
    return decoded


async def test_payment_event_tells_the_money(client: httpx.AsyncClient, hook: Hook) -> None:
    """The event of a foreign server verifies and folds, though its intent has no `amount_received`."""
    intent = await pay(client, GOOD)
    event = await hook.event()
    assert classify(event, live=False) == Relevant(f"stripe:payment:{intent['id']}")
    held = target(fold([event]))
    assert (held.key, held.paid, held.currency, held.status) == (intent["id"], 12345, "EUR", "paid")


async def test_refunds_are_read_from_the_api(client: httpx.AsyncClient, hook: Hook) -> None:
    """Partly refunded, as its lists tell it."""
    intent = await pay(client, GOOD)
    await hook.event()
    await client.post("/v1/refunds", data={"payment_intent": intent["id"], "amount": "2345"})
    shown = (await client.get(f"/v1/payment_intents/{intent['id']}")).json()
    refunds = (await client.get("/v1/refunds", params={"charge": shown["latest_charge"]["id"]})).json()["data"]
    held = target(from_api(shown, refunds=refunds))
    assert (held.paid, held.refunded, held.status) == (12345, 2345, "partially_refunded")


async def test_declined_card(client: httpx.AsyncClient, hook: Hook) -> None:
    """A failure is told as a failure."""
    answer = await pay(client, DECLINED)
    assert answer["error"]["code"] == "card_declined"
    facts = fold([await hook.event()])
    assert (facts.status, facts.received) == ("failed", 0)
    assert facts.failure is not None


async def test_event_list_has_the_events(client: httpx.AsyncClient, hook: Hook) -> None:
    """Pages by cursor, as a reconcile walks them."""
    ids = [(await pay(client, GOOD), await hook.event())[1]["id"] for _ in range(3)]
    first = (await client.get("/v1/events", params={"type": "payment_intent.succeeded", "limit": 2})).json()
    assert first["has_more"] is True
    after = {"type": "payment_intent.succeeded", "starting_after": first["data"][-1]["id"]}
    rest = (await client.get("/v1/events", params=after)).json()
    assert {event["id"] for event in first["data"] + rest["data"]} >= set(ids)


async def _no_pause(_: float) -> None:
    """Localstripe waits a second before it sends; we do not."""
