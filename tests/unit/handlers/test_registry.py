"""Which handler settles which events."""

import pytest

from handlers.outcome import Ignored
from handlers.registry import HANDLERS, dispatch, find_handler
from handlers.time.record import record_time
from mappings.codes import Code
from mappings.taiga.webhook import describe
from tests.support.recorded import taiga_webhooks
from tests.support.webhook_story import Feed, Story, world


@pytest.mark.parametrize("pattern", [pattern for source, pattern, _ in HANDLERS if source == "taiga"])
def test_every_pattern_of_taiga_has_a_recorded_payload(pattern: str) -> None:
    """No row of the table is about events that nobody has ever seen."""
    kind = pattern.partition(".")[0]
    assert any(describe(webhook.payload).type.startswith(f"{kind}.") for webhook in taiga_webhooks())


@pytest.mark.parametrize("event_type", ["task.change", "userstory.delete", "issue.create", "task.invented"])
def test_work_of_taiga(event_type: str) -> None:
    """Whatever happens to tasks, stories and issues goes to record_time, unknown actions too."""
    assert find_handler("taiga", event_type) is record_time


@pytest.mark.parametrize("event_type", ["epic.create", "wikipage.change", "milestone.delete", "invented.create"])
def test_nobody_bills_the_rest(event_type: str) -> None:
    """Other types have no handler."""
    assert find_handler("taiga", event_type) is None


def test_types_belong_to_their_source() -> None:
    """Another source's event of the same name is not Taiga's."""
    assert find_handler("operator", "task.change") is None


async def test_unhandled_types_end_with_a_reason() -> None:
    """What nobody handles is ignored, and says so."""
    story = Story()
    story.kind = "task"
    event = story.tell()
    object.__setattr__(event, "type", "epic.create")
    assert await Feed(world()).deliver(event) == Ignored(
        Code.TYPE_NOT_HANDLED, "nothing is billed for events of type epic.create"
    )


async def test_test_button() -> None:
    """Taiga's test button ends as a test."""
    event = Story().tell()
    object.__setattr__(event, "type", "test.test")
    assert await Feed(world()).deliver(event) == Ignored(Code.TEST_WEBHOOK, "test")
    assert callable(dispatch)
