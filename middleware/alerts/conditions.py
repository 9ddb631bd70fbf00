"""What is wrong now, read from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from middleware.alerts.models import Condition, Observation
from middleware.store.billing.balances import BalanceRow, BalanceStore
from middleware.store.database import Pool
from middleware.store.events.events import Backlog, backlog
from middleware.store.operations.attention import AttentionStore, OpenReview, Troubled

MOST = 500
"""Of each kind; the others are reported when there are fewer again."""

AWAY_FOR = timedelta(minutes=5)
"""A system that is away for less is not worth a message: it is retried automatically."""

WAITS_SECONDS = 900.0
LEARNED_FROM = timedelta(days=56)
FEWEST_DAYS = 5

_REVIEW_KINDS = {"invoice_plan": "plan_to_review", "unmatched_payment": "unmatched_payment"}


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at beside the store. `silent_hours` 0: learned. `mapping_problem` gives "" while all is well."""

    sources: Sequence[str]
    silent_hours: float
    host: str
    mapping_problem: Callable[[], str]


async def read_conditions(pool: Pool, watched: Watched, now: datetime) -> list[Observation]:
    """Every kind, as it is now.

    Raises:
        StoreUnavailableError: PostgreSQL is away.
    """
    needs = AttentionStore(pool)
    troubled = await needs.troubled()
    waiting = await backlog(pool)
    return [
        await _stuck(needs, waiting),
        *_reviews(await needs.open_reviews(MOST)),
        balances(await BalanceStore(pool).all()),
        refused(troubled),
        away(troubled, now),
        await _silent(needs, watched, now),
        late(waiting),
        mapping(watched),
    ]


async def _stuck(needs: AttentionStore, waiting: Backlog) -> Observation:
    rows = await needs.stuck(MOST)
    conditions = [Condition("stuck", row.subject, f"{row.subject}, event {row.event_id}: {row.reason}") for row in rows]
    return Observation("stuck", tuple(conditions), lambda _key: waiting.dead <= MOST)


def _reviews(rows: Sequence[OpenReview]) -> list[Observation]:
    by_kind: dict[str, list[Condition]] = {"plan_to_review": [], "unmatched_payment": [], "review": []}
    oldest = rows[-1].id if len(rows) == MOST else 0
    for row in rows:
        kind = _REVIEW_KINDS.get(row.kind, "review")
        by_kind[kind].append(Condition(kind, str(row.id), row.summary))
    return [Observation(kind, tuple(found), lambda key: int(key) >= oldest) for kind, found in by_kind.items()]


def balances(rows: Sequence[BalanceRow]) -> Observation:
    """The last balances that do not add up."""
    off = [Condition("balance", row.kind, f"{row.kind}: {row.summary}") for row in rows if row.difference]
    return Observation("balance", tuple(off))


def refused(troubled: Sequence[Troubled]) -> Observation:
    """Systems that do not accept our credentials: nothing goes on there before a person has acted."""
    return Observation(
        "credentials_refused",
        tuple(
            Condition("credentials_refused", one.system, f"{one.system}: {one.message}")
            for one in troubled
            if one.state == "refused"
        ),
    )


def away(troubled: Sequence[Troubled], now: datetime) -> Observation:
    """Systems that do not answer for some minutes."""
    first: dict[str, Troubled] = {}
    for one in troubled:
        if one.state == "away" and one.since <= now - AWAY_FOR:
            first.setdefault(one.system, one)
    return Observation(
        "system_away",
        tuple(
            Condition(
                "system_away",
                one.system,
                f"{one.system} has not answered since {one.since:%Y-%m-%d %H:%M} UTC: {one.message}",
            )
            for one in first.values()
        ),
    )


async def _silent(needs: AttentionStore, watched: Watched, now: datetime) -> Observation:
    last = await needs.last_webhooks(watched.sources)
    if watched.silent_hours:
        limits: Mapping[str, timedelta | None] = dict.fromkeys(last, timedelta(hours=watched.silent_hours))
    else:
        days = await needs.days_with_webhooks(watched.sources, (now - LEARNED_FROM).astimezone(UTC).date())
        limits = {source: learned_limit(days.get(source, ())) for source in last}
    return silent(last, limits, now)


def learned_limit(days: Sequence[date]) -> timedelta | None:
    """A day more than the longest pause between days with webhooks; None while too few days are known."""
    if len(days) < FEWEST_DAYS:
        return None
    longest = max(later - earlier for earlier, later in pairwise(days))
    return longest + timedelta(days=1)


def silent(last: Mapping[str, datetime], limits: Mapping[str, timedelta | None], now: datetime) -> Observation:
    """Sources of which nothing came for longer than usual; one that never sent anything is not set up yet."""
    found = []
    for source, moment in last.items():
        limit = limits.get(source)
        if limit is not None and now - moment > limit:
            hours = round((now - moment) / timedelta(hours=1))
            summary = (
                f"{source}: the last webhook came {hours} hours ago ({moment:%Y-%m-%d %H:%M} UTC); "
                "taiga-billing check shows whether it is still registered and how its deliveries ended"
            )
            found.append(Condition("source_silent", source, summary))
    return Observation("source_silent", tuple(found))


def late(waiting: Backlog) -> Observation:
    """Work that no worker takes."""
    if waiting.oldest_due_seconds < WAITS_SECONDS:
        return Observation("work_waits", ())
    minutes = round(waiting.oldest_due_seconds / 60)
    summary = (
        f"an event has been waiting for a worker for {minutes} minutes, {waiting.received + waiting.retrying} in all"
    )
    return Observation("work_waits", (Condition("work_waits", "queue", summary),))


def mapping(watched: Watched) -> Observation:
    """The mapping file of this host; other workers speak for theirs."""
    problem = watched.mapping_problem()
    found = (Condition("mapping_broken", watched.host, f"{watched.host}: {problem}"),) if problem else ()
    return Observation("mapping_broken", found, lambda key: key == watched.host)
