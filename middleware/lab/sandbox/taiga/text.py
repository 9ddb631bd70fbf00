"""How Taiga writes dates, slugs, comments and differences of texts; pure."""

import html
import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

_INSERTED = '<ins style="background:#e6ffe6;">{}</ins>'
_DELETED = '<del style="background:#ffe6e6;">{}</del>'


def iso(moment: datetime | None) -> str | None:
    """A date as Taiga's API writes it: UTC, milliseconds, Z; e.g. `2026-11-21T07:23:53.500Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_in_project(moment: datetime) -> str:
    """A date as the aggregated parts of a project show it: microseconds and a numeric offset."""
    return moment.astimezone(UTC).isoformat()


def parse_moment(text: str) -> datetime:
    """Read a date of a list filter; a day without time means its midnight, no offset means UTC.

    Raises:
        ValueError: not a date (the real server crashes with 500).
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def dump(value: Any) -> str:
    """JSON as Taiga renders it: raw UTF-8, `", "` and `": "` between the parts."""
    return json.dumps(value, ensure_ascii=False)


def slugify(name: str) -> str:
    """A slug as for project names: lower case ASCII and dashes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "project"


def free_slug(wanted: str, taken: set[str]) -> str:
    """The slug itself, or with `-1`, `-2`.. when others have it."""
    slug, number = wanted, 0
    while slug in taken:
        number += 1
        slug = f"{wanted}-{number}"
    return slug


def markdown(text: str) -> str:
    """The HTML of a comment or description: one paragraph, `**bold**`, nothing else."""
    if not text.strip():
        return ""
    escaped = html.escape(text.strip(), quote=False)
    bold = re.sub(r"[*][*](.+?)[*][*]", r"<strong>\1</strong>", escaped)
    return f"<p>{bold}</p>"


def text_difference(old: str, new: str) -> str:
    """An HTML string with what was deleted and inserted: what `value_diff` of text attributes holds.

    The real server finds changes inside of words too; here only a common beginning is kept.
    """
    if new.startswith(old):
        kept, deleted, inserted = old, "", new[len(old) :]
    elif old.startswith(new):
        kept, deleted, inserted = new, old[len(new) :], ""
    else:
        kept, deleted, inserted = "", old, new
    parts = (("<span>{}</span>", kept), (_DELETED, deleted), (_INSERTED, inserted))
    return "".join(mark.format(html.escape(part)) for mark, part in parts if part)
