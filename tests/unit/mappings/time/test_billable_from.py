"""The first day whose closed work is billed: earlier work gets no entry, is not read, and what is recorded is kept."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from handlers.reconcile.taiga import TaigaReconciliation
from handlers.reconcile.taiga_models import Difference, Newest, Scope, Seen
from mappings.codes import Code
from mappings.config.file import MappingFile
from mappings.taiga.models import WorkItem, WorkKind
from mappings.time.entry import is_too_early, plan_time
from mappings.time.models import NotBillable, TimeEntry
from middleware.setup.projects import Choices, date_entries

EVE = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
ITEM = WorkItem(
    kind="task",
    id=7,
    ref=3,
    subject="Build",
    permalink="http://taiga/7",
    project_id=1,
    project_name="Acme",
    is_closed=True,
    changed_at=datetime(2026, 11, 30, tzinfo=UTC),
    finished_at=EVE,
    attributes={"Billable": True, "Duration (Hours)": 2},
)


def mapping(first_day: str | None = "2026-11-21", **project: Any) -> MappingFile:
    """One project whose work is billed from this day on."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 75, **project}
    return MappingFile.model_validate({"project_mappings": [project], "billing_rules": {"billable_from": first_day}})


def plan(file: MappingFile, existing_end: int | None = None, **changes: Any) -> TimeEntry | NotBillable:
    """What is due for the item."""
    return plan_time(replace(ITEM, **changes), file.rules_for(1), existing_end=existing_end)


def test_work_closed_before_the_day_gets_no_entry() -> None:
    """The eve is too early, with the day as reason; without the key, or from the eve on, it is billed."""
    assert plan(mapping()) == NotBillable(Code.CLOSED_TOO_EARLY, "closed before 2026-11-21")
    assert isinstance(plan(mapping(None)), TimeEntry)
    assert isinstance(plan(mapping("2026-11-20")), TimeEntry)
    assert isinstance(plan(mapping(billable_from=None)), TimeEntry)


def test_the_day_is_one_of_the_time_zone() -> None:
    """Half past eleven in London is the next day in Brussels, whose work is billed."""
    assert isinstance(plan(mapping(timezone="Europe/Brussels")), TimeEntry)


def test_what_counts_is_the_last_closing() -> None:
    """Closed again later it is billed; without a date of closing the last change counts; open work is only open."""
    assert isinstance(plan(mapping(), finished_at=ITEM.changed_at), TimeEntry)
    assert isinstance(plan(mapping(), finished_at=None), TimeEntry)
    assert plan(mapping(), finished_at=None, changed_at=EVE) == NotBillable(
        Code.CLOSED_TOO_EARLY, "closed before 2026-11-21"
    )
    assert plan(mapping(), is_closed=False) == NotBillable(Code.NOT_CLOSED, "not closed")
    assert not is_too_early(replace(ITEM, is_closed=False), mapping().rules_for(1))


def test_what_is_recorded_is_kept() -> None:
    """An entry that was made before the key was written stays, and follows its task."""
    assert isinstance(plan(mapping(), existing_end=1_700_000_000), TimeEntry)


def test_nonsense_in_old_work_asks_nobody() -> None:
    """What a person typed wrongly years ago is not complained about."""
    typed = {"Billable": "perhaps", "Duration (Hours)": "some"}
    assert plan(mapping(), attributes=typed) == NotBillable(Code.CLOSED_TOO_EARLY, "closed before 2026-11-21")


class Taiga:
    """A project with one closed task; counts how often it is read whole."""

    def __init__(self) -> None:
        self.reads = 0

    async def closed_items(self, _kind: WorkKind, _project_id: int) -> AsyncIterator[WorkItem]:
        """The task without its attributes."""
        yield replace(ITEM, attributes=None)

    async def items_modified_since(self, kind: WorkKind, project_id: int, _since: datetime) -> AsyncIterator[WorkItem]:
        """The same."""
        async for item in self.closed_items(kind, project_id):
            yield item

    async def may_list(self, _kind: WorkKind, _project_id: int) -> bool:
        """Our account sees it."""
        return True

    async def with_attributes(self, item: WorkItem) -> WorkItem:
        """The task whole."""
        self.reads += 1
        return replace(item, attributes=ITEM.attributes)

    async def item(self, _kind: WorkKind, _item_id: int) -> WorkItem:
        """The task whole."""
        return await self.with_attributes(ITEM)


