"""Clients and their contacts (facts section 5)."""

import re
from collections import Counter
from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid, number_errors
from middleware.lab.sandbox.invoiceninja.hashids import encode, portal_key
from middleware.lab.sandbox.invoiceninja.reference import COUNTRIES, country_id_of, currency_id_of
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import CLIENT, CONTACT, CUSTOM_FIELDS
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import text

_TEXTS = (
    "name",
    "website",
    "private_notes",
    "public_notes",
    "address1",
    "address2",
    "phone",
    "city",
    "state",
    "postal_code",
    "country_id",
    "industry_id",
    "size_id",
    "shipping_address1",
    "shipping_address2",
    "shipping_city",
    "shipping_state",
    "shipping_postal_code",
    "shipping_country_id",
    "vat_number",
    "id_number",
    "routing_id",
    "classification",
    "assigned_user_id",
    "group_settings_id",
    *CUSTOM_FIELDS,
)
_CONTACT_TEXTS = ("first_name", "last_name", "phone", *CUSTOM_FIELDS)


def create(call: Call) -> Any:
    """Answer POST /clients; nothing is required."""
    _validate(call, None)
    state = call.state
    settings = {**(call.data.get("settings") or {}), "entity": "App\\Models\\Client", "industry_id": "", "size_id": ""}
    currency = currency_id_of(call.data.get("currency_code")) or settings.get("currency_id")
    group = state.tables["group_settings"].get(call.data.get("group_settings_id"))
    of_group = group["settings"].get("currency_id") if group is not None else ""
    settings["currency_id"] = currency or of_group or state.setting("currency_id")
    values = {**CLIENT, **records.born(state), **records.texts(call, _TEXTS), "settings": settings}
    values["country_id"] = country_id_of(call.data.get("country_code")) or values["country_id"]
    values["number"] = text(call.data.get("number")) or state.next_number("client")
    values["client_hash"] = portal_key("client", len(state.tables["clients"]) + 1)
    values["contacts"] = _contacts(call, call.data.get("contacts") or [{}], ())
    values["display_name"] = _display_name(values)
    return records.created(call, "clients", state.tables["clients"].add(values))


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /clients/<id>; without `settings` the client's settings are reset (the trap)."""
    row = call.live_row("clients", row_id)
    _validate(call, row)
    company_currency = call.state.setting("currency_id")
    settings = dict(call.data.get("settings") or {})
    settings["currency_id"] = settings.get("currency_id") or company_currency
    values: dict[str, Any] = {**records.texts(call, _TEXTS), "settings": settings}
    if call.data.get("number") is not None:
        values["number"] = text(call.data["number"])
    if "contacts" in call.data:
        values["contacts"] = _contacts(call, call.data["contacts"] or [{}], row["contacts"])
    values["display_name"] = _display_name({**row.data, **values})
    records.change(call.state, "clients", row, values)
    return one(call, "clients", row)


def mail_addresses(state: NinjaState, client_id: str) -> tuple[str, ...]:
    """Give the addresses of the contacts that receive mails."""
    return tuple(_addresses(state, client_id).values())


def invited_addresses(state: NinjaState, invoice: Row) -> dict[str, str]:
    """Give the addresses, by contact id, to which an invoice goes: those of its invitations."""
    invited = {invitation["client_contact_id"] for invitation in invoice["invitations"]}
    addresses = _addresses(state, invoice["client_id"])
    return {contact_id: address for contact_id, address in addresses.items() if contact_id in invited}


def _addresses(state: NinjaState, client_id: str) -> dict[str, str]:
    client = state.tables["clients"].get(client_id)
    contacts = [] if client is None else client["contacts"]
    mailed = (contact for contact in contacts if contact["send_email"] and contact["email"].strip())
    return {contact["id"]: contact["email"] for contact in mailed}


def _validate(call: Call, own: Row | None) -> None:
    errors = number_errors(call, "clients", own)
    id_number = call.data.get("id_number")
    if id_number is not None:
        owners = call.state.tables["clients"].having("id_number", str(id_number))
        if any(owner is not own for owner in owners):
            errors["id_number"] = ["The id number has already been taken."]
    country = call.data.get("country_id")
    if country is not None and str(country) not in COUNTRIES:
        errors["country_id"] = ["The selected country id is invalid."]
    errors.update(_email_errors(call.data.get("contacts") or []))
    invalid(errors)


def _email_errors(contacts: list[dict[str, Any]]) -> dict[str, list[str]]:
    errors = {}
    emails = [contact.get("email") for contact in contacts]
    repeated = {email for email, times in Counter(filter(None, emails)).items() if times > 1}
    for index, email in enumerate(emails):
        name = f"contacts.{index}.email"
        if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            errors[name] = [f"The {name} must be a valid email address."]
        elif email in repeated:
            errors[name] = [f"The {name} field has a duplicate value."]
    return errors


def _contacts(call: Call, given: list[dict[str, Any]], present: list[dict[str, Any]] | tuple[()]) -> list[Any]:
    """Take the given list as the whole list: contacts with a known id are kept, others are made anew."""
    known = {contact["id"]: contact for contact in present}
    return [_contact(call, item, known.get(item.get("id")), first=not index) for index, item in enumerate(given)]


def _contact(call: Call, item: dict[str, Any], present: dict[str, Any] | None, *, first: bool) -> dict[str, Any]:
    state = call.state
    contact = {**(present or _new_contact(call)), "is_primary": first, "updated_at": state.now()}
    contact.update({key: text(item[key]) for key in _CONTACT_TEXTS if key in item})
    if "email" in item:
        contact["email"] = text(item["email"])
    if "send_email" in item:
        # The primary contact gets mail whatever was sent.
        contact["send_email"] = bool(item["send_email"]) or first
    return contact


def _new_contact(call: Call) -> dict[str, Any]:
    state = call.state
    state.contact_count += 1
    key = portal_key("contact", state.contact_count)
    link = f"{call.base}/client/key_login/{key}"
    stamps = {"created_at": state.now(), "updated_at": state.now()}
    return {**CONTACT, **stamps, "id": encode(state.contact_count), "contact_key": key, "link": link}


def _display_name(values: dict[str, Any]) -> str:
    if values["name"]:
        return str(values["name"])
    first = values["contacts"][0]
    return f"{first['first_name']} {first['last_name']}".strip() or first["email"]
