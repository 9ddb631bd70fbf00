"""Reads Invoice Ninja's rows into records: tolerant of missing fields and of numbers written as text."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from mappings.invoiceninja.models import (
    Company,
    Contact,
    Currency,
    CustomField,
    Invitation,
    Invoice,
    InvoiceLine,
    NinjaClient,
    Payment,
    Paymentable,
    Project,
    Statics,
    Tax,
)
from mappings.invoiceninja.settings import SETTINGS
from mappings.invoiceninja.task_log import read_log
from mappings.invoiceninja.tasks import Task

Row = Mapping[str, Any]

_TAX_SLOTS = ("1", "2", "3")


def read_task(row: Row) -> Task:
    """A row of /tasks; an entry of its log that is running ends at 0."""
    assigned = text(row, "assigned_user_id")
    return Task(
        id=record_id(row),
        number=text(row, "number"),
        client_id=text(row, "client_id"),
        project_id=text(row, "project_id"),
        description=text(row, "description"),
        rate=amount(row, "rate"),
        log=read_log(row.get("time_log")),
        invoice_id=text(row, "invoice_id"),
        person_id=assigned or text(row, "user_id"),
        assigned_id=assigned,
        is_deleted=flag(row, "is_deleted"),
        is_archived=whole(row, "archived_at") > 0,
        updated_at=whole(row, "updated_at"),
    )


def read_client(row: Row) -> NinjaClient:
    """A row of /clients."""
    return NinjaClient(
        id=record_id(row),
        number=text(row, "number"),
        name=text(row, "name") or text(row, "display_name"),
        id_number=text(row, "id_number"),
        currency_id=text(_nested(row, "settings"), "currency_id"),
        is_deleted=flag(row, "is_deleted"),
        group_id=text(row, "group_settings_id"),
        settings=_settings(_nested(row, "settings")),
        contacts=tuple(_read_contact(contact) for contact in _rows(row, "contacts")),
    )


def read_group(row: Row) -> tuple[str, Mapping[str, Any]]:
    """A row of /group_settings: its id and its settings; none when it is archived or deleted, which ends its power."""
    is_live = not flag(row, "is_deleted") and whole(row, "archived_at") == 0
    return record_id(row), _settings(_nested(row, "settings")) if is_live else {}


def read_project(row: Row) -> Project:
    """A row of /projects."""
    return Project(
        id=record_id(row),
        number=text(row, "number"),
        name=text(row, "name"),
        client_id=text(row, "client_id"),
        task_rate=amount(row, "task_rate"),
        is_deleted=flag(row, "is_deleted"),
        is_archived=whole(row, "archived_at") > 0,
    )


def read_invoice(row: Row) -> Invoice:
    """A row of /invoices or /credits."""
    return Invoice(
        id=record_id(row),
        number=text(row, "number"),
        client_id=text(row, "client_id"),
        status_id=text(row, "status_id"),
        amount=amount(row, "amount"),
        balance=amount(row, "balance"),
        paid_to_date=amount(row, "paid_to_date"),
        total_taxes=amount(row, "total_taxes"),
        date=text(row, "date"),
        due_date=text(row, "due_date"),
        lines=tuple(_read_line(line) for line in _rows(row, "line_items")),
        project_id=text(row, "project_id"),
        po_number=text(row, "po_number"),
        public_notes=text(row, "public_notes"),
        private_notes=text(row, "private_notes"),
        custom_values=_custom_values(row),
        auto_bill_enabled=flag(row, "auto_bill_enabled"),
        is_deleted=flag(row, "is_deleted"),
        is_archived=whole(row, "archived_at") > 0,
        created_at=whole(row, "created_at"),
        updated_at=whole(row, "updated_at"),
        terms=text(row, "terms"),
        footer=text(row, "footer"),
        invitations=tuple(
            Invitation(text(one, "client_contact_id"), text(one, "message_id")) for one in _rows(row, "invitations")
        ),
    )


def read_payment(row: Row) -> Payment:
    """A row of /payments."""
    return Payment(
        id=record_id(row),
        number=text(row, "number"),
        client_id=text(row, "client_id"),
        status_id=text(row, "status_id"),
        amount=amount(row, "amount"),
        applied=amount(row, "applied"),
        refunded=amount(row, "refunded"),
        date=text(row, "date"),
        transaction_reference=text(row, "transaction_reference"),
        currency_id=text(row, "currency_id"),
        private_notes=text(row, "private_notes"),
        paymentables=tuple(_read_paymentable(part) for part in _rows(row, "paymentables")),
        custom_values=_custom_values(row),
        is_deleted=flag(row, "is_deleted"),
        updated_at=whole(row, "updated_at"),
    )


def read_company(row: Row) -> Company:
    """The answer of /companies/current."""
    settings = _nested(row, "settings")
    return Company(
        id=record_id(row),
        name=text(settings, "name"),
        currency_id=text(settings, "currency_id"),
        timezone_id=text(settings, "timezone_id"),
        lock_invoices=text(settings, "lock_invoices") or "off",
        locks_invoiced_tasks=flag(row, "invoice_task_lock"),
        updates_products=flag(row, "update_products"),
        mails_receipts=flag(settings, "client_manual_payment_notification"),
        default_task_rate=amount(settings, "default_task_rate"),
        settings=_settings(settings),
    )


def read_statics(tables: Row) -> Statics:
    """The answer of /statics."""
    currencies = (Currency(text(c, "id"), text(c, "code"), whole(c, "precision")) for c in _rows(tables, "currencies"))
    return Statics(
        currencies={currency.id: currency for currency in currencies},
        timezones={text(zone, "id"): text(zone, "name") for zone in _rows(tables, "timezones")},
    )


def record_id(row: Row) -> str:
    """The id, which every record has.

    Raises:
        ValueError: it has none, so this is no record.
    """
    found = text(row, "id")
    if not found:
        raise ValueError("a record of Invoice Ninja without id")
    return found


def text(row: Row, name: str) -> str:
    """A text field; "" when it is missing or null."""
    value = row.get(name)
    return "" if value is None else str(value)


def amount(row: Row, name: str) -> Decimal:
    """A number field as `Decimal`; 0 when it is missing, null or "".

    Raises:
        ValueError: it holds something that is not a number; money is never guessed.
    """
    value = row.get(name)
    if value is None or value == "":
        return Decimal(0)
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite():
        raise ValueError(f"Invoice Ninja record {row.get('id')!r}: {name} is {value!r}, not a number")
    return number


def whole(row: Row, name: str) -> int:
    """A number field as `int`, fractions cut off; 0 when it is missing."""
    return int(amount(row, name))


def flag(row: Row, name: str) -> bool:
    """A yes or no field, also as 1, "1" or "true"."""
    return str(row.get(name)).lower() in {"true", "1"}


def _settings(settings: Row) -> Mapping[str, Any]:
    return {name: value for name, value in settings.items() if name in SETTINGS}


def _read_contact(row: Row) -> Contact:
    return Contact(text(row, "id"), text(row, "email").strip(), gets_mail=flag(row, "send_email"))


def _read_line(row: Row) -> InvoiceLine:
    slots = ((text(row, f"tax_name{slot}"), amount(row, f"tax_rate{slot}")) for slot in _TAX_SLOTS)
    return InvoiceLine(
        notes=text(row, "notes"),
        quantity=amount(row, "quantity"),
        cost=amount(row, "cost"),
        task_id=text(row, "task_id"),
        type_id=text(row, "type_id"),
        product_key=text(row, "product_key"),
        taxes=tuple(Tax(name, rate) for name, rate in slots if name),
        discount=amount(row, "discount"),
        is_amount_discount=flag(row, "is_amount_discount"),
        line_total=amount(row, "line_total"),
    )


def _read_paymentable(row: Row) -> Paymentable:
    return Paymentable(
        amount=amount(row, "amount"),
        refunded=amount(row, "refunded"),
        invoice_id=text(row, "invoice_id"),
        credit_id=text(row, "credit_id"),
    )


def _custom_values(row: Row) -> Mapping[CustomField, str]:
    names: tuple[CustomField, ...] = get_args(CustomField)
    return {name: text(row, name) for name in names if text(row, name)}


def _nested(row: Row, name: str) -> Row:
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def _rows(row: Row, name: str) -> list[Row]:
    value = row.get(name)
    members = value if isinstance(value, list) else []
    return [member for member in members if isinstance(member, Mapping)]
