"""`reconcile stripe` and `invoices link` as people run them, and the worker that settles what they put in."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from handlers.ports.payment_links import LinkPlan
from middleware.alerts.conditions import balances
from middleware.cli import group
from middleware.commands.balance import group as balance
from middleware.commands.invoices import group as invoices
from middleware.commands.reconcile import group as reconcile
from middleware.commands.reconcile import stripe as reconcile_stripe
from middleware.jobs.money import money_run
from middleware.jobs.periodic import NotNowError
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripeState, create_app
from middleware.lab.sandbox.stripe.people import StripePeople
from middleware.reconcile.balance import BalanceTools, count_money
from middleware.reconcile.opening import open_stripe_and_books
from middleware.reconcile.stripe import OVERLAP, daily_scope
from middleware.settings import Settings
from middleware.store.billing.balances import BalanceStore
from middleware.store.billing.payment_links import PaymentLinkStore
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import open_pool
from middleware.store.operations.reconcile import RunStore
from middleware.worker import run_worker
from tests.support.in_process_stack import ARQ_CLOSES_AS_OF_OLD

ROOT = Path(__file__).parents[2]


@dataclass
class Shop:
    """Sandbox servers, and the settings that point to them."""

    people: StripePeople
    ninja: NinjaState
    ninja_url: str
    faults: Faults
    environment: dict[str, str]

    @property
    def account(self) -> StripeState:
        """The account at Stripe."""
        return self.people.state

    async def invoice(self, number: str, amount: str = "100") -> str:
        """A sent invoice; returns its id."""
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with httpx.AsyncClient(base_url=f"{self.ninja_url}/api/v1", headers=headers, trust_env=False) as http:
            client = (await http.post("/clients", json={"name": "Acme", "currency_code": "EUR"})).json()["data"]["id"]
            lines = [{"notes": "work", "quantity": 1, "cost": amount, "type_id": "1"}]
            body = {"client_id": client, "number": number, "date": "2026-11-01", "line_items": lines}
            return str((await http.post("/invoices?mark_sent=true", json=body)).json()["data"]["id"])

    def row(self, invoice_id: str) -> Any:
        """An invoice in Invoice Ninja."""
        return self.ninja.tables["invoices"].get(invoice_id)

    async def work(self) -> None:
        """A worker works until nothing is due."""
        settings = Settings(_env_file=None, sweep_seconds=0.1, worker_port=0)
        stop = asyncio.Event()
        running = asyncio.create_task(run_worker(settings, stop))
        async with open_pool(self.environment["DATABASE_URL"], size=1) as pool, asyncio.timeout(30):
            while await pool.fetchval("SELECT count(*) FROM events WHERE finished_at IS NULL"):  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.05)
        stop.set()
        await running


@pytest.fixture
async def shop(
    fresh_database: str, fresh_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    """A shop whose webhooks are all lost; the environment points to it."""
    account, ninja, faults = StripeState(), NinjaState(), Faults()
    account.hold = True
    (tmp_path / "mappings.json").write_text("{}")
    async with serve(create_app(account, faults)) as stripe_url, serve(create_ninja(ninja)) as ninja_url:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "STRIPE_API_KEY": "sk_test_sandbox",
            "STRIPE_API_BASE": stripe_url,
            "STRIPE_WEBHOOK_SECRETS": "whsec_test",
            "INVOICE_NINJA_API": f"{ninja_url}/api/v1",
            "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
            "SOURCES": "stripe",
            "DATABASE_URL": fresh_database,
            "REDIS_URL": fresh_redis,
            "MAPPINGS_FILE": str(tmp_path / "mappings.json"),
            "LOG_LEVEL": "error",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Shop(StripePeople(account), ninja, ninja_url, faults, environment)


async def _reconcile(*arguments: str) -> Result:
    # The command has an event loop of its own, and the sandbox needs this one.
    return await asyncio.to_thread(CliRunner().invoke, reconcile.command, ["stripe", *arguments])


async def _balance(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, balance.command, ["money", *arguments])


async def _link(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, invoices.command, ["link", *arguments])


@pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
async def test_lost_money_is_found_put_in_and_recorded(shop: Shop) -> None:
    """A dry run ends with 3; then it is put in; a worker records it; then nothing is left."""
    invoice_id = await shop.invoice("2026-1")
    intent = shop.people.pay(10000, "eur", {"invoice_number": "2026-1"})
    shop.people.pay(5000, "eur")
    dry = await _reconcile("--dry-run", "--json")
    assert dry.exit_code == 3, dry.output
    told = json.loads(dry.stdout)
    assert {one["payment"]: one["why"] for one in told["differences"]}[intent["id"]] == "it is not known here"
    real = await _reconcile("--since", "30d")
    assert (real.exit_code, "2 payments compared, 2 enqueued" in real.stdout) == (0, True), real.output
    waiting = await _reconcile("--dry-run")
    assert (waiting.exit_code, waiting.stdout.count("under way already")) == (0, 2)
    await shop.work()
    assert str(shop.row(invoice_id)["status_id"]) == "4"
    again = await _reconcile("--dry-run")
    assert (again.exit_code, "0 would be enqueued; 1 wait for a person" in again.stdout) == (0, True), again.output


@pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
async def test_a_link_is_made_paid_and_closed(shop: Shop) -> None:
    """From the command line to the paid invoice, although every webhook was lost."""
    invoice_id = await shop.invoice("2026-1")
    first = await _link("2026-1", "--json")
    assert first.exit_code == 0, first.output
    made = json.loads(first.stdout)
    assert (made["amount"], made["currency"], made["is_new"]) == ("100", "EUR", True)
    again = await _link(invoice_id)
    assert (again.exit_code, again.stdout.strip()) == (0, made["url"])
    assert made["url"] in shop.row(invoice_id)["public_notes"]
    shop.people.pay_link(made["link_id"])
    assert (await _reconcile()).exit_code == 0
    await shop.work()
    paid = await _link("2026-1")
    assert (paid.exit_code, "invoice 2026-1 is paid" in paid.output) == (1, True), paid.output


async def test_a_killed_process_leaves_one_link(shop: Shop) -> None:
    """Killed while Stripe's answer is on its way: asking again finds the link that was made."""
    await shop.invoice("2026-1")
    shop.faults.add(method="POST", path="/payment_links$", action="hang", when="after")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "middleware", "invoices", "link", "2026-1", env=shop.environment, cwd=ROOT
    )
    async with asyncio.timeout(30):
        while not len(shop.account.tables["payment_link"]):  # noqa: ASYNC110 - filled by another process
            await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    made = await _link("2026-1", "--json")
    (link,) = shop.account.tables["payment_link"]
    assert json.loads(made.stdout)["link_id"] == link["id"], made.output


