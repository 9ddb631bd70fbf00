"""Every page: its address, the method, who may see it, and what answers."""

from middleware.dashboard.pages import event_actions, events, overview
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
)
