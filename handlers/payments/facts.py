"""What is true about one payment: all its stored events, and its objects at Stripe when we may read them.

Every event of the payment counts, not only the due ones: so order and repetition do not matter. The events of a Stripe
invoice that name no payment (API versions since 2025-03-31) are joined by the links between the two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from handlers.errors import NeedsPerson
from handlers.event import Event
from handlers.payments.account import knowing_account
from handlers.payments.stripe_objects import read_at_stripe
from handlers.ports.billing import Json, PaymentWorld
from mappings.codes import Code
from mappings.stripe import BadStripeObject, PaymentFacts, Relevant, classify, from_api

PAYMENT, INVOICE = "stripe:payment:", "stripe:invoice:"
OPERATOR = "operator"

Action = Literal["match", "ignore", "unmatch"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about a payment; `invoice` is an id or a number."""

    action: Action
    invoice: str
    who: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PaymentEvidence:
    """The facts about one payment, the newest decisions of people, and everything the facts were read from.

    `take_off`: the newest decision to unmatch it, also when a later one matched it again.
    """

    facts: PaymentFacts
    decision: Decision | None
    sources: tuple[Json, ...]
    take_off: Decision | None = None


async def gather(subject: str, world: PaymentWorld) -> PaymentEvidence | None:
    """Everything known about the payment (or Stripe invoice) of a subject; None when nothing of it is for us.

    Raises:
        NeedsPerson: an event or object cannot be read.
        RemoteError: Stripe failed.
    """
    own = await world.history.of_subjects([subject])
    linked = await world.memory.invoices_of(subject)
    events = [*own, *(await world.history.of_subjects(linked) if linked else ())]
    world = await knowing_account(world, (event.payload for event in events if event.source != OPERATOR))
    objects: tuple[Json, ...] = ()
    if world.stripe is not None:
        objects = await read_at_stripe(world.stripe, subject, _payloads(events, world))
    _demand_all(subject, events, objects)
    facts = _facts(objects, events, world)
    if facts is None:
        return None
    later = await _link(subject, facts, linked, world)
    if later:
        events += await world.history.of_subjects(later)
        facts = _facts(objects, events, world) or facts
    sources = (*objects, *_payloads(events, world))
    return PaymentEvidence(facts, newest_decision(own), sources, take_off=newest_decision(own, among=("unmatch",)))


def _demand_all(subject: str, events: Iterable[Event], objects: Sequence[Json]) -> None:
    """Without Stripe's own answer every event counts: one refund that is missing would look like money coming back.

    Raises:
        NeedsPerson: some were removed after their time.
    """
    if not objects and any(not event.payload for event in events if event.source != OPERATOR):
        raise NeedsPerson(
            Code.PAYMENT_HISTORY_REMOVED,
            f"{subject}: older events of this payment were removed (RETENTION_DAYS), and Stripe cannot be asked",
            "set STRIPE_API_KEY and replay this event, or correct the payment in Invoice Ninja by hand",
        )


async def _link(subject: str, facts: PaymentFacts, known: Iterable[str], world: PaymentWorld) -> list[str]:
    """Remember which Stripe invoices this payment pays; returns those that are new.

    The link is stored before their events are read, and their events are stored before their handler asks for links:
    whichever of the two comes later sees the other.
    """
    named = [f"{INVOICE}{invoice}" for invoice in facts.stripe_invoices]
    later = [other for other in named if other != subject and other not in known]
    for other in later:
        await world.memory.link(other, subject)
    return later


def _facts(objects: Sequence[Json], events: Iterable[Event], world: PaymentWorld) -> PaymentFacts | None:
    payloads = _payloads(events, world)
    if not payloads and not objects:
        return None
    try:
        return from_api(None, others=objects, events=payloads)
    except BadStripeObject as error:
        raise NeedsPerson(
            Code.PAYMENT_NOT_READABLE,
            f"Stripe's event cannot be read: {error}",
            "look at the payment in Stripe's dashboard, enter it in Invoice Ninja by hand with its id (pi_ or ch_) as "
            "transaction reference, and discard the event that cannot be read",
        ) from error


def _payloads(events: Iterable[Event], world: PaymentWorld) -> list[Json]:
    payloads = (event.payload for event in events if event.source != OPERATOR and event.payload)
    return [payload for payload in payloads if _counts(payload, world)]


def _counts(payload: Json, world: PaymentWorld) -> bool:
    """Whether an event is about our money; what cannot be read counts, so that a person sees it."""
    try:
        return isinstance(classify(payload, live=world.live, account=world.account), Relevant)
    except BadStripeObject:
        return True


def newest_decision(events: Iterable[Event], among: Sequence[Action] = get_args(Action)) -> Decision | None:
    """The newest decision of a person among the events of a payment."""
    actions = {f"payment.{action}": action for action in among}
    made = [event for event in events if event.source == OPERATOR and event.type in actions]
    if not made:
        return None
    last = max(made, key=lambda event: (event.occurred_at, event.id))
    return Decision(
        action=actions[last.type],
        invoice=_text(last.payload, "invoice"),
        who=_text(last.payload, "by") or "a person",
        why=_text(last.payload, "why"),
        at=last.occurred_at,
    )


def _text(payload: Json, name: str) -> str:
    value: Any = payload.get(name)
    return value.strip() if isinstance(value, str) else ""
