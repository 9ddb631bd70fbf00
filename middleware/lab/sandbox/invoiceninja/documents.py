"""What invoices and credits have in common: their fields, line items and invitations."""

from collections.abc import Mapping
from typing import Any

from middleware.lab.sandbox.invoiceninja import records, totals
from middleware.lab.sandbox.invoiceninja.call import Call, client_errors, number_errors
from middleware.lab.sandbox.invoiceninja.hashids import encode, portal_key
from middleware.lab.sandbox.invoiceninja.reference import CURRENCIES
from middleware.lab.sandbox.invoiceninja.shapes import CUSTOM_FIELDS, INVITATION
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import as_date, decimal, number, text

DESIGN_ID = encode(2)
DEFAULT_PRECISION = 2

_TEXTS = (
    "project_id",
    "assigned_user_id",
    "po_number",
    "terms",
    "public_notes",
    "private_notes",
    "footer",
    "tax_name1",
    "tax_name2",
    "tax_name3",
    *CUSTOM_FIELDS,
)
_DATES = ("date", "due_date", "partial_due_date")
_AMOUNTS = (
    "discount",
    "partial",
    "tax_rate1",
    "tax_rate2",
    "tax_rate3",
    "custom_surcharge1",
    "custom_surcharge2",
    "custom_surcharge3",
    "custom_surcharge4",
    "exchange_rate",
)
_SWITCHES = ("uses_inclusive_taxes", "is_amount_discount")
_GATEWAY_FEES = ("3", "4")
_YES = (True, 1, "1", "true")


def errors_of(call: Call, entity: str, own: Row | None = None) -> dict[str, list[str]]:
    """Validate the body of a POST (`own` None) or PUT."""
    errors = {**client_errors(call, required=own is None), **number_errors(call, entity, own)}
    lines = call.data.get("line_items")
    if lines is not None and not isinstance(lines, list):
        errors["line_items"] = ["The line items must be an array."]
    due = call.data.get("due_date")
    if due is not None and as_date(due) is None:
        errors["due_date"] = ["The due date must be a date after partial due date."]
    return errors


def given(call: Call) -> dict[str, Any]:
    """Take the writable fields of the body; sums and states in it are ignored."""
    data = call.data
    values: dict[str, Any] = records.texts(call, _TEXTS)
    for column in _DATES:
        if column in data:
            day = as_date(data[column])
            values[column] = day.isoformat() if day else ""
    values.update({column: number(decimal(data[column])) for column in _AMOUNTS if column in data})
    values.update({column: bool(data[column]) for column in _SWITCHES if data.get(column) is not None})
    return values


def with_sums(state: NinjaState, document: dict[str, Any], lines: list[Any]) -> dict[str, Any]:
    """Give the computed columns of a document with these line items (as sent or as stored)."""
    is_amount = document["is_amount_discount"]
    clean = [totals.clean_line(line, is_amount_discount=is_amount) for line in lines if isinstance(line, dict)]
    clean = [line for line in clean if line["type_id"] not in _GATEWAY_FEES]
    client = state.tables["clients"].get(document["client_id"])
    to_rappen = state.client_setting(client, "enable_rappen_rounding") in _YES
    return totals.computed(
        {**document, "line_items": clean}, precision(state, document["client_id"]), to_rappen=to_rappen
    )


def with_defaults(state: NinjaState, document: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What a POST takes from the client, its group or the company (facts 2, sections 2 and 3).

    The client's public notes REPLACE those that were sent, which no PUT does; terms and footer only fill gaps.
    """
    client = state.tables["clients"].get(document["client_id"])
    values: dict[str, Any] = {
        name: document[name]
        or text(state.client_setting(client, f"invoice_{name}") or state.setting(f"invoice_{name}"))
        for name in ("terms", "footer")
    }
    if client is not None and client["public_notes"]:
        values["public_notes"] = client["public_notes"]
    if data.get("uses_inclusive_taxes") is None:
        values["uses_inclusive_taxes"] = state.client_setting(client, "inclusive_taxes") in _YES
    return {**document, **values}


def precision(state: NinjaState, client_id: str) -> int:
    """Give the decimal places of a client's currency."""
    currency = CURRENCIES.get(currency_id(state, client_id))
    return DEFAULT_PRECISION if currency is None else currency.precision


def currency_id(state: NinjaState, client_id: str) -> str:
    """Give the id of a client's currency."""
    client = state.tables["clients"].get(client_id)
    return str(state.setting("currency_id") if client is None else state.client_setting(client, "currency_id"))


def invitations(call: Call, kind: str, client_id: str) -> list[dict[str, Any]]:
    """Invite every contact that receives mails, else the first one."""
    state = call.state
    client = state.tables["clients"].get(client_id)
    contacts = [] if client is None else client["contacts"]
    invited = [contact for contact in contacts if contact["send_email"]] or contacts[:1]
    position = len(state.tables[f"{kind}s"]) + 1
    made = []
    for index, contact in enumerate(invited):
        key = portal_key(f"{kind}:{index}", position)
        link = f"{call.base}/client/{kind}/{key}"
        stamps = {"created_at": state.now(), "updated_at": state.now()}
        who = {"id": encode(position), "client_contact_id": contact["id"], "key": key, "link": link}
        made.append({**INVITATION, **stamps, **who})
    return made
