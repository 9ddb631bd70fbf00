"""A small stateful Stripe for tests and the demo: the shapes and the order of events are those of the recordings."""

from middleware.lab.sandbox.stripe.app import create_app
from middleware.lab.sandbox.stripe.people import StripePeople
from middleware.lab.sandbox.stripe.state import StripeState

__all__ = ["StripePeople", "StripeState", "create_app"]
