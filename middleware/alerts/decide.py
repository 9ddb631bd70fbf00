"""Pure: what a look changes in what is remembered, and what is reported now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from middleware.alerts.models import Condition, Observation
from middleware.store.operations.alerts import Batch, KindState, KnownCondition

LONGEST_RETRY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look found: rows to write, and rows to forget because they ended before anybody heard of them."""

    written: tuple[KnownCondition, ...]
    forgotten: tuple[KnownCondition, ...]


def changes(known: Iterable[KnownCondition], readings: Iterable[Observation], now: datetime) -> Changes:
    """Compare what is remembered with what is so now."""
    remembered: dict[str, dict[str, KnownCondition]] = {}
    for row in known:
        remembered.setdefault(row.kind, {})[row.key] = row
    written: list[KnownCondition] = []
    forgotten: list[KnownCondition] = []
    for reading in readings:
        rows = remembered.get(reading.kind, {})
        present = {condition.key: condition for condition in reading.conditions}
        seen = (_seen(rows.get(condition.key), condition, now) for condition in present.values())
        written += [row for row in seen if row is not None]
        for row in rows.values():
            if row.key not in present and reading.speaks_of(row.key) and row.recovered_at is None:
                if row.told_at is None:
                    forgotten.append(row)
                else:
                    written.append(replace(row, recovered_at=now))
    return Changes(tuple(written), tuple(forgotten))


def _seen(row: KnownCondition | None, condition: Condition, now: datetime) -> KnownCondition | None:
    """The row of a condition that is there; None when it stays as it is."""
    if row is None:
        return KnownCondition(condition.kind, condition.key, condition.summary, now)
    # It is back before its end was reported: for those who read the messages it never ended.
    back = replace(row, summary=condition.summary, recovered_at=None)
    return None if back == row else back


def due(
    known: Sequence[KnownCondition], states: Mapping[str, KindState], window: timedelta, now: datetime
) -> tuple[Batch, ...]:
    """One batch for each kind that has something to tell and whose pause is over."""
    batches = []
    for kind in sorted({row.kind for row in known}):
        rows = [row for row in known if row.kind == kind]
        new = tuple(row for row in rows if row.told_at is None)
        over = tuple(row for row in rows if row.told_at is not None and row.recovered_at is not None)
        if (new or over) and _may_send(states.get(kind, KindState()), window, now):
            batches.append(Batch(kind, new, over, len(rows) - len(new) - len(over)))
    return tuple(batches)


def _may_send(state: KindState, window: timedelta, now: datetime) -> bool:
    if state.failed_at is not None:
        doubled = timedelta(minutes=1 << min(state.failures - 1, 10))
        return now >= state.failed_at + min(doubled, LONGEST_RETRY)
    return state.sent_at is None or now >= state.sent_at + window
