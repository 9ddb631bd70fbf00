"""People who work in Taiga, for tests and the demo: short sentences instead of requests.

    team = Team()
    acme = team.project("Acme Website", hook="http://127.0.0.1:8000/webhooks/taiga", key="secret")
    task = acme.story("Login").task("Build the form", by=team.person("ada"))
    task.set("Duration (Hours)", 4.5).set("Billable", True).close()
    await team.deliver()

Everything goes through the same rules as requests do, so it sends the same webhooks: they wait in the outbox until
`deliver`. Each method that changes something returns its object, so that sentences can go on.
"""

from collections.abc import Iterable
from typing import Any

from middleware.lab.sandbox.taiga import comments, model, setup, values, work
from middleware.lab.sandbox.taiga.state import TaigaState

ADMIN = "lab_admin"
BRIDGE = "bridge"
PASSWORD = "taiga-password"  # noqa: S105 - every made-up person has this one
DEFAULT_KEY = "taiga-lab-webhook-key"


class Team:
    """One Taiga with an administrator `lab_admin` and a user `bridge` for the middleware, both with `PASSWORD`."""

    def __init__(self, state: TaigaState | None = None) -> None:
        self.state = state or TaigaState()
        self.admin = self.person(ADMIN, "Lab Admin")
        self.bridge = self.person(BRIDGE, "Billing Bridge")

    def person(self, username: str, full_name: str | None = None) -> model.User:
        """The person with this user name, who gets an account when they have none."""
        known = self.state.find_user(username)
        return known or setup.add_user(
            self.state, username, full_name or username.replace("_", " ").title(), password=PASSWORD
        )

    def project(
        self, name: str, hook: str | None = None, key: str = DEFAULT_KEY, *, attributes: bool = True
    ) -> "Place":
        """A new Scrum project with the five standard attributes, the bridge as member, and maybe a webhook."""
        project = setup.add_project(self.state, self.admin, name)
        place = Place(self, project)
        if attributes:
            setup.add_standard_attributes(self.state, project)
        place.join(self.bridge)
        if hook is not None:
            setup.add_webhook(self.state, project, hook, key)
        return place

    async def deliver(self) -> int:
        """Send the webhooks that wait and return how many there were."""
        return await self.state.deliver()


class Place:
    """A project that people work in."""

    def __init__(self, team: Team, project: model.Project) -> None:
        self.team = team
        self.project = project

    @property
    def id(self) -> int:
        """The id of the project."""
        return self.project.id

    def join(self, person: model.User, role: str = "back") -> "Place":
        """Make somebody a member, unless they are one; `role` is a slug, e.g. `stakeholder`."""
        state = self.team.state
        if state.membership(person, self.project) is None:
            found = next(one for one in setup.roles_of(state, self.project) if one.slug == role)
            setup.add_member(state, self.project, person, found, invited_by=self.team.admin)
        return self

    def sprint(self, name: str, start: str, finish: str) -> model.Milestone:
        """A sprint between two ISO days."""
        team = self.team
        return setup.add_milestone(team.state, self.project, team.admin, name, start=start, finish=finish)

    def story(self, subject: str, sprint: model.Milestone | None = None) -> "StoryCard":
        """A user story."""
        fields = {"subject": subject, "milestone": sprint}
        return StoryCard(self, work.create_story(self.team.state, self.team.admin, self.project, fields))

    def loose_task(self, subject: str, by: model.User | None = None, **fields: Any) -> "Card":
        """A task without story: the kind that never sends a webhook."""
        return self._task(subject, None, by, fields)

    def issue(self, subject: str) -> "Card":
        """An issue."""
        return Card(self, work.create_issue(self.team.state, self.team.admin, self.project, {"subject": subject}))

    def status(self, name: str, kind: model.Kind = "task") -> model.Status:
        """The status with this name.

        Raises:
            LookupError: the project has none of this name.
        """
        for status in self.team.state.statuses_of(self.project, kind):
            if status.name == name:
                return status
        raise LookupError(f"project {self.project.name} has no {kind} status {name!r}")

    def _task(self, subject: str, story: model.Story | None, by: model.User | None, fields: dict[str, Any]) -> "Card":
        person = by or self.team.admin
        self.join(person)
        status = self.status(fields.pop("status")) if "status" in fields else None
        given = {"subject": subject, "user_story": story, "assigned_to": by, **fields}
        if status is not None:
            given["status"] = status
        return Card(self, work.create_task(self.team.state, person, self.project, given))


