"""Every page: its address, the method, who may see it, and what answers."""

from middleware.dashboard.pages import (
    audit,
    event_actions,
    events,
    invoices,
    mapping,
    overview,
    payments,
    plans,
    rejections,
    reviews,
    time,
)
from middleware.dashboard.visit import Page
from middleware.store.operations.users import Role

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
    ("/invoices", "GET", "viewer", invoices.show),
    ("/invoices/plans/{plan_id}", "GET", "viewer", plans.show),
    ("/invoices/plans/{plan_id}/apply", "POST", "admin", plans.apply),
    ("/invoices/{invoice_id}", "GET", "viewer", invoices.show_one),
    ("/invoices/{invoice_id}/link", "POST", "admin", invoices.make_link),
    ("/payments", "GET", "viewer", payments.show),
    ("/payments/decide", "POST", "admin", payments.decide),
    ("/payments/{identity}", "GET", "viewer", payments.show_one),
    ("/reviews", "GET", "viewer", reviews.show),
    ("/reviews/close", "POST", "admin", reviews.close),
    ("/rejections", "GET", "viewer", rejections.show),
    ("/rejections/{rejection_id:int}", "GET", "viewer", rejections.show_one),
    ("/mapping", "GET", "viewer", mapping.show),
    ("/audit", "GET", "viewer", audit.show),
)
