"""Every page: its address, the method, who may see it, and what answers."""

from middleware.dashboard.pages import audit, event_actions, events, mapping, overview, reviews, time
from middleware.dashboard.visit import Page
from middleware.store.users import Role

PAGES: tuple[tuple[str, str, Role, Page], ...] = (
    ("/", "GET", "viewer", overview.show),
    ("/events", "GET", "viewer", events.show_list),
    ("/events/{event_id:int}", "GET", "viewer", events.show_one),
    ("/events/replay", "GET", "admin", event_actions.preview_replay),
    ("/events/replay", "POST", "admin", event_actions.replay),
    ("/events/discard", "GET", "admin", event_actions.preview_discard),
    ("/events/discard", "POST", "admin", event_actions.discard),
    ("/time", "GET", "viewer", time.show),
    ("/time/unrecorded", "GET", "viewer", time.show_unrecorded),
    ("/reviews", "GET", "viewer", reviews.show),
    ("/reviews/close", "POST", "admin", reviews.close),
    ("/mapping", "GET", "viewer", mapping.show),
    ("/audit", "GET", "viewer", audit.show),
)
