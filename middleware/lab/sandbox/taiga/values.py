"""Custom attribute values: any JSON is stored; one PATCH replaces the whole dict (docs/facts/taiga.md section 4)."""

import math
from typing import Any

from middleware.lab.sandbox.taiga import errors, history, model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.webhook_log import as_jsonb


def replace(state: TaigaState, by: model.User, item: model.Item, values: Json) -> model.AttributeValues:
    """Replace all values of an item, keyed by attribute id as text; neither its version nor its date move.

    Raises:
        ApiError: 400 for ids of no attribute of the project or an empty dict; 500 for names as keys, for NaN and for
            anything but text in a text or dropdown attribute: then nothing is stored.
    """
    stored = state.values[item.kind, item.id]
    _check(state, item, values)
    before = stored.values
    stored.values = {key: as_jsonb(value) for key, value in values.items()}
    try:
        history.check_values(state, item)
    except errors.ApiError:
        stored.values = before
        raise
    stored.version += 1
    history.record(state, item, by)
    return stored


def _check(state: TaigaState, item: model.Item, values: Json) -> None:
    if not values:
        raise errors.invalid(attributes_values="This field cannot be blank.")
    if not all(key.isdigit() for key in values) or not _finite(values):
        raise errors.crashed()
    known = {str(attribute.id) for attribute in state.attributes_of(item.project, item.kind)}
    if values.keys() - known:
        raise errors.invalid(attributes_values="It contains invalid custom fields.")


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
