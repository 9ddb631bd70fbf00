"""Dividing a log at a moment: no second is lost and none is counted twice."""

from collections.abc import Sequence
from dataclasses import replace

from mappings.invoices.models import LogEntry


def split_log(log: Sequence[LogEntry], border: int) -> tuple[tuple[LogEntry, ...], tuple[LogEntry, ...]]:
    """What lies before the border (unix seconds), and what lies behind it; an entry across it is cut in two."""
    before = tuple(
        entry if entry.ended_at <= border else replace(entry, ended_at=border)
        for entry in log
        if entry.started_at < border
    )
    after = tuple(
        entry if entry.started_at >= border else replace(entry, started_at=border)
        for entry in log
        if entry.ended_at > border
    )
    return before, after
