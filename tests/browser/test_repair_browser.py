"""The whole way in a real browser, over real processes: a mistake is found and repaired, and the hours arrive."""

import json
from pathlib import Path

import asyncpg
from playwright.async_api import expect

from middleware.accounts.passwords import hash_password
from middleware.lab.demo.command import add_clients, entries, until_settled
from middleware.lab.demo.stack import running_stack
from middleware.lab.demo.work import BILLABLE, HOURS
from middleware.lab.sandbox.taiga.people import Team
from middleware.store.database import migrate, open_pool
from middleware.store.operations.users import UserStore
from tests.browser.conftest import OpenSeat
from tests.support.dashboard.seed import PASSWORD
from tests.support.pipeline import until

ACME = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 75}


async def test_a_mapping_is_repaired_and_the_event_replayed(
    open_seat: OpenSeat, blank_database: str, fresh_redis: str
) -> None:
    """A project that nobody mapped: the dead event says so; with the file repaired, a replay records the hours."""
    await migrate(blank_database)
    async with (
        running_stack(blank_database, fresh_redis, {"project_mappings": []}) as stack,
        open_pool(blank_database, size=2) as pool,
        open_seat(stack.receiver_url) as seat,
    ):
        await add_clients(stack)
        assert await UserStore(pool).add("ada", "admin", hash_password(PASSWORD))
        team = Team(stack.taiga)
        place = team.project("Acme Website", hook=f"{stack.receiver_url}/webhooks/taiga")
        place.story("As a customer I can sign in").task("Form").fill({BILLABLE: True, HOURS: 2}).close()
        await team.deliver()
        await until_settled(pool)
        await seat.sign_in("ada")
        page = seat.page
        await page.get_by_role("link", name="Mapping", exact=True).click()
        await expect(page.get_by_role("heading", name="Failed events that need a repair here")).to_be_visible()
        _repair(stack.folder / "mappings.json")
        await page.reload()
        await expect(page.get_by_role("link", name="Taiga project 1")).to_be_visible()
        # The worker reads the file at its start, and again when it changed: the audit says so.
        await until(lambda: _has_loaded(pool))
        await page.goto(f"{stack.receiver_url}/events/replay?status=dead")
        await expect(page.get_by_text("create time entry TAIGA-T1: 2 h at 75.00")).to_be_visible()
        await page.get_by_role("button", name="Replay").click()
        await until_settled(pool)
        await page.goto(f"{stack.receiver_url}/time")
        await expect(page.get_by_role("row", name="Form")).to_contain_text("2.00")
        assert [entry.number for entry in await entries(stack)] == ["TAIGA-T1"]


async def _has_loaded(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) > 1 FROM audit WHERE action = 'mapping.loaded'"))


def _repair(file: Path) -> None:
    file.write_text(json.dumps({"project_mappings": [ACME]}), encoding="utf-8")
