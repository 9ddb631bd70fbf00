"""Dividing a task at the end of a period: what lies before stays in it, the rest becomes a task of its own.

Invoice Ninja links a task to one invoice only (docs/facts/invoice-ninja.md section 7), so the part that is billed later
needs its own task. It gets the number that the next correction of the work would have (`TAIGA-T12-2`): once the first
part is invoiced, the time ledger finds it there and keeps it up to date. Until then a change in Taiga joins both parts
again.

The rest is made first and then cut off from the task; a link of kind `split` under the client's subject remembers what
was begun, and the next run of the client ends it before it bills anything.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from handlers.errors import NeedsPerson, Rejected, RetryLater
from handlers.invoices.intents import STILL_ON_ITS_WAY
from handlers.ports.context import Context, Link
from handlers.ports.invoice_world import BillingBooks, client_subject
from handlers.time.adoption import KIND as TIME_ENTRY
from mappings.codes import Code
from mappings.invoiceninja.tasks import LogEntry, Task, spans_of
from mappings.invoices.models import Entry
from mappings.invoices.splitting import split_log
from mappings.values.hours import seconds_to_hours

KIND = "split"
_MOST_PARTS = 50


async def split(entry: Entry, task: Task, books: BillingBooks, context: Context) -> None:
    """Divide the task of the entry at its border.

    Raises:
        NeedsPerson: no number is left for the rest, or Invoice Ninja stored a part with another time than was sent.
        RetryLater: something changed meanwhile.
        RemoteError: Invoice Ninja failed; `finish_splits` takes it up again.
    """
    rest_log = split_log(task.log, entry.split_at)[1]
    number = await _free_number(task, rest_log, books)
    state = {
        "task_id": task.id,
        "border": entry.split_at,
        "rest_number": number,
        "subject": entry.subject,
        "posted_at": context.clock().isoformat(),
    }
    intent = Link(client_subject(task.client_id), KIND, task.number, "", state)
    await context.links.save(intent)
    rest = await books.find_task(number)
    if rest is None:
        try:
            rest = await books.create_rest(task, number, rest_log)
        except Rejected as error:
            await context.links.remove(intent)
            if error.names("number"):
                raise RetryLater(Code.CHANGED_MEANWHILE, f"{number} was taken just now; retrying", 1) from error
            raise
    if rest.spans != spans_of(rest_log):
        raise await _undone(intent, task, rest, books, context)
    await _cut_off(intent, task, rest, books, context)


async def finish_splits(client_id: str, books: BillingBooks, context: Context) -> None:
    """Take up the divisions that were begun and not ended.

    Raises:
        RetryLater: the rest was asked for a moment ago, and is not there yet.
    """
    for intent in await context.links.of_subject(client_subject(client_id)):
        if intent.kind != KIND:
            continue
        rest = await books.find_task(intent.state["rest_number"])
        if rest is None:
            _wait_if_young(intent.state, context.clock())
        task = (await books.logged_tasks(client_id, [intent.state["task_id"]], 0)).get(intent.state["task_id"])
        if rest is None or rest.is_deleted or task is None or task.is_deleted:
            # Nothing was cut off yet, or a change in Taiga joined the parts again.
            await context.links.remove(intent)
        elif task.ended_at > intent.state["border"] and rest.spans != _rest_spans(task, intent):
            # Somebody changed the task meanwhile: with this rest, hours would be lost or counted twice.
            await context.ninja.delete_task(rest.id)
            await context.links.remove(intent)
        else:
            await _cut_off(intent, task, rest, books, context)


async def _cut_off(intent: Link, task: Task, rest: Task, books: BillingBooks, context: Context) -> None:
    border: int = intent.state["border"]
    if task.ended_at > border:
        if task.invoice_id:
            # Billed as a whole meanwhile: then there is no rest.
            await context.ninja.delete_task(rest.id)
            await context.links.remove(intent)
            return
        before = split_log(task.log, border)[0]
        cut = await books.replace_log(task, before)
        if cut.spans != spans_of(before):
            raise await _undone(intent, task, rest, books, context)
        if cut.invoice_id:
            await books.replace_log(cut, task.log)
            raise RetryLater(Code.CHANGED_MEANWHILE, f"{task.number} was invoiced just now; retrying", 1)
        task = cut
    if intent.state["subject"]:
        await _remember(intent.state["subject"], task, rest, border, context)
    await context.links.remove(intent)


async def _undone(intent: Link, task: Task, rest: Task, books: BillingBooks, context: Context) -> NeedsPerson:
    """Take the rest away and give the task its whole log back: a part was stored with another time than was sent.

    A task that came from Taiga is billed as it was sent, whatever Invoice Ninja stores of it now.
    """
    await context.ninja.delete_task(rest.id)
    whole = await books.replace_log(task, task.log)
    if intent.state["subject"]:
        await _remember_stored(intent.state["subject"], whole, context)
    await context.links.remove(intent)
    kept = seconds_to_hours(whole.seconds)
    return NeedsPerson(
        Code.PART_CHANGED,
        f"Invoice Ninja changed the time of a part of {task.number} ({seconds_to_hours(task.seconds)} h) when it was"
        f" divided at the end of the period; the task is whole again and shows {kept} h there",
        "switch off the rounding of task times in Invoice Ninja (of the client, its group and the company), or"
        " split_at_period_end in mappings.json, then replay this event",
    )


def _rest_spans(task: Task, intent: Link) -> tuple[tuple[int, int], ...]:
    return spans_of(split_log(task.log, intent.state["border"])[1])


async def _remember_stored(subject: str, task: Task, context: Context) -> None:
    for link in await context.links.of_subject(subject):
        if link.kind == TIME_ENTRY and link.number == task.number:
            stored = {**link.state.get("stored", {}), "time_log": [list(span) for span in task.spans]}
            await context.links.save(replace(link, state={**link.state, "stored": stored}))


async def _remember(subject: str, task: Task, rest: Task, border: int, context: Context) -> None:
    """Let the time ledger know both parts as what was sent, and plans that they were divided here."""
    known = {link.number: link for link in await context.links.of_subject(subject) if link.kind == TIME_ENTRY}
    whole = known.get(task.number)
    if whole is None:
        return
    for part in (task, rest):
        state = {**_part_state(whole.state, part), "divided_at": border}
        await context.links.save(Link(subject, TIME_ENTRY, part.number, part.id, state))


def _part_state(whole: Mapping[str, Any], part: Task) -> Mapping[str, Any]:
    hours = str(seconds_to_hours(part.seconds))
    times = {"hours": hours, "raw_hours": hours, "started_at": part.started_at, "ended_at": part.ended_at}
    stored = {**whole.get("stored", {}), "time_log": [list(span) for span in part.spans]}
    return {**whole, "sent": {**whole.get("sent", {}), **times}, "stored": stored}


async def _free_number(task: Task, rest_log: tuple[LogEntry, ...], books: BillingBooks) -> str:
    """The first free number behind that of the task, or that of a rest which is there already."""
    for suffix in range(2, _MOST_PARTS):
        number = f"{task.number}-{suffix}"
        found = await books.find_task(number)
        is_the_rest = found is not None and not (found.is_deleted or found.invoice_id) and found.log == rest_log
        if found is None or is_the_rest:
            return number
    raise NeedsPerson(
        Code.NO_FREE_NUMBER,
        f"{task.number} goes beyond the end of the period and has been divided or corrected so often that no number"
        f" up to {task.number}-{_MOST_PARTS - 1} is free for the rest",
        "bill this task in Invoice Ninja yourself, then replay this event",
    )


def _wait_if_young(state: Mapping[str, Any], now: datetime) -> None:
    left = (datetime.fromisoformat(state["posted_at"]) + STILL_ON_ITS_WAY - now).total_seconds()
    if left > 0:
        raise RetryLater(Code.ANSWER_AWAITED, "dividing a task got no answer; searching for its rest", left)
