"""A person lets the rates of now count for recorded work: `taiga-billing rates apply`.

It is an event of its own for each piece of work, dated just before the newest one of its subject, so that `record_time`
converges once more, this time without the recorded rate.
"""

from datetime import datetime, timedelta

from handlers.event import SCHEDULE, Event, NewEvent, Work, own_event
from handlers.outcome import Ignored, Outcome
from handlers.ports.context import Context
from mappings.codes import Code

APPLY_RATES = "task.apply_rates"
_JUST_BEFORE = timedelta(microseconds=1)


def asks_for_new_rates(event: Event) -> bool:
    """Whether a person asked for the rates of now."""
    return event.source == SCHEDULE and event.type == APPLY_RATES


def rates_event(subject: str, newest_at: datetime, now: datetime) -> NewEvent:
    """The event for one piece of work, whose newest event happened at `newest_at`."""
    key = f"apply-rates:{subject}:{now.isoformat()}"
    return own_event(APPLY_RATES, key, subject, newest_at - _JUST_BEFORE, {"asked_at": now.isoformat()})


async def nothing_to_reprice(_work: Work, _context: Context) -> Outcome:
    """No event of Taiga is known of this work any more: its entry stays as it is."""
    return Ignored(Code.NOTHING_TO_RECHECK, "no event of Taiga is known of this work any more")
