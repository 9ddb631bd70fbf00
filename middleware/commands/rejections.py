"""`taiga-billing rejections`: requests that were refused at the door."""

from collections.abc import Awaitable
from datetime import datetime

import click

from middleware.commands.common import in_store, json_option, print_json
from middleware.commands.options import Ago
from middleware.sources.table import SOURCES
from middleware.store.database import Pool
from middleware.store.events.rejections import RejectionRow, RejectionStore


@click.group("rejections")
def command() -> None:
    """Requests that were refused at the door; they are no events."""


@command.command("list")
@click.option("--source", type=click.Choice([*SOURCES, "unknown"]), help="Only of this source.")
@click.option("--reason", help="Only with this reason, e.g. wrong_signature.")
@click.option("--address", help="Only from this address.")
@click.option("--since", type=Ago(), help="Only since: 30d, 12h, 90m, or 2026-11-01.")
@click.option("--before", type=int, help="Only with a smaller number: the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_rejections(
    *,
    source: str | None,
    reason: str | None,
    address: str | None,
    since: datetime | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """List refused requests, newest first; like ones of a minute are one line."""

    def read(pool: Pool) -> Awaitable[list[RejectionRow]]:
        return RejectionStore(pool).page(
            source=source or "",
            reason=reason or "",
            address=address or "",
            since=since,
            before_id=before,
            limit=limit,
        )

    rows = in_store(read)
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    for row in rows:
        times = "once" if row.requests == 1 else f"{row.requests} times"
        click.echo(f"{row.id}  {row.last_at:%Y-%m-%d %H:%M:%S}  {row.source}  {row.reason}  {row.address}  {times}")
        click.echo(f"    {row.message}")
    if not rows:
        click.echo("nothing was refused")


def _as_json(row: RejectionRow) -> dict[str, object]:
    return {
        "id": row.id,
        "source": row.source,
        "reason": row.reason,
        "message": row.message,
        "address": row.address,
        "first_at": row.first_at,
        "last_at": row.last_at,
        "requests": row.requests,
        "headers": dict(row.headers),
        "sample": row.sample.decode("utf-8", "replace"),
    }
