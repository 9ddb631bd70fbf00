"""The official `stripe` package talks to the sandbox through its base address, as it would to Stripe."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import stripe

from mappings.stripe import from_api, target
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripePeople, StripeState, create_app
from middleware.sources.signing import verify_stripe

# The library hands httpx its forms in a deprecated way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

Library = Any
NINJA = {"invoice_ninja_invoice_id": "Wpmbk5ezJn", "invoice_number": "2026-0042"}


@pytest.fixture
async def state() -> StripeState:
    """A fresh sandbox account in test mode."""
    state = StripeState()
    state.hold = True
    return state


@pytest.fixture
async def library(state: StripeState) -> AsyncIterator[Library]:
    """The official client, pointed at a served sandbox."""
    transport = stripe.HTTPXClient(timeout=10)
    async with serve(create_app(state)) as url:
        yield stripe.StripeClient(
            "sk_test_sandbox", http_client=transport, base_addresses={"api": url}, max_network_retries=0
        ).v1
        await cast("Any", transport).close_async()


async def test_payment_refund_and_lists(library: Library, state: StripeState) -> None:
    """Create, confirm, refund, expand and page with the types of the library."""
    created = await library.payment_intents.create_async(
        {
            "amount": 12345,
            "currency": "eur",
            "metadata": NINJA,
            "confirm": True,
            "payment_method": "pm_card_visa",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    assert (created.status, created.amount_received, created.metadata["invoice_number"]) == (
        "succeeded",
        12345,
        "2026-0042",
    )
    await library.refunds.create_async({"payment_intent": created.id, "amount": 2345})
    refunds = await library.refunds.list_async({"payment_intent": created.id})
    shown = await library.payment_intents.retrieve_async(created.id, {"expand": ["latest_charge.balance_transaction"]})
    assert shown.latest_charge.balance_transaction.fee == 210
    facts = from_api(shown.to_dict(), refunds=[refund.to_dict() for refund in refunds.data])
    assert (target(facts).paid, target(facts).refunded, target(facts).status) == (12345, 2345, "partially_refunded")
    assert (await library.balance.retrieve_async()).livemode is False
    assert len(state.outbox) == 0


async def test_auto_paging_walks_all_pages_in_both_directions(library: Library, state: StripeState) -> None:
    """Cursors lead through all events, newest first, or oldest first with `ending_before`."""
    people = StripePeople(state)
    for amount in range(1, 61):
        people.pay(amount, "eur")
    listed = await library.events.list_async({"types": ["payment_intent.succeeded"], "limit": 25})
    amounts = [event.data.object.amount async for event in listed.auto_paging_iter()]
    assert amounts == list(range(60, 0, -1))
    oldest = (await library.payment_intents.list_async({"limit": 100})).data[-1]
    back = await library.payment_intents.list_async({"limit": 25, "ending_before": oldest.id})
    assert [intent.amount async for intent in back.auto_paging_iter()] == list(range(2, 61))


async def test_idempotency_key_and_errors(library: Library) -> None:
    """One key makes one payment; mistakes are the library's exceptions."""
    asked = {"amount": 700, "currency": "eur"}
    options = {"idempotency_key": "job-1"}
    first = await library.payment_intents.create_async(asked, options)
    again = await library.payment_intents.create_async(asked, options)
    assert first.id == again.id
    with pytest.raises(stripe.IdempotencyError):
        await library.payment_intents.create_async({**asked, "amount": 800}, options)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await library.payment_intents.retrieve_async("pi_nowhere")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    declining = {**asked, "confirm": True, "payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
    with pytest.raises(stripe.CardError) as declined:
        await library.payment_intents.create_async(declining)
    assert declined.value.code == "card_declined"


async def test_links_sessions_and_customers(library: Library, state: StripeState) -> None:
    """A single-use link is paid, closes itself, and its session is found by the intent."""
    line = {"price_data": {"currency": "eur", "unit_amount": 12345, "product_data": {"name": "Invoice"}}, "quantity": 1}
    link = await library.payment_links.create_async(
        {
            "line_items": [line],
            "metadata": NINJA,
            "payment_intent_data": {"metadata": NINJA},
            "restrictions": {"completed_sessions": {"limit": 1}},
        }
    )
    paid = StripePeople(state).pay_link(link.id)
    sessions = await library.checkout.sessions.list_async({"payment_intent": paid["payment_intent"]})
    assert [session.payment_link for session in sessions.data] == [link.id]
    assert (await library.payment_links.retrieve_async(link.id)).active is False
    session = await library.checkout.sessions.create_async(
        {"mode": "payment", "line_items": [line], "success_url": "https://example.org", "client_reference_id": "7"}
    )
    assert (await library.checkout.sessions.expire_async(session.id)).status == "expired"
    switched = await library.payment_links.update_async(link.id, {"active": False, "metadata": {"invoice_number": ""}})
    assert "invoice_number" not in switched.metadata


async def test_invoices_and_their_payments(library: Library) -> None:
    """A Stripe invoice from draft to paid; the link to its payment is found by the intent."""
    customer = await library.customers.create_async({"email": "ada@example.org", "name": "Ada"})
    draft = await library.invoices.create_async({"customer": customer.id, "metadata": NINJA, "currency": "eur"})
    await library.invoice_items.create_async({"customer": customer.id, "invoice": draft.id, "amount": 9900})
    await library.invoices.finalize_invoice_async(draft.id)
    assert (await library.invoices.pay_async(draft.id)).status == "paid"
    shown = await library.invoices.retrieve_async(draft.id, {"expand": ["payments"]})
    intent = shown.payments.data[0].payment.payment_intent
    links = await library.invoice_payments.list_async({"payment": {"type": "payment_intent", "payment_intent": intent}})
    assert [link.invoice for link in links.data] == [draft.id]
    facts = from_api((await library.payment_intents.retrieve_async(intent)).to_dict(), invoice=shown.to_dict())
    assert (target(facts).paid, facts.stripe_invoices) == (9900, (draft.id,))


async def test_webhook_endpoint_signs_what_the_library_accepts(library: Library, state: StripeState) -> None:
    """An endpoint made through the API gets events that both the library and we verify."""
    endpoint = await library.webhook_endpoints.create_async(
        {"url": "http://127.0.0.1:1/hook", "enabled_events": ["payment_intent.succeeded"]}
    )
    StripePeople(state).pay(500, "eur")
    (delivery,) = state.outbox
    body = delivery.body
    header = delivery.headers(body, state.now())["Stripe-Signature"]
    construct: Any = stripe.Webhook.construct_event
    assert construct(body, header, endpoint.secret).type == "payment_intent.succeeded"
    assert verify_stripe(body, header, [endpoint.secret], state.now()) == 0
