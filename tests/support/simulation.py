"""One task in a Taiga in which people go on working while the bridge does, and in which requests come late.

Each request of a handler gives people, the post and late requests a chance to act before and after it; then it is
carried out, refused, carried out without an answer, put off, or its worker dies. Chance decides, repeatably by a seed.
"""

import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from handlers.errors import Doubtful, RemoteError, RetryLater, ServerError, Unreachable
from handlers.event import SCHEDULE, Event, Work
from handlers.ports.context import Context
from handlers.recheck import RECHECK
from handlers.registry import dispatch
from mappings.invoiceninja.tasks import Task
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkItem, WorkKind
from mappings.time.models import TimeEntry
from mappings.values.fields import take_time
from middleware.lab.sandbox.taiga import values as sandbox_values
from middleware.lab.sandbox.taiga.people import Team
from tests.support.fakes import NINJA, TAIGA, FakeNinja
from tests.support.fault_injection import WorkerKilledError
from tests.support.payments.payment_fakes import FakeHistory
from tests.support.webhook_story import world

HOURS, BILLABLE, STATUS = "Duration (Hours)", "Billable", "Invoice Status"
SPOILED = ("late", "unanswered", "late and killed", "killed before", "killed after", "refused with 500", "not sent")
LOOKS_AT_MOST = 30
T = TypeVar("T")


@dataclass
class Wish:
    """The task as people left it."""

    hours: int = 2
    is_billable: bool = True
    is_closed: bool = False

    @property
    def billed(self) -> int | None:
        """The hours that should be recorded; None for no entry."""
        return self.hours if self.is_billable and self.is_closed else None


class Meanwhile:
    """People, post, late requests and the processor's part. `trouble` is the share of writes that are spoiled."""

    def __init__(self, seed: int, trouble: float) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable
        self.trouble = trouble
        self.is_healed = False
        self.wish = Wish()
        self.late: list[Callable[[], Awaitable[object]]] = []
        team = Team()
        self.state, self._bridge = team.state, team.bridge
        place = team.project("Acme Website", hook="http://bridge.example/webhooks/taiga")
        self.card = place.story("Login").task("Build the form")
        self.card.set(HOURS, self.wish.hours).set(BILLABLE, self.wish.is_billable)
        self._close_or_reopen()
        self.ninja = LateNinja(self)
        self._history = FakeHistory()
        own = world(project={"taiga_project_id": place.id})
        own.ninja = self.ninja
        self.context: Context = replace(own.context, taiga=LateTaiga(self), history=self._history)
        self._post: list[dict[str, Any]] = []
        self._known: list[Event] = []
        self._tries: dict[int, int] = {}
        self._is_in_doubt = False

    async def live(self, rounds: int) -> None:
        """Let so many rounds pass, then heal everything and settle what is left, rechecks included."""
        for _ in range(rounds):
            await self.pass_by()
            if self._tries and self.chance.random() < 0.7:
                await self._try(self._due())
        while self.late:
            await self.late.pop(0)()
        self.is_healed = True
        for _ in range(LOOKS_AT_MOST):
            self._arrive(1)
            if self._tries:
                await self._try(self._due())
            elif self._is_in_doubt:
                self._is_in_doubt = False
                await self._try([self._recheck()])
            elif not self.state.outbox:
                return
        raise AssertionError("it does not come to an end")

    async def pass_by(self) -> None:
        """What happens in the world between two steps of ours; nothing any more when all is healed."""
        if self.is_healed:
            return
        while self.chance.random() < 0.3:
            self.chance.choice([self._set_hours, self._toggle_billable, self._toggle_billable, self._close_or_reopen])()
        if self.late and self.chance.random() < 0.3:
            await self.late.pop(self.chance.randrange(len(self.late)))()
        self._arrive(0.4)

    async def carried_out(self, system: str, name: str, work: Callable[[], Awaitable[T]], share: float) -> T:
        """Carry out a write of ours, or spoil this share of them in one of the ways that are known."""
        await self.pass_by()
        is_good = self.is_healed or self.chance.random() >= share
        fate = "" if is_good else self.chance.choice(SPOILED)
        if fate in ("late", "late and killed"):
            self.late.append(_whatever_it_answers(work))
        if fate in ("killed before", "late and killed"):
            raise WorkerKilledError
        if fate == "not sent":
            raise Unreachable(system, name, "no connection")
        if fate == "refused with 500":
            raise ServerError(system, name, "Server Error", status=500)
        if fate == "late":
            raise Doubtful(system, name, "the answer was lost")
        answer = await work()
        await self.pass_by()
        if fate == "killed after":
            raise WorkerKilledError
        if fate == "unanswered":
            raise Doubtful(system, name, "the answer was lost")
        return answer

    async def replace_values(self, values: AttributeValues) -> AttributeValues:
        """Taiga takes the whole dict of the bridge, whatever others wrote meanwhile."""
        stored = sandbox_values.replace(self.state, self._bridge, self.card.item, dict(values.values))
        return AttributeValues(stored.version, dict(stored.values))

    @property
    def own_user(self) -> int:
        """The id of the bridge's account."""
        return self._bridge.id

    def _set_hours(self) -> None:
        shown = self.card.values.get(HOURS)
        self.wish.hours = self.chance.choice([hours for hours in range(1, 10) if hours != shown])
        self.card.set(HOURS, self.wish.hours)

    def _toggle_billable(self) -> None:
        # People change what they see: a box that our late write ticked again is not ticked once more.
        self.wish.is_billable = not self.card.values.get(BILLABLE)
        self.card.set(BILLABLE, self.wish.is_billable)

    def _close_or_reopen(self) -> None:
        self.wish.is_closed = not self.wish.is_closed
        if self.wish.is_closed:
            self.card.close()
        else:
            self.card.reopen()

    def _arrive(self, share: float) -> None:
        """Some of the webhooks on their way are stored, in any order."""
        taken = [delivery.payload for delivery in self.state.outbox.take()]
        self._post += [payload for payload in taken if payload["type"] == "task"]
        for payload in [one for one in self._post if self.chance.random() < share]:
            self._post.remove(payload)
            self._store(json.loads(json.dumps(payload), parse_float=Decimal))

    def _store(self, payload: dict[str, Any]) -> None:
        number, moment = len(self._known) + 1, take_time(payload, "date")
        subject = f"taiga:task:{self.card.id}"
        event = Event(number, "taiga", f"task.{payload['action']}", str(number), subject, moment, moment, payload)
        self._known.append(event)
        self._history.events[subject].append(event)
        self._tries[number] = 0

    def _due(self) -> list[Event]:
        open_ = [event for event in self._known if event.id in self._tries]
        return sorted((replace(event, is_fresh=self._tries[event.id] == 0) for event in open_), key=_age)

    def _recheck(self) -> Event:
        newest = max(self._known, key=_age)
        before = newest.occurred_at - timedelta(microseconds=1)
        return replace(newest, id=0, source=SCHEDULE, type=RECHECK, occurred_at=before, payload={})

    async def _try(self, due: Sequence[Event]) -> None:
        newest = max(self._known, key=_age)
        try:
            await dispatch(Work(newest.subject, tuple(due), newest), self.context)
        except (RemoteError, RetryLater, WorkerKilledError) as error:
            # A worker that died is in doubt, too: `Claims.release_orphans`.
            self._is_in_doubt |= isinstance(error, Doubtful | ServerError | WorkerKilledError)
            for event in due:
                self._tries[event.id] = self._tries.get(event.id, 0) + 1
        else:
            for event in due:
                self._tries.pop(event.id, None)


