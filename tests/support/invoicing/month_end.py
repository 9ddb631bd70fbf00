"""The end of a month at an office where requests fail, come late and kill workers, and people act between any two.

The part of the processor is played here: which events are due, one worker at a time for a subject, two workers at
once, rechecks. Chance decides everything, repeatably by a seed.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from handlers.errors import NeedsPerson, Rejected, RemoteError, RetryLater
from handlers.event import SCHEDULE, Event, Work
from handlers.invoices.events import run_event
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld
from handlers.recheck import NEVER_RECHECKED, RECHECK, RECHECKED_THOUGH_DEAD
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from mappings.invoices.calendars import calendars_of
from mappings.invoices.models import Unresolved
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.lab.sandbox.faults import Faults, Rule
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from tests.support.fault_injection import Trouble, WorkerKilledError
from tests.support.invoicing.invoicing_bench import DECEMBER, ZONE, Clock, Office, Steps, as_event
from tests.support.invoicing.month_end_people import RATE, People

ROUNDS, MOST_ROUNDS = 14, 150
BEGIN = datetime(2026, 1, 5, 6, tzinfo=UTC)
READING, MAKING, MOST = 0.25, 8, 0.7
"""How much more or less than others such requests fail, and the largest share of those that do."""
ACTING, CATCHING_UP = 0.05, 0.02
_unsettled: ContextVar[list[str]] = ContextVar("unsettled")
"""The requests of the present try that may have been carried out unseen."""


class CrowdedServer(Trouble):
    """Lets people act before and after each request, and another worker go on; notes what may be carried out late."""

    def __init__(self, of: "Month", share: float) -> None:
        super().__init__(lambda faults: create_app(of.state, faults), of.chance, share)
        self._of = of

    def share_of(self, method: str, target: str) -> float:
        """Reading fails less often than writing, and making an invoice most often."""
        weight = {"GET": READING, "POST": MAKING if target.endswith("/invoices") else 1}.get(method, 1)
        return min(MOST, weight * self.share)

    def choose(self, method: str, target: str) -> Rule | None:
        """Spoiled requests that change something are noted."""
        rule = super().choose(method, target)
        if rule is not None and method != "GET":
            _unsettled.get().append(target)
        return rule

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request of a worker; in the moment in which an invoice is made, people act most."""
        is_made = request.method == "POST" and request.url.path.endswith("/invoices")
        await self._of.pass_by(MAKING if is_made else 1)
        answer = await super().handle_async_request(request)
        await self._of.pass_by()
        return answer


class DeadlySteps(Steps):
    """The worker may die before or after each write into the store."""

    def __init__(self, of: "Month", share: float) -> None:
        super().__init__()
        self._of, self._share = of, share / 12

    @asynccontextmanager
    async def step(self, *, is_request: bool = False) -> AsyncIterator[None]:
        """One write, or one request, of which others take care."""
        assert not is_request
        fate = 1.0 if self._of.is_healed else self._of.chance.random()
        if fate < self._share / 2:
            raise WorkerKilledError
        yield
        if fate < self._share:
            raise WorkerKilledError


