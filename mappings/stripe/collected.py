"""Gathers what events and API answers say about one payment and keeps, of every object, its newest state.

The result is the same for every order and every repetition of the same events: each object has one total order of its
snapshots (`snapshots.order`), and only the greatest survives.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from mappings.stripe.fields import BadStripeObject, Fields
from mappings.stripe.models import InvoicePayment, StripeInvoice
from mappings.stripe.snapshots import Order, Record, order, records_in

# An answer of the API is newer than every event.
_FRESH: Final = 10**12
# From this version on every refund sends events of its own; before, only `charge.refunded` told of most of them.
_REFUND_EVENTS_SINCE: Final = "2024-10-28"

T = TypeVar("T", bound=Record)


class Collected:
    """All objects seen, the newest state of each, and the few things that only events tell."""

    def __init__(self) -> None:
        self._kept: dict[type[Any], dict[str, tuple[Order, Record]]] = {}
        self._times: dict[tuple[str, str], set[int]] = {}
        self._past_stripe: dict[str, tuple[Order, int]] = {}
        self.livemode: set[bool] = set()
        self.only_charges_tell_refunds = False

    def add_event(self, event: Any) -> None:
        """Take one decoded event of any type; kinds of objects that say nothing about money are left alone.

        Raises:
            BadStripeObject: the event or its object cannot be read.
        """
        outer = Fields(event, _name_of(event, "event"))
        created = outer.unix("created")
        kind = outer.text("type")
        data = outer.child("data")
        shown = data.child("object") if data else None
        if shown is None:
            raise BadStripeObject(outer.where, "data.object", "is missing")
        inner = Fields(shown.data, outer.where, "data.object")
        self._note_mode(outer)
        if kind == "charge.refunded" and (outer.optional_text("api_version") or "9") < _REFUND_EVENTS_SINCE:
            self.only_charges_tell_refunds = True
        self._times.setdefault((kind, inner.text("id")), set()).add(created)
        self._keep_all(inner, created)

    def add_object(self, answer: Any) -> None:
        """Take one object as the API answered it, expanded objects within it included.

        Raises:
            BadStripeObject: it cannot be read.
        """
        fields = Fields(answer, _name_of(answer, "API object"))
        self._note_mode(fields)
        self._keep_all(fields, _FRESH)

    def all(self, kind: type[T]) -> tuple[T, ...]:
        """The newest state of all objects of one kind, in the order of their ids."""
        kept = self._kept.get(kind, {})
        return tuple(record for key in sorted(kept) if isinstance(record := kept[key][1], kind))

    def get(self, kind: type[T], key: str | None) -> T | None:
        """The newest state of one object."""
        found = self._kept.get(kind, {}).get(key or "")
        return found[1] if found and isinstance(found[1], kind) else None

    def times(self, event_type: str, object_id: str) -> set[int]:
        """When the events of this type about this object happened, in unix seconds."""
        return self._times.get((event_type, object_id), set())

    def paid_past_stripe(self, invoice: StripeInvoice) -> int | None:
        """What was paid of an invoice past Stripe; None when nothing says so or denies it.

        Payment records count, and what any snapshot said: a newer one that is silent does not take it back.
        """
        links = [link for link in self.all(InvoicePayment) if link.is_record and link.invoice == invoice.id]
        recorded = sum(link.amount for link in links if link.status == "paid")
        said = self._past_stripe.get(invoice.id)
        if said is None:
            return recorded or None
        return max(recorded, said[1])

    def _note_past_stripe(self, invoice: StripeInvoice, rank: Order) -> None:
        if invoice.out_of_band is None:
            return
        said = (rank, invoice.out_of_band)
        self._past_stripe[invoice.id] = max(said, self._past_stripe.get(invoice.id, said))

    def _note_mode(self, fields: Fields) -> None:
        live = fields.optional_flag("livemode")
        if live is not None:
            self.livemode.add(live)

    def _keep_all(self, fields: Fields, created: int) -> None:
        for record in records_in(fields):
            kept = self._kept.setdefault(type(record), {})
            rank = order(record, created)
            if isinstance(record, StripeInvoice):
                self._note_past_stripe(record, rank)
            known = kept.get(record.id)
            # The text decides between two snapshots that nothing else tells apart, so that order never matters.
            if known is None or rank > known[0] or (rank == known[0] and repr(record) > repr(known[1])):
                kept[record.id] = (rank, record)


def _name_of(value: Any, what: str) -> str:
    key = value.get("id") if isinstance(value, Mapping) else None
    return f"{what} {key}" if isinstance(key, str) else f"{what} without id"
