"""Finds work in Taiga that no webhook reported, and enqueues its state.

Taiga sends each webhook once, none for tasks without a user story, and none for several ways of closing a task
(docs/facts/taiga.md section 3). What is closed there, or was billed and is no longer closed, is compared with
the events.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from handlers.errors import Doubtful, NotFound, Rejected, RemoteError, ServerError
from handlers.ports.context import Clock
from handlers.ports.events import DifferenceSink
from handlers.reconcile.batches import BatchReader
from handlers.reconcile.reconcile_look import Found, Look, last_told
from handlers.reconcile.taiga_compare import judge, state_of
from handlers.reconcile.taiga_listing import Listing
from handlers.reconcile.taiga_models import Difference, Newest, Report, Scope, Seen, SeenItems, TaigaLists
from mappings.config.file import MappingFile, ProjectRules
from mappings.taiga.fingerprint import content_mark, row_mark
from mappings.taiga.models import WorkItem, WorkKind

NEVER = datetime.min.replace(tzinfo=UTC)
BATCH = 200
FAILURES_IN_A_ROW = 5
"""So many items that cannot be read say something about Taiga, fewer only about themselves."""

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class _Tally:
    looked_at: int = 0
    items_read: int = 0
    postponed: int = 0
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class TaigaReconciliation:
    """One run. With `door` None nothing is put in and nothing remembered: a dry run."""

    def __init__(
        self,
        taiga: TaigaLists,
        seen: SeenItems,
        mapping: MappingFile,
        clock: Clock,
        sink: DifferenceSink[Difference] | None,
        *,
        progress: Progress = lambda _text, _count: None,
    ) -> None:
        self._taiga = taiga
        self._seen = seen
        self._mapping = mapping
        self._clock = clock
        self._sink = sink
        self._progress = progress
        self._tally = _Tally()
        self._looked: set[str] = set()
        self._unchanged: set[str] = set()
        self._rolling_left = 0
        self._failed_in_a_row = 0
        self._oldest: dict[str, WorkItem | None] = {}
        """Subjects that the rolling look may read, with their rows where a list shows them: that saves a request."""

    async def run(self, scope: Scope) -> Report:
        """Look at everything in the scope.

        Raises:
            RemoteError: Taiga cannot be read; what was put in until then stays.
        """
        rules = [
            one
            for mapping in self._mapping.project_mappings
            if scope.project_id in (None, mapping.taiga_project_id)
            and (one := self._mapping.project(mapping.taiga_project_id)) is not None
        ]
        budget, self._rolling_left = scope.most_reads, scope.rolling
        oldest = await self._longest_unread([one.taiga_project_id for one in rules], scope.rolling)
        for one in rules:
            for kind in one.rules.billable_types:
                budget -= await self._project(one, kind, scope, budget)
        if scope.since is None and scope.project_id is None:
            await self._never_found(rules, budget)
        await self._roll(*oldest, max(scope.rolling // 2, self._rolling_left))
        tally = self._tally
        return Report(
            tally.looked_at,
            tally.items_read,
            tally.postponed,
            len(self._unchanged - self._looked),
            tuple(tally.differences),
            tuple(tally.problems),
        )

    async def _project(self, rules: ProjectRules, kind: WorkKind, scope: Scope, budget: int) -> int:
        """Compare one list with what was seen; returns how many items were read."""
        project_id = rules.taiga_project_id
        unmet = dict(await self._seen.of_project(project_id, kind))
        linked = await self._seen.linked(kind)
        before = self._clock() - scope.reread_after if scope.reread_after is not None else NEVER
        listing = Listing(rules, linked, unmet, before)
        try:
            async for item in self._listed(kind, project_id, scope.since):
                self._note(item, listing)
            if listing.is_empty and scope.proves_empty and not await self._taiga.may_list(kind, project_id):
                self._tally.problems.append(
                    f"project {project_id} was left out: our Taiga account may not see items of type {kind} in it"
                )
                return 0
        except Rejected as error:
            self._tally.problems.append(f"project {project_id} was left out: {error}")
            return 0
        looks, passed_over = listing.looks, listing.passed_over
        if scope.since is None:
            held = [seen for seen in unmet.values() if seen.subject in linked]
            looks += [Look(kind, seen.item_id, seen) for seen in await self._called_closed(held)]
            passed_over += [seen for seen in unmet.values() if seen.state == "closed" and seen.subject not in linked]
        for seen in passed_over:
            self._oldest.pop(seen.subject, None)
        # Not called closed any more, the rolling look leaves them alone from now on.
        await self._remember(replace(seen, state="open") for seen in passed_over)
        self._unchanged |= listing.unchanged
        await self._read_again(listing.lately)
        return await self._look_at(self._newest_first(looks), budget)

    def _note(self, item: WorkItem, listing: Listing) -> None:
        self._tally.looked_at += 1
        subject = listing.add(item)
        if subject in self._oldest:
            self._oldest[subject] = item
        if self._tally.looked_at % BATCH == 0:
            self._progress(f"project {item.project_id}", self._tally.looked_at)

    async def _read_again(self, looks: Sequence[Look]) -> None:
        """Hours are often typed soon after closing: items of a list of recent changes, the longest unread first."""
        oldest = sorted(looks, key=lambda look: look.seen.read_at if look.seen else NEVER)
        chosen = oldest[: self._rolling_left]
        self._rolling_left -= await self._look_at(chosen, len(chosen))

    async def _called_closed(self, held: Sequence[Seen]) -> list[Seen]:
        """Those that were closed at the last look, or by a webhook since then."""
        others = [seen.subject for seen in held if seen.state != "closed"]
        told: set[str] = set()
        for start in range(0, len(others), BATCH):
            newest = await self._seen.newest(others[start : start + BATCH])
            told |= {key for key, event in newest.items() if event.told and state_of(event.told) == "closed"}
        return [seen for seen in held if seen.state == "closed" or seen.subject in told]

    def _listed(self, kind: WorkKind, project_id: int, since: datetime | None) -> AsyncIterator[WorkItem]:
        if since is None:
            return self._taiga.closed_items(kind, project_id)
        return self._taiga.items_modified_since(kind, project_id, since)

    async def _never_found(self, rules: Sequence[ProjectRules], budget: int) -> None:
        """Look at items with a time entry that no list showed: they were opened again, moved or deleted."""
        for kind in sorted({kind for one in rules for kind in one.rules.billable_types}):
            subjects = [one for one in await self._seen.linked_unseen(kind) if one not in self._looked]
            looks = [Look(kind, int(subject.rpartition(":")[2]), None) for subject in subjects]
            budget -= await self._look_at(looks, budget)

    def _newest_first(self, looks: Sequence[Look]) -> list[Look]:
        now = self._clock()
        return sorted(looks, key=lambda look: look.listed.changed_at if look.listed else now, reverse=True)

    async def _longest_unread(self, project_ids: Collection[int], limit: int) -> tuple[Sequence[Seen], Sequence[Seen]]:
        """The closed items whose values were not read for longest: without and with a time entry."""
        without = await self._seen.oldest_read(project_ids, linked=False, limit=limit)
        with_entry = await self._seen.oldest_read(project_ids, linked=True, limit=limit)
        self._oldest = {seen.subject: None for seen in (*without, *with_entry)}
        return without, with_entry

    async def _roll(self, without: Sequence[Seen], with_entry: Sequence[Seen], limit: int) -> None:
        """Read again some of those that seem unchanged: new attribute values show in no list."""
        due = self._oldest.keys() - self._looked
        linked = [seen for seen in with_entry if seen.subject in due]
        first = [seen for seen in without if seen.subject in due][: max(limit // 2, limit - len(linked))]
        # The longest unread first: a run that is ended in the middle leaves the rest to the next one.
        left = sorted([*first, *linked[: limit - len(first)]], key=lambda seen: seen.read_at)
        await self._look_at([Look(one.kind, one.item_id, one, self._oldest[one.subject]) for one in left], limit)

    async def _look_at(self, looks: Sequence[Look], budget: int) -> int:
        """Read, judge and put in, in this order. Returns how many were read."""
        chosen = looks[: max(0, budget)]
        self._tally.postponed += len(looks) - len(chosen)
        self._looked |= {look.subject for look in chosen}
        await BatchReader(self._read, self._settle, self._clock).all(chosen)
        return len(chosen)

    async def _read(self, look: Look) -> Found | None:
        # Before reading: an event of a later change must stay the newest.
        now = self._clock()
        self._tally.items_read += 1
        try:
            item = await self._present(look)
        except (Rejected, ServerError, Doubtful) as error:
            if not isinstance(error, Rejected):
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= FAILURES_IN_A_ROW:
                    raise
            await self._pass_over(look, error, now)
            return None
        self._failed_in_a_row = 0
        return Found(look, item, now)

    async def _present(self, look: Look) -> WorkItem | None:
        try:
            if look.listed is not None:
                return await self._taiga.with_attributes(look.listed)
            return await self._taiga.item(look.kind, look.item_id)
        except NotFound:
            return None

    async def _pass_over(self, look: Look, error: RemoteError, now: datetime) -> None:
        """Name an item that cannot be read; the rolling look does not come back to it before all others."""
        self._tally.problems.append(f"{look.subject} was left out: {error}")
        await self._remember([replace(look.seen, read_at=now)] if look.seen else [])

    async def _settle(self, found: Sequence[Found]) -> None:
        self._progress("items read", self._tally.items_read)
        newest = await self._seen.newest([one.look.subject for one in found])
        kinds = {one.look.kind for one in found}
        linked = {subject for kind in kinds for subject in await self._seen.linked(kind)}
        pairs = [self._compare(one, newest, one.look.subject in linked) for one in found]
        differences = [difference for difference, _ in pairs if difference is not None]
        self._tally.differences += differences
        if self._sink is not None:
            await self._sink.enqueue(differences)
        await self._remember(seen for _, seen in pairs if seen is not None)

    def _compare(
        self, found: Found, newest: Mapping[str, Newest], is_linked: bool
    ) -> tuple[Difference | None, Seen | None]:
        look, known = found.look, newest.get(found.look.subject)
        item = found.item or last_told(look, known)
        if item is None:
            self._tally.problems.append(f"{look.subject} is gone from Taiga, and no event says what it was")
            return None, replace(look.seen, read_at=found.read_at) if look.seen else None
        rules = self._mapping.rules_for(item.project_id)
        content = content_mark(item, rules.attributes.invoice_status)
        puts = look.seen.puts if look.seen else 0
        why = judge(item, content, look.seen, known, rules, is_linked=is_linked)
        difference = Difference(look.subject, item, why, content, puts, found.read_at) if why else None
        seen = Seen(
            subject=look.subject,
            project_id=item.project_id,
            kind=item.kind,
            item_id=item.id,
            state=state_of(item),
            row_mark=row_mark(look.listed or item),
            content=content,
            puts=puts + bool(why),
            read_at=found.read_at,
        )
        return difference, seen

    async def _remember(self, seen: Iterable[Seen]) -> None:
        if self._sink is not None:
            await self._seen.save(list(seen))
