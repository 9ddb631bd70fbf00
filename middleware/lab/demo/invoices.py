"""The end of the demo: the hours that arrived are planned, billed, and marked in Taiga."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import click

from mappings.invoiceninja.models import Invoice
from mappings.invoiceninja.tasks import Task
from middleware.clients.connect import connect_invoice_ninja
from middleware.lab.demo.stack import NINJA_TOKEN, DemoFailedError, Stack, part_environment

ZONE = "Europe/Brussels"
_CENT = Decimal("0.01")
_COMMAND_SECONDS = 90


async def bill(stack: Stack, redis_url: str, entries: Sequence[Task]) -> bool:
    """Plan and make the invoices of this month with the commands that people use; returns whether they are right.

    Raises:
        DemoFailedError: a command did not end.
    """
    month = f"{datetime.now(UTC).astimezone(ZoneInfo(ZONE)):%Y-%m}"
    environment = part_environment(stack, redis_url, 0)
    for arguments in (("plan", "--month", month), ("generate", "--month", month, "--yes")):
        click.echo(f"\n$ taiga-billing invoices {' '.join(arguments)}")
        if not await _run(arguments, environment, stack):
            return False
    invoices = await _invoices(stack)
    return _are_right(invoices, entries)


async def _run(arguments: Sequence[str], environment: Mapping[str, str], stack: Stack) -> bool:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "middleware",
        "invoices",
        *arguments,
        env=dict(environment),
        cwd=stack.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), _COMMAND_SECONDS)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        message = f"`invoices {arguments[0]}` did not end after {_COMMAND_SECONDS} s"
        raise DemoFailedError(message) from error
    click.echo(told.decode().rstrip())
    return process.returncode == 0


async def _invoices(stack: Stack) -> list[Invoice]:
    ninja = connect_invoice_ninja(f"{stack.ninja_url}/api/v1", NINJA_TOKEN)
    try:
        return [invoice async for invoice in ninja.invoices()]
    finally:
        await ninja.aclose()


def _are_right(invoices: Sequence[Invoice], entries: Sequence[Task]) -> bool:
    """Whether the invoices bill each entry once, and add up to the work by a calculation of its own."""
    billed = sorted(task_id for invoice in invoices for task_id in invoice.task_ids)
    worth = sum((_worth(entry) for entry in entries), Decimal(0))
    total = sum((invoice.amount for invoice in invoices), Decimal(0))
    is_right = billed == sorted(entry.id for entry in entries) and total == worth
    word = "as expected" if is_right else "NOT as expected"
    click.echo(f"{len(entries)} entries on {len(invoices)} invoices, {total:.2f} of {worth:.2f}: {word}")
    return is_right


def _worth(entry: Task) -> Decimal:
    seconds = sum(end - start for start, end in entry.spans)
    return (Decimal(seconds) / 3600 * entry.rate).quantize(_CENT)