class Memory:
    """What was seen, in memory; `links` are subjects with a time entry."""

    def __init__(self, links: Collection[str] = ()) -> None:
        self.links = links
        self.rows: dict[str, Seen] = {}

    async def of_project(self, _project_id: int, _kind: WorkKind) -> Mapping[str, Seen]:
        """Everything."""
        return self.rows

    async def oldest_read(self, _ids: Collection[int], *, linked: bool, limit: int) -> Sequence[Seen]:
        """The closed ones."""
        found = [one for one in self.rows.values() if one.state == "closed" and (one.subject in self.links) == linked]
        return found[:limit]

    async def linked(self, _kind: WorkKind) -> Collection[str]:
        """The subjects with an entry."""
        return self.links

    async def linked_unseen(self, _kind: WorkKind) -> Collection[str]:
        """Those that no look found."""
        return [one for one in self.links if one not in self.rows]

    async def newest(self, _subjects: Collection[str]) -> Mapping[str, Newest]:
        """No webhook ever came."""
        return {}

    async def save(self, seen: Collection[Seen]) -> None:
        """Remember them."""
        self.rows |= {one.subject: one for one in seen}


class Sink:
    """Keeps what is put in."""

    async def enqueue(self, differences: Sequence[Difference]) -> None:
        """Nothing happens to it."""


async def run(taiga: Taiga, memory: Memory, file: MappingFile) -> list[str]:
    """The subjects that a nightly run puts in."""
    run = TaigaReconciliation(taiga, memory, file, lambda: datetime(2026, 12, 1, tzinfo=UTC), Sink())
    report = await run.run(Scope())
    assert report.looked_at == 1
    return [one.subject for one in report.differences]


async def test_reconciling_does_not_read_old_work() -> None:
    """Not on the first night, nor ever after; without the key it is found with the next run."""
    taiga, memory = Taiga(), Memory()
    assert await run(taiga, memory, mapping()) == []
    assert await run(taiga, memory, mapping()) == []
    assert (taiga.reads, memory.rows) == (0, {})
    assert await run(taiga, memory, mapping(None)) == ["taiga:task:7"]


async def test_the_rolling_look_passes_over_what_became_too_early() -> None:
    """Seen as closed before the key was written: it is left alone from then on, and found again without the key."""
    taiga, memory = Taiga(), Memory()
    await run(taiga, memory, mapping(None))
    before = taiga.reads
    for _ in range(3):
        assert await run(taiga, memory, mapping()) == []
    assert (taiga.reads, memory.rows["taiga:task:7"].state) == (before, "open")
    assert await run(taiga, memory, mapping(None)) == ["taiga:task:7"]


async def test_work_with_an_entry_is_read_however_old() -> None:
    """What is recorded is kept up to date, so its changes are looked for."""
    taiga = Taiga()
    assert await run(taiga, Memory(["taiga:task:7"]), mapping()) == ["taiga:task:7"]


class Answers:
    """A person with prepared answers."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.refusals: list[str] = []

    def text(self, _question: str, _variable: str, default: str = "", *, hidden: bool = False) -> str:
        """The next answer; "" keeps the default."""
        assert not hidden
        return self.answers.pop(0) or default

    def refused(self, message: str) -> None:
        """Keep the words."""
        self.refusals.append(message)


@pytest.mark.parametrize(
    ("answers", "expected"), [([""], "2026-11-21"), (["all"], None), (["soon", "2026-10-01"], "2026-10-01")]
)
def test_setup_proposes_the_present_day(answers: list[str], expected: str | None) -> None:
    """Enter takes today; "all" all work; nonsense is asked for again; nobody is asked when nothing is mapped."""
    person: Any = Answers(*answers)
    choices = Choices(entries=[{}, {}])
    date_entries(choices, person, date(2026, 11, 21))
    assert choices.entries == [{"billable_from": expected}] * 2
    assert len(person.refusals) == len(answers) - 1
    date_entries(Choices(), person, date(2026, 11, 21))
