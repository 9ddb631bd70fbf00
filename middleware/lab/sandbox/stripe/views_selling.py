"""Addresses of sessions, payment links, invoices, customers and webhook endpoints."""

from middleware.lab.sandbox.stripe import billing, checkout, errors
from middleware.lab.sandbox.stripe.calls import Call, View, listing, page_of
from middleware.lab.sandbox.stripe.expanding import as_list
from middleware.lab.sandbox.stripe.forms import Params
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.views_payments import merged_metadata, one, update_metadata

_SESSION_SECONDS = (30 * 60, 24 * 3600)


def create_session(call: Call) -> Json:
    """POST /v1/checkout/sessions, mode payment with prices given in the request."""
    params = call.params
    if params.text("mode") != "payment":
        raise errors.invalid("The sandbox knows only sessions with mode=payment.", param="mode")
    currency, lines = _lines(call)
    names = ("client_reference_id", "customer", "customer_email", "success_url", "cancel_url")
    session = checkout.create_session(
        call.state,
        sum(line["amount_total"] for line in lines),
        currency,
        metadata=params.metadata(),
        expires_at=_expiry(call),
        **{name: value for name in names if (value := params.optional(name))},
    )
    call.state.lines[session["id"]] = lines
    call.state.intent_data[session["id"]] = _intent_data(params)
    return session


def expire_session(call: Call) -> Json:
    """POST /v1/checkout/sessions/:id/expire."""
    return checkout.expire_session(call.state, call.one("checkout.session"))


def create_link(call: Call) -> Json:
    """POST /v1/payment_links with prices given in the request."""
    currency, lines = _lines(call)
    limits = call.params.inner("restrictions").inner("completed_sessions")
    limit = limits.integer("limit")
    return checkout.create_link(
        call.state,
        currency,
        lines,
        metadata=call.params.metadata(),
        payment_intent_data=_intent_data(call.params) or None,
        restrictions={"completed_sessions": {"count": 0, "limit": limit}} if limit else None,
    )


def update_link(call: Call) -> Json:
    """POST /v1/payment_links/:id: switch it on or off, change its metadata."""
    link = call.one("payment_link")
    fields: Json = {"metadata": merged_metadata(link, call.params)}
    if call.params.optional("active") is not None:
        fields["active"] = call.params.flag("active")
    return checkout.update_link(call.state, link, **fields)


def line_items(call: Call) -> Json:
    """GET .../line_items of a session or link."""
    if call.id not in call.state.lines:
        raise errors.no_such("checkout.session or payment_link", call.id)
    return as_list(call.state.lines[call.id], f"/v1/{call.id}/line_items")


def create_invoice(call: Call) -> Json:
    """POST /v1/invoices: a draft."""
    params = call.params
    customer = call.state.find("customer", params.text("customer"), param="customer", status=400)
    fields: Json = {name: value for name in ("collection_method", "description") if (value := params.optional(name))}
    due = {"due_date": params.integer("due_date")} if params.optional("due_date") else {}
    currency = (params.optional("currency") or "eur").lower()
    return billing.create_invoice(call.state, customer, currency, metadata=params.metadata(), **due, **fields)


def create_invoice_item(call: Call) -> Json:
    """POST /v1/invoiceitems: a line of a draft."""
    invoice = call.state.find("invoice", call.params.text("invoice"), param="invoice", status=400)
    line = billing.add_line(
        call.state, invoice, call.params.amount("amount"), call.params.optional("description") or ""
    )
    return {**line, "object": "invoiceitem", "id": line["id"].replace("il_", "ii_")}


def pay_invoice(call: Call) -> Json:
    """POST /v1/invoices/:id/pay, by card or past Stripe."""
    invoice = call.one("invoice")
    if call.params.flag("paid_out_of_band"):
        return billing.pay_out_of_band(call.state, invoice)
    return billing.pay(call.state, invoice)


def finalize_invoice(call: Call) -> Json:
    """POST /v1/invoices/:id/finalize."""
    return billing.finalize(call.state, call.one("invoice"))


def void_invoice(call: Call) -> Json:
    """POST /v1/invoices/:id/void."""
    return billing.close_unpaid(call.state, call.one("invoice"), "void")


def mark_uncollectible(call: Call) -> Json:
    """POST /v1/invoices/:id/mark_uncollectible."""
    return billing.close_unpaid(call.state, call.one("invoice"), "uncollectible")


def list_invoice_payments(call: Call) -> Json:
    """GET /v1/invoice_payments by invoice, status or `payment[payment_intent]`."""
    payment = call.params.inner("payment")
    intent = payment.optional("payment_intent")
    if intent and payment.optional("type") != "payment_intent":
        raise errors.missing("payment[type]")

    def matches(item: Json) -> bool:
        return intent is None or item["payment"].get("payment_intent") == intent

    return page_of(
        call, "invoice_payment", "/v1/invoice_payments", indexed=("invoice",), exact=("status",), matches=matches
    )


