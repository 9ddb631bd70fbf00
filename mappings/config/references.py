"""What the names in mappings.json mean in Invoice Ninja and Taiga; what means nothing there is found. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches

from mappings.config.file import MappingFile
from mappings.config.parser import path_of
from mappings.errors import Problem
from mappings.invoiceninja.models import NinjaClient, Project

_ALIKE = 0.86
"""Of two numbers of up to seven digits that differ in one of them, each has its own meaning."""


class ClientIndex:
    """Finds clients by what people may write for one: id, number or id number; the case of the last two is free."""

    def __init__(self, clients: Mapping[str, NinjaClient]) -> None:
        self._clients = clients
        self._numbered: dict[str, set[str]] = {}
        for client in clients.values():
            for reference in filter(None, (client.number, client.id_number)):
                self._numbered.setdefault(_folded(reference), set()).add(client.id)

    def resolve(self, reference: str) -> str:
        """The id of the client; "" for what means no client, or several."""
        if reference in self._clients:
            return reference
        ids = self._numbered.get(_folded(reference), set())
        return next(iter(ids)) if len(ids) == 1 else ""

    def similar(self, reference: str) -> tuple[NinjaClient, ...]:
        """The clients that a reference which means no single client may stand for, the likeliest first."""
        alike: dict[str, list[NinjaClient]] = {}
        for client in self._clients.values():
            for name in {_folded(one) for one in (client.id, client.number, client.id_number, client.name) if one}:
                alike.setdefault(name, []).append(client)
        names = get_close_matches(_folded(reference), alike, n=3, cutoff=_ALIKE)
        return tuple({client.id: client for name in names for client in alike[name]}.values())


def client_problems(mapping: MappingFile, clients: Mapping[str, NinjaClient]) -> Iterator[Problem]:
    """Clients of `project_mappings` and `client_rules` that mean none or several, or are named in two ways.

    Args:
        mapping: the file.
        clients: all clients of Invoice Ninja that are not deleted, by id.
    """
    index = ClientIndex(clients)
    for path, reference in _client_references(mapping):
        if not index.resolve(reference):
            yield Problem(path, f'Invoice Ninja has no single live client "{reference}"', _meant(index, reference))
    yield from _named_in_two_ways(mapping, index)


def project_problems(
    mapping: MappingFile, clients: Mapping[str, NinjaClient], projects: Iterable[Project]
) -> Iterator[Problem]:
    """Projects in `project_mappings` that are none of these live ones of Invoice Ninja, or another client's."""
    index, owners = ClientIndex(clients), {project.id: project.client_id for project in projects}
    for number, mapped in enumerate(mapping.project_mappings):
        project_id, client_id = mapped.invoiceninja_project_id, index.resolve(mapped.invoiceninja_client_id)
        if project_id and (project_id not in owners or client_id not in {"", owners[project_id]}):
            path = f"project_mappings[{number}].invoiceninja_project_id"
            message = f'its client in Invoice Ninja has no live project "{project_id}"'
            yield Problem(path, message, "set it to a project of this client, or leave it out")


def user_problems(mapping: MappingFile, members: Mapping[int, Collection[str]]) -> Iterator[Problem]:
    """Names in `user_rates` that are nobody's in the mapped projects, or differ from a user name by case.

    Args:
        mapping: the file.
        members: the user names of each mapped project by its Taiga id; one that could not be read is missing or empty.
    """
    ids = [project.taiga_project_id for project in mapping.project_mappings]
    if all(members.get(project_id) for project_id in ids):
        everybody = {name for names in members.values() for name in names}
        yield from _unknown_users(["user_rates"], mapping.user_rates, everybody)
    for number, project in enumerate(mapping.project_mappings):
        if members.get(project.taiga_project_id):
            place: list[str | int] = ["project_mappings", number, "user_rates"]
            yield from _unknown_users(place, project.user_rates, members[project.taiga_project_id])


def _unknown_users(place: list[str | int], names: Iterable[str], known: Collection[str]) -> Iterator[Problem]:
    folded = {_folded(name): name for name in known}
    for name in names:
        if name in known:
            continue
        near = get_close_matches(_folded(name), folded, n=1, cutoff=0.6)
        hint = f'did you mean "{folded[near[0]]}"?' if near else "write the user name as Taiga shows it, or remove it"
        yield Problem(path_of([*place, name]), f'no member of the mapped projects has the user name "{name}"', hint)


def _client_references(mapping: MappingFile) -> Iterator[tuple[str, str]]:
    for number, project in enumerate(mapping.project_mappings):
        yield f"project_mappings[{number}].invoiceninja_client_id", project.invoiceninja_client_id
    for reference in mapping.client_rules:
        yield path_of(["client_rules", reference]), reference


def _named_in_two_ways(mapping: MappingFile, index: ClientIndex) -> Iterator[Problem]:
    """Hours and rates follow the name as it is written: under another name the rules would not reach them."""
    first: dict[str, str] = {}
    for reference in mapping.client_rules:
        client_id = index.resolve(reference)
        path = path_of(["client_rules", reference])
        if client_id and client_id in first:
            yield Problem(path, f'means the same client as "{first[client_id]}"', "keep one of them")
        first.setdefault(client_id, reference)
    for number, project in enumerate(mapping.project_mappings):
        reference = project.invoiceninja_client_id
        rules = first.get(index.resolve(reference) or reference, reference)
        if rules != reference:
            path = f"project_mappings[{number}].invoiceninja_client_id"
            message = (
                f'"{reference}" is called "{rules}" in client_rules, whose rates and rounding do not reach its hours'
            )
            yield Problem(path, message, f'write "{rules}" in both places')


def _meant(index: ClientIndex, reference: str) -> str:
    similar = [f'"{client.id}" ({client.name})' for client in index.similar(reference)]
    if similar:
        return f"did you mean {' or '.join(similar)}?"
    return "write the id, number or id number of an active client, or remove it"


def _folded(text: str) -> str:
    return text.strip().casefold()
