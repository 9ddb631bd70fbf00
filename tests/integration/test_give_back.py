"""A person edits a task in the moment between our reading and our writing back: Taiga keeps our write, we repair it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from mappings.taiga.models import AttributeValues, WorkKind
from middleware.lab.sandbox.faults import Rule
from middleware.lab.sandbox.taiga.people import Card
from tests.support.in_process_bridge import Bridge, running_bridge

HOURS, BILLABLE, RATE, STATUS = "Duration (Hours)", "Billable", "Hourly Rate", "Invoice Status"


@pytest.fixture
async def bridge(clean_database: str, fresh_redis: str) -> AsyncIterator[Bridge]:
    """A bridge on an empty store."""
    async with running_bridge(clean_database, fresh_redis) as running:
        yield running


def just_before_our_writes(bridge: Bridge, monkeypatch: pytest.MonkeyPatch, *edits: Callable[[], object]) -> None:
    """Let a person do these, one before each of our writes, when the values to be written are read already."""
    write, waiting = bridge.taiga.replace_attribute_values, list(edits)

    async def late(kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        if waiting:
            waiting.pop(0)()
        return await write(kind, item_id, values)

    monkeypatch.setattr(bridge.taiga, "replace_attribute_values", late)


async def settled(bridge: Bridge) -> None:
    """All webhooks, ours too, are delivered and settled until nothing comes any more."""
    while await bridge.deliver():
        await bridge.settle()
        await bridge.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")
        await bridge.settle()


@pytest.mark.parametrize(
    ("attribute", "value", "entries"),
    [
        (HOURS, 5, {"TAIGA-T1": "5"}),
        (BILLABLE, False, {}),
        (RATE, 120, {"TAIGA-T1": "2"}),
    ],
)
async def test_overwritten_value_is_given_back(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, attribute: str, value: Any, entries: dict[str, str]
) -> None:
    """Whether it was changed or filled in for the first time, the person's value is there again, and is billed."""
    card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(attribute, value))
    await settled(bridge)
    assert card.values[attribute] == value
    assert await bridge.entries() == entries
    assert (card.values.get(STATUS) == "Pending Invoice") is bool(entries)
    reasons = [row["reason"] for row in await bridge.pool.fetch("SELECT reason FROM events")]
    assert any(f'"{attribute}" restored' in reason for reason in reasons)


async def test_lost_answer_to_the_write(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook of our write tells it, also when the answer to the write never came."""
    card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(HOURS, 3))
    bridge.taiga_faults.add(method="PATCH", action="cut", when="after")
    await settled(bridge)
    assert card.values[HOURS] == 3
    assert await bridge.entries() == {"TAIGA-T1": "3"}


async def test_what_was_changed_since_stays(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person noticed and typed another value: nothing is given back over it."""
    card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(HOURS, 3))
    await bridge.deliver()
    await bridge.settle()
    card.set(HOURS, 4)
    await settled(bridge)
    assert card.values[HOURS] == 4
    assert await bridge.entries() == {"TAIGA-T1": "4"}


async def test_same_value_again_on_purpose_stays(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The person first typed 4, and later what our write had put there: their last word counts."""
    card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(HOURS, 3))
    await bridge.deliver()
    await bridge.settle()
    card.set(HOURS, 4).set(HOURS, 2)
    await settled(bridge)
    assert card.values[HOURS] == 2
    assert await bridge.entries() == {"TAIGA-T1": "2"}


async def test_another_edit_while_giving_back(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes in the moment of the repair: it is noticed by the version, and looked at again."""
    card: Card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(HOURS, 3), lambda: card.set(HOURS, 7))
    await bridge.deliver()
    await bridge.settle()
    await bridge.deliver()
    await bridge.settle()
    reasons = [row["reason"] for row in await bridge.pool.fetch("SELECT reason FROM events")]
    assert any("somebody changed it while it was being restored" in reason for reason in reasons)


async def test_attribute_that_is_gone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be given back any more is left alone."""
    card = bridge.work().close()
    just_before_our_writes(bridge, monkeypatch, lambda: card.set(HOURS, 3))
    await bridge.deliver()
    await bridge.settle()
    await bridge.team.deliver()
    bridge.sent[:] = [body.replace(b'"Duration (Hours)"', b'"Hours of old"') for body in bridge.sent]
    await bridge.deliver()
    await bridge.settle()
    assert card.values[HOURS] == 2


async def test_late_write_back(bridge: Bridge) -> None:
    """Our write was given up and done anew; then it is carried out over what a person typed since, who gets it back."""
    bridge.taiga_faults.add(method="PATCH", path="custom-attributes-values", action="late", seconds=3600)
    card = bridge.work(hours=2).close()
    await settled(bridge)
    assert card.values[STATUS] == "Pending Invoice"
    card.set(HOURS, 5)
    card.set(RATE, 120)
    await settled(bridge)
    await bridge.taiga_faults.catch_up()
    assert (card.values[HOURS], card.values.get(RATE)) == (2, None)
    await settled(bridge)
    assert (card.values[HOURS], card.values[RATE], card.values[STATUS]) == (5, 120, "Pending Invoice")
    assert await bridge.entries() == {"TAIGA-T1": "5"}


async def test_late_giving_back(bridge: Bridge) -> None:
    """Even what is given back may come late, again and again: the last word of people stands in the end."""
    late = Rule(method="PATCH", path="custom-attributes-values", action="late", seconds=3600)
    bridge.taiga_faults.add(late)
    card = bridge.work(hours=2).close()
    await settled(bridge)
    card.set(HOURS, 3)
    await settled(bridge)
    bridge.taiga_faults.add(late)
    await bridge.taiga_faults.catch_up()
    await settled(bridge)
    card.set(HOURS, 4)
    await settled(bridge)
    await bridge.taiga_faults.catch_up()
    assert card.values[HOURS] == 3
    await settled(bridge)
    assert card.values[HOURS] == 4
    assert await bridge.entries() == {"TAIGA-T1": "4"}
