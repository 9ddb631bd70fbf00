"""Everything the sandbox Taiga knows: data, clock, switches, outbox. The rules are in the modules beside it."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import httpx

from middleware.lab.sandbox.taiga import model, template
from middleware.lab.sandbox.taiga.outbox import Delivery, Outbox, Sender, send_by_http
from middleware.lab.sandbox.taiga.tokens import Tokens
from middleware.lab.sandbox.taiga.webhook_log import WebhookLogs, refused_address

Clock = Callable[[], datetime]

_FIRST_IDS = {"user": 6}
"""A fresh server already has five accounts of its own."""


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class TaigaState:
    """The data of one sandbox Taiga.

    Switches:
        celery: True (production): an event without user story is silently lost. False: it answers 500, though saved.
        late_read: related objects are read when a webhook is sent, not when the event happens.
        hold: the web application leaves deliveries in the outbox.
        allow_private_addresses: False refuses webhooks to private addresses, as a default installation does.
        throttled_for: seconds to wait that every request is answered with (429); None: no throttling.
        login_failures_left: wrong passwords that are still answered with 401 before 429; None: any number.

    Args:
        clock: gives the present as aware UTC datetime.
        sender: takes the webhooks away; posts them by HTTP unless told otherwise.
        site: address of the web pages, in permalinks.
    """

    def __init__(
        self, *, clock: Clock = utc_now, sender: Sender = send_by_http, site: str = "http://taiga.example"
    ) -> None:
        self.clock = clock
        self.sender = sender
        self.site = site
        self.celery = True
        self.late_read = False
        self.hold = False
        self.allow_private_addresses = True
        self.throttled_for: int | None = None
        self.login_failures_left: int | None = None
        self.tokens = Tokens(self.now)
        self.users: dict[int, model.User] = {}
        self.projects: dict[int, model.Project] = {}
        self.roles: dict[int, model.Role] = {}
        self.memberships: dict[tuple[int, int], model.Membership] = {}
        self.milestones: dict[int, model.Milestone] = {}
        self.statuses: dict[model.Kind, dict[int, model.Status]] = {"task": {}, "userstory": {}, "issue": {}}
        self.attributes: dict[model.Kind, dict[int, model.Attribute]] = {"task": {}, "userstory": {}, "issue": {}}
        self.choices: dict[str, dict[int, model.Choice]] = {"type": {}, "priority": {}, "severity": {}}
        self.tasks: dict[int, model.Task] = {}
        self.stories: dict[int, model.Story] = {}
        self.issues: dict[int, model.Issue] = {}
        self.values: dict[tuple[model.Kind, int], model.AttributeValues] = {}
        self.histories: dict[tuple[model.Kind, int], model.History] = {}
        self.hooks: dict[int, model.Webhook] = {}
        self.logs = WebhookLogs(self)
        self.outbox = Outbox()
        self._ids: defaultdict[str, int] = defaultdict(int, {name: first - 1 for name, first in _FIRST_IDS.items()})
        self._last_event: datetime | None = None

    def now(self) -> datetime:
        """The present by the clock that is set now."""
        return self.clock()

    def next_id(self, table: str) -> int:
        """The id of the next row of a table."""
        self._ids[table] += 1
        return self._ids[table]

    def event_date(self) -> datetime:
        """The date of the event that happens now, in whole milliseconds; no two events have the same one."""
        now = self.clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if self._last_event is not None and now <= self._last_event:
            now = self._last_event + timedelta(milliseconds=1)
        self._last_event = now
        return now

    def order_number(self, per_second: int = 1000) -> int:
        """A number for the order on a board: the time, in milliseconds for tasks, microseconds for stories."""
        return math.floor(self.clock().timestamp() * per_second)

    def items(self, kind: model.Kind) -> Mapping[int, model.Item]:
        """The table of one kind of item by id."""
        tables: dict[model.Kind, Mapping[int, model.Item]] = {
            "task": self.tasks,
            "userstory": self.stories,
            "issue": self.issues,
        }
        return tables[kind]

    def find_user(self, name: str) -> model.User | None:
        """A user by user name or e-mail address (the latter in any case)."""
        for user in self.users.values():
            if user.username == name or user.email.lower() == name.lower():
                return user
        return None

    def statuses_of(self, project: model.Project, kind: model.Kind) -> list[model.Status]:
        """The statuses of a project in their order."""
        found = (status for status in self.statuses[kind].values() if status.project_id == project.id)
        return sorted(found, key=lambda status: status.order)

    def attributes_of(self, project: model.Project, kind: model.Kind) -> list[model.Attribute]:
        """The custom attributes of a project in their order."""
        found = (attribute for attribute in self.attributes[kind].values() if attribute.project_id == project.id)
        return sorted(found, key=lambda attribute: (attribute.order, attribute.id))

    def values_of(self, item: model.Item) -> model.AttributeValues | None:
        """The custom attribute values of an item; None when it is deleted."""
        return self.values.get((item.kind, item.id))

    def hooks_of(self, project: model.Project) -> list[model.Webhook]:
        """The webhooks of a project in the order they are called."""
        return sort_hooks(hook for hook in self.hooks.values() if hook.project is project)

    def members_of(self, project: model.Project) -> list[model.Membership]:
        """The members of a project, oldest first."""
        return [membership for membership in self.memberships.values() if membership.project is project]

    def membership(self, user: model.User | None, project: model.Project) -> model.Membership | None:
        """The place of a user in a project."""
        return None if user is None else self.memberships.get((project.id, user.id))

    def permissions(self, user: model.User | None, project: model.Project) -> frozenset[str]:
        """What a user may do in a project; empty for strangers."""
        membership = self.membership(user, project)
        if membership is None:
            return frozenset()
        return template.ADMIN_PERMISSIONS if membership.is_admin else membership.role.permissions

    async def deliver(self) -> int:
        """Send everything that waits in the outbox, one after the other, and return how many there were."""
        sent = 0
        while waiting := self.outbox.take():
            for delivery in waiting:
                await self.send(delivery)
            sent += len(waiting)
        return sent

    async def send(self, delivery: Delivery) -> model.WebhookLog:
        """Send one delivery, once, and log how it ended."""
        body, headers, started = delivery.body, delivery.headers, self.clock()
        refusal = None if self.allow_private_addresses else refused_address(delivery.url)
        status, answer = 0, refusal or ""
        if refusal is None:
            try:
                status = await self.sender(delivery.url, body, headers)
                answer = _logged_answer(status)
            except (OSError, httpx.HTTPError) as error:
                answer = f"error-in-request: {error}"
        seconds = (self.clock() - started).total_seconds()
        return self.logs.add(delivery, headers if refusal is None else {}, status, answer, seconds)


def _logged_answer(status: int) -> str:
    return "error-in-request: Redirects are not allowed" if 300 <= status < 400 else '{"content": ""}'  # noqa: PLR2004 - 3xx


def sort_hooks(hooks: Iterable[model.Webhook]) -> list[model.Webhook]:
    """Webhooks as Taiga orders them: by name, newest first among equal names."""
    return sorted(hooks, key=lambda hook: (hook.name, -hook.id))
