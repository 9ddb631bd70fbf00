"""The bridge's own events about invoices: their types, subjects, keys and payloads in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handlers.event import Event, NewEvent, own_event
from handlers.ports.invoice_world import client_subject
from mappings.invoices.period import Period
from mappings.invoices.plan_json import period_as_json, period_from_json

RUN = "invoices.run"
DUE = "invoice.due"
SEND = "invoice.send"
TASK_INVOICED = "task.invoiced"
SUBJECT_PREFIXES = ("invoice:", "invoices:")
"""The subjects of everything that makes and sends invoices; write-backs have the subject of their Taiga item."""

SEND_SUBJECT = "invoices:send"


@dataclass(frozen=True, slots=True)
class Due:
    """That the invoices of a client are to be made.

    `is_strict`: exactly those of the plan, else what is unbilled by now. `send` overrides the rule `auto_send`.
    """

    plan_id: str
    client_id: str
    period: Period
    is_strict: bool
    send: bool | None = None


def due_event(due: Due, cause: str, now: datetime) -> NewEvent:
    """The event for one client; `cause` tells runs apart: the same plan may be applied again, later."""
    return own_event(
        DUE,
        key=f"due:{due.plan_id}:{due.client_id}:{cause}",
        subject=client_subject(due.client_id),
        occurred_at=now,
        payload={
            "plan_id": due.plan_id,
            "client_id": due.client_id,
            "period": period_as_json(due.period),
            "is_strict": due.is_strict,
            "send": due.send,
        },
    )


def read_due(event: Event) -> Due:
    """What a `due_event` says."""
    told = event.payload
    period = period_from_json(told["period"])
    return Due(told["plan_id"], told["client_id"], period, bool(told["is_strict"]), told["send"])


def run_event(calendar: str, period: Period, due_at: datetime) -> NewEvent:
    """The event of a run; its key lets each run begin once, however many workers see that it is due."""
    payload: Mapping[str, Any] = {"calendar": calendar, "period": period_as_json(period)}
    return own_event(RUN, f"run:{calendar}:{period.name}", f"invoices:run:{calendar}", due_at, payload)
