"""Stripe's payment links and their sessions (docs/facts/stripe.md section 8)."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from middleware.clients.http.address import segment
from middleware.clients.http.client import Row
from middleware.clients.stripe.client import Stripe


class StripeLinks:
    """Implements `handlers.ports.payment_links.LinkPages`."""

    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    async def create(self, fields: dict[str, Any], key: str) -> Row:
        """POST /v1/payment_links.

        Raises:
            Rejected: Stripe refuses it, or the key was used with other fields (`names("idempotency_error")`).
        """
        return await self._stripe.post("/v1/payment_links", fields, idempotency_key=key)

    async def find(self, link_id: str) -> Row:
        """GET /v1/payment_links/{id}.

        Raises:
            NotFound: there is none in this account and mode.
        """
        return await self._stripe.get(f"/v1/payment_links/{segment(link_id)}")

    def active(self) -> AsyncIterator[Row]:
        """GET /v1/payment_links?active=true, newest first; it can be narrowed by nothing else."""
        return self._stripe.pages("/v1/payment_links", {"active": True})

    async def deactivate(self, link_id: str) -> None:
        """POST /v1/payment_links/{id} active=false."""
        await self._post_always(f"/v1/payment_links/{segment(link_id)}", {"active": False})

    def sessions(self, link_id: str, status: str) -> AsyncIterator[Row]:
        """GET /v1/checkout/sessions of a link, newest first."""
        return self._stripe.sessions(payment_link=link_id, status=status)

    async def expire(self, session_id: str) -> None:
        """POST /v1/checkout/sessions/{id}/expire.

        Raises:
            Rejected: it is not open any more.
        """
        await self._post_always(f"/v1/checkout/sessions/{segment(session_id)}/expire", {})

    async def _post_always(self, path: str, fields: dict[str, Any]) -> None:
        # A key of its own each time: an earlier answer, given again, would have no effect.
        await self._stripe.post(path, fields, idempotency_key=uuid4().hex)