async def test_wrong_use(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, a key of the other mode, an unknown invoice, Stripe away: each says what to do."""
    unknown = await _link("nonsense")
    assert (unknown.exit_code, "there is no invoice 'nonsense'" in unknown.output) == (1, True)
    monkeypatch.setenv("STRIPE_MODE", "live")
    other_mode = await _reconcile()
    assert (other_mode.exit_code, "STRIPE_API_KEY is of test mode" in other_mode.output) == (2, True)
    monkeypatch.setenv("STRIPE_MODE", "")
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    away = await _reconcile()
    assert (away.exit_code, "stripe" in away.output) == (1, True)
    monkeypatch.setenv("STRIPE_API_KEY", "")
    for answer, code in ((await _reconcile(), 2), (await _link("2026-1"), 1)):
        assert (answer.exit_code, "STRIPE_API_KEY" in answer.output) == (code, True), answer.output


async def test_exit_codes_are_those_of_taiga(shop: Shop, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that left something out never says that there is nothing; one that is repeated finds the same."""
    later = await _reconcile("--dry-run", "--since", "2999-01-01")
    assert (later.exit_code, "still to come" in later.output) == (2, True)
    shop.people.pay(10000, "eur")
    for _ in range(2):
        assert (await _reconcile("--dry-run")).exit_code == 3
    shop.faults.add(path="/v1/disputes", status=500)
    failed = await _reconcile("--dry-run")
    assert (failed.exit_code, "500" in failed.stderr) == (1, True)
    async with open_pool(fresh_database, size=1) as pool, RunStore(pool).alone("stripe"):
        busy = await _reconcile("--dry-run")
        assert (busy.exit_code, "under way: this one looked at nothing" in busy.stderr) == (1, True)
    old = shop.people.pay(3000, "eur")
    created = shop.account.find("payment_intent", old["id"])["created"]
    shop.people.refund(old["id"])
    shop.account.find("payment_intent", old["id"])["created"] = created - 30 * 24 * 3600
    monkeypatch.setattr(reconcile_stripe, "MOST_READS", 0)
    left = await _reconcile("--dry-run")
    assert (left.exit_code, "1 more, which are left to the next run" in left.stderr) == (1, True), left.output


def test_help_names_both() -> None:
    """People find the commands."""
    assert "stripe" in CliRunner().invoke(group, ["reconcile", "--help"]).output
    assert "link" in CliRunner().invoke(group, ["invoices", "--help"]).output


@pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
async def test_the_balance_of_money(shop: Shop, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no webhook told differs, with exit code 3, an alert and a sentence; recorded, everything adds up."""
    await shop.invoice("2026-1")
    intent = shop.people.pay(10000, "eur", {"invoice_number": "2026-1"})
    shop.people.pay(5000, "eur")
    moved = datetime.now(UTC) + timedelta(hours=1)
    async with open_pool(fresh_database, size=2) as pool, open_stripe_and_books(Settings(_env_file=None)) as systems:
        tools = BalanceTools(systems[1], pool, systems[0])
        await count_money(tools, moved)
        (stored,) = await BalanceStore(pool).all()
        assert (stored.kind, stored.difference) == ("money", Decimal(2))
        (alert,) = balances([stored]).conditions
        assert "EUR: received 150.00, recorded 0, difference 150.00" in alert.summary
        assert f"{intent['id']}: 100.00 EUR stayed at Stripe, and Invoice Ninja holds nothing of it" in alert.summary
        assert (await _reconcile()).exit_code == 0
        await shop.work()
        assert await money_run(tools) == "EUR: received 150.00, recorded 100, difference 0.00"
        (stored,) = await BalanceStore(pool).all()
        assert (stored.difference, balances([stored]).conditions) == (Decimal(0), ())
        shop.faults.add(path="/v1/disputes", status=500)
        with pytest.raises(NotNowError, match="500"):
            await money_run(tools)
    told = json.loads((await _balance("--json")).stdout)
    (euros,) = told["currencies"]
    assert (euros["received"], euros["recorded"], euros["unmatched"]) == ("150.00", "100", "50.00")
    monkeypatch.setenv("STRIPE_API_KEY", "")
    month = await _balance("--month", f"{datetime.now(UTC):%Y-%m}")
    assert (month.exit_code, "EUR: received 150.00" in month.stdout) == (0, True), month.output
    assert "50.00 waits for a person" in month.stdout
    assert "no money arrived" in (await _balance("--month", "2020-02")).stdout
    assert (await _balance("--month", "February")).exit_code == 2
    payments = shop.ninja.tables["payments"]
    next(iter(payments)).data["is_deleted"] = True
    differs = await _balance()
    assert (differs.exit_code, f"{intent['id']}: 100.00 EUR stayed at Stripe" in differs.stdout) == (3, True)


async def test_links_in_the_store(fresh_database: str) -> None:
    """Generations count up, marks differ, live ones are listed, and a payment's link leads to its invoice."""
    async with open_pool(fresh_database, size=2) as pool:
        store = PaymentLinkStore(pool)
        plan = LinkPlan("inv1", "2026-1", "cli", "EUR", 10000)
        first, second = await store.plan(plan), await store.plan(plan)
        assert (first.generation, second.generation, first.token == second.token) == (1, 2, False)
        assert (first.state, first.is_live) == ("planned", True)
        await store.save(replace(first, state="retired", link_id="plink_1", url="https://x/1", why="paid"))
        await store.save(replace(second, state="open", link_id="plink_2", url="https://x/2"))
        assert [one.link_id for one in await store.of_invoice("inv1")] == ["plink_1", "plink_2"]
        assert [one.link_id for one in await store.live()] == ["plink_2"]
        found = await PaymentStore(pool).our_links(["plink_1", "plink_2", "plink_3", ""])
        assert found == {"plink_1": "inv1", "plink_2": "inv1"}


async def test_the_daily_run_follows_the_last_good_one(fresh_database: str) -> None:
    """The first begins with the installation, later ones overlap, and none reaches back for ever."""
    now = datetime.now(UTC)
    async with open_pool(fresh_database, size=2) as pool:
        assert timedelta(0) <= now - (await daily_scope(pool, now)).since < timedelta(minutes=10)
        runs = RunStore(pool)
        run_id = await runs.begin("stripe", "daily")
        await runs.end(run_id, None, "")
        started = await runs.last_good_start("stripe", ["daily"])
        assert started is not None
        assert (await daily_scope(pool, now)).since == started - OVERLAP
        assert (await daily_scope(pool, now + timedelta(days=400))).since == now + timedelta(days=370)
