"""How a payment was made, in Invoice Ninja's own list of payment types (docs/facts/invoice-ninja.md section 9)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_OTHER_CARD: Final = "12"
_CARDS: Final[Mapping[str, str]] = {
    "visa": "5",
    "mastercard": "6",
    "amex": "7",
    "discover": "8",
    "diners": "9",
    "unionpay": "17",
    "jcb": "18",
}
_METHODS: Final[Mapping[str, str]] = {
    "customer_balance": "1",
    "us_bank_account": "4",
    "ach_debit": "4",
    "paypal": "13",
    "alipay": "27",
    "sofort": "28",
    "sepa_debit": "29",
}
_HOLD_CHARGES: Final = ("latest_charge", "charges", "data", "object", "charge", "payment_intent")


def payment_type(objects: Iterable[Any]) -> str:
    """The `type_id` of the newest successful charge among decoded events and API objects; "" when none tells.

    The same objects in any order and repetition give the same answer.
    """
    told = [(_created(charge), _type_of(charge)) for item in objects for charge in _charges(item)]
    return max(((created, kind) for created, kind in told if kind), default=(0, ""))[1]


def _charges(value: Any) -> Iterator[Mapping[str, Any]]:
    """Successful charges, however deep events and expanded objects hold them."""
    if isinstance(value, list):
        for member in value:
            yield from _charges(member)
    if not isinstance(value, Mapping):
        return
    if value.get("object") == "charge" and value.get("status") == "succeeded":
        yield value
    for name in _HOLD_CHARGES:
        yield from _charges(value.get(name))


def _type_of(charge: Mapping[str, Any]) -> str:
    details = charge.get("payment_method_details")
    if not isinstance(details, Mapping):
        return ""
    method = str(details.get("type", ""))
    if method in {"card", "card_present"}:
        card = details.get(method)
        brand = str(card.get("brand", "")) if isinstance(card, Mapping) else ""
        return _CARDS.get(brand, _OTHER_CARD)
    return _METHODS.get(method, "")


def _created(charge: Mapping[str, Any]) -> int:
    created = charge.get("created")
    return created if isinstance(created, int) else 0
