"""Names of Invoice Ninja clients and Taiga projects, from what this machine knows: plans, and the mapping file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mappings.config.file import MappingFile, parse_mapping
from mappings.errors import MappingErrors


@dataclass(frozen=True, slots=True)
class ReadMapping:
    """The mapping file as it is now, or what is wrong with it."""

    mapping: MappingFile = field(default_factory=MappingFile)
    problems: tuple[str, ...] = ()


def read_mapping(file: Path) -> ReadMapping:
    """Read the mapping file; mistakes are for the page, not for the log."""
    try:
        return ReadMapping(parse_mapping(file.read_text(encoding="utf-8")))
    except MappingErrors as error:
        return ReadMapping(problems=tuple(str(error).splitlines()))
    except FileNotFoundError:
        return ReadMapping(problems=(f"there is no {file.name}: copy mappings.example.json and name your projects",))
    except (OSError, UnicodeDecodeError) as error:
        return ReadMapping(problems=(f"{file.name} cannot be read: {error}",))


@dataclass(frozen=True, slots=True)
class Names:
    """What people call clients and projects; an id speaks for itself when nobody named it."""

    mapping: MappingFile
    clients: Mapping[str, str] = field(default_factory=dict)

    def client(self, client_id: str) -> str:
        """The name of an Invoice Ninja client: its own, or of the Taiga projects that are billed to it."""
        if name := self.clients.get(client_id):
            return name
        projects = [
            project.taiga_project_name
            for project in self.mapping.project_mappings
            if project.invoiceninja_client_id == client_id and project.taiga_project_name
        ]
        return ", ".join(projects) or client_id or "no client"

    def taiga_project(self, project_id: int | None) -> str:
        """The name of a Taiga project, as mappings.json has it."""
        for project in self.mapping.project_mappings:
            if project.taiga_project_id == project_id and project.taiga_project_name:
                return project.taiga_project_name
        return "not known" if project_id is None else f"Taiga project {project_id}"