class Month:
    """An office, its people, its events and two workers. `share` is the part of all requests that are spoiled."""

    def __init__(self, seed: int, share: float) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable
        self.clock = Clock(BEGIN)
        self.state = NinjaState(clock=self.clock)
        self.is_healed = False
        self.people = People(self.chance, self.clock, self.state, self.is_at_rest)
        self.server = CrowdedServer(self, share)
        self.ninja: InvoiceNinja = connect_invoice_ninja("http://ninja.test", DEFAULT_TOKEN, self.server)
        healthy = httpx.ASGITransport(create_app(self.state, Faults()))
        client = connect_invoice_ninja("http://ninja.test", DEFAULT_TOKEN, healthy)
        self.office = Office(client, self.state, Faults(), self.clock, DeadlySteps(self, share))
        self.office.taiga = self.people.taiga
        self.events: defaultdict[str, list[Event]] = defaultdict(list)
        self.doubtful: set[str] = set()
        self.told: list[str] = []
        """What workers said about their tries, for whoever looks for the cause of a failure."""
        self._tries: dict[int, int] = {}
        self._dead: set[int] = set()
        self._count = 0

    @property
    def context(self) -> Context:
        """What handlers get."""
        world = InvoiceWorld(self.ninja, self.office.plans, self.office.events)
        return replace(self.office.context, ninja=self.ninja, invoicing=world)

    async def begin(self, **rules: Any) -> None:
        """A client, two closed tasks of Taiga, and hours that somebody entered."""
        people = self.people
        people.client_id = client_id = await self.office.client()
        project = {"taiga_project_id": 1, "invoiceninja_client_id": client_id, "default_hourly_rate": RATE}
        general = {"timezone": ZONE, "approval": "automatic", **rules}
        self.office.mapping = parse_mapping(json.dumps({"project_mappings": [project], "billing_rules": general}))
        for act in (people.open_item, people.open_item, people.enter):
            act()

    async def live(self) -> None:
        """The month ends while everything fails; then all is healed, and looked at once more."""
        run_at = self.chance.randrange(ROUNDS // 2)
        for round_ in range(ROUNDS):
            self.clock.wait(1)
            if round_ == run_at or self.chance.random() < 0.15:
                await self._run()
            await self.pass_by()
            await self._work()
            if self.doubtful and self.chance.random() < 0.1:
                await self._look_again(self.chance.choice(sorted(self.doubtful)))
            if self.chance.random() < 0.05:
                await self._sleep_over()
        await self.server.catch_up()
        self.is_healed = True
        self.server.heal()
        await self.settle()

    async def settle(self) -> None:
        """All that is due is done, and what is in doubt is looked at once more."""
        for _ in range(MOST_ROUNDS):
            self._take_post()
            if self._tries:
                await self._work()
            elif self.doubtful:
                await self._look_again(min(self.doubtful))
            else:
                return
        raise AssertionError("it does not come to an end: " + "\n".join(self.told))

    async def run_by_clock(self) -> None:
        """One more run, in which nothing fails."""
        self._store_run()
        await self.settle()

    async def pass_by(self, weight: int = 1) -> None:
        """What happens between two steps of a worker; nothing any more when all is healed."""
        for _ in range(self.chance.randrange(3)):
            await asyncio.sleep(0)
        if self.is_healed:
            return
        if self.chance.random() < weight * ACTING:
            self.chance.choice(self.people.acts)()
        if self.server.late and self.chance.random() < CATCHING_UP:
            await self.server.catch_up()
        self._take_post()

    def is_at_rest(self, subject: str) -> bool:
        """Whether nothing is being recorded of it, and no late request of it is to be expected."""
        return subject not in self.doubtful and all(event.id not in self._tries for event in self.events[subject])

    async def _run(self) -> None:
        """The clock begins a run, or a person applies a plan."""
        if self.chance.random() < 0.7:
            self._store_run()
            return
        made = await self.office.plan()
        await self.office.plans.save(made)
        for invoice in made.invoices:
            self._store(self.office.due(made, invoice.client_id, is_strict=True))

    async def _sleep_over(self) -> None:
        """A night passes, in which the server does what it was asked for."""
        await self.server.catch_up()
        self.clock.wait(timedelta(hours=self.chance.choice([1, 23, 25])).total_seconds())

    def _store_run(self) -> None:
        (calendar,) = calendars_of(self.office.mapping)
        event = run_event(calendar.name, DECEMBER, self.clock())
        self._store(as_event(replace(event, key=f"{event.key}:{self._count}"), 0))

    def _store(self, event: Event) -> None:
        self._count += 1
        self.events[event.subject].append(replace(event, id=self._count))
        self._tries[self._count] = 0

    def _take_post(self) -> None:
        waiting = self.office.events.waiting
        while waiting:
            self._store(as_event(waiting.pop(next(iter(waiting))), 0))
        while self.people.post:
            self._store(self.people.post.pop(0))
        self.office.plans.unresolved_events = [
            Unresolved(event.id, subject, "received", "", "", "", 1, is_in_hand=not self._tries[event.id])
            for subject, events in self.events.items()
            for event in events
            if event.id in self._tries and event.source == "taiga"
        ]

    async def _work(self) -> None:
        """Two workers take a subject each."""
        due = sorted({event.subject for events in self.events.values() for event in events if event.id in self._tries})
        await asyncio.gather(*(self._try(name) for name in self.chance.sample(due, min(2, len(due)))))

    async def _look_again(self, subject: str) -> None:
        self.doubtful.discard(subject)
        newest = _newest(self.events[subject])
        is_in_vain = newest.id in self._dead and not subject.startswith(RECHECKED_THOUGH_DEAD)
        if is_in_vain or subject.startswith(NEVER_RECHECKED):
            return
        # What is carried out at all is carried out by then.
        await self.server.catch_up()
        self.clock.wait(300)
        before = newest.occurred_at - timedelta(microseconds=1)
        self._store(replace(newest, source=SCHEDULE, type=RECHECK, occurred_at=before, payload={}))

    async def _try(self, subject: str) -> None:
        known = self.events[subject]
        due = [event for event in known if event.id in self._tries]
        fresh = tuple(replace(event, is_fresh=self._tries[event.id] == 0) for event in due)
        requests: list[str] = []
        _unsettled.set(requests)
        end = "done"
        try:
            end = (await dispatch(Work(subject, fresh, _newest(known)), self.context)).reason
        except RetryLater as later:
            end = f"later: {later}"
            self.clock.wait(later.delay)
            due = []
        except (NeedsPerson, Rejected) as error:
            end = f"dead: {error}"
            self._dead |= {event.id for event in due}
        except (RemoteError, WorkerKilledError) as error:
            end = f"again: {error!r}"
            if isinstance(error, WorkerKilledError):
                requests.append("killed")
            self.clock.wait(2)
            due = []
        self.told.append(f"{self.clock():%d %H:%M:%S} {subject} {[event.id for event in fresh]} {end} {requests}")
        if requests:
            self.doubtful.add(subject)
        for event in fresh:
            self._tries[event.id] += 1
        for event in due:
            del self._tries[event.id]


def _newest(events: list[Event]) -> Event:
    return max(events, key=lambda event: (event.occurred_at, event.id))


@asynccontextmanager
async def month(seed: int, share: float, **rules: Any) -> AsyncIterator[Month]:
    """A month's end that chance decides by this seed."""
    made = Month(seed, share)
    try:
        await made.begin(**rules)
        yield made
    finally:
        await made.ninja.aclose()
        await made.office.ninja.aclose()
