"""Is everything well, in one glance."""

import asyncio
from datetime import datetime, timedelta

from starlette.responses import Response

from mappings.config.file import MappingFile
from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import Run, latest_run
from middleware.dashboard.charts import DayChart, day_chart, shares
from middleware.dashboard.formats import zone_named
from middleware.dashboard.names import Names, read_mapping
from middleware.dashboard.pages.time import read_month, span
from middleware.dashboard.visit import Visit
from middleware.sources.table import SOURCES
from middleware.store.billing.balances import BalanceStore
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.reports import Reports
from middleware.store.events.events import backlog
from middleware.store.events.rejections import RejectionStore
from middleware.store.events.statistics import Statistics
from middleware.store.operations.attention import Attention, AttentionStore
from middleware.store.operations.timetable import Timetable
from middleware.web.health import Check

DAYS = 30
RECENT = timedelta(days=1)
LONGEST_CALENDAR = 32
MOST_DEAD = 500


async def show(visit: Visit) -> Response:
    """The overview."""
    services = visit.services
    statistics, reports = Statistics(services.pool), Reports(services.pool)
    mapping = await asyncio.to_thread(read_mapping, services.settings.mappings_file)
    month = read_month("", visit.now.astimezone(zone_named(mapping.mapping.billing_rules.timezone)).date())
    month_began, _ = span(month, zone_named(mapping.mapping.billing_rules.timezone))
    checks, waiting, attention, arrivals, reviews, unbilled = await asyncio.gather(
        services.checks(),
        backlog(services.pool),
        AttentionStore(services.pool).attention(MOST_DEAD),
        AttentionStore(services.pool).last_webhooks(tuple(SOURCES)),
        reports.open_reviews(),
        reports.unbilled(),
    )
    received, chart, clients, ticks, refused, balances = await asyncio.gather(
        reports.received(month_began),
        _chart(visit, statistics),
        BookStore(services.pool).client_names(),
        Timetable(services.pool).all(),
        RejectionStore(services.pool).page(limit=1),
        BalanceStore(services.pool).all(),
    )
    return visit.page(
        "overview.html",
        checks=checks,
        waiting=waiting,
        attention=attention,
        arrivals=arrivals,
        reviews=reviews,
        unbilled=unbilled,
        unbilled_shares=shares([one.hours for one in unbilled]),
        names=Names(mapping.mapping, clients),
        mapping_problems=len(mapping.problems),
        chart=chart,
        received=received,
        balances=balances,
        ticks=ticks,
        refused=[row for row in refused if visit.now - row.last_at < RECENT],
        next_run=next_run(mapping.mapping, visit.now),
        tasks=things_to_do(attention, len(mapping.problems)),
        troubles=[check for check in checks if check.state != "ok"],
        verdict=verdict(checks, attention, len(mapping.problems)),
    )


def things_to_do(attention: Attention, mapping_problems: int) -> int:
    """How many things wait for a person; a task or payment counts once, however many of its events are dead."""
    return attention.things + (1 if mapping_problems else 0)


def verdict(checks: list[Check], attention: Attention, mapping_problems: int) -> str:
    """The state of everything in one word: `well`, `attention` (a person should look) or `trouble` (a part is down)."""
    if any(check.state != "ok" for check in checks):
        return "trouble"
    return "attention" if things_to_do(attention, mapping_problems) else "well"


async def _chart(visit: Visit, statistics: Statistics) -> DayChart:
    last = visit.now.date()
    first = last - timedelta(days=DAYS - 1)
    counts = {(count.day, count.source): count.events for count in await statistics.by_day(first)}
    return day_chart(counts, first, last, sources_in_order({source for _, source in counts}))


def sources_in_order(sources: set[str]) -> list[str]:
    """Taiga first: it is always there and sends most."""
    return ["taiga", *sorted(sources - {"taiga"})]


def next_run(mapping: MappingFile, now: datetime) -> Run | None:
    """The invoice run that comes next, of all calendars; None without a mapped project."""
    if not mapping.project_mappings:
        return None
    ahead = [
        run
        for calendar in calendars_of(mapping)
        for days in range(1, LONGEST_CALENDAR + 1)
        if (run := latest_run(calendar, now + timedelta(days=days))).due_at > now
    ]
    return min(ahead, key=lambda run: run.due_at, default=None)
