"""A small stateful Stripe for tests and the demo: the shapes and the order of events are those of the recordings."""

from middleware.sandbox.stripe.app import create_app
from middleware.sandbox.stripe.people import StripePeople
from middleware.sandbox.stripe.state import StripeState

__all__ = ["StripePeople", "StripeState", "create_app"]
