"""What happened to an event, in the order of time: attempts, and what people did between them. Pure."""

from collections.abc import Sequence
from datetime import datetime

from middleware.store.events.events import AttemptRow
from middleware.store.operations.audit import AuditRow

Entry = AttemptRow | AuditRow


def timeline_of(attempts: Sequence[AttemptRow], deeds: Sequence[AuditRow]) -> list[Entry]:
    """Attempts and deeds, oldest first; attempts are counted anew after each replay."""
    return sorted([*attempts, *deeds], key=moment_of)


def moment_of(entry: Entry) -> datetime:
    """When it began."""
    return entry.started_at if isinstance(entry, AttemptRow) else entry.at
