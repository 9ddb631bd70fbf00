"""Writing "Invoice Status" back into Taiga: quietly, read, merge, write at once, and only when it differs.

A PATCH replaces all values of an item and the last write wins (docs/facts/taiga.md section 7); one that meets a
person's click dead-locks there, and the click may be the one that is lost (section 6). So an item is written only when
nobody has changed it for a while: until then a write-back is an event of its own, which all changes of that time share.
Each write is remembered until its answer is there, because it may be carried out late: it then takes away what people
typed meanwhile, and its webhook looks as if a person who shares our account had done it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from handlers.errors import Doubtful, NotFound, Refused, Rejected, RetryLater, ServerError, Throttled, Unreachable
from handlers.event import SCHEDULE, Event, NewEvent, Work, own_event
from handlers.ports.context import Context, Link, TaigaWork
from mappings.codes import Code
from mappings.config.file import ProjectRules
from mappings.taiga.models import AttributeValues, WorkItem
from mappings.taiga.overwritten import Written, as_text

WRITE_BACK = "task.write_back"
"""The type of the event that a write-back waits as."""

KIND = "attribute_write"
REMEMBERED = timedelta(days=1)
GIVE_UP_WAITING = timedelta(days=1)
"""How long a server error is answered by another quiet period; from then on the retry policy decides."""

ASK_AGAIN_DAYS = (1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 32, 32)
"""Days after which a write-back that Taiga refused is tried again: for about eight months."""

_numbers = count(1)
_JUST_BEFORE = timedelta(microseconds=1)


def is_write_back(event: Event) -> bool:
    """Whether an event asks for nothing but the write-back of its item."""
    return event.source == SCHEDULE and event.type == WRITE_BACK


async def write_back(item: WorkItem, wanted: str | None, rules: ProjectRules, work: Work, context: Context) -> str:
    """Make the item's "Invoice Status" say `wanted` (None: nothing to say); returns a note for the outcome, often "".

    While people are at the item, an event is enqueued that does it later. A refusal by Taiga (a blocked project, a
    missing right) is noted, not raised: the time entry is right, and the status is made up for days later.

    Raises:
        RetryLater: Taiga failed, as it does when a write meets another one: again after the next quiet time.
        RemoteError: Taiga failed otherwise.
    """
    if context.taiga is None or wanted is None or item.is_deleted or not rules.rules.write_back:
        return ""
    name = rules.attributes.invoice_status
    if ((item.attributes or {}).get(name) or "") == wanted:
        return ""
    wait = _busy_for(work, context)
    if wait > 0 and context.events is not None:
        await context.events.enqueue([_later(work, wait, context)])
        return f'"{name}" follows when nobody has changed it for {context.write_back_quiet:g} s'
    try:
        return await _write(context.taiga, item, wanted, name, context)
    except NotFound:
        return ""
    except Rejected as error:
        again = await _ask_again(work, context)
        return f'"{name}" was not written to Taiga: {error.message}{again}'
    except (ServerError, Doubtful) as error:
        if not context.write_back_quiet or _waits_since(work, context) > GIVE_UP_WAITING:
            raise
        raise RetryLater(
            Code.WRITE_BACK_FAILED,
            f'"{name}" was not written: {error}; again after the next quiet time',
            context.write_back_quiet,
        ) from error


async def _ask_again(work: Work, context: Context) -> str:
    """Let a refused write-back be tried again some days later, with ever longer pauses; returns a note.

    A project may be blocked for a while, or our account may lack the right until somebody gives it. One series a month
    for each subject: its events have keys of their own.
    """
    refused = [event.payload for event in work.due if is_write_back(event) and "refused" in event.payload]
    number = max((int(payload["refused"]) for payload in refused), default=0)
    if context.events is None or number >= len(ASK_AGAIN_DAYS):
        return ""
    now, wait = context.clock(), timedelta(days=ASK_AGAIN_DAYS[number])
    series = refused[0]["series"] if refused else f"{now:%Y-%m}"
    event = own_event(
        WRITE_BACK,
        f"write-back-refused:{work.subject}:{series}:{number}",
        work.subject,
        work.newest.occurred_at - _JUST_BEFORE,
        {"after_event": work.newest.id, "refused": number + 1, "series": series},
        wait=wait.total_seconds(),
    )
    await context.events.enqueue([event])
    return f"; it is tried again on {(now + wait).date()}"


def _busy_for(work: Work, context: Context) -> float:
    """Seconds until nobody has changed the item for the quiet time, as far as its webhooks tell."""
    touched = [event.received_at for event in (*work.due, work.newest) if event.source != SCHEDULE]
    if not touched:
        return 0.0
    return context.write_back_quiet - (context.clock() - max(touched)).total_seconds()


def _waits_since(work: Work, context: Context) -> timedelta:
    return context.clock() - min(event.received_at for event in work.due)


def _later(work: Work, wait: float, context: Context) -> NewEvent:
    """The event that does it. Dated before the newest one, so that this stays the newest of its subject."""
    now = context.clock()
    key = f"write-back:{work.subject}:{now.isoformat()}:{next(_numbers)}"
    moment = work.newest.occurred_at - _JUST_BEFORE
    return own_event(WRITE_BACK, key, work.subject, moment, {"after_event": work.newest.id}, wait=wait)


async def _write(taiga: TaigaWork, item: WorkItem, wanted: str, name: str, context: Context) -> str:
    ids = {
        definition.name: str(definition.id)
        for definition in await taiga.attribute_definitions(item.kind, item.project_id)
    }
    if name not in ids:
        return ""
    present = await taiga.attribute_values(item.kind, item.id)
    if (present.values.get(ids[name]) or "") == wanted:
        return ""
    # Values of attributes that the project no longer has would be refused for ever.
    kept: Mapping[str, Any] = {key: value for key, value in present.values.items() if key in ids.values()}
    names = {key: name for name, key in ids.items()}
    values = AttributeValues(present.version, {**kept, ids[name]: wanted})
    written = await replace_values(taiga, item, values, names, context)
    if written.values.get(ids[name]) != wanted:
        return f'"{name}" was not taken by Taiga'
    return f'"{name}" set to "{wanted}"' if wanted else f'"{name}" cleared'


async def replace_values(
    taiga: TaigaWork,
    item: WorkItem,
    values: AttributeValues,
    names: Mapping[str, str],
    context: Context,
    *,
    keep: bool = False,
) -> AttributeValues:
    """Write the whole dict of values of an item; `names` are those of the attributes by id.

    With `keep` it is remembered even when it was answered: its webhook does not show by itself that it is ours. Nor
    does it when somebody wrote in between, which the answered version shows: a late write of ours may have set our
    attribute already, and the webhook of this one then shows nothing but what it took from people.

    Raises:
        RemoteError: Taiga failed; what may still be carried out stays remembered.
    """
    asked = {names[key]: as_text(value) for key, value in values.values.items() if key in names}
    number = f"{context.clock().isoformat()} {next(_numbers)}"
    link = Link(f"taiga:{item.kind}:{item.id}", KIND, number, "", {"values": asked})
    await context.links.save(link)
    try:
        written = await taiga.replace_attribute_values(item.kind, item.id, values)
    except (Rejected, Unreachable, Throttled, Refused):
        await context.links.remove(link)
        raise
    if not keep and written.version == values.version + 1:
        await context.links.remove(link)
    return written


async def remembered(subject: str, context: Context) -> list[Written]:
    """What our writes of the last day that got no answer, or gave values back, make of the values, by name."""
    links = [link for link in await context.links.of_subject(subject) if link.kind == KIND]
    young = [link for link in links if context.clock() - _asked_at(link) < REMEMBERED]
    for link in links:
        if link not in young:
            await context.links.remove(link)
    return [link.state["values"] for link in young]


def _asked_at(link: Link) -> datetime:
    return datetime.fromisoformat(link.number.partition(" ")[0])
