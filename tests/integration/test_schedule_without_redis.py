"""The runs of the calendar begin in their time whatever Redis does: the time table needs PostgreSQL only."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mappings.config.file import parse_mapping
from mappings.invoices.calendars import calendars_of
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.settings import Settings
from middleware.store.billing.plans import PlanStore
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.in_process_stack import ARQ_CLOSES_AS_OF_OLD, worker
from tests.support.pipeline import until

pytestmark = pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)

NOWHERE = "127.0.0.1:1"


async def test_a_run_is_begun_without_redis(fresh_database: str, tmp_path: Path) -> None:
    """A worker that cannot reach Redis begins the runs that are due."""
    text = json.dumps({"client_rules": {"c1": {}}, "billing_rules": {"timezone": "UTC", "approval": "review"}})
    (tmp_path / "mappings.json").write_text(text)
    (calendar,) = calendars_of(parse_mapping(text))
    settings = Settings(
        database_url=fresh_database,
        redis_url=f"redis://{NOWHERE}/0",
        invoice_ninja_api=f"http://{NOWHERE}/api/v1",
        invoice_ninja_token=DEFAULT_TOKEN,
        taiga_webhook_secrets="secret",
        mappings_file=tmp_path / "mappings.json",
        worker_port=0,
    )
    async with open_pool(fresh_database, size=2) as pool:
        await PlanStore(pool).calendar_known_since(calendar.name, datetime.now(UTC) - timedelta(days=60))

        async def is_begun() -> bool:
            return any(row.type == "invoices.run" for row in await EventStore(pool).list(source="schedule"))

        async with worker(settings):
            await until(is_begun, seconds=30)
