"""Which Taiga projects are billed to whom: proposed by name, decided by a person or by `--map`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from mappings.config.file import MappingFile
from mappings.config.types import MAX_RATE
from mappings.invoiceninja.models import Company
from mappings.values.numbers import both_readings, read_number_text, two_readings
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.taiga import Taiga
from middleware.clients.taiga.decode import TaigaProject
from middleware.setup.matching import Target, propose, targets_of
from middleware.setup.prompts import Asker

ALL = "all"
_KEPT = 'a person declined it ("declined_projects" in mappings.json)'
_MAP = re.compile(
    r"(?P<project>\d+)=(?P<client>[A-Za-z0-9_-]+)(/(?P<inner>[A-Za-z0-9_-]+))?(@(?P<rate>\d+(\.\d\d?)?))?"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What `--map 3=VolejRejNm/Wpmbk5ezJn@75` asks for."""

    taiga_project_id: int
    client_id: str
    project_id: str | None
    rate: Decimal | None


def read_wish(text: str) -> Wish:
    """Read one `--map`.

    Raises:
        ValueError: it is written otherwise.
    """
    found = _MAP.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not like 3=VolejRejNm, 3=VolejRejNm/Wpmbk5ezJn or 3=VolejRejNm@75.00")
    rate = Decimal(found["rate"]) if found["rate"] else None
    return Wish(int(found["project"]), found["client"], found["inner"], rate)


@dataclass(frozen=True, slots=True)
class Choices:
    """The entries for mappings.json, the projects that a person declined now, and what was left out and why."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    declined: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Matchmaker:
    """Finds a target for every Taiga project that mappings.json does not name yet.

    What a person declined once stays declined, and is only asked for `again`.
    """

    asker: Asker
    mapping: MappingFile
    company: Company
    targets: Sequence[Target]
    wishes: Mapping[int, Wish]
    rate: Decimal | None
    is_attended: bool
    again: bool = False

    def choose(self, projects: Sequence[TaigaProject]) -> Choices:
        """Decide about every project that is new."""
        choices = Choices()
        for project in projects:
            if self.mapping.project(project.id) is None:
                self._decide(project, choices)
        known = {project.id for project in projects}
        for wish in self.wishes.values():
            if wish.taiga_project_id not in known:
                choices.remarks.append(f"--map {wish.taiga_project_id}: Taiga shows us no such project")
        return choices

    def _decide(self, project: TaigaProject, choices: Choices) -> None:
        wish = self.wishes.get(project.id)
        if wish is not None:
            self._fulfil(wish, project, choices)
            return
        was_declined = any(one.taiga_project_id == project.id for one in self.mapping.declined_projects)
        if was_declined and not (self.again and self.is_attended):
            choices.remarks.append(
                f"{_named(project)} stays unbilled: {_KEPT}; {_all_the_same(project)}, or --again to be asked"
            )
            return
        # Enter keeps the present answer, and that is none.
        target = None if was_declined else self._proposed(project)
        labels = [one.label for one in self.targets]
        proposed = next((index for index, one in enumerate(self.targets) if one is target), None)
        chosen = self.asker.choose(f'Who pays for "{project.name}"?', labels, proposed)
        if chosen is None:
            self._leave_out(project, choices, was_declined=was_declined)
            return
        target = self.targets[chosen]
        inner = target.project.id if target.project else None
        choices.entries.append(_entry(project, target.client.id, inner, self._rate(project, target)))

    def _fulfil(self, wish: Wish, project: TaigaProject, choices: Choices) -> None:
        if self._exists(wish):
            choices.entries.append(_entry(project, wish.client_id, wish.project_id, wish.rate or self.rate))
            return
        names = wish.client_id + (f"/{wish.project_id}" if wish.project_id else "")
        choices.remarks.append(f"--map {project.id}: Invoice Ninja shows us no {names}")

    def _proposed(self, project: TaigaProject) -> Target | None:
        proposal = propose(project.name, self.targets)
        return proposal.target if proposal is not None and (proposal.is_sure or self.is_attended) else None

    def _leave_out(self, project: TaigaProject, choices: Choices, *, was_declined: bool) -> None:
        unbilled = f"{_named(project)} is not billed to anybody"
        if not self.is_attended:
            choices.remarks.append(f'{unbilled}; "taiga-billing setup" asks again, and {_all_the_same(project)}')
            return
        choices.remarks.append(f"{unbilled}: {_KEPT}; {_all_the_same(project)}")
        if not was_declined:
            choices.declined.append({"taiga_project_id": project.id, "taiga_project_name": project.name})

    def _exists(self, wish: Wish) -> bool:
        return any(
            target.client.id == wish.client_id and (target.project.id if target.project else None) == wish.project_id
            for target in self.targets
        )

    def _rate(self, project: TaigaProject, target: Target) -> Decimal | None:
        """The rate of the project: as given, or as a person says; proposed is what Invoice Ninja has."""
        if self.rate is not None:
            return self.rate
        own = target.project.task_rate if target.project else Decimal(0)
        general = self.mapping.billing_rules.default_hourly_rate
        proposed = own or (Decimal(0) if general else self.company.default_task_rate)
        question = f'Hourly rate of "{project.name}" (empty: tasks, users or the general rate decide)'
        while True:
            answer = self.asker.text(question, "default_hourly_rate", f"{proposed:.2f}" if proposed else "")
            if not answer:
                return None
            rate, readings = read_number_text(answer), two_readings(answer)
            if rate is not None and readings is None and 0 < rate <= MAX_RATE and rate == round(rate, 2):
                return rate
            doubt = f" ({both_readings(*readings)})" if readings else ""
            self.asker.refused(f"{answer!r} is not a rate{doubt}; write a number such as 75 or 75.50")


def _named(project: TaigaProject) -> str:
    return f"{project.name} ({project.id})"


def _all_the_same(project: TaigaProject) -> str:
    return f"taiga-billing setup --map {project.id}=CLIENT[/PROJECT] bills it anyway"


def _entry(project: TaigaProject, client_id: str, inner: str | None, rate: Decimal | None) -> dict[str, Any]:
    return {
        "taiga_project_id": project.id,
        "taiga_project_name": project.name,
        "invoiceninja_client_id": client_id,
        "invoiceninja_project_id": inner,
        "default_hourly_rate": rate,
    }


def date_entries(choices: Choices, asker: Asker, today: date) -> None:
    """Say in each new entry from which day on closed work is billed."""
    first_day = _first_day(asker, today) if choices.entries else None
    for entry in choices.entries:
        entry["billable_from"] = first_day


def _first_day(asker: Asker, today: date) -> str | None:
    question = f'Work that was closed before this day is not billed ("{ALL}": all closed work is)'
    while True:
        answer = asker.text(question, "billable_from", today.isoformat())
        if answer == ALL:
            return None
        try:
            return date.fromisoformat(answer).isoformat()
        except ValueError:
            asker.refused(f'{answer!r} is not a date; write one such as {today.isoformat()}, or "{ALL}"')


async def read_targets(ninja: InvoiceNinja) -> list[Target]:
    """Every client and project of Invoice Ninja.

    Raises:
        RemoteError: it cannot be read.
    """
    clients = [client async for client in ninja.clients()]
    projects = [project async for project in ninja.projects()]
    return targets_of(clients, projects)


async def read_projects(taiga: Taiga) -> list[TaigaProject]:
    """The Taiga projects of our user, by name.

    Raises:
        RemoteError: it cannot be read.
    """
    return sorted([project async for project in taiga.projects()], key=lambda project: project.name.casefold())
