"""Invoice Ninja's tasks, which hold the time (docs/facts/invoice-ninja.md section 6). Times are unix seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One stretch of time in a task's log; `ended_at` 0 while it is running."""

    started_at: int
    ended_at: int
    note: str = ""
    is_billable: bool = True


def spans_of(log: Sequence[LogEntry]) -> tuple[tuple[int, int], ...]:
    """Begin and end of each entry, without texts."""
    return tuple((entry.started_at, entry.ended_at) for entry in log)


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its whole log; `person_id` is who is assigned, else who made it."""

    id: str
    number: str
    client_id: str
    project_id: str
    description: str
    rate: Decimal
    log: tuple[LogEntry, ...]
    invoice_id: str = ""
    person_id: str = ""
    assigned_id: str = ""
    is_deleted: bool = False
    is_archived: bool = False
    updated_at: int = 0

    @property
    def is_invoiced(self) -> bool:
        """Whether an invoice bills this task: from then on its time is locked for us."""
        return self.invoice_id != ""

    @property
    def is_running(self) -> bool:
        """Whether its timer runs."""
        return any(entry.ended_at == 0 for entry in self.log)

    @property
    def started_at(self) -> int:
        """When its first stretch began; 0 without any."""
        return min((entry.started_at for entry in self.log), default=0)

    @property
    def ended_at(self) -> int:
        """When its last finished stretch ended; 0 without any."""
        return max((entry.ended_at for entry in self.log), default=0)

    @property
    def seconds(self) -> int:
        """The finished billable time."""
        return sum(entry.ended_at - entry.started_at for entry in self.log if entry.is_billable and entry.ended_at)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The log without texts, as links remember it."""
        return spans_of(self.log)
