"""A recheck: after a request whose answer was lost, its subject is looked at once more, minutes later.

A server may carry out a request long after we gave it up, and so restore an older state or make what we found missing.
The event of a recheck is dated just before the one it comes after, so that the newest event of its subject, and
with it the handler, stays the same: that handler converges once more.
"""

from handlers.event import SCHEDULE, Event, Work
from handlers.outcome import Ignored, Outcome
from handlers.ports.context import Context
from mappings.codes import Code

RECHECK = "second.look"
NEVER_RECHECKED = ("invoices:",)
"""Subjects whose work writes no record: runs, which make events, and e-mails, which nothing can take back."""
RECHECKED_THOUGH_DEAD = ("invoice:",)
"""Subjects that are looked at even when their newest event is dead: another plan, its repair, may never come."""


def is_recheck(event: Event) -> bool:
    """Whether an event asks for a recheck only."""
    return event.source == SCHEDULE and event.type == RECHECK


async def nothing_to_recheck(_work: Work, _context: Context) -> Outcome:
    """The newest event of a subject is the recheck itself: all the others were discarded or are gone."""
    return Ignored(Code.NOTHING_TO_RECHECK, "nothing else is left of this subject")
