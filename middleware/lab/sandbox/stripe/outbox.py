"""Deliveries of events: signed when they are sent, in the bytes Stripe sends (docs/facts/stripe.md section 1)."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from middleware.lab.sandbox.stripe.shapes import Json
from middleware.sources.signing import sign_stripe

Sender = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Sends `(url, body, headers)` and returns the HTTP status; raises `OSError` or `httpx.HTTPError` without an answer."""

_PATIENCE = 20.0
"""Seconds until a delivery counts as failed."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One event on its way to one endpoint; the same delivery may be sent again, signed anew."""

    url: str
    secret: str
    event: Json

    @property
    def body(self) -> bytes:
        """The bytes that are sent: JSON with two spaces of indentation, raw UTF-8."""
        return json.dumps(self.event, indent=2, ensure_ascii=False).encode()

    def headers(self, body: bytes, now: int) -> dict[str, str]:
        """The headers of these bytes at this moment (unix seconds)."""
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*; q=0.5, application/xml",
            "Cache-Control": "no-cache",
            "Stripe-Signature": sign_stripe(body, self.secret, now),
        }


class Outbox(list[Delivery]):
    """Deliveries that wait, oldest first; an ordinary list, so that tests may reorder, repeat or drop them."""

    def take(self) -> list[Delivery]:
        """Empty the outbox and return what was in it."""
        waiting = list(self)
        self.clear()
        return waiting


async def send_by_http(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send with a new connection; redirects are not followed: they count as failures."""
    async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
        response = await client.post(url, content=body, headers=headers)
        return response.status_code
