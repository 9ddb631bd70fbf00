"""Write-backs that Taiga carries out late: told apart from what people do, and what they took is given back."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import Doubtful, NotFound
from handlers.event import Work
from handlers.ports.context import Context
from handlers.registry import dispatch
from handlers.time.write_back import KIND, REMEMBERED, remembered, replace_values
from mappings.taiga.models import AttributeValues
from mappings.taiga.overwritten import Overwritten, as_text, last_words, overwritten
from tests.support.fakes import TAIGA, FakeTaiga, World
from tests.support.payments.payment_fakes import FakeHistory
from tests.support.webhook_story import Story, world

US, ANN = 99, 7
HOURS, RATE, STATUS = "Duration (Hours)", "Hourly Rate", "Invoice Status"
NAMES = {"1": HOURS}
SUBJECT = "taiga:task:7"


def payload(by: int, **changes: tuple[Any, Any]) -> dict[str, Any]:
    """The webhook of a change of attributes; `hours=(2, 3)`, `rate`, `status`."""
    names = {"hours": HOURS, "rate": RATE, "status": STATUS}
    entries = [{"name": names[key], "changes": {"value": list(pair)}} for key, pair in changes.items()]
    diff = {"custom_attributes": {"new": [], "changed": entries, "deleted": []}}
    return {"action": "change", "by": {"id": by}, "change": {"diff": diff}}


def written(**values: Any) -> dict[str, str]:
    """What a write of ours asked for."""
    names = {"hours": HOURS, "rate": RATE, "status": STATUS}
    return {names[key]: as_text(value) for key, value in values.items()}


def put(taiga: FakeTaiga) -> AttributeValues:
    """An item of two hours in Taiga; returns the values to write."""
    story = Story()
    story.type(hours=2)
    taiga.put(story.item)
    return AttributeValues(1, {"1": 2})


def told(of: World) -> tuple[FakeTaiga, Context]:
    """The fake Taiga and the context of a world."""
    assert of.taiga is not None
    return of.taiga, of.context


def test_numbers_are_compared_by_value() -> None:
    """4, 4.0 and 4.00 are one value; true is not 1, a text is not a number, nothing is not zero."""
    assert {as_text(4), as_text(4.0), as_text(Decimal("4.00"))} == {"4"}
    assert len({as_text(value) for value in (1, True, "1", None, 0, "")}) == 6


def test_late_write_is_told_from_a_person() -> None:
    """A change by our account without our attribute is ours when it is just what a remembered write asked for."""
    change = payload(US, hours=(5, 2), rate=(120, None))
    assert overwritten(change, US, STATUS) == []
    assert overwritten(change, US, STATUS, [written(hours=3)]) == []
    assert overwritten(change, US, STATUS, [written(hours=Decimal("2.0"))]) == [
        Overwritten(HOURS, 5, 2),
        Overwritten(RATE, 120, None),
    ]


def test_last_word_of_people() -> None:
    """Two writes of ours came late one after the other: what people had typed before the first of them counts."""
    late = [written(hours=2), written(hours=3)]
    history = [payload(ANN, hours=(2, 3)), payload(ANN, hours=(3, 5)), payload(US, hours=(5, 2))]
    assert last_words(history, US, STATUS, late) == {HOURS: Overwritten(HOURS, 5, 2)}
    assert last_words([*history, payload(US, hours=(2, 3))], US, STATUS, late) == {HOURS: Overwritten(HOURS, 5, 3)}


def test_people_speak_after_us() -> None:
    """What a person typed since stands, and so does what is back already; our own attribute is nobody's word."""
    late = [written(hours=2), written(hours=5)]
    gone = [payload(ANN, hours=(2, 5)), payload(US, hours=(5, 2))]
    assert last_words([*gone, payload(ANN, hours=(2, 2.5))], US, STATUS, late) == {}
    assert last_words([*gone, payload(US, hours=(2, 5))], US, STATUS, late) == {}
    assert last_words([payload(ANN, status=("", "Invoiced"))], US, STATUS, late) == {}


