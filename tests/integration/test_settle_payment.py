"""Receiver, two workers, PostgreSQL and Redis: Stripe's stories all at once, and decisions at the command line."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from click.testing import CliRunner, Result

from middleware.commands.payments import command
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.settings import Settings
from middleware.sources.signing import sign_stripe
from middleware.store.database import open_pool
from tests.support.in_process_stack import ARQ_CLOSES_AS_OF_OLD, Ninja, invoice_ninja, receiver, stack_settings, worker
from tests.support.payments.payment_bench import amount_of, renamed
from tests.support.payments.stripe_story import Json, Story, stories, story
from tests.support.pipeline import statuses, until

pytestmark = pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
SECRET = "whsec_test"
TOLD = (
    *("a_card", "a4_duplicates", "b1_sepa_ok", "c0_invoice_acacia", "c1_invoice_new"),
    *("d1_refund", "e1_dispute_lost", "e2_dispute_won", "f_partial_capture", "g_legacy_charge_without_pi"),
)


@dataclass(frozen=True)
class Stack:
    """An empty store and a fresh Invoice Ninja."""

    settings: Settings
    pool: asyncpg.Pool
    ninja: Ninja

    async def post(self, path: str, body: Json) -> Json:
        """A request of a person's at Invoice Ninja."""
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with httpx.AsyncClient(base_url=f"{self.ninja.url}/api/v1", headers=headers) as client:
            made: Json = (await client.post(path, json=body)).json()["data"]
        return made

    async def invoice(self, amount: str, number: str) -> str:
        """A sent invoice in euros for a client of its own; returns its id."""
        client = await self.post("/clients", {"name": number, "currency_code": "EUR"})
        lines = [{"notes": "work", "quantity": 1, "cost": amount, "type_id": "1"}]
        body = {"client_id": client["id"], "number": number, "due_date": "2026-12-31", "line_items": lines}
        return str((await self.post("/invoices?mark_sent=true", body))["id"])

    async def stage(self, line: Story) -> list[Json]:
        """The invoice of a story, and its events with that invoice's id and number."""
        number = f"R-{line.name}"
        invoice = await self.invoice(amount_of(line), number)
        numbers = {event_number(event): number for event in line.events if event_number(event)}
        return renamed(line.events, {str(line.invoice_id): invoice, **numbers})


def event_number(event: Json) -> str:
    """The invoice number in the metadata of an event."""
    metadata = event["data"]["object"].get("metadata") or {}
    return str(metadata.get("invoice_number", ""))