@dataclass
class LateTaiga:
    """Implements `handlers.ports.context.TaigaWork` for the one task."""

    of: Meanwhile = field(repr=False)

    async def user_id(self) -> int:
        """The bridge."""
        return self.of.own_user

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """The task and then its values: two requests, between which people may act."""
        await self.of.pass_by()
        item = self.of.card.item
        bare = WorkItem(
            kind=kind,
            id=item_id,
            ref=item.ref,
            subject=item.subject,
            permalink="",
            project_id=item.project.id,
            project_name=item.project.name,
            is_closed=item.status.is_closed,
            changed_at=item.modified_date,
            finished_at=item.finished_date,
            assignee=None,
            attributes=None,
        )
        await self.of.pass_by()
        return replace(bare, attributes=dict(self.of.card.values))

    async def attribute_definitions(self, kind: WorkKind, _project_id: int) -> Sequence[AttributeDefinition]:
        """The attributes of the project."""
        rows = self.of.state.attributes_of(self.of.card.item.project, kind)
        return [AttributeDefinition(row.id, row.name, row.type) for row in rows]

    async def may_list(self, _kind: WorkKind, _project_id: int) -> bool:
        """Everything is shown."""
        return True

    async def attribute_values(self, kind: WorkKind, item_id: int) -> AttributeValues:
        """The present values by id."""
        await self.of.pass_by()
        stored = self.of.state.values[kind, item_id]
        return AttributeValues(stored.version, dict(stored.values))

    async def replace_attribute_values(self, kind: WorkKind, _id: int, values: AttributeValues) -> AttributeValues:
        """The whole dict."""
        work = lambda: self.of.replace_values(values)  # noqa: E731 - it may be done later
        return await self.of.carried_out(TAIGA, f"PATCH {kind}", work, self.of.trouble)


class LateNinja(FakeNinja):
    """Half as much trouble as with Taiga, so that something comes to its end now and then."""

    def __init__(self, of: Meanwhile) -> None:
        super().__init__()
        self._of = of

    async def create_task(self, entry: TimeEntry, client_id: str) -> Task:
        """POST, maybe late."""
        return await self._spoiled("POST", lambda: FakeNinja.create_task(self, entry, client_id))

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> Task:
        """PUT, maybe late."""
        return await self._spoiled("PUT", lambda: FakeNinja.update_task(self, task_id, entry, client_id))

    async def delete_task(self, task_id: str) -> None:
        """DELETE, maybe late."""
        await self._spoiled("DELETE", lambda: FakeNinja.delete_task(self, task_id))

    async def restore_task(self, task_id: str) -> None:
        """Restore, maybe late."""
        await self._spoiled("restore", lambda: FakeNinja.restore_task(self, task_id))

    async def _spoiled(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self._of.carried_out(NINJA, name, work, self._of.trouble / 2)


def _whatever_it_answers(work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
    """Work for a client that is gone: nobody reads its answer, a refusal neither."""

    async def done() -> None:
        try:
            await work()
        except RemoteError:
            return

    return done


def _age(event: Event) -> tuple[Any, int]:
    return event.occurred_at, event.id
