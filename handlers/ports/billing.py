"""What handling payments needs beyond `handlers.ports.context`: declared here, provided by `middleware.bootstrap`."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from handlers.event import Event
from mappings.invoiceninja.models import Allocation, Currency, Invoice, InvoiceDraft, NinjaClient, Payment, PaymentDraft

Json = Mapping[str, Any]


class InvoiceReader(Protocol):
    """Reads Invoice Ninja's invoices, credits and clients."""

    async def invoice(self, invoice_id: str) -> Invoice:
        """The invoice by id, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        ...

    async def find_invoice(self, number: str) -> Invoice | None:
        """The invoice with exactly this number; a deleted one has lost it."""
        ...

    async def payable_invoices(self, client_id: str) -> Sequence[Invoice]:
        """The invoices of a client that are sent and not wholly paid."""
        ...

    def invoices(self, *, client_id: str = "", statuses: Collection[str] = ()) -> AsyncIterator[Invoice]:
        """All invoices that are not deleted; of a client, and of stored statuses, when given."""
        ...

    async def find_credit(self, number: str) -> Invoice | None:
        """The credit with exactly this number, deleted ones included."""
        ...

    async def client(self, client_id: str) -> NinjaClient:
        """The client by id, deleted ones included."""
        ...

    async def clients_with_email(self, email: str) -> Sequence[NinjaClient]:
        """The clients that are not deleted and have a contact with this address."""
        ...

    async def client_currency(self, client_id: str) -> Currency:
        """The currency of a client's invoices, with the decimals that Invoice Ninja keeps of it."""
        ...

    async def notes(self, entity: Literal["invoices", "payments"], record_id: str) -> Sequence[str]:
        """The notes in the history of a record."""
        ...


class InvoiceWriter(Protocol):
    """Changes Invoice Ninja's invoices and credits."""

    async def update_invoice(self, invoice_id: str, changes: Mapping[str, Any]) -> Invoice:
        """Change some fields by their API names; never of a cancelled invoice."""
        ...

    async def create_credit(self, draft: InvoiceDraft) -> Invoice:
        """Make a credit that can be used at once.

        Raises:
            Rejected: `names("number")` when the number is taken.
        """
        ...

    async def delete_credit(self, credit_id: str) -> None:
        """Delete a credit; its number stays taken."""
        ...

    async def add_note(self, entity: Literal["invoices", "payments"], record_id: str, text: str) -> None:
        """Add a note to the history of a record. Not idempotent."""
        ...


class InvoiceBooks(InvoiceReader, InvoiceWriter, Protocol):
    """Invoice Ninja's invoices, credits and clients as the handling of payments sees them."""


class PaymentReader(InvoiceReader, Protocol):
    """Reads Invoice Ninja's payments as well."""

    async def payment(self, payment_id: str) -> Payment:
        """The payment by id, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        ...

    async def find_payment(self, number: str) -> Payment | None:
        """The payment with exactly this number, deleted ones included."""
        ...

    async def payments_referring_to(self, references: Collection[str]) -> Sequence[Payment]:
        """The payments with one of these transaction references exactly, deleted ones included."""
        ...


class PaymentWriter(InvoiceWriter, Protocol):
    """Changes Invoice Ninja's payments as well."""

    async def create_payment(self, draft: PaymentDraft) -> Payment:
        """Record a payment; its number makes a second one impossible.

        Raises:
            Rejected: `names("number")` or `names("idempotency_key")` when it is there already.
            Throttled: an equal payment of this client was sent within the last second.
        """
        ...

    async def apply_payment(self, payment_id: str, parts: tuple[Allocation, ...]) -> Payment:
        """Use more of a payment for invoices. Not idempotent: each call adds."""
        ...

    async def refund_payment(
        self, payment_id: str, date: str, parts: tuple[Allocation, ...], *, amount: Decimal | None = None
    ) -> Payment:
        """Note a refund, and the payment as it is afterwards. Not idempotent. `amount` for money of no invoice."""
        ...

    async def annotate_payment(
        self, payment_id: str, *, private_notes: str | None = None, type_id: str | None = None
    ) -> Payment:
        """Write texts of a payment."""
        ...

    async def delete_payment(self, payment_id: str) -> None:
        """Delete a payment: its invoices are owed again, its number stays taken."""
        ...


class PaymentBooks(InvoiceBooks, PaymentReader, PaymentWriter, Protocol):
    """Invoice Ninja's payments as well."""


