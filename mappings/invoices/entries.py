"""Which tasks are billed, with how much time at which rate, and why the others are not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from mappings.config.rules import BillingRules
from mappings.invoiceninja.settings import EffectiveSettings
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.invoices.models import Entry, LeftOut, PeriodWork, TimeLink
from mappings.invoices.period import local_date
from mappings.invoices.scopes import Scopes
from mappings.invoices.splitting import split_log
from mappings.invoices.taxes import taxes_of
from mappings.invoices.totals import COST, quantity_of
from mappings.values.hours import hours_to_seconds, seconds_to_hours
from mappings.values.text import one_line

_ARCHIVED = "it is archived in Invoice Ninja"


@dataclass
class Selection:
    """What came of looking at the tasks."""

    entries: list[Entry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def select(work: PeriodWork, scopes: Scopes) -> Selection:
    """Look at every task once: it becomes an entry, is left out with a reason, or lies behind the period."""
    selector = _Selector(work, scopes)
    for task in sorted({task.id: task for task in work.tasks}.values(), key=lambda task: (task.client_id, task.id)):
        selector.look_at(task)
    selection = selector.selection
    selection.left_out.extend(selector.uninvited())
    return selection


@dataclass
class _Selector:
    work: PeriodWork
    scopes: Scopes
    selection: Selection = field(default_factory=Selection)
    _uninvited: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _settings_of: dict[str, EffectiveSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unresolved = {event.subject: event for event in self.work.unresolved}
        self._end = self.work.period.ends_at

    def look_at(self, task: Task) -> None:
        if task.is_deleted or task.invoice_id or not task.log or task.started_at >= self._end:
            return
        link = self.work.links.get(task.id)
        is_ours = link is not None or task.number.startswith(self.work.number_prefix)
        if task.is_archived:
            # People archive tasks to tidy up. Of their own nothing is said; of ours money is owed.
            if is_ours and task.id not in self.work.billed_by:
                self._leave_out(task, self._owed(task, link), _ARCHIVED, "restore it there to bill it")
            return
        if not is_ours and (why := self._uninvited_because(task.client_id)):
            self._uninvited.setdefault((task.client_id, why), []).append(task.seconds)
            return
        rules = self.scopes.project(link.taiga_project_id if link else None, task.project_id, task.client_id)
        reason, hint = next(self._obstacles(task, link, rules), ("", ""))
        if reason:
            self._leave_out(task, task.seconds, reason, hint)
        else:
            self._bill(task, link, rules)

    def uninvited(self) -> Iterator[LeftOut]:
        """People's own tasks that the rules do not ask for: one line a client, not one a task."""
        for (client_id, why), seconds in self._uninvited.items():
            what = f"{len(seconds)} tasks entered in Invoice Ninja" if len(seconds) > 1 else "1 task entered there"
            yield LeftOut(client_id, self._client_name(client_id), what, sum(seconds), why)

    def _uninvited_because(self, client_id: str) -> str:
        if not self.scopes.is_mapped(client_id):
            return "mappings.json does not name this client"
        return "" if self.scopes.client(client_id).include == "all" else "include is synced for this client"

    def _obstacles(self, task: Task, link: TimeLink | None, rules: BillingRules) -> Iterator[tuple[str, str]]:
        """Why the task cannot be billed, and what to do."""
        client = self.work.clients.get(task.client_id)
        event = self._unresolved.get(link.subject) if link else None
        if not task.client_id or client is None or client.is_deleted:
            yield "it has no client", "give the task a client in Invoice Ninja, or restore the client"
        if task.is_running:
            yield "its timer is running", "stop the timer; the time is billed by the next run"
        if (invoice := self.work.billed_by.get(task.id)) is not None:
            yield f"it is on invoice {invoice} already", "save that invoice once, which links its tasks again"
        if event is not None:
            yield f"event {event.event_id} about it is not done ({event.status}: {event.reason})", event.hint
        if not task.seconds and self._hours_as_sent(task, link) is None:
            yield self._nothing_billable(task)
        if not self._rate(task, rules):
            yield "no rate", "give the task, its project or the client in mappings.json an hourly rate"
        if task.ended_at > self._end and not self._can_split(task, link, rules):
            yield "it ends after the period", "it is billed with the period in which it ends"

    def _bill(self, task: Task, link: TimeLink | None, rules: BillingRules) -> None:
        zone, border = self.work.period.timezone, 0
        log = task.log
        if task.ended_at > self._end:
            log, border = split_log(task.log, self._end)[0], self._end
        seconds = self._seconds(task, link, is_cut=bool(border), of_part=_billable(log))
        if not quantity_of(seconds):
            if border:
                return
            self._leave_out(task, seconds, "it is shorter than 0.001 h", "archive it: no invoice line can show it")
            return
        project = self.work.projects.get(task.project_id)
        taiga_id = link.taiga_project_id if link else None
        # What ends at midnight was worked on the day before.
        day = local_date(max(entry.ended_at for entry in log) - 1, zone)
        is_made_up = self._hours_as_sent(task, link) is not None
        self.selection.entries.append(
            Entry(
                task_id=task.id,
                number=task.number,
                client_id=task.client_id,
                project_id=task.project_id,
                project=(project.name if project else "") or self.scopes.project_name(taiga_id),
                description=one_line(task.description) or "Work",
                # What the bridge made belongs to its own user in Invoice Ninja, who did nothing of it.
                person=link.person if link else self.work.people.get(task.person_id, ""),
                first_day=day if is_made_up else local_date(min(entry.started_at for entry in log), zone),
                day=day,
                seconds=seconds,
                rate=self._rate(task, rules),
                taxes=taxes_of(rules, self._settings(task.client_id)),
                product_key=rules.product_key,
                raw_hours=link.raw_hours if link else None,
                subject=link.subject if link else "",
                split_at=border,
                has_clock_times=not is_made_up,
            )
        )

    def _owed(self, task: Task, link: TimeLink | None) -> int:
        hours = self._hours_as_sent(task, link)
        return task.seconds if hours is None else hours_to_seconds(hours)

    @staticmethod
    def _hours_as_sent(task: Task, link: TimeLink | None) -> Decimal | None:
        """The hours that we sent, if nobody changed them since: Invoice Ninja may have rounded them."""
        return link.sent_hours if link is not None and link.stored_log == task.spans else None

    def _seconds(self, task: Task, link: TimeLink | None, *, is_cut: bool, of_part: int) -> int:
        """The time to bill: what we sent, if nobody changed it since; Invoice Ninja may have rounded it again."""
        if is_cut or link is None or link.sent_hours is None:
            return of_part
        if self._hours_as_sent(task, link) is None:
            if hours_to_seconds(link.sent_hours) != of_part:
                self.selection.warnings.append(
                    f"{task.number}: somebody changed it in Invoice Ninja from {link.sent_hours} h to"
                    f" {seconds_to_hours(of_part)} h, which are billed"
                )
            return of_part
        sent = hours_to_seconds(link.sent_hours)
        if sent != of_part:
            self.selection.warnings.append(
                f"{task.number}: Invoice Ninja rounded {link.sent_hours} h to {seconds_to_hours(of_part)} h"
                f" (its setting task_round_to_nearest); {link.sent_hours} h are billed"
            )
        return sent

    def _rate(self, task: Task, rules: BillingRules) -> Decimal:
        project = self.work.projects.get(task.project_id)
        for rate in (task.rate, project.task_rate if project else None, rules.default_hourly_rate):
            if rate is not None and (cents := rate.quantize(COST, ROUND_HALF_UP)) > 0:
                return cents
        return Decimal(0)

    def _can_split(self, task: Task, link: TimeLink | None, rules: BillingRules) -> bool:
        """Never where Invoice Ninja rounds, nor twice at one border: rounded over it, it would be divided for ever."""
        is_divided = link is not None and link.divided_at == self._end
        return rules.split_at_period_end and not self._settings(task.client_id).rounding and not is_divided

    def _nothing_billable(self, task: Task) -> tuple[str, str]:
        rounding = self._settings(task.client_id).rounding
        if rounding and not rounding.is_up and any(entry.is_billable for entry in task.log):
            return (
                f"Invoice Ninja rounded its time to nothing ({rounding})",
                "switch the rounding off there, then enter the time of this task again",
            )
        return "it has no billable time", "mark its time as billable; archive it if there is nothing to bill"

    def _settings(self, client_id: str) -> EffectiveSettings:
        found = self._settings_of.get(client_id)
        return found or self._settings_of.setdefault(client_id, self.work.settings(client_id))

    def _leave_out(self, task: Task, seconds: int, reason: str, hint: str) -> None:
        what = f"{task.number} {one_line(task.description)}".strip()
        name = self._client_name(task.client_id)
        self.selection.left_out.append(LeftOut(task.client_id, name, what, seconds, reason, hint, (task.id,)))

    def _client_name(self, client_id: str) -> str:
        client = self.work.clients.get(client_id)
        return client.name if client else ""


def _billable(log: tuple[LogEntry, ...]) -> int:
    return sum(entry.ended_at - entry.started_at for entry in log if entry.is_billable)
