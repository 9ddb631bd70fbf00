"""An office whose time is billed: the sandbox Invoice Ninja behind the real client, everything else in memory."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from handlers.errors import NeedsPerson, RemoteError, RetryLater
from handlers.event import Enqueued, Event, NewEvent, Work
from handlers.invoices.events import Due, due_event
from handlers.invoices.unbilled import read_work
from handlers.outcome import Outcome
from handlers.ports.context import Context, Link
from handlers.ports.invoice_world import HourMemory, Invoiced, InvoiceWorld, Planned
from handlers.registry import dispatch
from handlers.time.held import sent_as_json, stored_as_json
from mappings.config.file import MappingFile, parse_mapping
from mappings.invoiceninja.decode import read_client, read_project, read_task
from mappings.invoiceninja.models import Invoice
from mappings.invoiceninja.tasks import Task
from mappings.invoices.balance import ClosedWork, Credit, RecordedEntry, known_works
from mappings.invoices.models import CreditProposal, InvoicePlan, PlannedInvoice, TimeLink, Unresolved
from mappings.invoices.period import Period, parse_period
from mappings.invoices.plan import plan
from mappings.time.models import TimeEntry
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from middleware.store.billing.plans import read_time_link
from tests.support.fakes import FakeLinks, FakeReviews, FakeTaiga

ZONE = "Europe/Brussels"
DECEMBER = parse_period("2025-12", ZONE)


class Clock:
    """A time that tests move on."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 6, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class Killed(BaseException):
    """The process is gone: nothing of it may run on."""


@dataclass
class Steps:
    """Counts every request and every write of a run, and spoils one of them, before or after its effect."""

    spoiled: int = 0
    spoil: Callable[[], BaseException] = Killed
    when: str = "after"
    requests_only: bool = False
    taken: int = 0

    def spoil_at(self, step: int, spoil: Callable[[], BaseException], when: str, *, requests_only: bool) -> None:
        """Begin to count anew."""
        self.spoiled, self.spoil, self.when, self.requests_only, self.taken = step, spoil, when, requests_only, 0

    @asynccontextmanager
    async def step(self, *, is_request: bool = False) -> AsyncIterator[None]:
        """One step."""
        if self.requests_only and not is_request:
            yield
            return
        self.taken += 1
        is_spoiled = self.taken == self.spoiled
        if is_spoiled and self.when == "before":
            raise self.spoil()
        yield
        if is_spoiled and self.when == "after":
            raise self.spoil()


class CountedTransport(httpx.ASGITransport):
    """The way to the sandbox; each request is a step."""

    def __init__(self, app: Any, steps: Steps) -> None:
        super().__init__(app)
        self._steps = steps

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        async with self._steps.step(is_request=True):
            return await super().handle_async_request(request)