def create_customer(call: Call) -> Json:
    """POST /v1/customers."""
    names = ("description", "email", "name", "phone")
    fields = {name: value for name in names if (value := call.params.optional(name))}
    customer = call.state.create("customer", "cus_", metadata=call.params.metadata(), **fields)
    call.state.emit("customer.created", customer)
    return customer


def create_endpoint(call: Call) -> Json:
    """POST /v1/webhook_endpoints: the secret is shown only here."""
    endpoint = call.state.create(
        "webhook_endpoint",
        "we_1",
        url=call.params.text("url"),
        enabled_events=call.params.texts("enabled_events"),
        api_version=call.params.optional("api_version"),
        metadata=call.params.metadata(),
    )
    call.state.secrets[endpoint["id"]] = f"whsec_{endpoint['id']}"
    return {**endpoint, "secret": call.state.secrets[endpoint["id"]]}


def update_endpoint(call: Call) -> Json:
    """POST /v1/webhook_endpoints/:id: other events; the version cannot be changed, the secret is not shown."""
    endpoint = call.one("webhook_endpoint")
    events = call.params.texts("enabled_events")
    return call.state.change(endpoint, **({"enabled_events": events} if events else {}))


def delete_endpoint(call: Call) -> Json:
    """DELETE /v1/webhook_endpoints/:id."""
    endpoint = call.one("webhook_endpoint")
    call.state.tables["webhook_endpoint"].remove(endpoint["id"])
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def balance(call: Call) -> Json:
    """GET /v1/balance: what a client asks to see whether its key works."""
    return {"object": "balance", "available": [], "pending": [], "livemode": call.state.livemode}


def _lines(call: Call) -> tuple[str, list[Json]]:
    """Currency and lines of a session or link."""
    lines = [_line(call, item) for item in call.params.items("line_items")]
    if not lines:
        raise errors.missing("line_items")
    currencies = sorted({line["currency"] for line in lines})
    if len(currencies) > 1:
        raise errors.invalid("All prices must have the same currency.", param="line_items")
    return currencies[0], lines


def _line(call: Call, item: Params) -> Json:
    price = item.inner("price_data")
    quantity = item.integer("quantity") or 1
    unit = price.amount("unit_amount")
    product = price.inner("product_data").text("name")
    total = unit * quantity
    currency = price.text("currency").lower()
    return {
        "id": call.state.new_id("li_1"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": currency,
        "description": product,
        "quantity": quantity,
    }


def _intent_data(params: Params) -> Json:
    inner = params.inner("payment_intent_data")
    data: Json = {name: value for name in ("capture_method", "description") if (value := inner.optional(name))}
    metadata = inner.metadata()
    return {**data, "metadata": metadata} if metadata or data else {}


def _expiry(call: Call) -> int | None:
    expires_at = call.params.integer("expires_at")
    soonest, latest = _SESSION_SECONDS
    if expires_at is not None and not soonest <= expires_at - call.state.now() <= latest:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise errors.invalid(message, param="expires_at")
    return expires_at


VIEWS: dict[str, View] = {
    "POST checkout/sessions": create_session,
    "GET checkout/sessions": listing(
        "checkout.session",
        "/v1/checkout/sessions",
        indexed=("payment_intent", "payment_link", "customer"),
        exact=("status",),
    ),
    "GET checkout/sessions/id": one("checkout.session"),
    "POST checkout/sessions/id": update_metadata("checkout.session"),
    "POST checkout/sessions/id/expire": expire_session,
    "GET checkout/sessions/id/line_items": line_items,
    "POST payment_links": create_link,
    "GET payment_links": listing("payment_link", "/v1/payment_links", exact=("active",)),
    "GET payment_links/id": one("payment_link"),
    "POST payment_links/id": update_link,
    "GET payment_links/id/line_items": line_items,
    "POST invoices": create_invoice,
    "GET invoices": listing("invoice", "/v1/invoices", indexed=("customer",), exact=("status", "collection_method")),
    "GET invoices/id": one("invoice"),
    "POST invoices/id": update_metadata("invoice"),
    "POST invoices/id/finalize": finalize_invoice,
    "POST invoices/id/pay": pay_invoice,
    "POST invoices/id/void": void_invoice,
    "POST invoices/id/mark_uncollectible": mark_uncollectible,
    "POST invoiceitems": create_invoice_item,
    "GET invoice_payments": list_invoice_payments,
    "GET invoice_payments/id": one("invoice_payment"),
    "GET balance": balance,
    "POST customers": create_customer,
    "GET customers": listing("customer", "/v1/customers", indexed=("email",)),
    "GET customers/id": one("customer"),
    "POST customers/id": update_metadata("customer"),
    "POST webhook_endpoints": create_endpoint,
    "GET webhook_endpoints": listing("webhook_endpoint", "/v1/webhook_endpoints"),
    "GET webhook_endpoints/id": one("webhook_endpoint"),
    "POST webhook_endpoints/id": update_endpoint,
    "DELETE webhook_endpoints/id": delete_endpoint,
}
