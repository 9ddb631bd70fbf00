"""`expand[]`: ids in an answer become the objects they stand for, and lists that are left out by default appear."""

from middleware.lab.sandbox.stripe import errors
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

_KINDS = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "customer": "customer",
    "failure_balance_transaction": "balance_transaction",
    "invoice": "invoice",
    "latest_charge": "charge",
    "payment_intent": "payment_intent",
    "payment_link": "payment_link",
}
_LISTS = {
    ("charge", "refunds"): ("refund", "charge"),
    ("invoice", "payments"): ("invoice_payment", "invoice"),
}
_DEEPEST = 4


def expand(state: StripeState, shown: Json, paths: list[str]) -> Json:
    """The answer with the objects under these paths (`latest_charge.balance_transaction`, `data.customer`)."""
    for path in paths:
        way = path.split(".")
        if len(way) > _DEEPEST:
            raise errors.invalid("You cannot expand more than 4 levels of a property.", param="expand")
        shown = _expanded(state, shown, way)
    return shown


def _expanded(state: StripeState, shown: Json, way: list[str]) -> Json:
    name, *rest = way
    if name == "data" and shown.get("object") == "list":
        return {**shown, "data": [_expanded(state, item, rest) if rest else item for item in shown["data"]]}
    value = _value(state, shown, name)
    if isinstance(value, dict) and rest:
        value = _expanded(state, value, rest)
    return {**shown, name: value}


def _value(state: StripeState, shown: Json, name: str) -> object:
    if name == "line_items" and shown["id"] in state.lines:
        return as_list(state.lines[shown["id"]], f"/v1/{shown['object']}s/{shown['id']}/line_items")
    listed = _LISTS.get((shown["object"], name))
    if listed:
        kind, field = listed
        items = state.tables[kind].having(field, shown["id"])[::-1]
        return as_list(items, f"/v1/{kind}s?{field}={shown['id']}")
    if (shown["object"], name) == ("invoice", "amount_paid_off_stripe"):
        links = state.tables["invoice_payment"].having("invoice", shown["id"])
        return sum(link["amount_paid"] or 0 for link in links if link["payment"]["type"] == "payment_record")
    if name == "payment" or (name in shown and isinstance(shown[name], dict)):
        return shown[name]
    if name not in _KINDS or name not in shown:
        raise errors.invalid(f"This property cannot be expanded ({name}).", param="expand")
    return state.tables[_KINDS[name]].get(shown[name]) if shown[name] else None


def as_list(items: list[Json], url: str, *, has_more: bool = False) -> Json:
    """The envelope of every list."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
