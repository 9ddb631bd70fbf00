"""`taiga-billing invoices` as people run it: a process of its own, real servers, a sandbox Invoice Ninja."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from handlers.ports.context import Link
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, create_app, ledger
from middleware.lab.sandbox.invoiceninja.invoice_actions import cancel
from middleware.lab.sandbox.serve import serve
from middleware.store.billing.links import LinkStore
from middleware.store.database import open_pool
from middleware.store.operations.workers import WorkerStore
from tests.support.invoicing.invoicing_bench import ZONE, Office, office
from tests.support.pipeline import until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Shell:
    """A shell in a folder with mappings.json, beside an office."""

    office: Office
    environment: dict[str, str]
    folder: Path

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run `taiga-billing` with these arguments: exit code, output, messages."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Begin to run it."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "middleware",
            *arguments,
            env=self.environment,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture
async def shell(fresh_database: str, fresh_redis: str, tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell whose program reaches the office's Invoice Ninja over HTTP."""
    async with office() as bureau, serve(create_app(bureau.state, bureau.faults)) as url:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": fresh_database,
            "REDIS_URL": fresh_redis,
            "TAIGA_WEBHOOK_SECRETS": "secret",
            "INVOICE_NINJA_API": f"{url}/api/v1",
            "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
        }
        yield Shell(bureau, environment, tmp_path)


def _write_mapping(shell: Shell, *clients: str) -> None:
    mapping = {"client_rules": {client: {} for client in clients}, "billing_rules": {"timezone": ZONE}}
    (shell.folder / "mappings.json").write_text(json.dumps(mapping))


async def test_plan_review_apply(shell: Shell) -> None:
    """A plan is shown and stored; changed work makes it refused; the new plan is applied once, with exit codes."""
    acme, globex = await shell.office.client("Acme"), await shell.office.client("Globex")
    _write_mapping(shell, acme, globex)
    await shell.office.work(acme, "1.5")
    await shell.office.work(globex, "2")
    await shell.office.work(globex, "3", end="2026-01-05 12:00")
    code, out, err = await shell.run("invoices", "plan", "--month", "2025-12", "--json")
    assert (code, err) == (0, "")
    first = json.loads(out)
    assert (first["hours"], first["totals"]) == ("3.5", {"USD": "280.00"})
    code, out, _ = await shell.run("invoices", "plan", "--plan", first["id"])
    assert code == 0
    assert "280.00 USD" in out
    await shell.office.work(acme, "0.5")
    code, _, err = await shell.run("invoices", "generate", "--plan", first["id"], "--yes")
    assert code == 3
    assert "came in" in err
    assert not await shell.office.invoices()
    code, out, err = await shell.run("invoices", "generate", "--month", "2025-12", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "2 clients done, 0 not done"), (out, err)
    invoices = await shell.office.invoices()
    assert sum(invoice.amount for invoice in invoices) == Decimal(320)
    await shell.office.check_books()
    code, out, _ = await shell.run("invoices", "generate", "--month", "2025-12", "--yes")
    assert (code, out.startswith("nothing to bill for 2025-12")) == (0, True)


async def test_one_client_fails_and_the_others_are_done(shell: Shell) -> None:
    """A client whose invoice is refused is named, the exit code is 1, and the other client has its invoice."""
    acme, globex = await shell.office.client("Acme"), await shell.office.client("Globex")
    _write_mapping(shell, acme, globex)
    await shell.office.work(acme, "1")
    await shell.office.work(globex, "2")
    shell.office.faults.add(
        method="POST", path="/invoices$", status=422, body={"message": "no", "errors": {"date": ["no"]}}
    )
    code, out, _ = await shell.run("invoices", "generate", "--month", "2025-12", "--yes", "--send")
    assert (code, out.splitlines()[-1]) == (1, "1 client done, 1 not done")
    assert "NOT DONE (dead" in out
    (invoice,) = await shell.office.invoices()
    assert (invoice.status_id, len(shell.office.state.mails)) == ("2", 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan",), "name the period"),
        (("plan", "--month", "2025-13"), "is not a period"),
        (("plan", "--month", "2025-12", "--client", "nobody"), "no single client"),
        (("generate", "--plan", "p-unknown"), "there is no plan"),
        (("plan", "--month", "2025-12", "--plan", "p-1"), "give one of"),
    ],
)
async def test_wrong_use(shell: Shell, arguments: tuple[str, ...], told: str) -> None:
    """What cannot be understood ends with code 2 and says what to write."""
    _write_mapping(shell)
    code, _, err = await shell.run("invoices", *arguments)
    assert (code, told in err) == (2, True), err


