"""The recorded story lines of Stripe events, and variants of single events for tests."""

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mappings.stripe import PaymentFacts, ReferenceNames, Relevant, classify, fold, invoice_reference, target

_FOLDER = Path(__file__).parents[2] / "recordings" / "stripe"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """One story line: its events in the order in which they happened, and the state of the money at its end."""

    name: str
    events: tuple[Json, ...]
    expect: Json
    invoice_id: str | None


_UNEXPLAINED = frozenset({"c2_invoice_out_of_band"})
"""Their invented end counts a payment which no event shows: such an invoice waits for a person."""


@cache
def stories() -> tuple[Story, ...]:
    """All recorded story lines."""
    index = json.loads((_FOLDER / "events" / "INDEX.json").read_text("utf-8"))
    return tuple(
        Story(
            name=story["story"],
            events=tuple(_event(entry["file"]) for entry in story["events"]),
            expect={"payments": 0, "paid": 0, "refunded": 0} if story["story"] in _UNEXPLAINED else story["expect"],
            invoice_id=story.get("invoice_ninja_invoice_id"),
        )
        for story in index
    )


def story(name: str) -> Story:
    """One story line by name."""
    return next(one for one in stories() if one.name == name)


def api_objects(name: str) -> Json:
    """What the API answers for the objects of a story."""
    answer: Json = json.loads((_FOLDER / "api_objects" / f"{name}.json").read_text("utf-8"))
    return answer


def changed(event: Json, *, created: int | None = None, type_: str | None = None, **fields: Any) -> Json:
    """A copy of an event with other fields in its object."""
    copied = copy.deepcopy(event)
    copied["data"]["object"].update(fields)
    if created is not None:
        copied["created"] = created
    if type_ is not None:
        copied["type"] = type_
    return copied


def facts_by_payment(events: Iterable[Json], *, live: bool | None = True) -> list[PaymentFacts]:
    """Group events like the pipe does: by subject, then the events of a linked Stripe invoice join its payment."""
    groups: dict[str, list[Json]] = {}
    for event in events:
        verdict = classify(event, live=live)
        if isinstance(verdict, Relevant):
            groups.setdefault(verdict.subject, []).append(event)
    for subject in [subject for subject in groups if subject.startswith("stripe:payment:")]:
        for invoice in fold(groups[subject]).stripe_invoices:
            groups[subject] += groups.pop(f"stripe:invoice:{invoice}", [])
    return [fold(group) for group in groups.values()]


def end_state(events: Iterable[Json]) -> Json:
    """What Invoice Ninja holds at the end: the money that names an invoice."""
    named = [facts for facts in facts_by_payment(events) if invoice_reference(facts, ReferenceNames())]
    targets = [one for one in map(target, named) if one.paid]
    return {
        "payments": len(targets),
        "paid": sum(one.paid for one in targets),
        "refunded": sum(one.refunded - one.lost for one in targets),
        "disputed_lost": sum(one.lost for one in targets),
    }


@cache
def _event(name: str) -> Json:
    event: Json = json.loads((_FOLDER / "events" / name).read_text("utf-8"))
    return event