def test_nothing_was_told_before() -> None:
    """The first thing that is known of a value is that we replaced it: what it was before is given back."""
    history = [payload(US, hours=(5, 2), status=("", "Pending Invoice"))]
    assert last_words(history, US, STATUS, []) == {HOURS: Overwritten(HOURS, 5, 2)}


@given(st.lists(st.tuples(st.sampled_from([US, ANN]), st.integers(1, 4)), max_size=8))
def test_whoever_wrote_in_whatever_order(writes: list[tuple[int, int]]) -> None:
    """However late writes and people follow each other: what is to be given back is the last word of people."""
    history, value, word = [], 0, 0
    for by, new in writes:
        history.append(payload(by, hours=(value, new)))
        value, word = new, new if by == ANN else word
    lost = last_words(history, US, STATUS, [written(hours=n) for n in range(1, 5)])
    assert lost == ({} if value == word else {HOURS: Overwritten(HOURS, word, value)})


async def test_what_is_remembered() -> None:
    """A write without an answer, and one that gives back; neither an answered nor a refused one."""
    taiga, context = told(world(reads_taiga=True))
    values, item = put(taiga), Story().item
    await replace_values(taiga, item, values, NAMES, context)
    taiga.before("replace_attribute_values", NotFound(TAIGA, "PATCH", "gone", status=404))
    with pytest.raises(NotFound):
        await replace_values(taiga, item, values, NAMES, context)
    assert await remembered(SUBJECT, context) == []
    taiga.before("replace_attribute_values", Doubtful(TAIGA, "PATCH", "lost"))
    with pytest.raises(Doubtful):
        await replace_values(taiga, item, values, NAMES, context)
    await replace_values(taiga, item, values, NAMES, context, keep=True)
    assert await remembered(SUBJECT, context) == [{HOURS: "2"}] * 2


async def test_write_after_somebody_else_is_remembered() -> None:
    """Somebody wrote between our look and our write, as its version tells: its webhook may not show that it is ours."""
    of = world(reads_taiga=True)
    taiga, context = told(of)
    values, item = put(taiga), Story().item
    taiga.before("replace_attribute_values", lambda: taiga.fill_in("task", 7, HOURS, 5))
    await replace_values(taiga, item, values, NAMES, context)
    assert await remembered(SUBJECT, context) == [{HOURS: "2"}]


async def test_forgotten_after_a_day() -> None:
    """What was not carried out in a day never will be."""
    of = world(reads_taiga=True)
    taiga, context = told(of)
    await replace_values(taiga, Story().item, put(taiga), NAMES, context, keep=True)
    later = replace(context, clock=lambda: of.context.clock() + REMEMBERED)
    assert await remembered(SUBJECT, replace(context, clock=lambda: later.clock() - timedelta(seconds=1))) != []
    assert await remembered(SUBJECT, later) == []
    assert not [link for link in of.links.rows.values() if link.kind == KIND]


async def test_all_that_happened_is_asked() -> None:
    """With a write in mind, the stored events tell what is to be given back, whichever event is due."""
    of = world(reads_taiga=True)
    taiga, history = told(of)[0], FakeHistory()
    story = Story()
    story.type(billable=True, hours=2)
    story.close()
    taiga.put(story.item)
    taiga.before("replace_attribute_values", Doubtful(TAIGA, "PATCH", "lost"))
    context = replace(of.context, history=history)
    with pytest.raises(Doubtful):
        await dispatch(Work(SUBJECT, (story.events[-1],), story.events[-1]), context)
    taiga.fill_in("task", 7, HOURS, 5)
    typed = story.tell(diff=payload(ANN, hours=(2, 5))["change"]["diff"])
    taiga.fill_in("task", 7, HOURS, 2)
    late = story.tell(by=US, diff=payload(US, hours=(5, 2))["change"]["diff"])
    history.events[SUBJECT] += [*story.events]
    outcome = await dispatch(Work(SUBJECT, (replace(typed, is_fresh=False),), late), context)
    assert outcome.reason.startswith(f'"{HOURS}" restored: our write had overwritten it; ')
    assert taiga.named("task", 7)[HOURS] == 5
    assert of.ninja.hours == {"TAIGA-T7": 5}