async def test_a_period_that_has_not_begun(shell: Shell) -> None:
    """It can be looked at, with a mark, and nothing of it can be made."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.work(acme, "1")
    code, out, _ = await shell.run("invoices", "plan", "--month", "2199-01")
    assert (code, "2199-01 has not ended" in out) == (0, True), out
    code, _, err = await shell.run("invoices", "generate", "--month", "2199-01", "--yes")
    assert (code, "2199-01 has not begun" in err) == (2, True), err
    assert await shell.office.invoices() == []


async def test_a_part_of_a_plan(shell: Shell) -> None:
    """One client of a plan is billed, then the rest, which names what is made; differences are JSON when asked."""
    acme, globex = await shell.office.client("Acme"), await shell.office.client("Globex")
    _write_mapping(shell, acme, globex)
    await shell.office.work(acme, "1")
    await shell.office.work(globex, "2")
    code, out, _ = await shell.run("invoices", "generate", "--month", "2025-12", "--dry-run", "--json")
    plan = json.loads(out)["id"]
    assert code == 3
    code, out, err = await shell.run("invoices", "generate", "--plan", plan, "--client", globex, "--yes", "--send")
    assert (code, out.splitlines()[1:]) == (
        0,
        ["Globex: invoice 0001: 160.00 USD for 2 h", "e-mail: invoice 0001 sent", "1 client done, 0 not done"],
    ), err
    code, out, err = await shell.run("invoices", "generate", "--plan", plan, "--yes")
    assert (code, out.splitlines()) == (
        0,
        [
            f"made already of plan {plan}: invoice 0001",
            f"plan {plan} for 2025-12: 1 invoice, 1 h, 80.00 USD",
            "Acme: invoice 0002: 80.00 USD for 1 h",
            "1 client done, 0 not done",
        ],
    ), err
    await shell.office.ninja.delete_invoice((await shell.office.invoices())[0].id)
    await shell.office.work(globex, "1")
    code, out, _ = await shell.run("invoices", "generate", "--plan", plan, "--yes", "--json")
    assert (code, json.loads(out)["clients"]) == (0, [])
    code, out, _ = await shell.run("invoices", "plan", "--month", "2025-12", "--json")
    other = json.loads(out)["id"]
    await shell.office.work(globex, "1")
    code, out, _ = await shell.run("invoices", "generate", "--plan", other, "--yes", "--json")
    assert (code, json.loads(out)["differences"][0]) == (3, "Globex: 240.00 USD for 3 h then, 320.00 USD for 4 h now")


async def test_a_lost_answer_is_waited_for_aloud(shell: Shell) -> None:
    """A command that is stopped while Invoice Ninja says nothing tells who goes on; the next one ends the work."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.work(acme, "1")
    shell.office.faults.add(method="POST", path="/invoices$", action="hang")
    shell.environment["SHUTDOWN_SECONDS"] = "0.1"
    process = await shell.start("invoices", "generate", "--month", "2025-12", "--yes")

    async def is_asked() -> bool:
        return bool(shell.office.faults.hanging)

    await until(is_asked)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert "stopped; the rest continues when a worker runs" in err.decode()


