"""Which entries with our number are ours: those that were asked for by a link of this work, word for word.

Another Taiga that records time in the same company, one that was set up anew, or a restored copy counts its items from
1 as well. Its numbers meet ours, and its entries are other people's hours.
"""

from handlers.errors import NeedsPerson
from handlers.ports.context import Link
from mappings.codes import Code
from mappings.invoiceninja.tasks import Task
from mappings.time.models import TimeEntry

KIND = "time_entry"
_MOST_DESCRIPTIONS = 20


def intent_of(subject: str, entry: TimeEntry, known: Link | None) -> Link:
    """The link that is saved before an entry is created, with every description under which it was asked for.

    Args:
        subject: of the work.
        entry: what is to be created.
        known: the link of this number that is there already, None for none.
    """
    descriptions = [entry.description]
    if known is not None and not known.remote_id:
        if "descriptions" not in known.state:
            # An older version did not write down what it asked for.
            return known
        descriptions = [*known.state["descriptions"], entry.description]
    state = {"descriptions": list(dict.fromkeys(descriptions))[-_MOST_DESCRIPTIONS:]}
    return Link(subject, KIND, entry.number, "", state)


def is_ours(link: Link, task: Task) -> bool:
    """Whether the task that has the number of a link was made for it."""
    if sent := link.state.get("sent"):
        return bool(task.description == sent["description"])
    return "descriptions" not in link.state or task.description in link.state["descriptions"]


def number_taken(name: str, task: Task, entry: TimeEntry, client_id: str) -> NeedsPerson:
    """The number of an entry belongs to the entry of other work; `name` names this one."""
    return NeedsPerson(
        Code.NUMBER_TAKEN,
        f'{name}: number {entry.number} belongs to other work in Invoice Ninja: "{task.description}" of client '
        f'{task.client_id}; this is "{entry.description}" of client {client_id}',
        "if another Taiga or an older installation records time in the same company, set TAIGA_NUMBER_PREFIX to a "
        "prefix that only this installation uses; if it is the same work, give the entry in Invoice Ninja the "
        "description of this one; then replay this event",
    )
