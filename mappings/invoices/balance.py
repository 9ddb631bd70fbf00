"""The balance of hours: what Taiga calls closed and billable is billed, billable, left out or waits for a person.

Pure.
Worked example: docs/invoicing.md. `stand_of` says where one entry stands; `balance` adds up.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

_NOTHING = Decimal(0)
_UNSEEN = Decimal("0.00005")
"""Hours that are no difference: less than a second, of four decimals that are rounded on both sides."""


class Stand(StrEnum):
    """Where hours stand."""

    BILLED = "billed"
    BILLABLE = "billable"
    LEFT_OUT = "left_out"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class ClosedWork:
    """Work that Taiga calls closed and billable: `hours` is 0 for work that was, and is so no more.

    `settled` are hours that a person settled otherwise, such as a credit: more were billed than are closed.
    """

    subject: str
    name: str
    client_id: str
    hours: Decimal
    settled: Decimal = _NOTHING
    is_waiting: str = ""
    """Why a person has to decide about it; "" when nobody has to."""

    ended_at: int = 0
    """When it was closed (unix seconds), as far as its entries know."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Hours of one entry and where they stand; `reason` is for those that are neither billed nor billable.

    `invoice_id` and `invoice` (its name) are of the invoice that bills them, or of the cancelled one that waits.
    """

    subject: str
    number: str
    client_id: str
    hours: Decimal
    stand: Stand
    reason: str = ""
    invoice_id: str = ""
    invoice: str = ""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Work whose hours do not add up: `found` hours of it stand somewhere, `closed` are closed in Taiga."""

    subject: str
    name: str
    client_id: str
    closed: Decimal
    found: Decimal
    entries: tuple[Placed, ...]
    ended_at: int = 0


@dataclass(slots=True)
class ClientBalance:
    """The sums of one client, in hours."""

    client_id: str
    closed: Decimal = _NOTHING
    billed: Decimal = _NOTHING
    billable: Decimal = _NOTHING
    left_out: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    waiting: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def difference(self) -> Decimal:
        """Closed hours that stand nowhere; negative where more stand than were closed. Must be 0."""
        parts = sum(self.left_out.values(), _NOTHING) + sum(self.waiting.values(), _NOTHING)
        difference = self.closed - self.billed - self.billable - parts
        return _NOTHING if abs(difference) <= _UNSEEN else difference


@dataclass(frozen=True, slots=True)
class HourBalance:
    """All clients, and the work that does not add up."""

    clients: tuple[ClientBalance, ...]
    mismatches: tuple[Mismatch, ...]
    waiting: tuple[Placed, ...] = ()

    @property
    def difference(self) -> Decimal:
        """The hours that are off, whatever their sign: what is missing is not made up for by what is doubled."""
        return sum((abs(one.closed - one.found) for one in self.mismatches), _NOTHING)


def balance(works: Iterable[ClosedWork], placed: Iterable[Placed]) -> HourBalance:
    """Add up all closed work and all entries; entries of no known work are work of 0 hours."""
    entries: defaultdict[str, list[Placed]] = defaultdict(list)
    for one in placed:
        entries[one.subject].append(one)
    known = {work.subject: work for work in works}
    for subject, own in entries.items():
        if subject not in known:
            known[subject] = ClosedWork(subject, own[0].number, own[0].client_id, _NOTHING)
    clients: dict[str, ClientBalance] = {}
    mismatches: list[Mismatch] = []
    for work in known.values():
        own = entries.get(work.subject, [])
        # A person may have moved the entries to another client: there the hours are billed, so they count there.
        client_id = own[0].client_id if own else work.client_id
        of_client = clients.setdefault(client_id, ClientBalance(client_id))
        parts = [*own, *_settled(work, client_id, own)]
        _add(of_client, work, parts)
        found = sum((one.hours for one in parts), _NOTHING)
        if abs(work.hours - found) > _UNSEEN:
            mismatches.append(
                Mismatch(work.subject, work.name, client_id, work.hours, found, tuple(own), work.ended_at)
            )
    ordered = sorted(clients.values(), key=lambda one: one.client_id)
    mismatches.sort(key=lambda one: (one.client_id, one.subject))
    waiting = tuple(one for own in entries.values() for one in own if one.stand is Stand.WAITING)
    return HourBalance(tuple(ordered), tuple(mismatches), waiting)


