"""The worker makes the invoices of a missed run by itself: cron tick, run, one event a client, mails."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import latest_run
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, create_app
from middleware.lab.sandbox.serve import serve
from middleware.settings import Settings
from middleware.store.billing.plans import PlanStore
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.in_process_stack import ARQ_CLOSES_AS_OF_OLD, worker
from tests.support.invoicing.invoicing_bench import ZONE, office
from tests.support.pipeline import until

pytestmark = pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)


async def test_a_missed_run(fresh_database: str, fresh_redis: str, tmp_path: Path) -> None:
    """A worker that starts after the day of the run makes up for it once; every step is an event that ended well."""
    now = datetime.now(UTC)
    async with (
        office(now) as bureau,
        serve(create_app(bureau.state, bureau.faults)) as url,
        open_pool(fresh_database, size=2) as pool,
    ):
        bureau.state.clock = lambda: datetime.now(UTC)
        acme, beta = await bureau.client("Acme"), await bureau.client("Beta")
        bureau.rules(acme, beta, auto_send=True)
        (calendar,) = calendars_of(bureau.mapping)
        await PlanStore(pool).calendar_known_since(calendar.name, now - timedelta(days=60))
        period = latest_run(calendar, now).period
        for client in (acme, beta):
            await bureau.work(client, "2", f"{period.last} 12:00")
        rules = {"timezone": ZONE, "approval": "automatic", "auto_send": True}
        mapping = {"client_rules": {acme: {}, beta: {}}, "billing_rules": rules}
        (tmp_path / "mappings.json").write_text(json.dumps(mapping))
        settings = Settings(
            database_url=fresh_database,
            redis_url=fresh_redis,
            invoice_ninja_api=f"{url}/api/v1",
            invoice_ninja_token=DEFAULT_TOKEN,
            taiga_webhook_secrets="secret",
            mappings_file=tmp_path / "mappings.json",
            worker_port=0,
        )

        async def is_done() -> bool:
            waiting = await pool.fetchval("SELECT count(*) FROM events WHERE finished_at IS NULL")
            return len(bureau.state.mails) == 2 and not waiting

        async with worker(settings):
            await until(is_done)
        invoices = await bureau.invoices()
        assert {(invoice.client_id, invoice.amount) for invoice in invoices} == {
            (acme, Decimal(160)),
            (beta, Decimal(160)),
        }
        await bureau.check_books()
        rows = await EventStore(pool).list(source="schedule")
        assert {row.status for row in rows} <= {"processed", "ignored"}
        assert sorted({row.type for row in rows}) == ["invoice.due", "invoice.send", "invoices.run"]
        assert len([row for row in rows if row.type == "invoices.run"]) == 1
