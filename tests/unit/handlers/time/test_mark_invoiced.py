"""Writing "Invoiced" for items of which the store has no event of Taiga's."""

import pytest

from handlers.errors import NeedsPerson
from handlers.event import SCHEDULE, Event, Work
from handlers.invoices.events import TASK_INVOICED
from handlers.time.mark_invoiced import mark_invoiced
from tests.support.webhook_story import START, world


@pytest.mark.parametrize("subject", ["taiga:epic:3", "taiga:task", "taiga:task:x", "invoiceninja:task:VolejRejNm"])
async def test_what_is_no_item_of_taiga(subject: str) -> None:
    """The event is dead with its subject, and nothing is asked of Taiga."""
    made = world(reads_taiga=True)
    event = Event(1, SCHEDULE, TASK_INVOICED, "key", subject, START, START, {})
    with pytest.raises(NeedsPerson, match=f"{subject} is not a Taiga item") as refused:
        await mark_invoiced(Work(subject, (event,), event), made.context)
    assert refused.value.hint == "discard this event"
    assert made.taiga is not None
    assert made.taiga.calls == []
