"""Makes webhooks out of events and puts them into the outbox (docs/facts/taiga.md sections 2 and 3)."""

import copy
from collections.abc import Callable

from middleware.lab.sandbox.taiga import errors, hook_views, model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.outbox import Delivery
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso

MILESTONE_FIELDS = ("name", "closed", "estimated_start", "estimated_finish")
"""What the history of a sprint compares."""


def item_event(state: TaigaState, action: str, item: model.Item, by: model.User, change: Json | None = None) -> None:
    """Queue the webhooks of what `by` did with a task, story or issue.

    Raises:
        ApiError: 500 for a task without story when webhooks are sent within the request; the change stays.
    """
    if not state.hooks_of(item.project):
        return
    if isinstance(item, model.Task) and item.user_story is None:
        if not state.celery:
            raise errors.crashed()
        return
    envelope = _envelope(state, action, item.kind, by)
    # The row is frozen when the event happens; its relations are not (docs/facts/taiga.md section 3.2).
    frozen = copy.copy(item)
    frozen.tags = list(item.tags)
    frozen.watchers = set(item.watchers)
    _queue(state, item.project, envelope, lambda: hook_views.view(state, frozen), change)


def milestone_created(state: TaigaState, sprint: model.Milestone, by: model.User) -> None:
    """Queue the webhooks of a new sprint."""
    _milestone_event(state, "create", sprint, by, None)


def milestone_change(state: TaigaState, sprint: model.Milestone, by: model.User) -> None:
    """Queue the webhooks of a changed sprint: what differs from its last event, and always both its days."""
    now = _announced(sprint)
    diff = {
        name: {"from": sprint.announced[name], "to": value}
        for name, value in now.items()
        if name.startswith("estimated") or sprint.announced[name] != value
    }
    change: Json = {
        "comment": "",
        "comment_html": "",
        "delete_comment_date": None,
        "comment_versions": None,
        "edit_comment_date": None,
        "diff": diff,
    }
    _milestone_event(state, "change", sprint, by, change)


def _announced(sprint: model.Milestone) -> Json:
    return {name: getattr(sprint, name) for name in MILESTONE_FIELDS}


def _milestone_event(
    state: TaigaState, action: str, sprint: model.Milestone, by: model.User, change: Json | None
) -> None:
    sprint.announced = _announced(sprint)
    envelope = _envelope(state, action, "milestone", by)
    _queue(state, sprint.project, envelope, lambda: hook_views.milestone(state, sprint), change)


def test_delivery(state: TaigaState, hook: model.Webhook, by: model.User) -> Delivery:
    """The delivery of the button "test" of a webhook: it names no project and no hook."""
    payload = _envelope(state, "test", "test", by) | {"data": {"test": "test"}}
    return Delivery(hook, state.now(), lambda: payload)


def _envelope(state: TaigaState, action: str, kind: str, by: model.User) -> Json:
    return {"action": action, "type": kind, "by": hook_views.user(state, by), "date": iso(state.event_date())}


def _queue(
    state: TaigaState, project: model.Project, envelope: Json, read: Callable[[], Json], change: Json | None
) -> None:
    tail = {} if change is None else {"change": change}
    now = None if state.late_read else read()

    def payload() -> Json:
        return {**envelope, "data": read() if now is None else now, **tail}

    state.outbox.extend(Delivery(hook, state.now(), payload) for hook in state.hooks_of(project))