class CountedLinks(FakeLinks):
    """Links whose writes are steps, kept as JSON keeps them."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    async def save(self, link: Link) -> None:
        """Insert or replace."""
        async with self._steps.step():
            await super().save(replace(link, state=json.loads(json.dumps(dict(link.state)))))

    async def remove(self, link: Link) -> None:
        """Forget."""
        async with self._steps.step():
            await super().remove(link)


class MemoryPlans:
    """Plans in memory."""

    def __init__(self, links: FakeLinks, reviews: FakeReviews, steps: Steps) -> None:
        self._links = links
        self._reviews = reviews
        self._steps = steps
        self.plans: dict[str, InvoicePlan] = {}
        self.invoices: dict[tuple[str, str, str], tuple[PlannedInvoice, Invoice | None]] = {}
        self.unresolved_events: list[Unresolved] = []
        self.credits: list[CreditProposal] = []

    async def save(self, made: InvoicePlan) -> None:
        """Keep it."""
        self.plans[made.id] = made
        for invoice in made.invoices:
            self.invoices.setdefault((made.id, invoice.client_id, invoice.scope), (invoice, None))

    async def find(self, plan_id: str) -> InvoicePlan | None:
        """The plan."""
        return self.plans.get(plan_id)

    async def planned(self, plan_id: str, client_id: str = "") -> Sequence[Planned]:
        """Its invoices."""
        return [
            Planned(planned, invoice.id if invoice else "", invoice.number if invoice else "")
            for (of, client, _scope), (planned, invoice) in self.invoices.items()
            if of == plan_id and client_id in {"", client}
        ]

    async def made(self, plan_id: str, planned: PlannedInvoice, invoice: Invoice, _note: str) -> None:
        """What was made."""
        async with self._steps.step():
            self.invoices[plan_id, planned.client_id, planned.scope] = (planned, invoice)

    async def time_links(self, task_ids: Collection[str]) -> Mapping[str, TimeLink]:
        """What links say."""
        ids = set(task_ids)
        links = [link for link in self._links.rows.values() if link.kind == "time_entry" and link.remote_id in ids]
        return {link.remote_id: read_time_link(link.subject, link.state) for link in links}

    async def unresolved(self, subjects: Collection[str] | None = None) -> Sequence[Unresolved]:
        """As the test says."""
        return [one for one in self.unresolved_events if subjects is None or one.subject in subjects]

    async def credit_proposals(self) -> Sequence[CreditProposal]:
        """As the test says."""
        return self.credits

    async def hour_memory(self) -> HourMemory:
        """What links and reviews say, as the store reads it."""
        return memory_of(list(self._links.rows.values()), self._reviews)

    async def numbered(self, invoice_id: str, number: str) -> None:
        """In the links, as the store does."""
        for link in list(self._links.rows.values()):
            if link.remote_id == invoice_id and link.state.get("invoice_number") == "":
                await self._links.save(replace(link, state={**link.state, "invoice_number": number}))

    async def remember_invoiced(self, invoiced: Sequence[Invoiced]) -> None:
        """As links."""
        for one in invoiced:
            await self._links.save(Link(one.subject, "invoiced", one.task_number, one.invoice_id, one.state))


def memory_of(links: Iterable[Link], reviews: FakeReviews) -> HourMemory:
    """What links and reviews say of all hours."""
    entries, closed = [], []
    invoiced: dict[tuple[str, str], Decimal] = {}
    for link in links:
        state = link.state
        if link.kind == "time_entry" and "sent" not in state:
            pending = RecordedEntry(link.subject, link.number, link.remote_id, "", Decimal(0), is_pending=True)
            entries.append(pending)
        elif link.kind == "time_entry":
            spans = tuple((start, end) for start, end in state["stored"]["time_log"])
            sent = state["sent"]
            known = (link.subject, link.number, link.remote_id, sent["client_id"], Decimal(sent["hours"]), spans)
            entries.append(RecordedEntry(*known, is_removed=state.get("is_removed", False), ended_at=sent["ended_at"]))
        elif link.kind == "invoiced":
            invoiced[link.number, link.remote_id] = Decimal(state["hours"])
        elif link.kind == "closed_work":
            work = (link.subject, state["name"], state["client_id"], Decimal(state["hours"]))
            closed.append(ClosedWork(*work, is_waiting=state["why"]))
    given = {subject: _credit(details, is_open=False) for (subject, _kind), details in reviews.settled.items()}
    given |= {
        subject: _credit(details, is_open=True)
        for (subject, kind), (_summary, details) in reviews.opened.items()
        if kind == "credit_proposal"
    }
    left = {link.number for link in links if link.kind == "invoice_decision" and link.state["decision"] == "leave"}
    lost = {subject for subject, kind in reviews.opened if kind == "hours_lost"}
    return HourMemory(known_works(closed, entries, given), entries, invoiced, frozenset(left), frozenset(lost))


def _credit(details: Mapping[str, Any], *, is_open: bool) -> Credit:
    hours = Decimal(details["billed_hours"]) - Decimal(details["hours"])
    return Credit(hours, is_open=is_open, is_settled=not is_open)


@dataclass
class MemoryEvents:
    """The bridge's own events, by key, in the order in which they came."""

    steps: Steps
    waiting: dict[str, NewEvent] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Enqueued]:
        """Take new ones."""
        async with self.steps.step():
            for event in events:
                if event.key not in self.keys:
                    self.keys[event.key] = len(self.keys) + 1
                    self.waiting[event.key] = event
        return [Enqueued(self.keys[event.key], is_duplicate=False, is_due=True) for event in events]


