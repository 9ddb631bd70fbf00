"""Checkout Sessions and payment links (docs/facts/stripe.md section 8)."""

from typing import Any

from middleware.lab.sandbox.stripe import errors, payments, shapes
from middleware.lab.sandbox.stripe.payments import Payer
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

_DAY = 86400
_ORIGIN = "https://checkout.stripe.com/c/pay"


def create_session(state: StripeState, amount: int, currency: str, **fields: Any) -> Json:
    """An open session; the payment intent is made when the customer pays."""
    mode = "live" if state.livemode else "test"
    expires_at = fields.pop("expires_at", None) or state.now() + _DAY
    made = state.create(
        "checkout.session",
        f"cs_{mode}_a1",
        amount_subtotal=amount,
        amount_total=amount,
        currency=currency,
        expires_at=expires_at,
        **fields,
    )
    return state.change(made, url=f"{_ORIGIN}/{made['id']}")


def expire_session(state: StripeState, session: Json) -> Json:
    """Close a session that nobody paid."""
    if session["status"] != "open":
        raise errors.invalid(f'Only Checkout Sessions with a status in ["open"] can be expired: {session["status"]}')
    changed = state.change(session, status="expired", url=None)
    state.emit("checkout.session.expired", changed)
    return changed


def create_link(state: StripeState, currency: str, lines: list[Json], **fields: Any) -> Json:
    """A payment link over these lines."""
    made = state.create("payment_link", "plink_1", currency=currency, **fields)
    state.lines[made["id"]] = lines
    changed = state.change(made, url=f"https://buy.stripe.com/{made['id']}")
    state.emit("payment_link.created", changed)
    return changed


def update_link(state: StripeState, link: Json, **fields: Any) -> Json:
    """Change a link; an inactive one takes no payments."""
    changed = state.change(link, **fields)
    state.emit("payment_link.updated", changed, previous={name: link[name] for name in fields})
    return changed


def open_link(state: StripeState, link: Json, client_reference: str | None = None) -> Json:
    """A customer opens the page of a link: a new session.

    Raises:
        ApiError: the link is not active (any more); a customer sees a page that says so.
    """
    if not link["active"]:
        raise errors.invalid("This payment link is not active.", code="payment_link_inactive")
    total = sum(line["amount_total"] for line in state.lines[link["id"]])
    session = create_session(
        state,
        total,
        link["currency"],
        client_reference_id=client_reference,
        metadata=link["metadata"],
        payment_link=link["id"],
    )
    state.lines[session["id"]] = state.lines[link["id"]]
    return session


def complete(
    state: StripeState, session: Json, payer: Payer, *, debit: bool = False, intent_data: Json | None = None
) -> Json:
    """The customer pays: by card the money is there at once, by debit it takes days. Returns the session."""
    if session["status"] != "open":
        raise errors.invalid(f"This Checkout Session is {session['status']}: it cannot be paid.")
    data = intent_data if intent_data is not None else _intent_data(state, session)
    intent = payments.create_intent(state, session["amount_total"], session["currency"], **data)
    pay = payments.start_debit if debit else payments.pay_by_card
    intent = pay(state, intent, payer)
    changed = state.change(
        session,
        customer_details=shapes.part("customer_details", email=payer.email, name=payer.name),
        payment_intent=intent["id"],
        payment_status="unpaid" if debit else "paid",
        status="complete",
        url=None,
    )
    state.emit("checkout.session.completed", changed)
    payments.settle_later(state, intent)
    _count(state, changed)
    return changed


def debit_arrives(state: StripeState, session: Json) -> Json:
    """The debit of a completed session succeeded."""
    payments.debit_arrives(state, state.find("payment_intent", session["payment_intent"]))
    changed = state.change(session, payment_status="paid")
    state.emit("checkout.session.async_payment_succeeded", changed)
    return changed


def debit_bounces(state: StripeState, session: Json) -> Json:
    """The bank returned the debit of a completed session."""
    payments.debit_bounces(state, state.find("payment_intent", session["payment_intent"]))
    state.emit("checkout.session.async_payment_failed", session)
    return session


def _intent_data(state: StripeState, session: Json) -> Json:
    """What the intent takes from `payment_intent_data`: the session's own metadata never gets there."""
    link = state.tables["payment_link"].get(session["payment_link"])
    data = (link or {}).get("payment_intent_data") or state.intent_data.get(session["id"]) or {}
    kept = {name: data[name] for name in ("capture_method", "description", "metadata") if data.get(name)}
    return {"customer": session["customer"], **kept}


def _count(state: StripeState, session: Json) -> None:
    """A link with a limit closes itself when enough sessions completed."""
    link = state.tables["payment_link"].get(session["payment_link"])
    limits = ((link or {}).get("restrictions") or {}).get("completed_sessions")
    if link is None or limits is None:
        return
    count = limits["count"] + 1
    restrictions = {"completed_sessions": {**limits, "count": count}}
    update_link(state, link, restrictions=restrictions, active=link["active"] and count < limits["limit"])
