"""The whole bridge in one process: sandbox Taiga and Invoice Ninja, a real database, a worker that tests command."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from handlers.event import NewEvent
from handlers.ports.context import Context
from handlers.reconcile.taiga_models import Report, Scope
from handlers.registry import dispatch
from mappings.config.file import MappingFile, parse_mapping
from mappings.invoiceninja.decode import read_client, read_invoice
from mappings.invoiceninja.tasks import Task
from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.http.calls import recorded_calls
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.taiga import Credentials, Taiga
from middleware.intake.ingest import Ingest
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import BRIDGE, PASSWORD, Card, Place, Team
from middleware.pipeline.attempt import Timing, end_attempt, lead_event, work_of
from middleware.pipeline.retry import Attempt, judge
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.reconcile.taiga import TaigaTools, reconcile
from middleware.sources.base import Delivery
from middleware.sources.table import SOURCES
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.billing.payments import EventHistoryStore
from middleware.store.database import open_pool
from middleware.store.events.claim_records import Claim
from middleware.store.events.events import EventStore
from tests.support.pipeline import claims

TOKEN = "sandbox-token"
EVERYTHING = Scope(rolling=0)


@dataclass
class Bridge:
    """What a test talks to."""

    url: str
    pool: asyncpg.Pool
    taiga: Taiga
    ninja: InvoiceNinja
    mapping: MappingFile
    ingest: Ingest
    context: Context
    team: Team
    place: Place
    taiga_faults: Faults
    ninja_faults: Faults
    sent: list[bytes] = field(default_factory=list)

    @property
    def events(self) -> EventStore:
        """The stored events."""
        return EventStore(self.pool)

    def work(self, subject: str = "Build", hours: object = 2, *, loose: bool = False) -> Card:
        """A billable open task, in a story unless it is to be loose."""
        card = self.place.loose_task(subject) if loose else self.place.story("Story").task(subject)
        return card.fill({"Billable": True, "Duration (Hours)": hours})

    async def reconcile(self, scope: Scope = EVERYTHING, *, dry_run: bool = False) -> Report:
        """One run of reconcile taiga."""
        return await reconcile(
            TaigaTools(self.taiga, self.mapping, self.pool, None if dry_run else self.ingest), scope, "all"
        )

    async def deliver(self) -> int:
        """Take the webhooks that Taiga sent, as the receiver would; returns how many."""
        await self.team.deliver()
        bodies = list(self.sent)
        self.sent.clear()
        for body in bodies:
            payload = json.loads(body)
            await self.ingest.enqueue([SOURCES["taiga"].read(Delivery(body, {}, datetime.now(UTC)), payload)])
        return len(bodies)

    async def lose_webhooks(self) -> int:
        """What Taiga sent does not arrive; returns how many."""
        await self.team.deliver()
        lost = len(self.sent)
        self.sent.clear()
        return lost

    async def settle(self) -> None:
        """Work like a worker until nothing is due; echoes of our own writes are delivered too."""
        async with claims(self.url) as held:
            while claimed := await held.claim(10, []):
                for claim in claimed:
                    await self._settle(claim, held)

    async def _settle(self, claim: Claim, held: Any) -> None:
        now = datetime.now(UTC)
        with recorded_calls() as calls:
            try:
                result: Any = await dispatch(work_of(claim), self.context)
            except Exception as error:  # noqa: BLE001 - judged like a worker does
                result = error
        lead = lead_event(claim)
        verdict = judge(result, Attempt(lead.attempts, lead.series_started_at, now, 0.5), timedelta(hours=72))
        done = end_attempt(claim, verdict, Timing(now, calls=calls), now)
        doubts = [done.doubt] if done.doubt else []
        await held.settle(claim.hold, done.changes, [done.attempt], [claim.subject], doubts)

    async def entries(self) -> dict[str, str]:
        """The hours of the live entries in Invoice Ninja by number."""
        rows = await self.pool.fetch("SELECT number, remote_id FROM links WHERE kind = 'time_entry' ORDER BY number")
        tasks = [await self.ninja.task(row["remote_id"]) for row in rows if row["remote_id"]]
        return {
            task.number: f"{sum(end - start for start, end in task.spans) / 3600:g}"
            for task in tasks
            if not task.is_deleted
        }

    async def invoice(self, task: Task) -> None:
        """Bill an entry on an invoice, as a person would in Invoice Ninja."""
        line = {"task_id": task.id, "type_id": "2", "quantity": 1, "cost": 1, "notes": task.description}
        body = {"client_id": task.client_id, "line_items": [line]}
        await self.ninja._write(read_invoice, "POST", "/invoices", body)
        assert (await self.ninja.task(task.id)).is_invoiced

    async def count(self, condition: str = "true") -> int:
        """How many events are stored."""
        number: int = await self.pool.fetchval(f"SELECT count(*) FROM events WHERE {condition}")  # noqa: S608 - tests
        return number

    async def put(self, event: NewEvent) -> int:
        """Store one event; returns its id."""
        (stored,) = await self.ingest.enqueue([event])
        return stored.event_id


@asynccontextmanager
async def running_bridge(database_url: str, redis_url: str, **rules: Any) -> AsyncIterator[Bridge]:
    """A bridge whose one project is billed to client acme at 75 an hour; `rules` go into its project mapping."""
    team, sent = Team(), list[bytes]()
    place = team.project("Acme Website", hook="http://bridge.sandbox/webhooks/taiga")

    async def catch(_url: str, body: bytes, _headers: dict[str, str]) -> int:
        sent.append(body)
        return 202

    team.state.sender = catch
    ninja_state, taiga_faults, ninja_faults = NinjaState(token=TOKEN), Faults(), Faults()
    async with open_pool(database_url, size=4) as pool:
        taiga = connect_taiga(
            "http://taiga.sandbox",
            Credentials(username=BRIDGE, password=PASSWORD),
            httpx.ASGITransport(create_taiga(team.state, taiga_faults)),
        )
        ninja = connect_invoice_ninja(
            "http://ninja.sandbox", TOKEN, httpx.ASGITransport(create_ninja(ninja_state, ninja_faults))
        )
        client = await ninja._write(read_client, "POST", "/clients", {"name": "Acme"})
        project = {
            "taiga_project_id": place.id,
            "invoiceninja_client_id": client.id,
            "default_hourly_rate": 75,
            **rules,
        }
        mapping = parse_mapping(json.dumps({"project_mappings": [project]}))
        context = Context(
            mapping=mapping,
            clock=lambda: datetime.now(UTC),
            ninja=ninja,
            links=LinkStore(pool),
            reviews=ReviewStore(pool),
            taiga=taiga,
            history=EventHistoryStore(pool),
        )
        wakeups = Wakeups(open_queue(redis_url))
        try:
            yield Bridge(
                database_url,
                pool,
                taiga,
                ninja,
                mapping,
                Ingest(EventStore(pool), wakeups.notify),
                context,
                team,
                place,
                taiga_faults,
                ninja_faults,
                sent,
            )
        finally:
            await wakeups.stop()
            await taiga.aclose()
            await ninja.aclose()