async def test_workers_that_are_slow_are_not_waited_for(shell: Shell, fresh_database: str) -> None:
    """Beside a worker the command makes nothing itself; after `--wait` seconds it says who goes on."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.work(acme, "1")
    assert (await shell.run("migrate"))[0] == 0
    async with open_pool(fresh_database, size=1) as pool:
        await WorkerStore(pool).beat("elsewhere", "1")
    code, out, err = await shell.run("invoices", "generate", "--month", "2025-12", "--yes", "--wait", "0.5")
    assert (code, out.splitlines()[-1]) == (1, "0 clients done, 1 not done")
    assert "NOT DONE (received" in out
    assert "stopped after 0.5 s: the workers continue with the rest" in err
    assert await shell.office.invoices() == []


async def test_what_is_tried_again_later_is_not_waited_for(shell: Shell) -> None:
    """Invoice Ninja asks for an hour: the command ends at once with the reason, long before its time is up."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.work(acme, "1")
    shell.office.faults.add(method="POST", path="/invoices$", status=429, retry_after=3600)
    code, out, err = await shell.run("invoices", "generate", "--month", "2025-12", "--yes", "--wait", "3000")
    assert (code, "NOT DONE (retrying" in out) == (1, True), out
    assert "no worker is running: start one" in err


async def test_a_cancelled_invoice(shell: Shell) -> None:
    """Its hours are freed or left by a command; what cannot be decided is exit code 1, and each decision is audited."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.work(acme, "2")
    code, _, err = await shell.run("invoices", "generate", "--month", "2025-12", "--yes")
    assert (code, err) == (0, err)
    code, out, _ = await shell.run("invoices", "bill-again", "0001")
    assert (code, out) == (1, "invoice 0001 is not cancelled: cancel it in Invoice Ninja first\n")
    (invoice,) = shell.office.state.tables["invoices"]
    ledger.mark_sent(shell.office.state, invoice)
    cancel(shell.office.state, invoice)
    code, out, _ = await shell.run("invoices", "leave", "0001", "--json")
    assert (code, json.loads(out)["done"]) == (0, ["the hours of invoice 0001 stay unbilled"])
    code, out, _ = await shell.run("invoices", "bill-again", "0001")
    assert (code, out) == (0, "0001 (2 h) is free again\n")
    async with open_pool(shell.environment["DATABASE_URL"], size=1) as pool:
        actions = [row["action"] for row in await pool.fetch("SELECT action FROM audit ORDER BY id")]
    assert actions[-2:] == ["invoice.leave", "invoice.bill_again"]


async def test_the_balance_of_hours(shell: Shell) -> None:
    """It adds up with exit code 0; with a record missing it says which work is off, with exit code 3."""
    acme = await shell.office.client("Acme")
    _write_mapping(shell, acme)
    await shell.office.synced(acme, "2", 7)
    async with open_pool(shell.environment["DATABASE_URL"], size=1) as pool:
        for link in shell.office.links.rows.values():
            await LinkStore(pool).save(link)
        code, out, err = await shell.run("balance", "hours", "--month", "2025-12")
        assert (code, out.splitlines()[-1]) == (0, "2 h of 1 client add up"), err
        state = {"hours": "5", "client_id": acme, "name": "#7: Login", "why": ""}
        await LinkStore(pool).save(Link("taiga:task:7", "closed_work", "closed_work", "", state))
        code, out, err = await shell.run("balance", "hours")
        assert (code, out.splitlines()[-1]) == (
            3,
            "3 h of 1 task do not add up: see `taiga-billing balance hours`",
        )
        assert "#7: Login: 5.00 h are closed in Taiga, 2.00 h are found" in err
        code, out, _ = await shell.run("balance", "hours", "--client", "nobody", "--json")
        assert (code, json.loads(out)) == (0, {"difference": "0", "clients": [], "mismatches": []})
        assert (await shell.run("balance", "hours", "--month", "December"))[0] == 2
