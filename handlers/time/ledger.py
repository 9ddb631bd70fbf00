"""The time entries of one subject: the first one, and corrections made after it was invoiced.

Exactly one effect: the intent is remembered before an entry is created, its `number` makes a second one impossible,
and a doubtful answer is resolved by looking the number up.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from handlers.errors import Doubtful, NeedsPerson, NotFound, Rejected, RemoteError, RetryLater, ServerError
from handlers.ports.context import Context, Link
from handlers.time.adoption import KIND, intent_of, is_ours, number_taken
from handlers.time.billed import billed_by
from handlers.time.dead_lines import LIVE, ask_about, words_for
from handlers.time.held import (
    Held,
    has_stored_log,
    is_as_sent,
    place_of,
    rounding_remark,
    sent_as_json,
    stored_as_json,
)
from mappings.codes import Code
from mappings.config.rules import InvoiceStatusValues
from mappings.invoiceninja.tasks import Task
from mappings.taiga.models import WorkItem
from mappings.time.entry import correction, entry_number
from mappings.time.models import TimeEntry
from mappings.time.recorded import Recorded, read_recorded, shown_assignee

INVOICED = "invoiced"
CREDIT = "credit_proposal"
CLOSED_WORK = "closed_work"
"""The kind of the link that keeps what Taiga asks for: hours closed and billable, of which client."""

REOPENED = "it is open again in Taiga"
NOT_WANTED = "it is no longer billable in Taiga"
UNKNOWN_PROJECT = "unknown_project"


class TimeLedger:
    """What Invoice Ninja holds for a subject, and the means to change it."""

    def __init__(self, subject: str, item: WorkItem, context: Context) -> None:
        self._subject = subject
        self._item = item
        self._clock = context.clock
        self._prefix = context.number_prefix
        self._ninja = context.ninja
        self._links = context.links
        self._reviews = context.reviews
        self._books = context.invoicing.books if context.invoicing else None
        self._held: list[Held] = []
        self._closed: Link | None = None

    async def load(self) -> None:
        """Read the links and the entries they point to."""
        links = await self._links.of_subject(self._subject)
        invoiced = {link.number: link for link in links if link.kind == INVOICED}
        self._closed = next((link for link in links if link.kind == CLOSED_WORK), None)
        self._held = []
        for link in (link for link in links if link.kind == KIND):
            task = await self._present(link)
            self._held.append(Held(link, task, await billed_by(link, task, invoiced, self._books)))

    async def _present(self, link: Link) -> Task | None:
        # An intent without an id: the answer to its creation was lost, or never asked for.
        if link.remote_id:
            try:
                return await self._ninja.task(link.remote_id)
            except NotFound:
                pass
        task = await self._ninja.find_task(link.number)
        return task if task is not None and is_ours(link, task) else None

    @property
    def known_end(self) -> int | None:
        """When the recorded work ended (unix seconds), for items that Taiga closed without a date."""
        for held in self._held:
            if sent := held.link.state.get("sent"):
                return int(sent["ended_at"])
        return None

    @property
    def recorded(self) -> Recorded | None:
        """What was recorded of the work: its newest entry, and the hours of all of them; None when nothing was."""
        known = [held for held in self._held if held.link.state.get("sent")]
        newest = next(reversed([held for held in known if not held.is_locked] or known), None)
        recorded = read_recorded(newest.link.state) if newest is not None else None
        if recorded is None:
            return None
        closed = self._closed.state if self._closed is not None else {}
        if "raw_hours" in closed and Decimal(closed["hours"]):
            return replace(recorded, raw_hours=Decimal(closed["raw_hours"]), hours=Decimal(closed["hours"]))
        return recorded if len(known) == 1 else replace(recorded, raw_hours=None)

    @property
    def has_entries(self) -> bool:
        """Whether hours are recorded that would be billed, or are billed already."""
        return any(held.is_live or held.is_locked for held in self._held)

    @property
    def locked_hours(self) -> Decimal:
        """The hours that invoices bill already."""
        return sum((held.hours for held in self._held if held.is_locked), Decimal(0))

    def status_text(self, statuses: InvoiceStatusValues) -> str | None:
        """What "Invoice Status" in Taiga should say: "" for work that is open again, None when it is not ours."""
        if any(held.is_live and not held.is_locked for held in self._held):
            return statuses.pending
        if any(held.is_locked for held in self._held):
            return statuses.invoiced
        if not self._held:
            return None
        return statuses.not_billable if self._item.is_closed else ""

    async def withdraw(self, why: str) -> str:
        """No entry should be there: remove what no invoice bills yet; hours on an invoice need a person's decision.

        Returns what was done, "" when nothing was.
        """
        done = await self._remove_open()
        locked, where = self.locked_hours, self._where
        is_over = self._item.is_closed or self._item.is_deleted
        await self._remember_closed(None, "", ("" if where == LIVE else NOT_WANTED) if is_over else REOPENED)
        if not locked:
            await self._reviews.close(self._subject, CREDIT, why)
        elif where != LIVE:
            done.append(f"{locked} h are {where}")
        elif is_over:
            await self._propose_credit(locked, Decimal(0), why)
            done.append(f"{locked} h are on an invoice already: a credit needs a person")
        else:
            done.append(f"the {locked} h on an invoice stay until the work is closed again")
        return ", ".join([*done, *await self._ask_about_dead_lines()])

    async def settle(self, desired: TimeEntry) -> str:
        """Make the entries sum up to the desired one; returns what was done."""
        done = await self._settle(desired)
        return ", ".join([done, *await self._ask_about_dead_lines()])

    @property
    def _where(self) -> str:
        """Where the hours stand that cannot be changed any more, in words."""
        words = [words_for(held.billed) for held in self._held if held.billed is not None]
        return next((word for word in words if word != LIVE), LIVE)

    async def _ask_about_dead_lines(self) -> list[str]:
        """Let a person decide about hours that Invoice Ninja calls invoiced and no live line bills."""
        asked = [await ask_about(self._subject, held, self._links, self._reviews) for held in self._held]
        return [words for words in asked if words]

    async def _settle(self, desired: TimeEntry) -> str:
        # An entry keeps the number under which it was recorded, whatever TAIGA_NUMBER_PREFIX is by now.
        own = entry_number(self._item.kind, self._item.id, self._prefix)
        number = next((held.link.number for held in self._held if held.link.remote_id), own)
        desired = replace(desired, number=number)
        client_id = await self._client_id(desired)
        await self._remember_closed(desired, client_id, "")
        locked = self.locked_hours
        if not any(held.is_locked for held in self._held):
            if self._held:
                await self._reviews.close(self._subject, CREDIT, "no invoice bills these hours any more")
            return await self._settle_open(desired, client_id)
        more = desired.hours - locked
        if more > 0:
            done = await self._settle_open(self._correction(desired, locked), client_id)
            await self._reviews.close(self._subject, CREDIT, "the hours grew again")
            return f"{locked} h are {self._where}; correction: {done}"
        done_parts = await self._remove_open()
        if more < 0:
            await self._propose_credit(locked, desired.hours, "the hours became fewer after they were invoiced")
            done_parts.append(f"{locked} h are on an invoice, now {desired.hours} h: a credit needs a person")
        else:
            await self._reviews.close(self._subject, CREDIT, "the hours fit the invoice")
            done_parts.append(f"{locked} h are {self._where}: nothing to change")
        return ", ".join(done_parts)

    async def _remember_closed(self, desired: TimeEntry | None, client_id: str, why: str) -> None:
        """Keep what Taiga asks for, beside what Invoice Ninja holds of it: the balance of hours compares both."""
        if self._closed is None and desired is None:
            return
        before = self._closed.state if self._closed is not None else {}
        state = {
            "hours": str(desired.hours if desired is not None else Decimal(0)),
            "raw_hours": str(desired.raw_hours if desired is not None else Decimal(0)),
            "client_id": client_id or before.get("client_id", ""),
            "name": f"#{self._item.ref}: {self._item.subject}",
            "why": why,
        }
        if before != state:
            self._closed = Link(self._subject, CLOSED_WORK, CLOSED_WORK, "", state)
            await self._links.save(self._closed)

    def _correction(self, desired: TimeEntry, locked: Decimal) -> TimeEntry:
        open_numbers = [held.link.number for held in self._held if not held.is_locked]
        suffixes = [
            int(number.rpartition("-")[2]) for number in open_numbers if number.startswith(f"{desired.number}-")
        ]
        # The number of an open correction is used again; a removed one is restored.
        suffix = min(suffixes) if suffixes else len(self._held) + 1
        return correction(desired, locked, suffix)

    async def _settle_open(self, entry: TimeEntry, client_id: str) -> str:
        await self._remove_open(but=entry.number)
        held = next((held for held in self._held if held.link.number == entry.number), None)
        if held is None or held.task is None:
            return await self._create(entry, client_id)
        if held.task.is_deleted:
            await self._ninja.restore_task(held.task.id)
            return await self._update(held, held.task, entry, client_id, "restored")
        remark = " (archived in Invoice Ninja: restore it there to bill it)" if held.task.is_archived else ""
        place = place_of(held, held.task, entry, client_id)
        if place.is_moved:
            remark += f" (stays with client {place.client_id}, where a person moved it)"
        if is_as_sent(held, held.task, replace(entry, project_id=place.project_id), place.client_id):
            await self._remember(entry, client_id, held.task, is_moved=place.is_moved)
            return f"{entry.number} has {entry.hours} h already{remark}"
        return await self._update(held, held.task, entry, client_id, "updated") + remark

    async def _create(self, entry: TimeEntry, client_id: str) -> str:
        known = next((held.link for held in self._held if held.link.number == entry.number), None)
        intent = intent_of(self._subject, entry, known)
        await self._save(intent, None)
        try:
            task = await self._ninja.create_task(entry, client_id)
        except (Rejected, Doubtful, ServerError) as error:
            if isinstance(error, Rejected) and not error.names("number"):
                raise self._explained(error, entry) from error
            return await self._adopt(intent, entry, client_id, error)
        await self._remember(entry, client_id, task)
        await self._check_echo(task, entry, client_id)
        return f"{entry.number} created: {entry.hours} h at {entry.rate}{rounding_remark(task, entry)}"

    async def _adopt(self, intent: Link, entry: TimeEntry, client_id: str, error: RemoteError) -> str:
        task = await self._ninja.find_task(entry.number)
        if task is None:
            raise error
        if not is_ours(intent, task):
            await self._links.remove(intent)
            raise number_taken(self._named(), task, entry, client_id)
        held = Held(Link(self._subject, KIND, entry.number, task.id, {}), task)
        await self._save(held.link, task)
        if task.is_invoiced:
            raise RetryLater(
                Code.CHANGED_MEANWHILE, f"{entry.number} is on an invoice already; reading again what it bills", 1
            )
        if task.is_deleted:
            await self._ninja.restore_task(task.id)
        return await self._update(held, task, entry, client_id, "adopted")

    async def _update(self, held: Held, task: Task, entry: TimeEntry, client_id: str, word: str) -> str:
        place = place_of(held, task, entry, client_id)
        placed = replace(entry, project_id=place.project_id)
        try:
            updated = await self._ninja.update_task(task.id, placed, place.client_id)
        except Rejected as error:
            # With its task lock on, Invoice Ninja refuses to write what was invoiced between our look and our write.
            if await self._has_changed(task):
                raise RetryLater(Code.CHANGED_MEANWHILE, f"{entry.number} was changed just now; retrying", 1) from error
            raise self._explained(error, entry) from error
        if updated.is_invoiced:
            # Without the lock it was written all the same: put back what the invoice bills.
            await self._put_back(held, task)
            raise RetryLater(Code.CHANGED_MEANWHILE, f"{entry.number} was invoiced just now; retrying", 1)
        await self._remember(entry, client_id, updated, is_moved=place.is_moved)
        await self._check_echo(updated, placed, place.client_id)
        return f"{entry.number} {word}: {entry.hours} h at {entry.rate}{rounding_remark(updated, entry)}"

    async def _has_changed(self, task: Task) -> bool:
        try:
            present = await self._ninja.task(task.id)
        except NotFound:
            return True
        return present.is_invoiced or present.is_deleted

    async def _put_back(self, held: Held, task: Task) -> None:
        seconds = sum(end - start for start, end in task.spans)
        start = task.spans[0][0] if task.spans else 0
        if (sent := held.link.state.get("sent")) and has_stored_log(held.link, task):
            # Not the log as it was read: where Invoice Ninja rounds down, that would take another step off it.
            start, seconds = sent["started_at"], sent["ended_at"] - sent["started_at"]
        before = TimeEntry(
            number=task.number,
            description=task.description,
            client_ref=task.client_id,
            project_id=task.project_id,
            rate=task.rate,
            raw_hours=held.hours,
            hours=held.hours,
            started_at=start,
            ended_at=start + seconds,
        )
        await self._ninja.update_task(task.id, before, task.client_id)

    async def _check_echo(self, task: Task, entry: TimeEntry, client_id: str) -> None:
        if task.client_id != client_id:
            await self._ninja.delete_task(task.id)
            raise NeedsPerson(
                Code.PROJECT_OF_OTHER_CLIENT,
                f"{self._named()}: Invoice Ninja's project {entry.project_id} belongs to client {task.client_id}, not "
                f"to {client_id}; the entry was taken out again",
                "correct invoiceninja_project_id or invoiceninja_client_id in mappings.json, then replay this event",
            )
        if entry.project_id and task.project_id != entry.project_id:
            summary = f"{self._named()}: recorded without a project, Invoice Ninja has no project {entry.project_id}"
            await self._reviews.open(self._subject, UNKNOWN_PROJECT, summary, {"project_id": entry.project_id})
        else:
            await self._reviews.close(self._subject, UNKNOWN_PROJECT, "the project is known")

    async def _remove_open(self, but: str = "") -> list[str]:
        done = []
        for held in list(self._held):
            if held.link.number == but or held.is_locked:
                continue
            if held.task is None:
                continue
            if not held.task.is_deleted:
                await self._delete(held.link.number, held.task)
                done.append(f"{held.link.number} removed ({held.hours} h)")
            # Sums of recorded hours leave out what is marked so; recording the entry again writes the state anew.
            removed = replace(held.link, state={**held.link.state, "is_removed": True})
            await self._save(removed, replace(held.task, is_deleted=True))
        return done

    async def _delete(self, number: str, task: Task) -> None:
        await self._ninja.delete_task(task.id)
        if (await self._ninja.task(task.id)).is_invoiced:
            # Not even its lock keeps Invoice Ninja from deleting what an invoice bills.
            await self._ninja.restore_task(task.id)
            raise RetryLater(Code.CHANGED_MEANWHILE, f"{number} was invoiced just now; retrying", 1)

    async def _propose_credit(self, billed: Decimal, now: Decimal, why: str) -> None:
        summary = f"{self._named()}: {billed} h were invoiced, now {now} h are right: credit {billed - now} h? ({why})"
        details = {"billed_hours": str(billed), "hours": str(now), "permalink": self._item.permalink}
        await self._reviews.open(self._subject, CREDIT, summary, details)

    async def _client_id(self, entry: TimeEntry) -> str:
        client_id = await self._ninja.find_client(entry.client_ref)
        if client_id is None:
            raise NeedsPerson(
                Code.CLIENT_UNKNOWN,
                f'{self._named()}: Invoice Ninja has no client "{entry.client_ref}"',
                "correct the client in Taiga, or invoiceninja_client_id in mappings.json, then replay this event",
            )
        return client_id

    def _explained(self, error: Rejected, entry: TimeEntry) -> Exception:
        if not error.names("client_id"):
            return error
        return NeedsPerson(
            Code.CLIENT_REFUSED,
            f'{self._named()}: Invoice Ninja refuses the client "{entry.client_ref}": {error.message}',
            "restore or correct the client, then replay this event",
        )

    def _named(self) -> str:
        return f"{self._item.kind} #{self._item.ref} ({self._item.permalink})"

    async def _remember(self, entry: TimeEntry, client_id: str, task: Task, *, is_moved: bool = False) -> None:
        state: dict[str, Any] = {
            "sent": sent_as_json(entry, client_id),
            "stored": stored_as_json(task),
            "origin": self._origin(entry),
            "rate_source": self._rate_source(entry),
        }
        state |= {"is_moved": True} if is_moved else {}
        await self._save(Link(self._subject, KIND, entry.number, task.id, state), task)

    def _origin(self, entry: TimeEntry) -> dict[str, Any]:
        return {
            "person": shown_assignee(self._item, self.recorded),
            "person_id": self._item.assignee_id,
            "taiga_project_id": self._item.project_id,
            "own_client": entry.own_client,
        }

    def _rate_source(self, entry: TimeEntry) -> dict[str, Any]:
        """Why the rate is what it is, and since when: kept while both stay the same."""
        recorded, today = self.recorded, self._clock().date().isoformat()
        is_same = recorded is not None and (recorded.rate, recorded.kind) == (entry.rate, entry.rate_kind)
        person = self._item.assignee or "" if entry.rate_kind == "user" else ""
        if recorded is not None and is_same:
            return {"kind": entry.rate_kind, "name": recorded.name or person, "since": recorded.since or today}
        return {"kind": entry.rate_kind, "name": person, "since": today}

    async def _save(self, link: Link, task: Task | None) -> None:
        known = next((held for held in self._held if held.link.number == link.number), None)
        if known is None or known.link != link:
            await self._links.save(link)
        self._held = [held for held in self._held if held.link.number != link.number] + [Held(link, task)]
