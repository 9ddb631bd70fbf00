"""Money that goes back: refunds, the release after a partial capture, and disputes (docs/facts/stripe.md section 6)."""

from typing import Any

from middleware.lab.sandbox.stripe import errors, shapes
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

_DAY = 86400
_DISPUTE_FEE = 2000
_STANDING = frozenset({"pending", "requires_action", "succeeded"})


def refund(
    state: StripeState, charge: Json, amount: int | None = None, status: str = "succeeded", **fields: Any
) -> Json:
    """Give money of a charge back; `status` pending for methods and balances that take a while."""
    left = charge["amount"] - charge["amount_refunded"]
    wanted = left if amount is None else amount
    if left <= 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise errors.invalid(message, code="charge_already_refunded")
    if wanted > left:
        raise errors.invalid(
            f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({left})", param="amount"
        )
    made = _refund(state, charge, wanted, status, **fields)
    _show_sum(state, charge)
    return made


def release(state: StripeState, charge: Json, amount: int) -> Json:
    """The rest of a partial capture, which Stripe shows as a refund without a reason."""
    return _refund(state, charge, amount, "succeeded", reason=None)


def refund_succeeds(state: StripeState, refund_: Json) -> Json:
    """A pending refund went through."""
    return _update_refund(state, refund_, status="succeeded")


def refund_fails(state: StripeState, refund_: Json, reason: str = "lost_or_stolen_card") -> Json:
    """A refund came back, perhaps weeks later: the money is ours again."""
    failed = {"status": "failed", "failure_reason": reason, "failure_balance_transaction": state.new_id("txn_3")}
    changed = state.change(refund_, **failed)
    state.emit("refund.failed", changed)
    _tell_update(state, changed, {"status": refund_["status"]})
    charge = state.find("charge", refund_["charge"])
    state.change(charge, amount_refunded=charge["amount_refunded"] - refund_["amount"], refunded=False)
    return changed


def dispute(state: StripeState, charge: Json, amount: int | None = None, reason: str = "fraudulent") -> Json:
    """The customer's bank takes money back until the dispute is closed."""
    disputed = charge["amount_captured"] if amount is None else amount
    made = state.create(
        "dispute",
        "du_1",
        amount=disputed,
        charge=charge["id"],
        currency=charge["currency"],
        evidence_details={**shapes.part("dispute")["evidence_details"], "due_by": state.now() + 8 * _DAY},
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="needs_response",
    )
    made = _move(state, made, -disputed, _DISPUTE_FEE)
    state.change(charge, disputed=True)
    state.emit("charge.dispute.created", made)
    state.emit("charge.dispute.funds_withdrawn", made, previous={})
    return made


def dispute_answered(state: StripeState, dispute_: Json) -> Json:
    """Evidence was handed in."""
    changed = state.change(dispute_, status="under_review")
    state.emit("charge.dispute.updated", changed, previous={"status": dispute_["status"]})
    return changed


def dispute_lost(state: StripeState, dispute_: Json) -> Json:
    """The money is gone; Stripe makes no refund of it."""
    changed = state.change(dispute_, status="lost")
    state.emit("charge.dispute.closed", changed)
    return changed


def dispute_won(state: StripeState, dispute_: Json) -> Json:
    """The money comes back."""
    won = state.change(dispute_, status="won")
    state.emit("charge.dispute.closed", won)
    changed = _move(state, won, won["amount"], 0)
    before = {"balance_transactions": won["balance_transactions"]}
    state.emit("charge.dispute.funds_reinstated", changed, previous=before)
    return changed


def _refund(state: StripeState, charge: Json, amount: int, status: str, **fields: Any) -> Json:
    made = state.create(
        "refund",
        "re_3" if charge["id"].startswith("ch_") else "pyr_3",
        amount=amount,
        balance_transaction=state.new_id("txn_3"),
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        status=status,
        **fields,
    )
    state.emit("refund.created", made)
    return made


def _show_sum(state: StripeState, charge: Json) -> None:
    refunds = state.tables["refund"].having("charge", charge["id"])
    total = sum(made["amount"] for made in refunds if made["status"] in _STANDING)
    # Charges captured in part count their release even when it has no refund object.
    total = max(total, charge["amount_refunded"])
    changed = state.change(charge, amount_refunded=total, refunded=total == charge["amount"])
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    state.emit("charge.refunded", changed, previous=before)


def _update_refund(state: StripeState, refund_: Json, **fields: Any) -> Json:
    changed = state.change(refund_, **fields)
    _tell_update(state, changed, {name: refund_.get(name) for name in fields})
    return changed


def _tell_update(state: StripeState, changed: Json, previous: Json) -> None:
    state.emit("refund.updated", changed, previous=previous)
    state.emit("charge.refund.updated", changed, previous=previous)


def _move(state: StripeState, dispute_: Json, amount: int, fee: int) -> Json:
    """Money leaves or returns to our balance because of a dispute."""
    what = "Chargeback withdrawal" if amount < 0 else "Chargeback reversal"
    move = state.create(
        "balance_transaction",
        "txn_1",
        amount=amount,
        currency=dispute_["currency"],
        description=f"{what} for {dispute_['charge']}",
        fee=fee,
        net=amount - fee,
        reporting_category="dispute" if amount < 0 else "dispute_reversal",
        source=dispute_["id"],
        type="adjustment",
    )
    return state.change(dispute_, balance_transactions=[*dispute_["balance_transactions"], move])