@pytest.fixture
async def stack(fresh_database: str, fresh_redis: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything but receiver and workers."""
    async with invoice_ninja() as ninja, open_pool(fresh_database, size=2) as pool:
        secrets = {"stripe_webhook_secrets": SECRET, "stripe_mode": "live"}
        yield Stack(stack_settings(fresh_database, fresh_redis, ninja, tmp_path, **secrets), pool, ninja)


async def deliver(client: httpx.AsyncClient, events: list[Json]) -> None:
    """Post signed events, ten at a time."""

    async def one(event: Json) -> None:
        body = json.dumps(event).encode()
        headers = {"Stripe-Signature": sign_stripe(body, SECRET, int(time.time()))}
        assert (await client.post("/webhooks/stripe", content=body, headers=headers)).status_code in {200, 202}

    for start in range(0, len(events), 10):
        await asyncio.gather(*(one(event) for event in events[start : start + 10]))


async def drained(pool: asyncpg.Pool) -> bool:
    """Whether nothing waits any more."""
    return not {"received", "processing", "retrying"} & (await statuses(pool)).keys()


def books(ninja: Ninja) -> dict[str, tuple[Any, ...]]:
    """Per invoice: what was paid and refunded on it, its status and its balance."""
    state = ninja.app.state.ninja
    result = {}
    for invoice in state.tables["invoices"]:
        paid = refunded = Decimal(0)
        for payment in state.tables["payments"]:
            for part in payment["paymentables"]:
                if part.get("invoice_id") == invoice.id and payment["amount"] and not payment["is_deleted"]:
                    paid += Decimal(str(part["amount"]))
                    refunded += Decimal(str(part["refunded"]))
        result[invoice["number"]] = (paid, refunded, invoice["status_id"], Decimal(str(invoice["balance"])))
    return result


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_stories_at_once_on_two_workers(stack: Stack, seed: int) -> None:
    """Shuffled and each event twice: every invoice holds what Stripe says, and all are settled."""
    lines = [line for line in stories() if line.name in TOLD]
    events = [event for line in lines for event in await stack.stage(line)] * 2
    random.Random(seed).shuffle(events)  # noqa: S311 - a repeatable order
    async with receiver(stack.settings) as client, worker(stack.settings), worker(stack.settings):
        await deliver(client, events)
        await until(lambda: drained(stack.pool), 60)
    assert (await statuses(stack.pool)).keys() <= {"processed", "ignored"}
    held = books(stack.ninja)
    for line in lines:
        gone = line.expect.get("refunded", 0) + line.expect.get("disputed_lost", 0)
        expected = (Decimal(line.expect["paid"]) / 100, Decimal(gone) / 100, "4", Decimal(0))
        assert held[f"R-{line.name}"] == expected, line.name
    doubled = [row["number"] for row in stack.ninja.app.state.ninja.tables["payments"]]
    assert len(doubled) == len(set(doubled))
    assert await stack.pool.fetchval("SELECT count(*) FROM reviews WHERE closed_at IS NULL") == 0


async def test_equal_payments_of_one_client(stack: Stack) -> None:
    """Equal payments of a client are kept apart, none is lost and none is doubled."""
    await stack.invoice("100", "R-1")
    base = story("a4_duplicates").events[0]
    events = []
    for number in range(4):
        text = (
            json.dumps(base).replace(base["data"]["object"]["id"], f"pi_{number}").replace(base["id"], f"evt_{number}")
        )
        event = json.loads(text)
        event["data"]["object"]["metadata"] = {"invoice_number": "R-1"}
        event["data"]["object"].update(amount=1000, amount_received=1000)
        events.append(event)
    async with receiver(stack.settings) as client, worker(stack.settings):
        await deliver(client, events)
        await until(lambda: drained(stack.pool), 30)
    assert books(stack.ninja)["R-1"] == (40, 0, "3", 60)
    assert [entry for entry in stack.ninja.faults.requests if entry.status == 400] == []


class TestCommands:
    """`taiga-billing payments`."""

    @pytest.fixture(autouse=True)
    def environment(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command reads its settings from the environment."""
        for name, value in {
            "DATABASE_URL": stack.settings.database_url.get_secret_value(),
            "REDIS_URL": stack.settings.redis_url.get_secret_value(),
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            "TAIGA_WEBHOOK_SECRETS": "key",
            "INVOICE_NINJA_API": stack.settings.invoice_ninja_api,
            "INVOICE_NINJA_TOKEN": stack.settings.invoice_ninja_token.get_secret_value(),
            "LOG_LEVEL": "warning",
        }.items():
            monkeypatch.setenv(name, value)

    async def test_match_settles_what_waits(self, stack: Stack) -> None:
        """Listed with its candidate, matched, recorded; the decision is an event with who decided."""
        await stack.invoice("33", "R-1")
        events = list(story("g_foreign_no_metadata").events)
        identity = events[0]["data"]["object"]["id"]
        async with receiver(stack.settings) as client, worker(stack.settings):
            await deliver(client, events)
            await until(lambda: drained(stack.pool))
            shown = (await run("unmatched")).output
            assert shown.startswith(f"{identity}  33.00 EUR  2026-09-21")
            assert "invoice R-1 (open: 33): it is over exactly this amount" in shown
            told = json.loads((await run("unmatched", "--json")).output)
            assert told[0]["candidates"][0]["number"] == "R-1"
            asked = await run("match", identity, "R-1")
            assert (asked.exit_code, "add --yes" in asked.output) == (2, True)
            assert "afterwards the invoice is paid" in asked.output
            done = await run("match", identity, "R-1", "--why", "she called", "--yes")
            kept = await run("ignore", identity, "--why", "a mistake")
            assert (kept.exit_code, "so it cannot be ignored" in kept.output) == (1, True), kept.output
            assert await stack.pool.fetchval("SELECT count(*) FROM events WHERE type = 'payment.ignore'") == 0
        assert done.exit_code == 0
        assert "processed: 33.00 EUR recorded as payment" in done.output
        assert books(stack.ninja)["R-1"] == (33, 0, "4", 0)
        (row,) = json.loads((await run("list", "--json")).output)
        assert (row["amount"], row["refunded"], row["currency"]) == ("33.00", "0.00", "EUR")
        assert (await run("unmatched")).output == "no payment is waiting for an invoice\n"
        assert "R-1" in (await run("list")).output
        assert await stack.pool.fetchval("SELECT count(*) FROM audit WHERE action = 'payment.match'") == 1
        body = await stack.pool.fetchval("SELECT body FROM events WHERE source = 'operator'")
        assert json.loads(body)["why"] == "she called"

    async def test_bad_choice_fails_with_a_hint(self, stack: Stack) -> None:
        """An invoice that does not exist: exit code 1, and what to do."""
        events = list(story("g_foreign_no_metadata").events)
        identity = events[0]["data"]["object"]["id"]
        async with receiver(stack.settings) as client, worker(stack.settings):
            await deliver(client, events)
            await until(lambda: drained(stack.pool))
            failed = await run("match", identity, "X-9", "--yes")
            assert failed.exit_code == 1
            assert 'there is no invoice "X-9" in Invoice Ninja' in failed.output
            assert await stack.pool.fetchval("SELECT count(*) FROM events WHERE status = 'dead'") == 0
            done = await run("ignore", identity, "--why", "a test", "--json")
        assert json.loads(done.output)["status"] == "ignored"
        listed = json.loads((await run("list", "--status", "ignored", "--json")).output)
        assert [row["identity"] for row in listed] == [identity]

    async def test_a_wrong_match_is_undone(self, stack: Stack) -> None:
        """Taken off its invoice, which is owed again; then it waits for another decision."""
        await stack.invoice("33", "R-1")
        events = list(story("g_foreign_no_metadata").events)
        identity = events[0]["data"]["object"]["id"]
        async with receiver(stack.settings) as client, worker(stack.settings):
            await deliver(client, events)
            await until(lambda: drained(stack.pool))
            assert (await run("match", identity, "R-1", "--yes")).exit_code == 0
            asked = await run("unmatch", identity, "--why", "wrong")
            assert f"payment {identity} over 33 EUR is deleted in Invoice Ninja" in asked.output
            undone = await run("unmatch", identity, "--why", "wrong", "--yes")
        assert (undone.exit_code, "took it off its invoice: wrong" in undone.output) == (0, True), undone.output
        assert identity in (await run("unmatched")).output
        assert "there is no match" in (await run("unmatch", identity, "--why", "wrong", "--yes")).output

    async def test_without_a_worker_it_waits(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        """The decision is stored; what is unknown is refused. Nothing is shown first where Invoice Ninja is not set."""
        monkeypatch.setenv("INVOICE_NINJA_API", "")
        insert = "INSERT INTO payments (identity, subject, status) VALUES ('pi_1', 'stripe:payment:pi_1', 'unmatched')"
        await stack.pool.execute(insert)
        waiting = await run("ignore", "pi_1", "--why", "x", "--wait", "0")
        assert (waiting.exit_code, waiting.output) == (0, "event 1 stored; it is waiting for a worker\n")
        unknown = await run("match", "pi_2", "R-1")
        assert (unknown.exit_code, "there is no payment pi_2" in unknown.output) == (1, True)
        assert (await run("list", "--status", "paid")).output == "no payments\n"


async def run(*arguments: str) -> Result:
    """Run the command beside the servers of the test."""
    arguments_of: list[Any] = list(arguments)
    return await asyncio.to_thread(CliRunner().invoke, command, arguments_of)
