"""Addresses of payment intents, charges, refunds, disputes, balance transactions and events."""

from middleware.lab.sandbox.stripe import errors, moneyback, payments
from middleware.lab.sandbox.stripe.calls import Call, View, listing, page_of
from middleware.lab.sandbox.stripe.forms import Params
from middleware.lab.sandbox.stripe.shapes import Json

_DECLINING = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}
_CREATED_FIELDS = ("capture_method", "customer", "description", "receipt_email")


def create_intent(call: Call) -> Json:
    """POST /v1/payment_intents."""
    params = call.params
    fields: Json = {name: value for name in _CREATED_FIELDS if (value := params.optional(name))}
    if "customer" in fields:
        call.state.find("customer", fields["customer"], param="customer", status=400)
    intent = payments.create_intent(
        call.state, params.amount("amount"), params.text("currency").lower(), metadata=params.metadata(), **fields
    )
    return _confirm(call, intent) if params.flag("confirm") else intent


def update_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id: metadata is merged, an empty value removes its key."""
    intent = call.one("payment_intent")
    fields: Json = {name: value for name in ("description", "receipt_email") if (value := call.params.optional(name))}
    if (amount := call.params.integer("amount")) is not None:
        fields["amount"] = amount
    return call.state.change(intent, metadata=merged_metadata(intent, call.params), **fields)


def confirm_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/confirm."""
    return _confirm(call, call.one("payment_intent"))


def capture_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/capture."""
    return payments.capture(call.state, call.one("payment_intent"), call.params.integer("amount_to_capture"))


def cancel_intent(call: Call) -> Json:
    """POST /v1/payment_intents/:id/cancel."""
    return payments.cancel(call.state, call.one("payment_intent"), call.params.optional("cancellation_reason"))


def create_charge(call: Call) -> Json:
    """POST /v1/charges: the old way, without an intent."""
    params = call.params
    fields: Json = {name: value for name in ("customer", "description") if (value := params.optional(name))}
    return payments.charge_directly(
        call.state, params.amount("amount"), params.text("currency").lower(), metadata=params.metadata(), **fields
    )


def create_refund(call: Call) -> Json:
    """POST /v1/refunds, by payment intent or by charge."""
    params = call.params
    charge_id = params.optional("charge")
    intent_id = params.optional("payment_intent")
    if intent_id:
        intent = call.state.find("payment_intent", intent_id, param="payment_intent")
        charge_id = intent["latest_charge"]
    if charge_id is None:
        raise errors.invalid("One of the following params should be provided: payment_intent or charge.")
    charge = call.state.find("charge", charge_id, param="charge")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise errors.invalid("This charge has no money that could be refunded.", code="charge_not_refundable")
    amount = params.amount("amount") if params.optional("amount") else None
    return moneyback.refund(call.state, charge, amount, reason=params.optional("reason"), metadata=params.metadata())


def close_dispute(call: Call) -> Json:
    """POST /v1/disputes/:id/close: we accept that it is lost."""
    return moneyback.dispute_lost(call.state, call.one("dispute"))


def list_events(call: Call) -> Json:
    """GET /v1/events: by `type` (with a wildcard at the end) or up to 20 `types`."""
    one, several = call.params.optional("type"), call.params.texts("types")
    if one and several:
        raise errors.invalid("You may only specify one of these parameters: type, types.")
    if len(several) > 20:  # noqa: PLR2004 - Stripe's limit
        raise errors.invalid("You may specify at most 20 types.", param="types")
    wanted = frozenset(several)
    start = one.removesuffix("*") if one and one.endswith("*") else None

    def matches(event: Json) -> bool:
        kind: str = event["type"]
        if start is not None:
            return kind.startswith(start)
        return kind == one if one else not wanted or kind in wanted

    return page_of(call, "event", "/v1/events", matches=matches)


def one(kind: str) -> View:
    """A view that answers one object."""
    return lambda call: call.one(kind)


def update_metadata(kind: str) -> View:
    """A view that changes the metadata of an object."""

    def view(call: Call) -> Json:
        item = call.one(kind)
        return call.state.change(item, metadata=merged_metadata(item, call.params))

    return view


def merged_metadata(item: Json, params: Params) -> dict[str, str]:
    """Metadata after an update: keys are added or replaced, empty values remove them."""
    both = {**item["metadata"], **params.metadata()}
    return {key: value for key, value in both.items() if value != ""}


def _confirm(call: Call, intent: Json) -> Json:
    """Confirm with a test payment method: declined ones answer 402, SEPA is processing, all others succeed."""
    method = call.params.optional("payment_method") or "pm_card_visa"
    if method in _DECLINING:
        failed = payments.decline(call.state, intent, _DECLINING[method])
        error = failed["last_payment_error"]
        raise errors.declined(error["decline_code"], error["message"], failed)
    if "sepa" in method.lower():
        return payments.start_debit(call.state, intent)
    paid = payments.pay_by_card(call.state, intent)
    payments.settle_later(call.state, paid)
    return paid


def own_account(_: Call) -> Json:
    """GET /v1/account: whom the key belongs to."""
    return {"id": "acct_sandbox", "object": "account", "country": "HU", "default_currency": "eur"}


VIEWS: dict[str, View] = {
    "GET account": own_account,
    "POST payment_intents": create_intent,
    "GET payment_intents": listing("payment_intent", "/v1/payment_intents", indexed=("customer",)),
    "GET payment_intents/id": one("payment_intent"),
    "POST payment_intents/id": update_intent,
    "POST payment_intents/id/confirm": confirm_intent,
    "POST payment_intents/id/capture": capture_intent,
    "POST payment_intents/id/cancel": cancel_intent,
    "POST charges": create_charge,
    "GET charges": listing("charge", "/v1/charges", indexed=("payment_intent", "customer")),
    "GET charges/id": one("charge"),
    "POST charges/id": update_metadata("charge"),
    "POST refunds": create_refund,
    "GET refunds": listing("refund", "/v1/refunds", indexed=("payment_intent", "charge")),
    "GET refunds/id": one("refund"),
    "POST refunds/id": update_metadata("refund"),
    "GET disputes": listing("dispute", "/v1/disputes", indexed=("payment_intent", "charge")),
    "GET disputes/id": one("dispute"),
    "POST disputes/id/close": close_dispute,
    "GET balance_transactions": listing(
        "balance_transaction", "/v1/balance_transactions", indexed=("source",), exact=("type", "currency")
    ),
    "GET balance_transactions/id": one("balance_transaction"),
    "GET events": list_events,
    "GET events/id": one("event"),
}
