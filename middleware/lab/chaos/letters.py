"""Deliveries on their way, mistreated: several times, out of order, late, some with a wrong signature."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from middleware.lab.sandbox.stripe.outbox import Delivery as StripeDelivery
from middleware.lab.sandbox.taiga.outbox import Delivery as TaigaDelivery

OFTEN_TWICE, OFTEN_LATE, OFTEN_FORGED = 0.25, 0.08, 0.06
LONGEST_DISORDER, LONGEST_DELAY = 0.25, 4.0

Headers = Callable[[int], Mapping[str, str]]
"""Gives the headers at the moment (unix seconds) of sending."""


@dataclass(slots=True, eq=False)
class Letter:
    """One request that must arrive, or must be refused when it is forged. `due` in seconds of the loop's clock."""

    source: str
    body: bytes
    headers: Headers
    due: float
    is_forged: bool = False
    tries: int = 0
    content: Any = field(default=None)


def letters_of_taiga(delivery: TaigaDelivery, now: float, chance: random.Random) -> list[Letter]:
    """The requests that become of one webhook of Taiga."""
    body, headers = delivery.body, delivery.headers
    return _mistreated(Letter("taiga", body, lambda _now: headers, now, content=json.loads(body)), chance)


def letters_of_stripe(delivery: StripeDelivery, now: float, chance: random.Random) -> list[Letter]:
    """The requests that become of one event of Stripe, signed when they are sent."""
    body = delivery.body
    letter = Letter("stripe", body, lambda at: delivery.headers(body, at), now, content=json.loads(body))
    return _mistreated(letter, chance)


def _mistreated(letter: Letter, chance: random.Random) -> list[Letter]:
    letters = [_copy(letter, chance.uniform(0, LONGEST_DISORDER))]
    if chance.random() < OFTEN_LATE:
        letters[0].due += chance.uniform(0, LONGEST_DELAY)
    while chance.random() < OFTEN_TWICE:
        letters.append(_copy(letter, chance.uniform(0, LONGEST_DELAY)))
    if chance.random() < OFTEN_FORGED:
        letters.append(_forged(letter, chance.uniform(0, LONGEST_DELAY)))
    return letters


def _copy(letter: Letter, later: float) -> Letter:
    return Letter(letter.source, letter.body, letter.headers, letter.due + later, content=letter.content)


def _forged(letter: Letter, later: float) -> Letter:
    """The same signature on a body that somebody changed: nothing of it may be stored."""
    changed = {**letter.content, "forged": True}
    body = json.dumps(changed).encode()
    return Letter(letter.source, body, letter.headers, letter.due + later, is_forged=True, content=changed)
