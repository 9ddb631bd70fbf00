"""The client of Taiga 6."""

from middleware.clients.taiga.projects import ProjectsApi
from middleware.clients.taiga.session import Credentials


class Taiga(ProjectsApi):
    """Everything the bridge asks of Taiga; `handlers.ports.context.TaigaWork` is a part of it."""


__all__ = ["Credentials", "Taiga"]
