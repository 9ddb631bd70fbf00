"""`taiga-billing events replay|discard`: one event, some, or all that pass a filter."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from middleware.bootstrap import open_context
from middleware.commands.common import (
    DIFFERENCES,
    WrongUseError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.events.filters import event_filters, wanted
from middleware.commands.interactive import interactive_traffic
from middleware.commands.options import cli_actor
from middleware.mapping.load import load_mapping
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.replay.dry_run import Effect, dry_run
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events.actions import EventActions
from middleware.store.events.replayed import as_replayed
from middleware.store.events.search import EventFilter, EventSearch

_limit = click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Maximum number of events."
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
NOT_REPLAYED = "is unknown or being processed, or its body was removed (RETENTION_DAYS)"


@click.command("replay")
@click.argument("event_ids", type=int, nargs=-1)
@event_filters
@_limit
@click.option("--dry-run", is_flag=True, help="Only show what each would do; exit code 3 when it would do anything.")
@_yes
@json_option
def replay(*, event_ids: tuple[int, ...], limit: int, dry_run: bool, yes: bool, as_json: bool, **filters: Any) -> None:
    """Put finished events back to work; they converge again, so nothing is done twice.

    Name events by their ids, or choose them by filters: `events replay --status dead --since 7d`.
    """
    chosen = _chosen(event_ids, filters)
    with servers_behind(settings_or_exit()) as settings:
        if dry_run:
            effects = run(_dry_run(settings, event_ids, chosen, limit))
            _show(effects, as_json=as_json)
            return
        ids = run(_found(settings, event_ids, chosen, limit))
        if not event_ids and ids and not yes:
            click.confirm(f"put {_count(ids)} back to work?", abort=True, err=True)
        results = run(_replay(settings, ids))
    _report(results, "queued again", NOT_REPLAYED, as_json=as_json)


@click.command("discard")
@click.argument("event_ids", type=int, nargs=-1)
@event_filters
@_limit
@click.option("--why", required=True, help="The reason, kept with the event.")
@_yes
@json_option
def discard(*, event_ids: tuple[int, ...], limit: int, why: str, yes: bool, as_json: bool, **filters: Any) -> None:
    """Close dead or retrying events by your decision, named by their ids or chosen by filters."""
    chosen = _chosen(event_ids, filters)

    async def close(settings: Settings, ids: Sequence[int]) -> dict[int, bool]:
        async with store(settings) as pool:
            done = await EventActions(pool).discard(ids, why, cli_actor())
        return {event_id: event_id in done for event_id in ids}

    with servers_behind(settings_or_exit()) as settings:
        ids = run(_found(settings, event_ids, chosen, limit))
        if not event_ids and ids and not yes:
            click.confirm(f"discard {_count(ids)}?", abort=True, err=True)
        results = run(close(settings, ids))
    _report(results, "discarded", "is unknown, or neither dead nor retrying", as_json=as_json)


def _chosen(event_ids: Sequence[int], filters: dict[str, Any]) -> EventFilter:
    chosen = wanted(**filters)
    if event_ids and not chosen.is_empty:
        raise WrongUseError("name events by their ids or choose them by filters, not both")
    if not event_ids and chosen.is_empty:
        raise WrongUseError("name events by their ids, or choose them by filters such as --status dead")
    return chosen


async def _ids(pool: Pool, event_ids: Sequence[int], chosen: EventFilter, limit: int) -> list[int]:
    if event_ids:
        return list(dict.fromkeys(event_ids))
    page = await EventSearch(pool).matching(chosen, up_to_id=None, limit=limit)
    if page.next_before is not None:
        click.echo(f"stopped after {_count(page.rows)}: there may be older ones", err=True)
    return [row.id for row in reversed(page.rows)]


async def _found(settings: Settings, event_ids: Sequence[int], chosen: EventFilter, limit: int) -> Sequence[int]:
    async with store(settings) as pool:
        return await _ids(pool, event_ids, chosen, limit)


async def _replay(settings: Settings, ids: Sequence[int]) -> dict[int, bool]:
    async with store(settings) as pool:
        done = await EventActions(pool).replay(ids, cli_actor())
    wakeups = Wakeups(open_queue(settings.redis_url.get_secret_value()))
    wakeups.notify(done)
    await wakeups.stop()
    return {event_id: event_id in done for event_id in ids}


async def _dry_run(settings: Settings, event_ids: Sequence[int], chosen: EventFilter, limit: int) -> list[Effect]:
    mapping = load_mapping(settings.mappings_file)
    async with store(settings) as pool:
        ids = await _ids(pool, event_ids, chosen, limit)
        # No Redis: nothing of a dry run may wake anybody.
        quiet = settings.model_copy(update={"redis_url": type(settings.redis_url)("")})
        async with (
            interactive_traffic(settings, pool) as traffic,
            open_context(quiet, mapping, pool, traffic) as context,
        ):
            now = datetime.now(UTC)
            claims = await as_replayed(pool, ids, now)
            effects = [effect for claim in claims for effect in await dry_run(claim, context, now)]
    known = {effect.event_id for effect in effects}
    missing = [Effect(one, "", "nothing", f"event {one} {NOT_REPLAYED}") for one in ids if one not in known]
    return sorted([*effects, *missing], key=lambda effect: effect.event_id)


def _show(effects: Sequence[Effect], *, as_json: bool) -> None:
    if as_json:
        print_json(list(effects))
    else:
        for effect in effects:
            word = {"dead": "would be dead", "retry": "would be tried again"}.get(effect.effect, effect.effect)
            click.echo(f"event {effect.event_id} {effect.subject}: {word}: {effect.reason}")
            for step in effect.steps:
                click.echo(f"    {step}")
            if effect.hint:
                click.echo(f"    hint: {effect.hint}")
        counted = Counter(effect.effect for effect in effects)
        counts = ", ".join(f"{count} {effect}" for effect, count in counted.most_common())
        click.echo(f"{len(effects)} events: {counts}; nothing was done" if effects else "no events")
    if any(effect.effect not in ("nothing", "dead", "retry") for effect in effects):
        raise click.exceptions.Exit(DIFFERENCES)


def _count(ids: Sequence[object]) -> str:
    return "1 event" if len(ids) == 1 else f"{len(ids)} events"


def _report(results: dict[int, bool], done: str, not_done: str, *, as_json: bool) -> None:
    if as_json:
        print_json([{"event_id": event_id, "done": is_done} for event_id, is_done in results.items()])
    elif not results:
        click.echo("no events")
    else:
        for event_id, is_done in results.items():
            click.echo(f"event {event_id} {done if is_done else not_done}")
    if not all(results.values()):
        raise click.exceptions.Exit(1)
