"""Asks Invoice Ninja and Taiga what the names in mappings.json mean there."""

from dataclasses import dataclass

from handlers.errors import Rejected
from mappings.config.file import MappingFile
from mappings.config.references import client_problems, project_problems, user_problems
from mappings.errors import Problem
from middleware.clients.connect import Systems
from middleware.clients.taiga import Taiga

LOOK_UP = "names in mappings.json"
"""The job in the timetable: due each night, and at once when the file was loaded."""


@dataclass(frozen=True, slots=True)
class Looked:
    """`problems`: names that mean nothing. `unread`: what could not be looked at, and why."""

    problems: tuple[Problem, ...]
    unread: tuple[str, ...] = ()

    def of_project(self, number: int | None) -> list[Problem]:
        """The problems of `project_mappings[number]`, and those of no project."""
        places = (f"project_mappings[{number}].", "client_rules", "user_rates")
        return [problem for problem in self.problems if problem.path.startswith(places)]


async def look_up(mapping: MappingFile, systems: Systems) -> Looked:
    """Every name that means no client, project or user; without credentials for Taiga, its projects are not looked at.

    Raises:
        RemoteError: a system failed.
    """
    clients = {client.id: client for client in await systems.ninja.client_list()}
    projects = await systems.ninja.project_list()
    ours = (*client_problems(mapping, clients), *project_problems(mapping, clients, projects))
    if systems.taiga is None:
        return Looked(ours, ("Taiga: there are no credentials for it",))
    theirs, unread = await _taiga_problems(mapping, systems.taiga)
    return Looked((*ours, *theirs), tuple(unread))


async def _taiga_problems(mapping: MappingFile, taiga: Taiga) -> tuple[list[Problem], list[str]]:
    hidden: list[Problem] = []
    members: dict[int, list[str]] = {}
    for number, mapped in enumerate(mapping.project_mappings):
        project_id = mapped.taiga_project_id
        try:
            members[project_id] = [member.username for member in (await taiga.project(project_id)).members]
        except Rejected:
            path, message = f"project_mappings[{number}].taiga_project_id", f"Taiga shows us no project {project_id}"
            hidden.append(Problem(path, message, "correct it, or add our Taiga user to the project"))
    unread = [f"Taiga: project {project_id} shows us no members" for project_id, names in members.items() if not names]
    return [*hidden, *user_problems(mapping, members)], unread
