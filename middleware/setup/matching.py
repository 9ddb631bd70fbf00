"""Which client and project of Invoice Ninja a Taiga project probably belongs to, by name. Pure; people confirm."""

import difflib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mappings.invoiceninja.models import NinjaClient, Project

SURE, LIKELY = 0.85, 0.6
_LEGAL_FORMS = frozenset(
    {"ab", "ag", "bv", "bvba", "co", "company", "corp", "eurl", "gbr", "gmbh", "inc", "kft", "kg", "limited", "llc"}
    | {"llp", "ltd", "nv", "oy", "plc", "sa", "sarl", "sas", "sl", "sprl", "spa", "srl", "ug"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """A client, or a project of it, that a Taiga project can be billed to."""

    client: NinjaClient
    project: Project | None = None

    @property
    def label(self) -> str:
        """As people choose it: `Acme GmbH / Website`."""
        return f"{self.client.name} / {self.project.name}" if self.project else self.client.name


@dataclass(frozen=True, slots=True)
class Proposal:
    """The best target by name. `is_sure`: alike enough, and alone, to be taken without asking."""

    target: Target
    likeness: float
    is_sure: bool


def targets_of(clients: Sequence[NinjaClient], projects: Sequence[Project]) -> list[Target]:
    """Every client, and every project of a client, by name."""
    by_id = {client.id: client for client in clients if not client.is_deleted}
    alone = [Target(client) for client in by_id.values()]
    inside = [Target(by_id[project.client_id], project) for project in projects if project.client_id in by_id]
    return sorted([*alone, *inside], key=lambda target: target.label.casefold())


def propose(name: str, targets: Sequence[Target]) -> Proposal | None:
    """The target whose name is most like that of the Taiga project; None when none is."""
    rated = sorted(((likeness(name, target), target) for target in targets), key=lambda pair: pair[0], reverse=True)
    if not rated or rated[0][0] < LIKELY:
        return None
    best, target = rated[0]
    # As good as the best, but of somebody else: two clients with one name.
    rivals = [other for score, other in rated[1:] if score == best and other.client.id != target.client.id]
    return Proposal(target, best, is_sure=best >= SURE and not rivals)


def likeness(name: str, target: Target) -> float:
    """0 to 1. A project counts by its own name, and by its client's name before it."""
    if target.project is None:
        return _alike(name, target.client.name)
    own, whole = target.project.name, f"{target.client.name} {target.project.name}"
    # Between a client and its project of the same name the project is meant.
    return max(_alike(name, own), _alike(name, whole)) * 1.001


def words(name: str) -> tuple[str, ...]:
    """A name without case, accents, punctuation and legal forms."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(char if char.isalnum() else " " for char in letters if not unicodedata.combining(char))
    return tuple(word for word in kept.split() if word not in _LEGAL_FORMS) or tuple(kept.split())


def _alike(one: str, other: str) -> float:
    first, second = words(one), words(other)
    if not first or not second:
        return 0.0
    if first == second:
        return 1.0
    if set(first) <= set(second) or set(second) <= set(first):
        return 0.9
    return difflib.SequenceMatcher(None, " ".join(first), " ".join(second)).ratio()
