"""Dividing a log at a moment, and keeping one as it is: no second is lost and none is counted twice."""

from collections.abc import Sequence
from dataclasses import replace

from mappings.invoiceninja.settings import Rounding
from mappings.invoiceninja.tasks import LogEntry


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


def kept_log(log: Sequence[LogEntry], rounding: Rounding) -> tuple[LogEntry, ...]:
    """What to send so that Invoice Ninja stores this log, which it rounded before.

    Rounding down makes nothing of exactly one step (docs/facts/invoice-ninja-2.md section 1), so such a stretch is sent
    a second longer.
    """
    if not rounding or rounding.is_up:
        return tuple(log)
    return tuple(
        replace(entry, ended_at=entry.ended_at + 1) if entry.ended_at - entry.started_at == rounding.step else entry
        for entry in log
    )
