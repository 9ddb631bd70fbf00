"""The filters that listing, replaying and discarding events share."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from mappings.codes import Code
from middleware.commands.options import Ago
from middleware.sources.table import INTERNAL, SOURCES
from middleware.store.events.events import STATUSES
from middleware.store.events.search import EventFilter

_Command = TypeVar("_Command", bound=Callable[..., Any])

_CODES = click.Choice([code.value for code in Code])
_OPTIONS = (
    click.option("--status", type=click.Choice(STATUSES), help="Only events in this status."),
    click.option("--source", type=click.Choice([*SOURCES, *INTERNAL]), help="Only events of this source."),
    click.option("--type", "event_type", help="Only events of this type, e.g. task.change."),
    click.option("--subject", help="Only events of this subject, e.g. taiga:task:123."),
    click.option("--since", type=Ago(), help="Only events that arrived since: 30d, 12h, 90m, or 2026-11-01."),
    click.option("--until", type=Ago(), help="Only events that arrived before this."),
    click.option("--code", type=_CODES, metavar="CODE", help="Only events with this outcome code, e.g. no_hours."),
    click.option("--reason-like", help="Only events whose reason holds this text."),
    click.option("--text", help="Only events with this text in reason, hint, subject, type or key."),
)


def event_filters(command: _Command) -> _Command:
    """Give a command the filters; `wanted` makes an `EventFilter` of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wanted(
    *,
    status: str | None,
    source: str | None,
    event_type: str | None,
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
    code: str | None,
    reason_like: str | None,
    text: str | None,
) -> EventFilter:
    """The filter that a person asked for."""
    return EventFilter(
        source=source or "",
        type=event_type or "",
        status=status or "",
        subject=subject or "",
        text=text or "",
        since=since,
        until=until,
        code=code or "",
        reason=reason_like or "",
    )
