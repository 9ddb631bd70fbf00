"""Webhook subscriptions: kept and listed, never delivered by the sandbox (facts section 10)."""

import re
from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError, invalid
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import WEBHOOK

HIGHEST_EVENT = 65


def create(call: Call) -> Any:
    """Answer POST /webhooks; equal subscriptions are possible."""
    _validate(call)
    state = call.state
    values = {**WEBHOOK, **records.born(state), "company_id": state.company["id"], **_given(call)}
    return one(call, "webhooks", state.tables["webhooks"].add(values))


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /webhooks/<id>."""
    row = call.live_row("webhooks", row_id)
    _validate(call)
    records.change(call.state, "webhooks", row, _given(call))
    return one(call, "webhooks", row)


def delete(call: Call, row_id: str) -> Any:
    """Answer DELETE /webhooks/<id> with the subscription as it was; it no longer appears in the list."""
    row = call.row("webhooks", row_id)
    before = one(call, "webhooks", row)
    call.state.tables["webhooks"].remove(row)
    return before


def _validate(call: Call) -> None:
    errors = {}
    if not re.fullmatch(r"https?://\S+", str(call.data.get("target_url"))):
        errors["target_url"] = ["The target url must be a valid URL."]
    if call.data.get("rest_method") not in (None, "post", "put"):
        errors["rest_method"] = ["The selected rest method is invalid."]
    invalid(errors)
    event = str(call.data.get("event_id"))
    if not event.isdigit() or not 1 <= int(event) <= HIGHEST_EVENT:
        raise RefusedError(400, "Invalid event")


def _given(call: Call) -> dict[str, Any]:
    values: dict[str, Any] = records.texts(call, ("target_url", "event_id", "format", "rest_method"))
    if "headers" in call.data:
        values["headers"] = call.data["headers"] or []
    return values
