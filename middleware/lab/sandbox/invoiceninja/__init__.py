"""A small stateful Invoice Ninja v5 with the traps that 5.10.42 was recorded to have (docs/facts/invoice-ninja.md)."""

from middleware.lab.sandbox.invoiceninja.app import create_app
from middleware.lab.sandbox.invoiceninja.state import DEFAULT_TOKEN, Mail, NinjaState

__all__ = ["DEFAULT_TOKEN", "Mail", "NinjaState", "create_app"]
