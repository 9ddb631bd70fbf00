"""The records of the sandbox Taiga: what the real server keeps in its tables, as far as its clients can see it.

Dates are aware UTC datetimes. Relations are direct references: renaming a status or closing a milestone is seen by
everything that points to it, as on the real server.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

Json = dict[str, Any]
Kind = Literal["task", "userstory", "issue"]


@dataclass(slots=True, eq=False, kw_only=True)
class User:
    """A person with an account; `password` is plain text because the sandbox holds no real ones."""

    id: int
    username: str
    full_name: str
    email: str
    password: str
    color: str
    gravatar_id: str
    uuid: str
    date_joined: datetime


@dataclass(slots=True, eq=False, kw_only=True)
class Status:
    """A column of the task board, the kanban board or the issue list."""

    id: int
    kind: Kind
    project_id: int
    name: str
    slug: str
    order: int
    is_closed: bool
    color: str
    is_archived: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Choice:
    """A type, priority or severity of issues."""

    id: int
    project_id: int
    name: str
    order: int
    color: str


@dataclass(slots=True, eq=False, kw_only=True)
class Role:
    """What the members with this role may do."""

    id: int
    project_id: int
    name: str
    slug: str
    order: int
    computable: bool
    permissions: frozenset[str]


@dataclass(slots=True, eq=False, kw_only=True)
class Attribute:
    """A custom attribute; tasks, stories and issues have their own ones with their own ids."""

    id: int
    kind: Kind
    project_id: int
    name: str
    type: str
    extra: list[str] | None
    order: int
    description: str
    created_date: datetime
    modified_date: datetime


@dataclass(slots=True, eq=False, kw_only=True)
class Project:
    """A project; `next_ref` numbers tasks, stories and issues together."""

    id: int
    name: str
    slug: str
    description: str
    owner: User
    created_date: datetime
    is_private: bool = True
    next_ref: int = 1
    tags: dict[str, str | None] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class Membership:
    """A person's place in a project."""

    id: int
    project: Project
    user: User
    role: Role
    is_admin: bool
    created_at: datetime
    invited_by: User | None
    user_order: int


@dataclass(slots=True, eq=False, kw_only=True)
class Milestone:
    """A sprint; its days are ISO dates without time; `announced` is how its last event showed it."""

    id: int
    project: Project
    name: str
    slug: str
    owner: User
    estimated_start: str
    estimated_finish: str
    created_date: datetime
    modified_date: datetime
    closed: bool = False
    disponibility: float = 0.0
    order: int = 1
    items: "set[Item]" = field(default_factory=set)
    announced: Json = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class Item:
    """What tasks, stories and issues have in common.

    `finished_date` is set when the item becomes closed and emptied when it is opened again (stories call it
    `finish_date` towards the outside).
    """

    kind: ClassVar[Kind]
    label: ClassVar[str]
    segment: ClassVar[str]
    history_key: ClassVar[str]
    permission: ClassVar[str]

    id: int
    ref: int
    project: Project
    owner: User
    subject: str
    status: Status
    created_date: datetime
    modified_date: datetime
    description: str = ""
    tags: list[str] = field(default_factory=list)
    assigned_to: User | None = None
    milestone: Milestone | None = None
    finished_date: datetime | None = None
    due_date: str | None = None
    due_date_reason: str = ""
    is_blocked: bool = False
    blocked_note: str = ""
    external_reference: list[str] | None = None
    watchers: set[int] = field(default_factory=set)
    version: int = 1


@dataclass(slots=True, eq=False, kw_only=True)
class Story(Item):
    """A user story; `is_closed` is computed from its tasks, or from its status when it has none."""

    kind: ClassVar[Kind] = "userstory"
    label: ClassVar[str] = "UserStory"
    segment: ClassVar[str] = "us"
    history_key: ClassVar[str] = "userstories.userstory"
    permission: ClassVar[str] = "us"

    is_closed: bool = False
    backlog_order: int = 0
    sprint_order: int = 0
    kanban_order: int = 0
    tasks: "list[Task]" = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class Task(Item):
    """A task; without `user_story` it never sends a webhook (docs/facts/taiga.md section 3.1)."""

    kind: ClassVar[Kind] = "task"
    label: ClassVar[str] = "Task"
    segment: ClassVar[str] = "task"
    history_key: ClassVar[str] = "tasks.task"
    permission: ClassVar[str] = "task"

    user_story: Story | None = None
    us_order: int = 0
    taskboard_order: int = 0
    is_iocaine: bool = False
    promoted_to: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class Issue(Item):
    """An issue."""

    kind: ClassVar[Kind] = "issue"
    label: ClassVar[str] = "Issue"
    segment: ClassVar[str] = "issue"
    history_key: ClassVar[str] = "issues.issue"
    permission: ClassVar[str] = "issue"

    type: Choice
    priority: Choice
    severity: Choice
    promoted_to: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class AttributeValues:
    """The custom attribute values of one item, keyed by the attribute's id as text; `version` is their own."""

    values: Json = field(default_factory=dict)
    version: int = 1


@dataclass(slots=True, eq=False, kw_only=True)
class HistoryEntry:
    """One change as the history keeps it: `diff` with ids, `values_diff` with names."""

    id: str
    user: User
    created_at: datetime
    key: str
    diff: Json
    values_diff: Json
    names: Json
    comment: str
    hidden: bool
    comment_versions: list[Json] | None = None
    edit_comment_date: datetime | None = None
    delete_comment_date: datetime | None = None
    delete_comment_user: User | None = None


@dataclass(slots=True, eq=False)
class History:
    """All changes of one item, oldest first, and how it looked at the last of them."""

    snapshot: Json
    entries: list[HistoryEntry] = field(default_factory=list)


@dataclass(slots=True, eq=False, kw_only=True)
class Webhook:
    """An address that is told about the events of a project, and the key they are signed with."""

    id: int
    project: Project
    name: str
    url: str
    key: str


@dataclass(slots=True, eq=False, kw_only=True)
class WebhookLog:
    """How one delivery ended; `status` 0 means that no answer came."""

    id: int
    webhook: Webhook
    url: str
    status: int
    request_data: Json
    request_headers: dict[str, str]
    response_data: str
    duration: float
    created: datetime
