"""Pure: the words of a message."""

from collections.abc import Sequence
from urllib.parse import quote

from mappings.values.text import one_line, shortened
from middleware.alerts.models import KINDS, AlertKind, Message
from middleware.store.operations.alerts import Batch, KnownCondition

SHOWN = 10
LONGEST_LINE = 300


def message_of(batch: Batch, public_url: str) -> Message:
    """The message that tells a batch; links lead into the dashboard when its address is known."""
    kind = KINDS.get(batch.kind) or AlertKind(batch.kind.replace("_", " "), batch.kind.replace("_", " "), "/")
    parts = []
    if batch.new:
        parts.append(_section("New:", batch.new))
    if batch.over:
        parts.append(_section("Recovered:", batch.over))
    if batch.lasting:
        parts.append(f"{_count(batch.lasting, kind)} as reported before.")
    elif not batch.new:
        parts.append("Nothing of this kind is left.")
    if public_url:
        parts.append(public_url + _page(batch, kind))
    return Message(_title(batch, kind), "\n\n".join(parts), is_good_news=not batch.new)


def _title(batch: Batch, kind: AlertKind) -> str:
    if batch.new:
        return f"taiga-billing: {_count(len(batch.new), kind)}"
    return f"taiga-billing: recovered: {_count(len(batch.over), kind)} no longer"


def _count(number: int, kind: AlertKind) -> str:
    return f"{number} {kind.one if number == 1 else kind.many}"


def _section(heading: str, rows: Sequence[KnownCondition]) -> str:
    lines = [f"- {shortened(one_line(row.summary), LONGEST_LINE)}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"- and {len(rows) - SHOWN} more")
    return "\n".join([heading, *lines])


def _page(batch: Batch, kind: AlertKind) -> str:
    is_single = batch.kind == "stuck" and len(batch.new) == 1
    return f"{kind.page}&subject={quote(batch.new[0].key)}" if is_single else kind.page
