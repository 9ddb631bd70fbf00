"""What making and keeping payment links needs from the world; `middleware.bootstrap` provides it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from handlers.ports.billing import Json, PaymentWorld

LinkState = Literal["planned", "open", "retired"]


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """One payment page for one invoice; an invoice has as many as its open balance had amounts.

    It is stored as `planned` before Stripe is asked for it. `amount` is in minor units of `currency` (upper case).
    `token` is its mark at Stripe, `why` says why it is retired.
    """

    invoice_id: str
    generation: int
    token: str
    invoice_number: str
    client_id: str
    currency: str
    amount: int
    created_at: datetime
    state: LinkState = "planned"
    link_id: str = ""
    url: str = ""
    why: str = ""

    @property
    def is_live(self) -> bool:
        """Whether somebody may pay with it, or soon may."""
        return self.state != "retired"


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """A payment page that is to be made."""

    invoice_id: str
    invoice_number: str
    client_id: str
    currency: str
    amount: int


class LinkMemory(Protocol):
    """The table of payment links."""

    async def of_invoice(self, invoice_id: str) -> Sequence[LinkRecord]:
        """All links that were ever planned for an invoice, oldest first."""
        ...

    async def live(self) -> Sequence[LinkRecord]:
        """All links that are not retired, by invoice."""
        ...

    async def plan(self, plan: LinkPlan) -> LinkRecord:
        """Store that a link is to be made; gives it its generation and mark."""
        ...

    async def save(self, record: LinkRecord) -> None:
        """Store what became of it."""
        ...


class LinkPages(Protocol):
    """Stripe's payment links as handlers see them."""

    async def create(self, fields: dict[str, Any], key: str) -> Json:
        """Make a link; the same key within 24 hours gives the same link.

        Raises:
            Rejected: Stripe refuses it (amount too small, unknown currency).
        """
        ...

    async def find(self, link_id: str) -> Json:
        """The link as it is now.

        Raises:
            NotFound: there is none in this account and mode.
        """
        ...

    def active(self) -> AsyncIterator[Json]:
        """All links that take payments, newest first."""
        ...

    async def deactivate(self, link_id: str) -> None:
        """From now on nobody can open it; done twice it does nothing."""
        ...

    def sessions(self, link_id: str, status: str) -> AsyncIterator[Json]:
        """The pages of this link that customers opened: `open`, `complete` or `expired`."""
        ...

    async def expire(self, session_id: str) -> None:
        """Close a page that a customer has open.

        Raises:
            Rejected: it is not open any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class LinkWorld:
    """Everything that payment links need."""

    payments: PaymentWorld
    memory: LinkMemory
    pages: LinkPages
