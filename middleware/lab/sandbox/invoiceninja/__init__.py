"""A small stateful Invoice Ninja v5, faithful to the recordings of 5.10.42 and their traps (facts/invoice-ninja.md)."""

from middleware.lab.sandbox.invoiceninja.app import create_app
from middleware.lab.sandbox.invoiceninja.state import DEFAULT_TOKEN, Mail, NinjaState

__all__ = ["DEFAULT_TOKEN", "Mail", "NinjaState", "create_app"]
