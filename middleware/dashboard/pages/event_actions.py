"""Replay and discard, of one event or of all that match a filter: first what it would touch, then the deed."""

from collections import Counter
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from middleware.dashboard.filters import AskedFilter, event_filter, read_filter
from middleware.dashboard.visit import RefusedError, Visit, go_to, id_of
from middleware.store.events.actions import DISCARDABLE, REPLAYABLE, EventActions
from middleware.store.events.events import EventStore
from middleware.store.events.search import EventPage, EventSearch

MOST_AT_ONCE = 2_000
# Of 10,000 events each, where no index serves the filter: a page answers at once, and names what it looked at.
WINDOWS = 2
SHOWN = 20
LONGEST_WHY = 500


async def preview_replay(visit: Visit) -> Response:
    """Which events would be processed again."""
    return await _preview(visit, "replay", REPLAYABLE)


async def preview_discard(visit: Visit) -> Response:
    """Which events would be closed."""
    return await _preview(visit, "discard", DISCARDABLE)


async def replay(visit: Visit) -> Response:
    """Put the events that were shown back to work."""
    fields = await visit.form()
    ids = await _chosen(visit, fields, REPLAYABLE)
    done = await EventActions(visit.services.pool).replay(ids, visit.session.name)
    visit.services.wake(done)
    return _back(fields, "replayed", len(done))


async def discard(visit: Visit) -> Response:
    """Close the events that were shown."""
    fields = await visit.form()
    why = fields.get("why", "").strip()[:LONGEST_WHY]
    if not why:
        raise RefusedError(422, "Say why: the reason is kept with the event. Go back and fill it in.")
    ids = await _chosen(visit, fields, DISCARDABLE)
    done = await EventActions(visit.services.pool).discard(ids, why, visit.session.name)
    return _back(fields, "discarded", len(done))


async def _preview(visit: Visit, verb: str, statuses: Sequence[str]) -> Response:
    event_id, asked = visit.asked_id("event"), read_filter(visit.request.query_params)
    before = visit.asked_id("before")
    found = await _found(visit, event_id, asked, before - 1 if before else None)
    touched = [row for row in found.rows if row.status in statuses]
    shown = touched[:SHOWN]
    wants_effect = bool(visit.asked("effect")) and verb == "replay"
    here = {"event": str(event_id or ""), "before": str(before or "")}
    return visit.page(
        "event_action.html",
        verb=verb,
        asked=asked,
        event_id=event_id,
        touched=shown,
        dry=await visit.desk.asking.effects_of([row.id for row in shown], visit.now)
        if wants_effect and shown
        else None,
        effect_query=asked.query(**here, effect="yes"),
        by_status=Counter(row.status for row in touched),
        touched_count=len(touched),
        left_count=len(found.rows) - len(touched),
        looked_back_to=found.looked_back_to,
        older_query=asked.query(before=str(found.next_before)) if found.next_before else "",
        up_to=found.rows[0].id if found.rows else 0,
        down_to=found.rows[-1].id if found.rows else 0,
        back_query=asked.query(),
    )


async def _chosen(visit: Visit, fields: Mapping[str, str], statuses: Sequence[str]) -> list[int]:
    """The same events that the preview showed: none that arrived since, none that it did not reach."""
    event_id, up_to, down_to = (id_of(fields.get(name, "")) for name in ("event", "up_to", "down_to"))
    if event_id is None and (up_to is None or down_to is None):
        raise RefusedError(422, "This form names no events. Go back and choose some.")
    found = await _found(visit, event_id, read_filter(fields), up_to)
    return [row.id for row in found.rows if row.status in statuses and row.id >= (down_to or 0)]


async def _found(visit: Visit, event_id: int | None, asked: AskedFilter, up_to: int | None) -> EventPage:
    if event_id is not None:
        event = await EventStore(visit.services.pool).find(event_id)
        return EventPage([event] if event else [], None)
    search = EventSearch(visit.services.pool)
    return await search.matching(event_filter(asked, visit.zone), up_to_id=up_to, limit=MOST_AT_ONCE, windows=WINDOWS)


def _back(fields: Mapping[str, str], verb: str, number: int) -> Response:
    event_id, said = id_of(fields.get("event", "")), f"{verb}-{number}"
    if event_id is not None:
        return go_to(f"/events/{event_id}", said=said)
    return go_to("/events", **read_filter(fields).fields(), said=said)
