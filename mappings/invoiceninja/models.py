"""Invoice Ninja's records as the bridge uses them, beside `Task` and `NinjaClient` of `mappings.time.models`.

Ids are hash ids, unique per kind of record only; "" means none. Money is `Decimal` in the client's currency. Dates are
`YYYY-MM-DD` or "". Unknown status values stay as the server gave them
(docs/facts/invoice-ninja.md sections 2, 8 and 9).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

CustomField = Literal["custom_value1", "custom_value2", "custom_value3", "custom_value4"]


class InvoiceStatus(StrEnum):
    """The stored statuses of an invoice; overdue and viewed are not among them."""

    DRAFT = "1"
    SENT = "2"
    PARTIAL = "3"
    PAID = "4"
    CANCELLED = "5"
    REVERSED = "6"


NOT_OWED = frozenset({InvoiceStatus.CANCELLED, InvoiceStatus.REVERSED})
"""The statuses in which an invoice bills nothing any more, though its lines and links stay."""


class PaymentStatus(StrEnum):
    """The stored statuses of a payment; a deleted one is cancelled."""

    PENDING = "1"
    CANCELLED = "2"
    FAILED = "3"
    COMPLETED = "4"
    PARTIALLY_REFUNDED = "5"
    REFUNDED = "6"


class LineType(StrEnum):
    """What an invoice line bills."""

    PRODUCT = "1"
    TASK = "2"


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax by its name on the invoice; `rate` in percent."""

    name: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line. Send `quantity` with at most 3 and `cost` with 2 decimals; the server rounds the line to the currency.

    `line_total` is the server's, unrounded; None on a line that was not yet sent. A `product_key` on a product line
    overwrites the product of that name.
    """

    notes: str
    quantity: Decimal
    cost: Decimal
    task_id: str = ""
    type_id: str = LineType.TASK
    product_key: str = ""
    taxes: tuple[Tax, ...] = ()
    discount: Decimal = Decimal(0)
    is_amount_discount: bool = False
    line_total: Decimal | None = None


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """An invoice or credit to be made. `number` "" leaves it to Invoice Ninja's own sequence.

    `extra` are further fields by their API names (`discount`, `terms`, `auto_bill_enabled`, ...).
    """

    client_id: str
    date: str
    lines: tuple[InvoiceLine, ...]
    due_date: str = ""
    number: str = ""
    po_number: str = ""
    project_id: str = ""
    public_notes: str = ""
    private_notes: str = ""
    custom_values: Mapping[CustomField, str] = field(default_factory=dict)
    extra: Mapping[str, str | bool | int | Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A contact to whom an invoice goes. Only a new `message_id` proves that a mail was handed over.

    Source: docs/facts/invoice-ninja-2.md section 6.
    """

    contact_id: str
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice or credit as the server answered it. A draft's `balance` is 0 although its amount is not."""

    id: str
    number: str
    client_id: str
    status_id: str
    amount: Decimal
    balance: Decimal
    paid_to_date: Decimal
    total_taxes: Decimal
    date: str
    due_date: str
    lines: tuple[InvoiceLine, ...]
    project_id: str = ""
    po_number: str = ""
    public_notes: str = ""
    private_notes: str = ""
    custom_values: Mapping[CustomField, str] = field(default_factory=dict)
    auto_bill_enabled: bool = False
    is_deleted: bool = False
    is_archived: bool = False
    created_at: int = 0
    updated_at: int = 0
    terms: str = ""
    footer: str = ""
    invitations: tuple[Invitation, ...] = ()

    @property
    def is_paid(self) -> bool:
        """Whether money settled it: status 4 alone is also what a PUT makes of a cancelled invoice."""
        return self.status_id == InvoiceStatus.PAID and self.paid_to_date >= self.amount > 0

    @property
    def name(self) -> str:
        """What people know it by: its number, or its id and amount as long as it has none (`when_sent`)."""
        return self.number or f"without a number yet ({self.id}, {self.amount.normalize():f})"

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The tasks that its lines bill."""
        return tuple(line.task_id for line in self.lines if line.task_id)


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a payment (or refund) that belongs to one invoice."""

    invoice_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PaymentDraft:
    """A payment to be recorded; `number` is the exactly-once key and its idempotency key (at most 64 characters).

    `amount` may exceed the sum of `invoices`: the rest stays as the client's credit. `credits` maps credit ids to the
    amounts used of them; those come on top of `amount`.
    """

    number: str
    client_id: str
    amount: Decimal
    date: str
    transaction_reference: str
    type_id: str = ""
    private_notes: str = ""
    invoices: tuple[Allocation, ...] = ()
    credits: Mapping[str, Decimal] = field(default_factory=dict)
    custom_values: Mapping[CustomField, str] = field(default_factory=dict)
    email_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Paymentable:
    """What a payment did to one invoice (or, with `credit_id`, which credit it used)."""

    amount: Decimal
    refunded: Decimal
    invoice_id: str = ""
    credit_id: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the server answered it; its idempotency key is never returned."""

    id: str
    number: str
    client_id: str
    status_id: str
    amount: Decimal
    applied: Decimal
    refunded: Decimal
    date: str
    transaction_reference: str
    currency_id: str = ""
    private_notes: str = ""
    paymentables: tuple[Paymentable, ...] = ()
    custom_values: Mapping[CustomField, str] = field(default_factory=dict)
    is_deleted: bool = False
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Project:
    """A project; `task_rate` 0 means that it has none."""

    id: str
    number: str
    name: str
    client_id: str
    task_rate: Decimal
    is_deleted: bool = False
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """The settings of the company that change what our writes end up as.

    `timezone_id` and `currency_id` are keys of `Statics`. `settings` are those that a group or a client may override:
    `mappings.invoiceninja.settings.effective_settings` says what holds.
    """

    id: str
    name: str
    currency_id: str
    timezone_id: str
    lock_invoices: str
    locks_invoiced_tasks: bool
    updates_products: bool
    mails_receipts: bool
    default_task_rate: Decimal
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency of Invoice Ninja; `precision` is its number of decimals there (not Stripe's)."""

    id: str
    code: str
    precision: int


@dataclass(frozen=True, slots=True)
class Statics:
    """Invoice Ninja's own tables: currencies by id, IANA names of time zones by id."""

    currencies: Mapping[str, Currency]
    timezones: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of a client. Only one with `gets_mail` and an address is e-mailed."""

    id: str
    email: str
    gets_mail: bool = True


@dataclass(frozen=True, slots=True)
class NinjaClient:
    """An Invoice Ninja client; `currency_id` is "" when its group's or the company's currency applies.

    `settings` are its own, of the keys in `mappings.invoiceninja.settings.SETTINGS`; `group_id` is "" without a group.
    """

    id: str
    number: str
    name: str
    id_number: str = ""
    currency_id: str = ""
    is_deleted: bool = False
    group_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