def _settled(work: ClosedWork, client_id: str, own: Sequence[Placed]) -> Iterable[Placed]:
    """What explains a difference between the entries and the work: a person decides on it, or decided."""
    rest = work.hours - sum((one.hours for one in own), _NOTHING)
    if work.settled and rest < 0:
        part = max(rest, -work.settled)
        yield Placed(work.subject, "", client_id, part, Stand.LEFT_OUT, "billed, and settled by a person")
        rest -= part
    if work.is_waiting and abs(rest) > _UNSEEN:
        yield Placed(work.subject, "", client_id, rest, Stand.WAITING, work.is_waiting)


def _add(of_client: ClientBalance, work: ClosedWork, parts: Iterable[Placed]) -> None:
    of_client.closed += work.hours
    for one in parts:
        if one.stand is Stand.BILLED:
            of_client.billed += one.hours
        elif one.stand is Stand.BILLABLE:
            of_client.billable += one.hours
        elif one.stand is Stand.LEFT_OUT:
            of_client.left_out[one.reason] += one.hours
        else:
            of_client.waiting[one.reason] += one.hours


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """What we remember of an entry. `hours` are those that we sent, `spans` what Invoice Ninja stored of them.

    `is_pending`: it was asked for, and is not known to be there; its hours are not known either.
    """

    subject: str
    number: str
    task_id: str
    client_id: str
    hours: Decimal
    spans: tuple[tuple[int, int], ...] = ()
    is_removed: bool = False
    ended_at: int = 0
    is_pending: bool = False


@dataclass(frozen=True, slots=True)
class Credit:
    """The last word on hours that were billed too much: it waits for a person, or one has settled it."""

    hours: Decimal
    is_open: bool = False
    is_settled: bool = False


def known_works(
    closed: Iterable[ClosedWork], entries: Sequence[RecordedEntry], of_people: Mapping[str, Credit]
) -> list[ClosedWork]:
    """All closed work with what people have to decide about it, or decided.

    Of work that was recorded before what Taiga asks for was kept beside it, the entries must do.
    """
    works = {work.subject: work for work in closed}
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if entry.subject not in works and not entry.is_removed:
            sums[entry.subject] += entry.hours
    first = {entry.subject: entry for entry in reversed(entries)}
    works |= {
        subject: ClosedWork(subject, first[subject].number, first[subject].client_id, hours)
        for subject, hours in sums.items()
    }
    for subject, credit in of_people.items():
        if (work := works.get(subject)) is None:
            continue
        if credit.is_open:
            works[subject] = replace(work, is_waiting=CREDIT_WAITS)
        elif credit.is_settled:
            works[subject] = replace(work, settled=credit.hours)
    ends: dict[str, int] = {}
    for entry in entries:
        ends[entry.subject] = max(ends.get(entry.subject, 0), entry.ended_at)
        if entry.is_pending and entry.subject in works:
            works[entry.subject] = replace(works[entry.subject], is_waiting=PENDING)
    return [replace(work, ended_at=ends.get(subject, 0)) for subject, work in works.items()]


CREDIT_WAITS = "a credit needs a person"


@dataclass(frozen=True, slots=True)
class PresentTask:
    """An entry as Invoice Ninja has it now."""

    id: str
    client_id: str
    invoice_id: str
    hours: Decimal
    spans: tuple[tuple[int, int], ...]
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class BillingLine:
    """A line of an invoice that is not deleted; of a group, its first line has the hours of all."""

    invoice_id: str
    invoice: str
    hours: Decimal
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Books:
    """Everything by task id: the lines that bill it, what the next plan makes of it, and what people decided.

    `remembered` are the hours that we put on an invoice, by (number of the entry, invoice id). `left` are the ids of
    cancelled invoices whose hours a person left.
    """

    lines: Mapping[str, Sequence[BillingLine]]
    billable: Mapping[str, Decimal]
    left_out: Mapping[str, str]
    remembered: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    left: frozenset[str] = frozenset()


