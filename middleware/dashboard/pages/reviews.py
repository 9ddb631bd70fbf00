"""What only a person may decide: the open reviews, and closing one that was dealt with."""

from starlette.responses import Response

from middleware.dashboard.visit import RefusedError, Visit, go_to
from middleware.store.billing.links import ReviewStore
from middleware.store.operations.audit import AuditEntry, AuditStore

LIMIT = 100
LONGEST_WHY = 500


async def show(visit: Visit) -> Response:
    """The open reviews, oldest first."""
    kind = visit.asked("kind")
    reviews = await ReviewStore(visit.services.pool).list_open(kind or None, LIMIT + 1)
    return visit.page("reviews.html", kind=kind, reviews=reviews[:LIMIT], is_cut=len(reviews) > LIMIT)


async def close(visit: Visit) -> Response:
    """Close a review that a person dealt with."""
    fields = await visit.form()
    subject, kind, why = (fields.get(name, "").strip() for name in ("subject", "kind", "why"))
    if not why:
        raise RefusedError(422, "Say what was done: it is kept with the review. Go back and fill it in.")
    pool = visit.services.pool
    if not await ReviewStore(pool).is_open(subject, kind):
        raise RefusedError(409, "This review is not open: somebody closed it already, or it was never opened.")
    await ReviewStore(pool).close(subject, kind, f"{visit.session.name}: {why[:LONGEST_WHY]}")
    summary = f"closed {kind} of {subject}: {why[:LONGEST_WHY]}"
    await AuditStore(pool).record(AuditEntry(visit.session.name, "review.closed", summary))
    return go_to("/reviews", kind=fields.get("asked_kind", ""), said="closed-1")