class Office:
    """Everything that a run needs, and the means to look at what it did."""

    def __init__(self, client: InvoiceNinja, state: NinjaState, faults: Faults, clock: Clock, steps: Steps) -> None:
        self.ninja = client
        self.state = state
        self.faults = faults
        self.clock = clock
        self.steps = steps
        self.links = CountedLinks(steps)
        self.reviews = FakeReviews()
        self.plans = MemoryPlans(self.links, self.reviews, steps)
        self.events = MemoryEvents(steps)
        self.mapping = MappingFile()
        self.taiga: FakeTaiga | None = None
        self._numbers = count(1)

    @property
    def world(self) -> InvoiceWorld:
        """What handlers get for invoices."""
        return InvoiceWorld(self.ninja, self.plans, self.events)

    @property
    def context(self) -> Context:
        """What handlers get."""
        return Context(
            self.mapping, self.clock, self.ninja, self.links, self.reviews, taiga=self.taiga, invoicing=self.world
        )

    async def client(self, name: str = "Acme", **fields: Any) -> str:
        """A client of Invoice Ninja whose only contact has an e-mail address; returns its id."""
        letters = "".join(filter(str.isalnum, name.casefold()))
        body = {"name": name, "contacts": [{"email": f"{letters}@customers.test"}], **fields}
        return (await self.ninja._write(read_client, "POST", "/clients", body)).id

    async def project(self, client_id: str, name: str, **fields: Any) -> str:
        """A project of a client; returns its id."""
        body = {"name": name, "client_id": client_id, **fields}
        return (await self.ninja._write(read_project, "POST", "/projects", body)).id

    async def work(
        self, client_id: str, hours: str, end: str = "2025-12-10 12:00", rate: str = "80", **fields: Any
    ) -> Task:
        """Hours that somebody entered in Invoice Ninja, ending at this local time."""
        ended = local(end)
        log = [[ended - int(Decimal(hours) * 3600), ended, "", True]]
        body = {"client_id": client_id, "description": "Some work", "rate": Decimal(rate), "time_log": json.dumps(log)}
        return await self.ninja._write(read_task, "POST", "/tasks", body | fields)

    async def synced(
        self,
        client_id: str,
        hours: str,
        item_id: int,
        end: str = "2025-12-10 12:00",
        *,
        rate: str = "80",
        project: int = 1,
    ) -> Task:
        """Hours that `record_time` made of a Taiga task, with their link."""
        ended = local(end)
        seconds = int(Decimal(hours) * 3600)
        entry = TimeEntry(
            number=f"TAIGA-T{item_id}",
            description=f"Task #{item_id}: Some work",
            client_ref=client_id,
            project_id="",
            rate=Decimal(rate),
            raw_hours=Decimal(hours),
            hours=Decimal(hours),
            started_at=ended - seconds,
            ended_at=ended,
        )
        made = await self.ninja.create_task(entry, client_id)
        state = {
            "sent": sent_as_json(entry, client_id),
            "stored": stored_as_json(made),
            "origin": {"person": "ann", "taiga_project_id": project},
        }
        await self.links.save(Link(f"taiga:task:{item_id}", "time_entry", entry.number, made.id, state))
        found = await self.ninja.find_task(entry.number)
        assert found is not None
        return found

    def rules(self, *clients: str, **rules: Any) -> None:
        """Name the clients in mappings.json, and set general rules."""
        general = {"timezone": ZONE, "approval": "automatic", **rules}
        self.mapping = parse_mapping(
            json.dumps({"client_rules": {client: {} for client in clients}, "billing_rules": general})
        )

    async def plan(self, period: Period = DECEMBER, client_id: str = "") -> InvoicePlan:
        """What a run would do."""
        return plan(
            await read_work(self.world, period, client_id), self.mapping, only={client_id} if client_id else None
        )

    async def bill(
        self, period: Period = DECEMBER, *clients: str, is_strict: bool = False, send: bool | None = None
    ) -> list[str]:
        """Plan, store and make the invoices, again after every failure; returns how each client ended."""
        made = await self.plan(period)
        await self.plans.save(made)
        ids = clients or sorted({invoice.client_id for invoice in made.invoices})
        return [await self.settle(self.due(made, client, is_strict=is_strict, send=send)) for client in ids]

    def due(self, made: InvoicePlan, client_id: str, *, is_strict: bool = False, send: bool | None = None) -> Event:
        """The event for one client."""
        due = Due(made.id, client_id, made.period, is_strict, send)
        return as_event(due_event(due, f"test-{next(self._numbers)}", self.clock()), next(self._numbers))

    async def once(self, event: Event) -> Outcome:
        """One try."""
        return await dispatch(Work(event.subject, (event,), event), self.context)

    async def settle_together(self, events: Sequence[Event]) -> str:
        """One try for several events of a subject."""
        return (await dispatch(Work(events[0].subject, tuple(events), events[-1]), self.context)).reason

    @staticmethod
    def month(name: str) -> Period:
        """A month in the office's zone."""
        return parse_period(name, ZONE)

    async def settle(self, event: Event, tries: int = 12) -> str:
        """Try as the worker does: again after a while, until it ends or a person is needed."""
        for _try in range(tries):
            try:
                return (await self.once(event)).reason
            except NeedsPerson as error:
                return f"dead: {error}"
            except RetryLater as error:
                self.clock.wait(error.delay)
            except (RemoteError, Killed):
                self.clock.wait(2)
        raise AssertionError(f"no end after {tries} tries")

    async def invoices(self) -> list[Invoice]:
        """The invoices that are not deleted."""
        return [invoice async for invoice in self.ninja.invoices()]

    async def unbilled(self) -> list[Task]:
        """The tasks that no invoice bills."""
        return await self.ninja.unbilled_tasks()

    async def check_books(self) -> None:
        """Every invoiced task is named by exactly one line of exactly one live invoice: the one it is linked to."""
        billed: dict[str, str] = {}
        for invoice in await self.invoices():
            for task_id in invoice.task_ids:
                assert task_id not in billed, f"task {task_id} is billed twice"
                billed[task_id] = invoice.id
        links = {row.id: row["invoice_id"] for row in self.state.tables["tasks"] if row["invoice_id"]}
        assert billed == links


@asynccontextmanager
async def office(now: datetime = datetime(2026, 1, 1, 6, tzinfo=UTC)) -> AsyncIterator[Office]:
    """A fresh office on New Year's morning."""
    clock, faults = Clock(now), Faults()
    state = NinjaState(clock=clock)
    transport = CountedTransport(create_app(state, faults), steps := Steps())
    client = connect_invoice_ninja("http://ninja.sandbox", DEFAULT_TOKEN, transport)
    try:
        yield Office(client, state, faults, clock, steps)
    finally:
        await client.aclose()


def local(text: str) -> int:
    """A local time such as `2025-12-10 12:00` in unix seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp())


def as_event(event: NewEvent, event_id: int) -> Event:
    """The event as a handler is given it."""
    at = event.occurred_at
    return Event(event_id, event.source, event.type, event.key, event.subject, at, at, json.loads(event.body))
