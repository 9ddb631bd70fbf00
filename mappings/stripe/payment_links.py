"""What a payment page at Stripe is asked for, and how its address is written into the text of an invoice.

Source: docs/facts/stripe.md section 8. Nothing here knows Stripe's or Invoice Ninja's servers.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

TOKEN_KEY: Final = "taiga_billing_link"  # noqa: S105 - the name of a metadata key
"""The metadata key under which a link bears the mark that finds it again."""

_LABEL: Final = "Pay online: "
_TAG: Final = re.compile(r"<(?:p|br|div|ul|ol|table)\b", re.IGNORECASE)
# An address ends where no further character of an address follows: /abc1 is not /abc12.
_END: Final = r"(?![A-Za-z0-9_-])"


def link_form(*, invoice_id: str, number: str, amount: int, currency: str, token: str) -> dict[str, Any]:
    """The fields of POST /v1/payment_links: one payment of this amount (minor units), and the invoice written on it.

    Metadata of a link reaches its sessions only, that of `payment_intent_data` the payment: so both carry it.
    """
    named = {"invoice_ninja_invoice_id": invoice_id, "invoice_number": number}
    price = {"currency": currency.lower(), "unit_amount": amount, "product_data": {"name": f"Invoice {number}"}}
    return {
        "line_items": [{"price_data": price, "quantity": 1}],
        "metadata": {**named, TOKEN_KEY: token},
        "payment_intent_data": {"metadata": named, "description": f"Invoice {number}"},
        "restrictions": {"completed_sessions": {"limit": 1}},
    }


def bears(link: Mapping[str, Any], token: str) -> bool:
    """Whether a link as Stripe shows it is the one that was made with this mark."""
    metadata = link.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get(TOKEN_KEY) == token


def with_address(text: str, address: str, earlier: Collection[str], *, is_notes: bool) -> str:
    """The text with the address in it: in the place of earlier ones, else behind what people wrote.

    `is_notes` tells that the text is for many lines and gets a word of explanation; it may be HTML.
    """
    swapped = text
    for old in sorted(set(earlier) - {address}):
        swapped = re.sub(re.escape(old) + _END, lambda _found: address, swapped)
    if re.search(re.escape(address) + _END, swapped):
        return swapped
    if not is_notes:
        return f"{text} {address}".strip()
    line = f"{_LABEL}{address}"
    if not text.strip():
        return line
    return f"{text}<p>{line}</p>" if _TAG.search(text) else f"{text.rstrip()}\n{line}"
