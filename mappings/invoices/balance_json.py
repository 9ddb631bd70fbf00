"""The balance of hours as JSON, and in one sentence."""

from decimal import Decimal
from typing import Any

from mappings.invoices.balance import ClientBalance, HourBalance, Mismatch
from mappings.values.words import counted


def balance_as_json(found: HourBalance) -> dict[str, Any]:
    """All clients and everything that does not add up; hours are text."""
    return {
        "difference": _text(found.difference),
        "clients": [_client(one) for one in found.clients],
        "mismatches": [_mismatch(one) for one in found.mismatches],
    }


def balance_in_words(found: HourBalance) -> str:
    """How it stands: `1,204.5 h of 12 clients add up`, or how many are off."""
    closed = sum((one.closed for one in found.clients), Decimal(0))
    if not found.mismatches:
        return f"{_text(closed)} h of {counted(len(found.clients), 'client')} add up"
    works = counted(len(found.mismatches), "task")
    return f"{_text(found.difference)} h of {works} do not add up: see `taiga-billing balance hours`"


def _client(one: ClientBalance) -> dict[str, Any]:
    return {
        "client_id": one.client_id,
        "closed": _text(one.closed),
        "billed": _text(one.billed),
        "billable": _text(one.billable),
        "left_out": {reason: _text(hours) for reason, hours in sorted(one.left_out.items())},
        "waiting": {reason: _text(hours) for reason, hours in sorted(one.waiting.items())},
        "difference": _text(one.difference),
    }


def _mismatch(one: Mismatch) -> dict[str, Any]:
    entries = [
        {"number": part.number, "hours": _text(part.hours), "stand": part.stand.value, "reason": part.reason}
        for part in one.entries
    ]
    return {
        "subject": one.subject,
        "name": one.name,
        "client_id": one.client_id,
        "closed": _text(one.closed),
        "found": _text(one.found),
        "entries": entries,
    }


def _text(hours: Decimal) -> str:
    return f"{hours.normalize():f}" if hours else "0"
