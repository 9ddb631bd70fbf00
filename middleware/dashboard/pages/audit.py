"""Who did what and when."""

from urllib.parse import urlencode

from starlette.responses import Response

from middleware.dashboard.visit import Visit
from middleware.store.operations.audit import AuditStore

LIMIT = 50
ACTIONS = (
    "session.begun",
    "session.ended",
    "session.refused",
    "event.replayed",
    "event.discarded",
    "review.closed",
    "payment.match",
    "payment.ignore",
    "payment.unmatch",
    "plan.applied",
    "invoice.linked",
    "user.added",
    "user.disabled",
    "user.enabled",
    "user.password_set",
    "mapping.loaded",
)


async def show(visit: Visit) -> Response:
    """The audit, newest first."""
    actor, action, before = visit.asked("actor"), visit.asked("action"), visit.asked_id("before")
    rows = await AuditStore(visit.services.pool).list(actor=actor, action=action, before_id=before, limit=LIMIT + 1)
    values = {"actor": actor, "action": action}
    if len(rows) > LIMIT:
        values["before"] = str(rows[LIMIT - 1].id)
    return visit.page(
        "audit.html",
        rows=rows[:LIMIT],
        actor=actor,
        action=action,
        actions=ACTIONS,
        next_query=urlencode({name: value for name, value in values.items() if value}) if "before" in values else "",
        is_first=before is None,
    )
