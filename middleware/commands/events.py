"""`taiga-billing events`: what arrived, what became of it, and what to do about it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from middleware.clients.jsonbody import read_json
from middleware.commands.actor import cli_actor
from middleware.commands.common import (
    FailedError,
    json_option,
    plain,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.queue import Wakeups, open_queue
from middleware.settings import Settings
from middleware.store.event_actions import EventActions
from middleware.store.events import STATUSES, AttemptRow, EventRow, EventStore

PAYLOAD_PREVIEW = 4000
PIPE_WIDTH = 200


@click.group("events")
def command() -> None:
    """List, show, replay and discard events."""


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only events in this status.")
@click.option("--source", type=click.Choice(["taiga", "stripe", "schedule"]), help="Only events of this source.")
@click.option("--subject", help="Only events of this subject, e.g. taiga:task:123.")
@click.option("--before", type=int, help="Only events with a smaller id: the next page.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
def list_events(
    *, status: str | None, source: str | None, subject: str | None, before: int | None, limit: int, as_json: bool
) -> None:
    """List events, newest first."""

    async def read(settings: Settings) -> list[EventRow]:
        async with store(settings) as pool:
            return await EventStore(pool).list(
                status=status, source=source, subject=subject, before_id=before, limit=limit
            )

    with servers_behind(settings_or_exit()) as settings:
        rows = run(read(settings))
    if as_json:
        print_json(rows)
    else:
        _print_table(rows)


@command.command("show")
@click.argument("event_id", type=int)
@json_option
def show(*, event_id: int, as_json: bool) -> None:
    """Show one event: timeline, outbound calls, payload, reason and hint."""
    with servers_behind(settings_or_exit()) as settings:
        event, attempts, body = run(_read_one(settings, event_id))
    if as_json:
        print_json({**asdict(event), "attempt_rows": attempts, "payload": _decoded(body)})
        return
    _print_event(event, attempts, body)


async def _read_one(settings: Settings, event_id: int) -> tuple[EventRow, list[AttemptRow], bytes]:
    async with store(settings) as pool:
        events = EventStore(pool)
        event = await events.find(event_id)
        if event is None:
            raise FailedError(f"there is no event {event_id}")
        body, _headers = await events.body(event_id)
        return event, await events.attempts(event_id), body


@command.command("replay")
@click.argument("event_ids", type=int, nargs=-1, required=True)
@json_option
def replay(*, event_ids: tuple[int, ...], as_json: bool) -> None:
    """Put finished events back to work; they converge again, so nothing is done twice."""

    async def put_back(settings: Settings) -> dict[int, bool]:
        async with store(settings) as pool:
            done = await EventActions(pool).replay(event_ids, cli_actor())
            results = {event_id: event_id in done for event_id in event_ids}
        wakeups = Wakeups(open_queue(settings.redis_url.get_secret_value()))
        wakeups.notify([event_id for event_id, done in results.items() if done])
        await wakeups.stop()
        return results

    with servers_behind(settings_or_exit()) as settings:
        results = run(put_back(settings))
    _report(results, "put back to work", "is unknown, or at work already", as_json=as_json)


@command.command("discard")
@click.argument("event_ids", type=int, nargs=-1, required=True)
@click.option("--why", required=True, help="The reason, kept with the event.")
@json_option
def discard(*, event_ids: tuple[int, ...], why: str, as_json: bool) -> None:
    """Close dead or retrying events by your decision."""

    async def close(settings: Settings) -> dict[int, bool]:
        async with store(settings) as pool:
            done = await EventActions(pool).discard(event_ids, why, cli_actor())
            return {event_id: event_id in done for event_id in event_ids}

    with servers_behind(settings_or_exit()) as settings:
        results = run(close(settings))
    _report(results, "discarded", "is neither dead nor retrying", as_json=as_json)


def _report(results: dict[int, bool], done: str, not_done: str, *, as_json: bool) -> None:
    if as_json:
        print_json([{"event_id": event_id, "done": is_done} for event_id, is_done in results.items()])
    else:
        for event_id, is_done in results.items():
            click.echo(f"event {event_id} {done if is_done else not_done}")
    if not all(results.values()):
        raise click.exceptions.Exit(1)


def _print_table(rows: list[EventRow]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("id", "received", "type", "subject", "status", "tries", "reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        received = f"{row.received_at:%Y-%m-%d %H:%M:%S}"
        cells = (str(row.id), received, row.type, row.subject, row.status, str(row.attempts), row.reason)
        # What people typed stands in the reasons: it is no markup.
        table.add_row(*map(Text, cells))
    console = Console()
    # A pipe has no width: folded cells would be hard to read there.
    Console(width=None if console.is_terminal else PIPE_WIDTH).print(table if rows else "no events")


def _print_event(event: EventRow, attempts: list[AttemptRow], body: bytes) -> None:
    click.echo(f"event {event.id}: {event.source} {event.type}, {event.subject}")
    click.echo(
        f"  happened  {event.occurred_at:%Y-%m-%d %H:%M:%S} UTC, received {event.received_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    click.echo(f"  status    {event.status}{': ' + event.reason if event.reason else ''}")
    if event.hint:
        click.echo(f"  hint      {event.hint}")
    if event.status == "retrying":
        wait = max(0, (event.next_attempt_at - datetime.now(UTC)).total_seconds())
        click.echo(f"  next try  in {wait:.0f} s")
    for attempt in attempts:
        click.echo(
            f"  attempt {attempt.number} at {attempt.started_at:%H:%M:%S}, {attempt.duration_ms} ms:"
            f" {attempt.outcome}: {attempt.reason}"
        )
        for call in attempt.calls:
            answer = call["status"] if call["status"] is not None else call["error"]
            click.echo(f"    {call['system']} {call['method']} {call['path']} -> {answer} ({call['ms']} ms)")
    payload = json.dumps(plain(_decoded(body)), indent=2, ensure_ascii=False)
    shown = payload if len(payload) <= PAYLOAD_PREVIEW else payload[:PAYLOAD_PREVIEW] + "\n  ... (--json shows all)"
    click.echo(f"  payload   {shown}")


def _decoded(body: bytes) -> object:
    try:
        return read_json(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
