"""The one visible table of the sources of webhooks: a new source is a module beside this one and a line here."""

from collections.abc import Collection, Sequence

from middleware.sources.base import Source
from middleware.sources.stripe import STRIPE
from middleware.sources.taiga import TAIGA

SOURCES: dict[str, Source] = {source.name: source for source in (TAIGA, STRIPE)}

INTERNAL: dict[str, frozenset[str]] = {
    "schedule": frozenset({"invoiceninja"}),
    "operator": frozenset({"invoiceninja", "stripe"}),
}
"""Sources of events that are not webhooks, with the systems that their events need."""


def sources_by_system(systems: Collection[str]) -> dict[str, Sequence[str]]:
    """For each of these systems the sources whose events cannot be settled without it."""
    needs = {name: source.needs for name, source in SOURCES.items()} | INTERNAL
    return {system: sorted(name for name, needed in needs.items() if system in needed) for system in systems}
