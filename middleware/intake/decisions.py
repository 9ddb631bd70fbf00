"""A person's decision about a payment, as an event of the payment's own subject: stored, retried and shown like any."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import uuid4

from handlers.event import NewEvent
from handlers.ports.billing import PaymentRecord

Decision = Literal["match", "ignore", "unmatch"]


def decision_event(
    action: Decision, record: PaymentRecord, words: Mapping[str, str], actor: str, now: datetime
) -> NewEvent:
    """The event; `words` are `invoice` (a number or id, to match) and `why`."""
    body = json.dumps({"payment": record.identity, "by": actor, **words}).encode()
    key = f"{action}:{record.identity}:{uuid4()}"
    return NewEvent("operator", f"payment.{action}", key, record.subject, now, body, {})
