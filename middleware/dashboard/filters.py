"""The filter of the event list in addresses and forms. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from urllib.parse import urlencode

from middleware.store.events.search import EventFilter

TEXTS = ("source", "type", "status", "subject", "code", "text")
LONGEST = 200


@dataclass(frozen=True, slots=True)
class AskedFilter:
    """What a person asks for, as they wrote it. `since` and `until` are days of their time zone, both inclusive."""

    source: str = ""
    type: str = ""
    status: str = ""
    subject: str = ""
    code: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    def query(self, **more: str) -> str:
        """The filter as the query of an address."""
        values = {name: getattr(self, name) for name in (*TEXTS, "since", "until")} | more
        return urlencode({name: value for name, value in values.items() if value})

    def fields(self) -> dict[str, str]:
        """The parts that are set, for the hidden fields of a form."""
        return {name: value for name in (*TEXTS, "since", "until") if (value := getattr(self, name))}

    def without(self, name: str) -> "AskedFilter":
        """The same without one part."""
        return replace(self, **{name: ""})


def read_filter(values: Mapping[str, str]) -> AskedFilter:
    """The filter of an address or form; what is no day is left out."""
    texts = {name: values.get(name, "").strip()[:LONGEST] for name in TEXTS}
    days = {name: day.isoformat() if (day := _day(values.get(name, ""))) else "" for name in ("since", "until")}
    return AskedFilter(**texts, **days)


def event_filter(asked: AskedFilter, zone: tzinfo) -> EventFilter:
    """What the store looks for."""
    since, until = _day(asked.since), _day(asked.until)
    return EventFilter(
        source=asked.source,
        type=asked.type,
        status=asked.status,
        subject=asked.subject,
        code=asked.code,
        text=asked.text,
        since=datetime.combine(since, time(0), zone) if since else None,
        until=datetime.combine(until + timedelta(days=1), time(0), zone) if until else None,
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    # Days at the very ends of the calendar have no next day, and no moment in some zones.
    return day if date.min.year + 1 < day.year < date.max.year else None
