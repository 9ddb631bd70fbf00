"""What one list of Taiga shows, sorted by what has to be done with it."""

from collections.abc import Collection, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime

from handlers.reconcile.reconcile_look import Look, subject_of
from handlers.reconcile.taiga_compare import is_due_again, may_have_changed
from handlers.reconcile.taiga_models import Seen
from mappings.config.file import ProjectRules
from mappings.taiga.models import WorkItem
from mappings.time.entry import is_too_early


@dataclass(slots=True)
class Listing:
    """The items of one kind in one project.

    `looks` must be read, `lately` changed lately and was not read since `before`, `unchanged` seems as it was at the
    last look, `passed_over` was closed before the day from which on work is billed. What `add` is given is taken out of
    `unmet`: what was seen earlier, and is not in the list.
    """

    rules: ProjectRules
    linked: Collection[str]
    unmet: MutableMapping[str, Seen]
    before: datetime
    looks: list[Look] = field(default_factory=list)
    lately: list[Look] = field(default_factory=list)
    passed_over: list[Seen] = field(default_factory=list)
    unchanged: set[str] = field(default_factory=set)
    is_empty: bool = True

    def add(self, item: WorkItem) -> str:
        """Sort in an item of the list; returns its subject."""
        self.is_empty = False
        subject = subject_of(item.kind, item.id)
        seen = self.unmet.pop(subject, None)
        is_linked = subject in self.linked
        look = Look(item.kind, item.id, seen, item)
        if is_too_early(item, self.rules) and not is_linked:
            self.passed_over += [seen] if seen and seen.state == "closed" else []
        elif may_have_changed(item, seen, is_linked=is_linked):
            self.looks.append(look)
        else:
            self._as_before(look, item)
        return subject

    def _as_before(self, look: Look, item: WorkItem) -> None:
        if item.is_closed:
            self.unchanged.add(look.subject)
        if is_due_again(item, look.seen, self.before):
            self.lately.append(look)