CHANGED = "changed in Invoice Ninja by a person"
PENDING = "its entry was asked for and is not there: its event says why"
RESTORED = "restored in Invoice Ninja by a person"
GONE = "gone from Invoice Ninja"
DELETED = "deleted in Invoice Ninja"
NO_LINE = "called invoiced in Invoice Ninja, and no invoice line bills it"
NO_PLAN = "no plan sees it: it has no time any more"


def stand_of(entry: RecordedEntry, task: PresentTask | None, books: Books) -> list[Placed]:
    """Where the hours of an entry stand; several places when more than one invoice bills it, or a person changed it."""
    if entry.is_pending:
        return []
    client_id = task.client_id if task is not None and task.client_id else entry.client_id
    live = [line for line in books.lines.get(entry.task_id, ()) if not line.is_cancelled]
    if live:
        return [_billed(entry, client_id, line, books) for line in live]
    if task is None or task.is_deleted:
        if entry.is_removed:
            return []
        return [_placed(entry, client_id, entry.hours, Stand.WAITING, GONE if task is None else DELETED)]
    if task.invoice_id:
        return [_dead(entry, client_id, task.invoice_id, books)]
    return _free(entry, task, client_id, books)


def _billed(entry: RecordedEntry, client_id: str, line: BillingLine, books: Books) -> Placed:
    placed = _placed(entry, client_id, _billed_hours(entry, line, books), Stand.BILLED)
    return replace(placed, invoice_id=line.invoice_id, invoice=line.invoice)


def _dead(entry: RecordedEntry, client_id: str, invoice_id: str, books: Books) -> Placed:
    hours = books.remembered.get((entry.number, invoice_id), entry.hours)
    cancelled = [line for line in books.lines.get(entry.task_id, ()) if line.invoice_id == invoice_id]
    if not cancelled:
        return _placed(entry, client_id, hours, Stand.WAITING, NO_LINE)
    if invoice_id in books.left:
        return _placed(entry, client_id, hours, Stand.LEFT_OUT, f"left on invoice {cancelled[0].invoice}, cancelled")
    name = cancelled[0].invoice
    waiting = _placed(entry, client_id, hours, Stand.WAITING, f"invoice {name} was cancelled")
    return replace(waiting, invoice_id=invoice_id, invoice=name)


def _free(entry: RecordedEntry, task: PresentTask, client_id: str, books: Books) -> list[Placed]:
    if entry.is_removed:
        # We took it out; a person who brings it back wants it billed.
        again = books.billable.get(task.id, _NOTHING)
        back = _placed(entry, client_id, again, Stand.BILLABLE)
        return [back, _placed(entry, client_id, -again, Stand.LEFT_OUT, RESTORED)] if again else []
    if (why := books.left_out.get(task.id)) is not None:
        return [_placed(entry, client_id, entry.hours, Stand.LEFT_OUT, why)]
    if (hours := books.billable.get(task.id)) is None:
        return [_placed(entry, client_id, entry.hours, Stand.WAITING, NO_PLAN)]
    billable, changed = _placed(entry, client_id, hours, Stand.BILLABLE), entry.hours - hours
    if not changed or task.spans == entry.spans:
        return [billable]
    return [billable, _placed(entry, client_id, changed, Stand.LEFT_OUT, CHANGED)]


def _billed_hours(entry: RecordedEntry, line: BillingLine, books: Books) -> Decimal:
    remembered = books.remembered.get((entry.number, line.invoice_id))
    if remembered is not None:
        return remembered
    return entry.hours if abs(line.hours - entry.hours) <= _QUANTITY else line.hours


_QUANTITY = Decimal("0.01")
"""Hours by which the quantity of a person's line may differ from those it stands for: people round it."""


def _placed(entry: RecordedEntry, client_id: str, hours: Decimal, stand: Stand, reason: str = "") -> Placed:
    return Placed(entry.subject, entry.number, client_id, hours, stand, reason)
