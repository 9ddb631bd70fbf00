"""Taiga's projects, custom attributes and webhooks, for set-up and checks (docs/facts/taiga.md sections 1, 5 and 7)."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

from mappings.taiga.models import AttributeDefinition, WorkKind
from middleware.clients.http.address import segment
from middleware.clients.taiga.decode import (
    TaigaProject,
    Webhook,
    WebhookLog,
    read_definition,
    read_project,
    read_webhook,
    read_webhook_log,
)
from middleware.clients.taiga.items import ItemsApi

_TO_VIEW: Mapping[WorkKind, str] = {"task": "view_tasks", "userstory": "view_us", "issue": "view_issues"}

AttributeType = Literal["checkbox", "number", "text", "dropdown"]


class ProjectsApi(ItemsApi):
    """What a project admin may see and set up; others get 403, or empty lists of webhooks."""

    async def projects(self) -> AsyncIterator[TaigaProject]:
        """The projects that our user is a member of, without members, statuses and attributes."""
        async for project in self._list(read_project, "/projects", {"member": await self.user_id()}):
            yield project

    async def project(self, project_id: int) -> TaigaProject:
        """GET /projects/{id}, whole.

        Raises:
            NotFound: there is none, or it is hidden from our user.
        """
        return await self._get(read_project, f"/projects/{segment(project_id)}")

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Whether our user may see the items of a project: who may not gets an empty list of them, not a refusal.

        Raises:
            NotFound: there is no such project.
            Rejected: it is closed to our user (403).
        """
        permissions = (await self.project(project_id)).permissions
        return permissions is None or _TO_VIEW[kind] in permissions

    async def project_by_slug(self, slug: str) -> TaigaProject:
        """GET /projects/by_slug, whole.

        Raises:
            NotFound: there is none, or it is hidden from our user.
        """
        return await self._get(read_project, "/projects/by_slug", {"slug": slug})

    async def create_attribute(
        self, kind: WorkKind, project_id: int, name: str, attribute_type: AttributeType, options: Sequence[str] = ()
    ) -> AttributeDefinition:
        """POST a custom attribute; `options` are the entries of a dropdown.

        Raises:
            Rejected: `names("name")` when the project has one of this name.
        """
        extra = {"extra": list(options)} if options else {}
        body = {"project": project_id, "name": name, "type": attribute_type, **extra}
        made = await self._write(read_definition, "POST", f"/{kind}-custom-attributes", body)
        self.forget_definitions()
        return made

    async def webhooks(self, project_id: int) -> list[Webhook]:
        """GET /webhooks?project=; empty for who is no admin of the project."""
        hooks = await self._all(read_webhook, "/webhooks", {"project": project_id})
        return [hook for hook in hooks if hook.project_id == project_id]

    async def create_webhook(self, project_id: int, name: str, url: str, key: str) -> Webhook:
        """POST /webhooks.

        Raises:
            Rejected: `names("url")` for a host without a dot, a literal private address, or more than 200 characters.
        """
        body = {"project": project_id, "name": name, "url": url, "key": key}
        return await self._write(read_webhook, "POST", "/webhooks", body)

    async def update_webhook(self, webhook_id: int, *, url: str | None = None, key: str | None = None) -> Webhook:
        """PATCH /webhooks/{id}: another address or key."""
        changes = {name: value for name, value in (("url", url), ("key", key)) if value is not None}
        return await self._write(read_webhook, "PATCH", f"/webhooks/{segment(webhook_id)}", changes)

    async def test_webhook(self, webhook_id: int) -> WebhookLog:
        """POST /webhooks/{id}/test: Taiga sends a test at once, and this is how it went."""
        return await self._write(read_webhook_log, "POST", f"/webhooks/{segment(webhook_id)}/test")

    async def webhook_logs(self, webhook_id: int) -> list[WebhookLog]:
        """GET /webhooklogs?webhook=: the last ten deliveries, newest first."""
        return await self._all(read_webhook_log, "/webhooklogs", {"webhook": webhook_id})

    async def resend_webhook(self, log_id: int) -> WebhookLog:
        """POST /webhooklogs/{id}/resend: Taiga sends that delivery again at once, and this is how it went."""
        return await self._write(read_webhook_log, "POST", f"/webhooklogs/{segment(log_id)}/resend")
