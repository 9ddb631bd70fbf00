"""Receiver, worker and a sandbox Invoice Ninja in this process, put together as the programs put them together."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from middleware.app import create_app as create_receiver
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, create_app
from middleware.lab.sandbox.serve import serve
from middleware.settings import Settings
from middleware.sources.signing import sign_taiga
from middleware.worker import run_worker
from tests.support.recorded import TAIGA_WEBHOOK_KEY

CLIENT_NUMBER = "acme-001"
RATE = Decimal(60)
ARQ_CLOSES_AS_OF_OLD = "ignore:Call to deprecated close:DeprecationWarning"
"""A warning filter for tests that run a worker: arq closes its connections in a way that redis-py gave up."""


@dataclass(frozen=True)
class Entry:
    """A time entry as the sandbox holds it; `hours` from its log."""

    number: str
    hours: Decimal
    rate: Decimal
    client_id: str
    ended_at: int


@dataclass
class Ninja:
    """A sandbox Invoice Ninja behind a real socket, with one client."""

    url: str
    client_id: str
    app: Any
    faults: Faults

    @property
    def entries(self) -> list[Entry]:
        """The live time entries by number."""
        rows = [row for row in self.app.state.ninja.tables["tasks"] if not row["is_deleted"]]
        return sorted((_entry(row) for row in rows), key=lambda entry: entry.number)


def _entry(row: Any) -> Entry:
    log = json.loads(row["time_log"])
    seconds = sum(span[1] - span[0] for span in log)
    return Entry(
        row["number"], Decimal(seconds) / 3600, Decimal(str(row["rate"])), row["client_id"], log[-1][1] if log else 0
    )


@asynccontextmanager
async def invoice_ninja() -> AsyncIterator[Ninja]:
    """A fresh sandbox with client `acme-001`."""
    faults = Faults()
    app = create_app(faults=faults)
    async with serve(app) as url:
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers) as client:
            answer = await client.post("/clients", json={"name": "Acme", "number": CLIENT_NUMBER})
        faults.requests.clear()
        yield Ninja(url, answer.json()["data"]["id"], app, faults)


def write_mapping(folder: Path, client_id: str, **rules: Any) -> Path:
    """A mapping file for project 1; everything that can be billed is."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": client_id, "default_hourly_rate": int(RATE)}
    general = {"billable_types": ["task", "userstory", "issue"], **rules}
    file = folder / "mappings.json"
    file.write_text(json.dumps({"project_mappings": [project], "billing_rules": general}))
    return file


def stack_settings(database_url: str, redis_url: str, ninja: Ninja, folder: Path, **changes: Any) -> Settings:
    """Settings of receiver and worker; quick sweeps, no ports."""
    fields: dict[str, Any] = {
        "taiga_webhook_secrets": TAIGA_WEBHOOK_KEY,
        "invoice_ninja_api": ninja.url,
        "invoice_ninja_token": DEFAULT_TOKEN,
        "database_url": database_url,
        "redis_url": redis_url,
        "mappings_file": write_mapping(folder, ninja.client_id),
        "worker_port": 0,
        "sweep_seconds": 0.2,
        "shutdown_seconds": 5,
        **changes,
    }
    return Settings(_env_file=None, **fields)


@asynccontextmanager
async def receiver(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The receiver in this process."""
    app = create_receiver(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://receiver") as client,
    ):
        yield client


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator["asyncio.Task[None]"]:
    """A worker in this process, stopped in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def deliver(client: httpx.AsyncClient, bodies: Iterable[bytes]) -> list[int]:
    """Post signed webhooks one after the other; returns the statuses."""
    return [(await client.post("/webhooks/taiga", content=body, headers=signed(body))).status_code for body in bodies]


def signed(body: bytes) -> dict[str, str]:
    """The header that Taiga sends."""
    return {"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(body, TAIGA_WEBHOOK_KEY)}


@dataclass
class Task:
    """One Taiga task whose webhooks are made here."""

    id: int
    hours: float | str = 2
    is_closed: bool = True
    second: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    def webhook(self, **changes: Any) -> bytes:
        """The webhook of its present state, a second after the last one."""
        self.second += 1
        for name, value in changes.items():
            setattr(self, name, value)
        finished = "2026-11-21T10:00:00Z" if self.is_closed else None
        data = {
            "id": self.id,
            "ref": self.id,
            "subject": f"Task {self.id}",
            "permalink": f"http://front/task/{self.id}",
            "project": {"id": 1, "name": "Acme Website"},
            "status": {"name": "any", "is_closed": self.is_closed},
            "finished_date": finished,
            "assigned_to": None,
            "custom_attributes_values": {"Billable": True, "Duration (Hours)": self.hours, **self.more},
        }
        date = f"2026-11-21T10:{self.second // 60:02}:{self.second % 60:02}.000Z"
        head = {"action": "change", "type": "task", "by": {"id": 7}, "date": date}
        return json.dumps({**head, "data": data, "change": {"diff": {}}}).encode()
