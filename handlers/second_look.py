"""A second look: after a request whose answer was lost, its subject is looked at once more, minutes later.

A server may carry out a request long after we gave it up, and so restore an older state or make what we found missing.
The event of a second look is dated just before the one it comes after, so that the newest event of its subject, and
with it the handler, stays the same: that handler converges once more.
"""

from handlers.event import Event, Work
from handlers.outcome import Ignored, Outcome
from handlers.ports.context import Context
from mappings.codes import Code

SOURCE = "schedule"
SECOND_LOOK = "second.look"
NOT_LOOKED_AT = ("invoices:",)
"""Subjects whose work writes no record: runs, which make events, and e-mails, which nothing can take back."""
LOOKED_AT_THOUGH_DEAD = ("invoice:",)
"""Subjects that are looked at even when their newest event is dead: another plan, its repair, may never come."""


def is_second_look(event: Event) -> bool:
    """Whether an event asks for a second look only."""
    return event.source == SOURCE and event.type == SECOND_LOOK


async def look_in_vain(_work: Work, _context: Context) -> Outcome:
    """The newest event of a subject is the second look itself: all the others were discarded or are gone."""
    return Ignored(Code.NOTHING_TO_RECHECK, "nothing else is known of this subject any more")
