"""Which handler answers which method and path below /api/v1."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from middleware.lab.sandbox.invoiceninja import (
    clients,
    company,
    credit_notes,
    groups,
    invoice_actions,
    invoices,
    listing,
    merge,
    messages,
    payments,
    projects,
    records,
    refunds,
    tasks,
    webhooks,
)
from middleware.lab.sandbox.invoiceninja.call import Call

Handler = Callable[[Call], Any]
RowHandler = Callable[[Call, str], Any]

_FIXED: Mapping[tuple[str, str], Handler] = {
    ("GET", "ping"): company.ping,
    ("GET", "health_check"): company.health_check,
    ("GET", "statics"): company.statics,
    ("GET", "companies"): company.companies,
    ("POST", "companies/current"): company.current,
    ("POST", "refresh"): company.refresh,
    ("POST", "users"): company.create_user,
    ("POST", "tokens"): company.create_token,
    ("POST", "reports/clients"): company.report,
    ("POST", "payments/refund"): refunds.refund,
    ("POST", "emails"): messages.email,
    ("POST", "activities/notes"): messages.add_note,
    ("POST", "activities/entity"): messages.history,
    ("POST", "clients"): clients.create,
    ("POST", "clients/bulk"): partial(records.strict_bulk, entity="clients"),
    ("POST", "projects"): projects.create,
    ("POST", "projects/bulk"): partial(records.strict_bulk, entity="projects"),
    ("POST", "tasks"): tasks.create,
    ("POST", "tasks/bulk"): tasks.bulk,
    ("GET", "tasks/create"): tasks.blank,
    ("POST", "invoices"): invoices.create,
    ("POST", "invoices/bulk"): invoice_actions.bulk,
    ("GET", "invoices/create"): invoices.blank,
    ("POST", "payments"): payments.create,
    ("POST", "payments/bulk"): payments.bulk,
    ("POST", "credits"): credit_notes.create,
    ("POST", "credits/bulk"): partial(records.strict_bulk, entity="credits", actions=credit_notes.ACTIONS),
    ("POST", "webhooks"): webhooks.create,
    ("POST", "group_settings"): groups.create,
    ("POST", "group_settings/bulk"): partial(records.strict_bulk, entity="group_settings"),
}

_LISTED = frozenset(
    {
        "clients",
        "projects",
        "tasks",
        "invoices",
        "payments",
        "credits",
        "webhooks",
        "users",
        "task_statuses",
        "payment_terms",
        "group_settings",
    }
)

_ON_ROW: Mapping[tuple[str, str], RowHandler] = {
    ("GET", "users"): company.show_user,
    ("PUT", "clients"): clients.update,
    ("PUT", "projects"): projects.update,
    ("PUT", "tasks"): tasks.update,
    ("DELETE", "tasks"): tasks.delete,
    ("PUT", "invoices"): invoices.update,
    ("DELETE", "invoices"): invoices.delete,
    ("PUT", "payments"): payments.update,
    ("DELETE", "payments"): payments.delete,
    ("PUT", "credits"): credit_notes.update,
    ("DELETE", "credits"): credit_notes.delete_one,
    ("PUT", "webhooks"): webhooks.update,
    ("PUT", "group_settings"): groups.update,
    ("DELETE", "webhooks"): webhooks.delete,
}

_DELETED_PLAINLY = frozenset({"clients", "projects", "group_settings"})


def handler_for(method: str, segments: tuple[str, ...]) -> Handler | None:
    """Find the handler; None when the server has no such route."""
    fixed = _FIXED.get((method, "/".join(segments)))
    if fixed is not None:
        return fixed
    by_length = {1: _for_list, 2: _for_row, 3: _for_action, 4: _for_pair}
    find = by_length.get(len(segments))
    return None if find is None else find(method, segments)


def _for_list(method: str, segments: tuple[str, ...]) -> Handler | None:
    entity = segments[0]
    if method == "GET" and entity in _LISTED:
        return partial(listing.list_rows, entity=entity)
    return None


def _for_row(method: str, segments: tuple[str, ...]) -> Handler | None:
    entity, row_id = segments
    if (method, entity) == ("PUT", "companies"):
        return company.update
    own = _ON_ROW.get((method, entity))
    if own is not None:
        return lambda call: own(call, row_id)
    if method == "GET" and entity in _LISTED:
        return partial(records.show_one, entity=entity, row_id=row_id)
    if method == "DELETE" and entity in _DELETED_PLAINLY:
        return partial(records.delete_one, entity=entity, row_id=row_id)
    return None


def _for_action(method: str, segments: tuple[str, ...]) -> Handler | None:
    entity, row_id, action = segments
    if (method, entity, action) == ("POST", "clients", "purge"):
        return partial(merge.purge, client_id=row_id)
    if method != "GET":
        return None
    if entity == "invoices":
        return partial(invoice_actions.act, row_id=row_id, action=action)
    return invoice_actions.pdf_by_key if (entity, action) == ("invoice", "download") else None


def _for_pair(method: str, segments: tuple[str, ...]) -> Handler | None:
    entity, kept_id, gone_id, action = segments
    if (method, entity, action) == ("POST", "clients", "merge"):
        return partial(merge.merge, kept_id=kept_id, gone_id=gone_id)
    return None