class StripeMoney(Protocol):
    """Stripe as handlers see it: objects as the API answers them; absent when no key is configured."""

    async def account_id(self) -> str:
        """The account that the key belongs to (`acct_...`).

        Raises:
            Refused: the key may not read it.
        """
        ...

    async def payment_intent(self, intent_id: str) -> Json:
        """A payment intent with its latest charge and that charge's balance transaction.

        Raises:
            NotFound: there is none in this account and mode.
        """
        ...

    async def charge(self, charge_id: str) -> Json:
        """A charge with its balance transaction."""
        ...

    async def invoice(self, invoice_id: str) -> Json:
        """A Stripe invoice."""
        ...

    def refunds(self, **filters: str) -> AsyncIterator[Json]:
        """Refunds, by `payment_intent` or `charge`."""
        ...

    def disputes(self, **filters: str) -> AsyncIterator[Json]:
        """Disputes, by `payment_intent` or `charge`."""
        ...

    def sessions(self, **filters: str) -> AsyncIterator[Json]:
        """Checkout Sessions, by `payment_intent`."""
        ...

    def invoice_payments(self, *, invoice: str = "", payment_intent: str = "") -> AsyncIterator[Json]:
        """The links between Stripe's invoices and payments."""
        ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """An invoice that an unmatched payment may be for, and why it was not taken."""

    invoice_id: str
    number: str
    client_id: str
    balance: str
    why_not: str


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What we know of one payment at Stripe and what was made of it in Invoice Ninja.

    `amount`, `refunded` and `fee` are minor units of their currencies; `covered`, `posted_amount` are units of the
    currency. `status` is one of the words of `mappings.stripe.target`, or `unmatched`, `ignored`, `needs_person`,
    `settled_otherwise`. `unmatched_at`: the newest decision to unmatch it that was carried out.
    """

    identity: str
    subject: str
    status: str = "unpaid"
    reason: str = ""
    currency: str = ""
    amount: int = 0
    refunded: int = 0
    fee: int | None = None
    fee_currency: str = ""
    customer: str = ""
    payer: str = ""
    paid_at: datetime | None = None
    livemode: bool | None = None
    client_id: str = ""
    invoice_id: str = ""
    invoice_number: str = ""
    payment_id: str = ""
    payment_number: str = ""
    matched_by: str = ""
    type_id: str = ""
    covered: Decimal | None = None
    posted_at: datetime | None = None
    posted_amount: Decimal | None = None
    due_date_before: str | None = None
    due_date_set: str | None = None
    notes: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    unmatched_at: datetime | None = None


class PaymentMemoryReader(Protocol):
    """Reads the table of payments."""

    async def find(self, identity: str) -> PaymentRecord | None:
        """What is known of a payment."""
        ...

    async def of_invoice(self, invoice_id: str) -> Sequence[PaymentRecord]:
        """All records of one invoice in Invoice Ninja, by identity."""
        ...

    async def missed(self, statuses: Collection[str]) -> Sequence[PaymentRecord]:
        """The records of these statuses that name an invoice."""
        ...

    async def clients_of(self, customer: str) -> frozenset[str]:
        """The Invoice Ninja clients whose invoices this Stripe customer has paid."""
        ...

    async def last_posted(self, client_id: str, amount: Decimal) -> datetime | None:
        """When a payment of this client and amount was last sent to Invoice Ninja."""
        ...

    async def payments_of(self, subject: str) -> Sequence[str]:
        """The subjects of the payments that are linked to a Stripe invoice."""
        ...

    async def invoices_of(self, payment: str) -> Sequence[str]:
        """The subjects of the Stripe invoices that are linked to a payment."""
        ...

    async def our_links(self, ids: Collection[str]) -> Mapping[str, str]:
        """The invoice ids that payment links of ours were made for."""
        ...


class PaymentMemoryWriter(Protocol):
    """Changes the table of payments."""

    async def save(self, record: PaymentRecord) -> None:
        """Insert or replace the record of a payment."""
        ...

    async def next_looks(self, status: str, known_for: timedelta, limit: int) -> Sequence[PaymentRecord]:
        """At most so many records of a status that name an invoice and are not known for longer than that.

        Those that were written or given out longest ago come first; to be given out counts as looked at.
        """
        ...

    async def link(self, subject: str, payment: str) -> None:
        """Remember that the events of a Stripe invoice (`subject`) tell about a payment (its subject)."""
        ...


class PaymentMemory(PaymentMemoryReader, PaymentMemoryWriter, Protocol):
    """The table of payments."""


class EventHistory(Protocol):
    """All that was ever received about something."""

    async def of_subjects(self, subjects: Collection[str]) -> Sequence[Event]:
        """The stored events of these subjects, oldest first, without those that a person discarded.

        An event whose body was removed after its time has an empty payload.
        """
        ...


Exclusive = Callable[[str], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class PaymentWorld:
    """Everything the handling of payments may use.

    `exclusive(name)` holds a lock across all workers for a block. `live` is the mode that is configured; None takes
    both. `stripe` is None without a key: then only events are used. `account` is our own account there, "" when it
    is not configured.
    """

    books: PaymentBooks
    memory: PaymentMemory
    history: EventHistory
    exclusive: Exclusive
    stripe: StripeMoney | None = None
    live: bool | None = None
    account: str = ""


def lock_of(subject: str) -> str:
    """The name of the lock around everything that is done for a payment (or Stripe invoice)."""
    return f"payment {subject}"
