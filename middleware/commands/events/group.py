"""`taiga-billing events`: what arrived, what became of it, and what to do about it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from middleware.clients.http.json_codec import read_json
from middleware.commands.common import (
    FailedError,
    in_store,
    json_option,
    plain,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.events.actions import discard, replay
from middleware.commands.events.filters import event_filters, wanted
from middleware.settings import Settings
from middleware.store.events.events import AttemptRow, EventRow, EventStore
from middleware.store.events.rechecks import RecheckStore, Waiting
from middleware.store.events.search import EventSearch
from middleware.store.events.timeline import timeline_of
from middleware.store.operations.audit import AuditRow, AuditStore

PIPE_WIDTH = 200


@click.group("events")
def command() -> None:
    """List, show, replay and discard events."""


command.add_command(replay)
command.add_command(discard)


@command.command("list")
@event_filters
@click.option("--before", type=int, help="Only events with a smaller id: the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_events(*, before: int | None, limit: int, as_json: bool, **filters: Any) -> None:
    """List events, newest first, page by page."""
    page = in_store(lambda pool: EventSearch(pool).page(wanted(**filters), before_id=before, limit=limit))
    if as_json:
        print_json(page.rows)
        return
    _print_table(page.rows)
    if page.next_before is not None:
        looked = f" (looked back to {page.looked_back_to:%Y-%m-%d %H:%M})" if page.looked_back_to else ""
        click.echo(f"there may be more{looked}: --before {page.next_before}")


@command.command("show")
@click.argument("event_id", type=int)
@click.option("--payload", is_flag=True, help="Print the payload, too.")
@json_option
def show(*, event_id: int, payload: bool, as_json: bool) -> None:
    """Show one event: timeline, outbound calls, reason and hint; --payload prints what arrived, too."""
    with servers_behind(settings_or_exit()) as settings:
        shown = run(_read_one(settings, event_id))
    if as_json:
        shown_event = {**asdict(shown.event), "attempt_rows": shown.attempts, "payload": _decoded(shown.body)}
        print_json({**shown_event, "second_look": shown.recheck})
        return
    if payload:
        click.echo(json.dumps(plain(_decoded(shown.body)), indent=2, ensure_ascii=False))
    _print_event(shown, timedelta(minutes=settings.second_look_minutes))


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one event, and the recheck that is still to come for its subject."""

    event: EventRow
    attempts: list[AttemptRow]
    deeds: list[AuditRow]
    body: bytes
    recheck: Waiting | None


async def _read_one(settings: Settings, event_id: int) -> Shown:
    async with store(settings) as pool:
        events = EventStore(pool)
        event = await events.find(event_id)
        if event is None:
            raise FailedError(f"there is no event {event_id}")
        body, _headers = await events.body(event_id)
        recheck = await RecheckStore(pool).waiting(event.subject)
        deeds = await AuditStore(pool).of_event(event_id)
        return Shown(event, await events.attempts(event_id), deeds, body, recheck)


def _print_table(rows: list[EventRow]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("id", "received (UTC)", "type", "subject", "status", "attempts", "reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        received = f"{row.received_at:%Y-%m-%d %H:%M:%S}"
        cells = (str(row.id), received, row.type, row.subject, row.status, str(row.attempts), row.reason)
        # Reasons hold what people typed: it is not markup.
        table.add_row(*map(Text, cells))
    console = Console()
    # A pipe has no width: folded cells would be hard to read there.
    Console(width=None if console.is_terminal else PIPE_WIDTH).print(table if rows else "no events")


def _print_event(shown: Shown, until_recheck: timedelta) -> None:
    event = shown.event
    click.echo(f"event {event.id}: {event.source} {event.type}, {event.subject}")
    click.echo(
        f"  happened  {event.occurred_at:%Y-%m-%d %H:%M:%S} UTC, received {event.received_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    click.echo(f"  status    {event.status}{': ' + event.reason if event.reason else ''}")
    if event.outcome_code:
        click.echo(f"  code      {event.outcome_code}")
    if event.hint:
        click.echo(f"  hint      {event.hint}")
    if event.status == "retrying":
        wait = max(0, (event.next_attempt_at - datetime.now(UTC)).total_seconds())
        click.echo(f"  next      in {wait:.0f} s")
    if shown.recheck is not None:
        at = shown.recheck.asked_at + until_recheck
        click.echo(f"  rechecked at {at:%Y-%m-%d %H:%M:%S} UTC, because of {shown.recheck.why}")
    for entry in timeline_of(shown.attempts, shown.deeds):
        if isinstance(entry, AttemptRow):
            _print_attempt(entry)
        else:
            click.echo(f"  {entry.at:%Y-%m-%d %H:%M:%S} UTC: {entry.actor} {entry.summary}")


def _print_attempt(attempt: AttemptRow) -> None:
    click.echo(
        f"  {attempt.started_at:%Y-%m-%d %H:%M:%S} UTC: attempt {attempt.number}, {attempt.duration_ms} ms:"
        f" {attempt.outcome}: {attempt.reason}"
    )
    for call in attempt.calls:
        answer = call["status"] if call["status"] is not None else call["error"]
        click.echo(f"    {call['system']} {call['method']} {call['path']} -> {answer} ({call['ms']} ms)")


def _decoded(body: bytes) -> object:
    try:
        return read_json(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace") or "removed (RETENTION_DAYS)"
