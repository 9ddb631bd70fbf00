"""`taiga-billing demo`."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import click
import httpx

from mappings.invoiceninja.tasks import Task
from middleware.clients.connect import connect_invoice_ninja
from middleware.commands.common import FailedError, run
from middleware.embedded import EmbeddedServerError, embedded_servers
from middleware.lab.demo import invoices, payments, report, work
from middleware.lab.demo.stack import NINJA_TOKEN, STRIPE_KEY, DemoFailedError, Stack, running_stack
from middleware.lab.sandbox.taiga.people import Team
from middleware.logs import configure_logs
from middleware.process import stop_on_signals
from middleware.store.database import Pool, open_pool

SETTLE_SECONDS = 60


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave everything running at the end and print the addresses.")
def command(*, keep: bool) -> None:
    """Play people's work in a sandbox Taiga and their payments at a sandbox Stripe; show what arrives in Invoice Ninja.

    Exit code 0 when everything arrived as expected.
    """
    configure_logs("console", "warning")
    with tempfile.TemporaryDirectory(prefix="taiga-billing-demo-") as folder:
        try:
            with embedded_servers(Path(folder), postgres=True, redis=True) as servers:
                ended_well = run(demo(servers.database_url or "", servers.redis_url or "", keep=keep))
        except (EmbeddedServerError, DemoFailedError) as error:
            raise FailedError(str(error)) from error
    if not ended_well:
        raise FailedError("not everything arrived as expected")


async def demo(database_url: str, redis_url: str, *, keep: bool) -> bool:
    """Run the demo; returns whether everything arrived as expected.

    Raises:
        DemoFailedError: the stack did not come up, or the events did not settle.
    """
    mapping = work.mapping("acme", "globex")
    async with running_stack(database_url, redis_url, mapping) as stack, open_pool(database_url, size=2) as pool:
        await add_clients(stack)
        team = Team(stack.taiga)
        click.echo("people work in Taiga ...")
        stories = work.play(team, f"{stack.receiver_url}/webhooks/taiga")
        await team.deliver()
        await until_settled(pool)
        recorded = await entries(stack)
        seen = await report.look(stories, recorded, pool)
        report.print_report(seen)
        are_billed = await invoices.bill(stack, redis_url, recorded)
        await until_settled(pool)
        are_paid = are_billed and await payments.settle(stack, redis_url, pool)
        ended_well = are_paid and all(one.is_as_expected for one in seen)
        if keep:
            await stay(stack)
        return ended_well


async def add_clients(stack: Stack) -> None:
    """Make the two clients that the mapping names by their number."""
    async with httpx.AsyncClient(
        base_url=f"{stack.ninja_url}/api/v1",
        headers={"X-API-TOKEN": NINJA_TOKEN, "Accept": "application/json"},
        trust_env=False,
    ) as http:
        for number, name in (("acme", "Acme GmbH"), ("globex", "Globex Ltd")):
            response = await http.post("/clients", json={"name": name, "number": number})
            response.raise_for_status()


async def entries(stack: Stack) -> list[Task]:
    """The time entries in Invoice Ninja."""
    ninja = connect_invoice_ninja(f"{stack.ninja_url}/api/v1", NINJA_TOKEN)
    try:
        return await ninja.unbilled_tasks()
    finally:
        await ninja.aclose()


async def until_settled(pool: Pool) -> None:
    """Wait until every event has ended; write-backs make new ones, so it must be quiet for a moment.

    Raises:
        DemoFailedError: they did not end.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    quiet_since = None
    while time.monotonic() < deadline:
        waiting = await pool.fetchval("SELECT count(*) FROM events WHERE finished_at IS NULL")
        stored = await pool.fetchval("SELECT count(*) FROM events")
        if waiting or (quiet_since and quiet_since[1] != stored):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = (time.monotonic(), stored)
        elif time.monotonic() - quiet_since[0] > 1:
            return
        await asyncio.sleep(0.1)
    raise DemoFailedError(f"{waiting} events had no end after {SETTLE_SECONDS} s")


async def stay(stack: Stack) -> None:
    """Print the addresses and wait for Ctrl+C; what happens at Stripe from now on is told at once."""
    stack.stripe.hold = False
    program = Path(sys.executable).parent / "taiga-billing"
    click.echo(
        f"\nreceiver       {stack.receiver_url} (dashboard, /readyz, /metrics)"
        f"\nTaiga          {stack.taiga_url}/api/v1"
        f"\nInvoice Ninja  {stack.ninja_url}/api/v1 (X-API-TOKEN: {NINJA_TOKEN})"
        f"\nStripe         {stack.stripe_url}/v1 (key {STRIPE_KEY})"
        f"\nPostgreSQL     {stack.database_url}"
        f"\nlogs           {stack.folder}"
        f"\ncommands       cd {stack.folder} && {program} users add ada --role admin"
        "\n               (or payments list, events list, ...; with a user, sign in at the receiver)"
        "\nCtrl+C ends everything."
    )
    await stop_on_signals().wait()
