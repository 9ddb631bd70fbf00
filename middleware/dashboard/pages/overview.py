"""Is everything well, in one glance."""

import asyncio
from datetime import timedelta

from starlette.responses import Response

from middleware.dashboard.charts import DayChart, day_chart, shares
from middleware.dashboard.names import Names, read_mapping
from middleware.dashboard.visit import Visit
from middleware.health import Check
from middleware.store.events import Backlog, backlog
from middleware.store.reports import Reports, ReviewCount
from middleware.store.statistics import Statistics

DAYS = 30


async def show(visit: Visit) -> Response:
    """The overview."""
    services = visit.services
    statistics, reports = Statistics(services.pool), Reports(services.pool)
    checks, waiting, arrivals, reviews, unbilled, chart = await asyncio.gather(
        services.checks(),
        backlog(services.pool),
        statistics.last_arrivals(),
        reports.open_reviews(),
        reports.unbilled(),
        _chart(visit, statistics),
    )
    mapping = await asyncio.to_thread(read_mapping, services.settings.mappings_file)
    return visit.page(
        "overview.html",
        checks=checks,
        waiting=waiting,
        arrivals=arrivals,
        reviews=reviews,
        unbilled=unbilled,
        unbilled_shares=shares([one.hours for one in unbilled]),
        names=Names(mapping.mapping),
        mapping_problems=len(mapping.problems),
        chart=chart,
        tasks=things_to_do(waiting, reviews, len(mapping.problems)),
        troubles=[check for check in checks if check.state != "ok"],
        verdict=verdict(checks, waiting, reviews, len(mapping.problems)),
    )


def things_to_do(waiting: Backlog, reviews: list[ReviewCount], mapping_problems: int) -> int:
    """How many things wait for a person."""
    return waiting.dead + sum(review.number for review in reviews) + (1 if mapping_problems else 0)


def verdict(checks: list[Check], waiting: Backlog, reviews: list[ReviewCount], mapping_problems: int) -> str:
    """The state of everything in one word: `well`, `attention` (a person should look) or `trouble` (a part is down)."""
    if any(check.state != "ok" for check in checks):
        return "trouble"
    return "attention" if things_to_do(waiting, reviews, mapping_problems) else "well"


async def _chart(visit: Visit, statistics: Statistics) -> DayChart:
    last = visit.now.date()
    first = last - timedelta(days=DAYS - 1)
    counts = {(count.day, count.source): count.events for count in await statistics.by_day(first)}
    return day_chart(counts, first, last, sources_in_order({source for _, source in counts}))


def sources_in_order(sources: set[str]) -> list[str]:
    """Taiga first: it is always there and sends most."""
    return ["taiga", *sorted(sources - {"taiga"})]
