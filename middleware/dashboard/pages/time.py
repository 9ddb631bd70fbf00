"""Recorded hours of a month, by client, project and person; and work that has no entry, with the reason."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from urllib.parse import urlencode

from starlette.responses import Response

from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.charts import shares
from middleware.dashboard.formats import month_text, zone_named
from middleware.dashboard.names import Names, read_mapping
from middleware.dashboard.visit import Visit, id_of, moment_of
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.reports import Reports, TimeLine, TimeSum, TimeWanted

LIMIT = 50
DECEMBER = 12


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a sum: what it is called, its hours and the length of its bar in percent.

    `query` asks for it alone; "" for work that names nobody.
    """

    name: str
    query: str
    hours: Decimal
    unbilled_hours: Decimal
    entries: int
    percent: str


async def show(visit: Visit) -> Response:
    """The month."""
    settings = visit.services.settings
    mapping = (await asyncio.to_thread(read_mapping, settings.mappings_file)).mapping
    zone = zone_named(mapping.billing_rules.timezone)
    month = read_month(visit.asked("month"), visit.now.astimezone(zone).date())
    asked = {name: visit.asked(name) for name in ("client", "person", "project")}
    wanted = TimeWanted(*span(month, zone), asked["client"], asked["person"], id_of(asked["project"]))
    reports = Reports(visit.services.pool)
    names = Names(mapping, await BookStore(visit.services.pool).client_names())
    sums, lines = await asyncio.gather(
        reports.time_sums(wanted), reports.time_lines(wanted, read_place(visit.asked("after")), LIMIT + 1)
    )
    query = _Query(month, asked)
    return visit.page(
        "time.html",
        month_name=month_text(month),
        month=query.month_text,
        earlier=query.of_month(moved(month, -1)),
        later=query.of_month(moved(month, 1)),
        zone_name=mapping.billing_rules.timezone,
        asked=asked,
        clear_query=_Query(month, {}).plain(),
        total=sum((one.hours for one in sums), Decimal(0)),
        unbilled=sum((one.unbilled_hours for one in sums), Decimal(0)),
        entries=sum(one.entries for one in sums),
        by_client=added_up(sums, lambda one: one.client_id, names.client, query, "client"),
        by_project=added_up(sums, lambda one: one.taiga_project_id, names.taiga_project, query, "project"),
        by_person=added_up(sums, lambda one: one.person, lambda person: person or "nobody named", query, "person"),
        lines=lines[:LIMIT],
        next_query=query.plain(after=place(lines[LIMIT - 1])) if len(lines) > LIMIT else "",
        is_first=not visit.asked("after"),
        names=names,
        ninja=NinjaPages(settings.invoice_ninja_api),
    )


async def show_unrecorded(visit: Visit) -> Response:
    """Work without an entry."""
    before = visit.asked_id("before")
    rows = await Reports(visit.services.pool).unrecorded(before, LIMIT + 1)
    return visit.page(
        "unrecorded.html", rows=rows[:LIMIT], next_before=rows[LIMIT - 1].event_id if len(rows) > LIMIT else None
    )


@dataclass(frozen=True, slots=True)
class _Query:
    """Addresses of this page."""

    month: date
    asked: dict[str, str]

    @property
    def month_text(self) -> str:
        return f"{self.month:%Y-%m}"

    def plain(self, **more: str) -> str:
        values = {"month": self.month_text, **self.asked, **more}
        return urlencode({name: value for name, value in values.items() if value})

    def of_month(self, month: date) -> str:
        return _Query(month, self.asked).plain()


def added_up(
    sums: Sequence[TimeSum],
    key: Callable[[TimeSum], object],
    named: Callable[..., str],
    query: _Query,
    parameter: str,
) -> list[Share]:
    """The hours by one of their marks, most first."""
    found: dict[object, list[TimeSum]] = {}
    for one in sums:
        found.setdefault(key(one), []).append(one)
    hours = {mark: sum((one.hours for one in group), Decimal(0)) for mark, group in found.items()}
    ordered = sorted(found, key=lambda mark: (-hours[mark], str(mark)))
    percents = shares([hours[mark] for mark in ordered])
    return [
        Share(
            named(mark),
            query.plain(**{parameter: str(mark)}) if mark else "",
            hours[mark],
            sum((one.unbilled_hours for one in found[mark]), Decimal(0)),
            sum(one.entries for one in found[mark]),
            percent,
        )
        for mark, percent in zip(ordered, percents, strict=True)
    ]


def read_month(text: str, today: date) -> date:
    """The first day of a month written `2026-11`; of the present one for anything else."""
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        month = today.replace(day=1)
    return month if date.min.year + 1 < month.year < date.max.year else today.replace(day=1)


def moved(month: date, by: int) -> date:
    """The first day of the month before (-1) or after (1)."""
    years, index = divmod(month.year * DECEMBER + month.month - 1 + by, DECEMBER)
    return date(years, index + 1, 1)


def span(month: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """When a month begins and ends in a zone, as aware UTC."""
    first, last = (datetime.combine(day, time(0), zone).astimezone(UTC) for day in (month, moved(month, 1)))
    return first, last


def place(line: TimeLine) -> str:
    """Where a page ended, for the address of the next one."""
    return f"{line.ended_at.isoformat()}|{line.number}|{line.subject}"


def read_place(text: str) -> tuple[datetime, str, str] | None:
    """What `place` wrote; None for anything else."""
    ended_at, _, rest = text.partition("|")
    number, bar, subject = rest.partition("|")
    moment = moment_of(ended_at)
    return (moment, subject, number) if bar and moment else None