class Card:
    """A task, story or issue that people change; `by` is the administrator unless told otherwise."""

    def __init__(self, place: Place, item: model.Item) -> None:
        self.place = place
        self.item = item

    @property
    def id(self) -> int:
        """The id of the item."""
        return self.item.id

    @property
    def values(self) -> dict[str, Any]:
        """The custom attribute values by name, null ones included."""
        state = self._state
        stored = state.values[self.item.kind, self.item.id].values
        attributes = state.attributes_of(self.item.project, self.item.kind)
        return {row.name: stored[str(row.id)] for row in attributes if str(row.id) in stored}

    def set(self, attribute: str, value: Any, by: model.User | None = None) -> "Card":
        """Fill in one attribute as the web page does: one request with all values, one event."""
        state = self._state
        found = next(row for row in state.attributes_of(self.item.project, self.item.kind) if row.name == attribute)
        stored = state.values[self.item.kind, self.item.id].values
        values.replace(state, self._person(by), self.item, {**stored, str(found.id): value})
        return self

    def fill(self, attributes: dict[str, Any], by: model.User | None = None) -> "Card":
        """Fill in several attributes, one after the other."""
        for name, value in attributes.items():
            self.set(name, value, by)
        return self

    def move(self, status: str, by: model.User | None = None, comment: str = "") -> "Card":
        """Put it into the status with this name, maybe with a comment."""
        return self.change(by, comment, status=self.place.status(status, self.item.kind))

    def close(self, by: model.User | None = None, comment: str = "") -> "Card":
        """Put it into the first closed status."""
        statuses = self._state.statuses_of(self.item.project, self.item.kind)
        return self.move(next(status.name for status in statuses if status.is_closed), by, comment)

    def reopen(self, by: model.User | None = None) -> "Card":
        """Put it back into "In progress"."""
        return self.move("In progress", by)

    def assign(self, person: model.User | None, by: model.User | None = None) -> "Card":
        """Give it to somebody, or to nobody."""
        if person is not None:
            self.place.join(person)
        return self.change(by, assigned_to=person)

    def rename(self, subject: str, by: model.User | None = None) -> "Card":
        """Change its subject."""
        return self.change(by, subject=subject)

    def change(self, by: model.User | None = None, comment: str = "", **fields: Any) -> "Card":
        """Change any fields in one request; the values are objects of `model`, not ids."""
        work.change(self._state, self._person(by), self.item, fields, comment)
        return self

    def comment(self, text: str, by: model.User | None = None) -> "Card":
        """Write a comment."""
        return self.change(by, text)

    def edit_comment(self, text: str, by: model.User | None = None) -> "Card":
        """Change the last comment: its event comes again, with its original difference."""
        comments.edit(self._state, self.item, self._person(by), self._last_comment(), text)
        return self

    def delete_comment(self, by: model.User | None = None) -> "Card":
        """Delete the last comment: its event comes again, with its original difference."""
        comments.delete(self._state, self.item, self._person(by), self._last_comment())
        return self

    def move_to_story(self, story: "StoryCard | None", by: model.User | None = None) -> "Card":
        """Put a task into another story, or into none."""
        target = story.item if story is not None else None
        return self.change(by, user_story=target)

    def move_to_project(self, story: "StoryCard", by: model.User | None = None) -> "Card":
        """Put a task into a story of another project, in its first status; it gets a new ref."""
        project = story.item.project
        status = self._state.statuses_of(project, self.item.kind)[0]
        self.change(by, project=project, status=status, user_story=story.item)
        self.place = story.place
        return self

    def delete(self, by: model.User | None = None) -> None:
        """Delete it."""
        work.delete(self._state, self._person(by), self.item)

    @property
    def _state(self) -> TaigaState:
        return self.place.team.state

    def _person(self, by: model.User | None) -> model.User:
        return by or self.place.team.admin

    def _last_comment(self) -> model.HistoryEntry:
        entries = self._state.histories[self.item.kind, self.item.id].entries
        return next(entry for entry in reversed(entries) if entry.comment)


class StoryCard(Card):
    """A user story, which tasks are made in."""

    item: model.Story

    def __init__(self, place: Place, item: model.Story) -> None:
        super().__init__(place, item)

    def task(self, subject: str, by: model.User | None = None, **fields: Any) -> Card:
        """A task that `by` makes and gets; `status` is a name, other fields are objects of `model`."""
        return self.place._task(subject, self.item, by, fields)  # noqa: SLF001 - both are this module's

    def tasks(self, subjects: Iterable[str], status: str = "New") -> list[Card]:
        """Many tasks at once; in a closed status they get no closing date (as on the real server)."""
        team = self.place.team
        fields = {"user_story": self.item, "status": self.place.status(status)}
        made = work.create_tasks_in_bulk(team.state, team.admin, self.place.project, subjects, fields)
        return [Card(self.place, task) for task in made]
