"""New objects with all the fields that Stripe's have, in the shape of the recorded ones.

Nested values are shared between objects: replace them, never change them in place. That keeps ten thousand payments
small and quick, and makes a shallow copy a true snapshot.
"""

import json
from importlib.resources import files
from typing import Any, Final

Json = dict[str, Any]

_SHAPES: Final[dict[str, Json]] = json.loads((files(__package__) / "shapes.json").read_text("utf-8"))

_SHAPES["payment_link"] = {
    "id": "",
    "object": "payment_link",
    "active": True,
    "after_completion": {"hosted_confirmation": {"custom_message": None}, "type": "hosted_confirmation"},
    "allow_promotion_codes": False,
    "application": None,
    "automatic_tax": {"enabled": False, "liability": None},
    "billing_address_collection": "auto",
    "currency": "eur",
    "custom_fields": [],
    "customer_creation": "if_required",
    "inactive_message": None,
    "livemode": False,
    "metadata": {},
    "on_behalf_of": None,
    "payment_intent_data": None,
    "payment_method_types": None,
    "restrictions": None,
    "submit_type": "auto",
    "url": "",
}
_SHAPES["customer"] = {
    "id": "",
    "object": "customer",
    "address": None,
    "balance": 0,
    "created": 0,
    "currency": None,
    "description": None,
    "email": None,
    "livemode": False,
    "metadata": {},
    "name": None,
    "phone": None,
}
_SHAPES["webhook_endpoint"] = {
    "id": "",
    "object": "webhook_endpoint",
    "api_version": None,
    "application": None,
    "created": 0,
    "description": None,
    "enabled_events": ["*"],
    "livemode": False,
    "metadata": {},
    "status": "enabled",
    "url": "",
}


def new(kind: str, **fields: Any) -> Json:
    """A new object of this kind with these fields; all other fields are as in a fresh one at Stripe."""
    return {**_SHAPES[kind], **fields}


def part(kind: str, **fields: Any) -> Json:
    """A nested part (`outcome.approved`, `payment_method_details.card`, `customer_details`)."""
    return {**_SHAPES[kind], **fields}
