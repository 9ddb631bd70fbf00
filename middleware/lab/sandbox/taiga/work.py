"""What members do with tasks, stories and issues, and the webhooks that follow (docs/facts/taiga.md section 3).

Fields arrive checked (see `fields.py`); here they take effect: closing dates, stories and sprints, order on the board,
history, webhooks.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from middleware.lab.sandbox.taiga import closing, events, history, model, setup
from middleware.lab.sandbox.taiga.state import TaigaState

Fields = Mapping[str, Any]


def create_task(state: TaigaState, by: model.User, project: model.Project, fields: Fields) -> model.Task:
    """Make a task; in a story it belongs to the sprint of that story."""
    task = _new_task(state, by, project, fields)
    closing.settle_item(state, task)
    _announce(state, task)
    return task


def create_tasks_in_bulk(
    state: TaigaState, by: model.User, project: model.Project, subjects: Iterable[str], fields: Fields
) -> list[model.Task]:
    """Make one task for each subject; in a closed status they get no `finished_date`."""
    tasks = [_new_task(state, by, project, {**fields, "subject": subject}) for subject in subjects]
    closing.settle(state, fields.get("user_story"), fields.get("milestone"))
    for task in tasks:
        _announce(state, task)
    return tasks


def create_story(state: TaigaState, by: model.User, project: model.Project, fields: Fields) -> model.Story:
    """Make a user story."""
    story = _new_story(state, by, project, fields)
    _announce(state, story)
    return story


def promote(state: TaigaState, by: model.User, task: model.Task) -> model.Story:
    """Make a user story of a task; neither of them sends a webhook (recorded)."""
    story = _new_story(state, by, task.project, {"subject": task.subject})
    history.begin(state, story)
    task.promoted_to.append(story.id)
    return story


def _new_story(state: TaigaState, by: model.User, project: model.Project, fields: Fields) -> model.Story:
    story = model.Story(**_common(state, by, project, "userstory", fields))
    story.backlog_order = story.sprint_order = story.kanban_order = state.order_number(1_000_000)
    _set(story, fields)
    state.stories[story.id] = story
    closing.settle_item(state, story)
    return story


def create_issue(state: TaigaState, by: model.User, project: model.Project, fields: Fields) -> model.Issue:
    """Make an issue."""
    issue = model.Issue(
        type=setup.default_choice(state, project, "type"),
        priority=setup.default_choice(state, project, "priority"),
        severity=setup.default_choice(state, project, "severity"),
        **_common(state, by, project, "issue", fields),
    )
    _set(issue, fields)
    state.issues[issue.id] = issue
    closing.settle_item(state, issue)
    _announce(state, issue)
    return issue


def _new_task(state: TaigaState, by: model.User, project: model.Project, fields: Fields) -> model.Task:
    task = model.Task(**_common(state, by, project, "task", fields))
    task.us_order = task.taskboard_order = state.order_number()
    _set(task, fields)
    state.tasks[task.id] = task
    return task


def _common(
    state: TaigaState, by: model.User, project: model.Project, kind: model.Kind, fields: Fields
) -> dict[str, Any]:
    now = state.now()
    item_id = state.next_id(kind)
    state.values[kind, item_id] = model.AttributeValues()
    return {
        "id": item_id,
        "ref": take_ref(project),
        "project": project,
        "owner": by,
        "subject": fields["subject"],
        "status": fields.get("status") or state.statuses_of(project, kind)[0],
        "created_date": now,
        "modified_date": now,
    }


def take_ref(project: model.Project) -> int:
    """The next number of an item inside of a project."""
    ref = project.next_ref
    project.next_ref += 1
    return ref


def _announce(state: TaigaState, item: model.Item) -> None:
    history.begin(state, item)
    events.item_event(state, "create", item, item.owner)


def change(state: TaigaState, by: model.User, item: model.Item, fields: Fields, comment: str = "") -> dict[int, int]:
    """Change fields and comment in one step.

    Returns:
        The order on the task board that changed with it, by task id: the header Taiga-Info-Order-Updated.

    Raises:
        ApiError: 500 when the webhook of a storyless task crashes; the change stays.
    """
    place = _board_place(item)
    left = (getattr(item, "user_story", None), item.milestone)
    if isinstance(item, model.Task) and fields.get("project") not in (None, item.project):
        _move_to_project(item, fields["project"])
    _set(item, fields)
    item.version += 1
    item.modified_date = state.now()
    closing.settle_item(state, item)
    closing.settle(state, *left)
    moved = _make_room(item) if isinstance(item, model.Task) and place != _board_place(item) else {}
    if isinstance(item, model.Story) and "status" in fields and "kanban_order" not in fields:
        item.kanban_order = state.order_number(1_000_000)
    if comment:
        item.watchers.add(by.id)
    history.record(state, item, by, comment)
    return moved


def _set(item: model.Item, fields: Fields) -> None:
    for name, value in fields.items():
        if name == "milestone":
            closing.move_to_milestone(item, value)
        elif name != "user_story":
            setattr(item, name, value)
    if isinstance(item, model.Task) and "user_story" in fields:
        closing.move_to_story(item, fields["user_story"])
    for tag in fields.get("tags", ()):
        item.project.tags.setdefault(tag, None)


def _board_place(item: model.Item) -> tuple[Any, ...]:
    if not isinstance(item, model.Task):
        return ()
    return (item.project.id, item.user_story, item.status.id, item.taskboard_order)


def _make_room(task: model.Task) -> dict[int, int]:
    # The board shifts everything behind the place a card was dropped on, without history; their next event shows it.
    neighbours = task.user_story.tasks if task.user_story is not None else [task]
    column = [other for other in neighbours if other.status is task.status]
    return reorder(column, {task.id: task.taskboard_order})


def reorder(column: Iterable[model.Task], wanted: Mapping[int, int]) -> dict[int, int]:
    """Give cards of one column of the task board new places and shift the others.

    Args:
        column: all tasks of the column.
        wanted: the new place of the moved ones, by task id.

    Returns:
        The places that changed, by task id.
    """
    cards = {task.id: task for task in column}
    before = {key: task.taskboard_order for key, task in cards.items()}
    for key, place in sorted(wanted.items(), key=lambda entry: entry[1]):
        old = cards[key].taskboard_order
        for card in cards.values():
            if place <= card.taskboard_order and (card.taskboard_order < old or place >= old):
                card.taskboard_order += 1
    for key, place in wanted.items():
        cards[key].taskboard_order = place
    return {
        key: card.taskboard_order
        for key, card in sorted(cards.items())
        if key in wanted or card.taskboard_order != before[key]
    }


def _move_to_project(task: model.Task, project: model.Project) -> None:
    # Attribute values stay under the ids of the old project, so the new one shows none of them.
    closing.move_to_milestone(task, None)
    closing.move_to_story(task, None)
    task.project = project
    task.ref = take_ref(project)


def delete(state: TaigaState, by: model.User, item: model.Item) -> None:
    """Delete an item; the tasks of a story vanish with it without a word."""
    if isinstance(item, model.Story):
        for task in list(item.tasks):
            _forget(state, task)
    story = getattr(item, "user_story", None)
    milestone = item.milestone
    _forget(state, item)
    closing.settle(state, story, milestone)
    # The real server reads the story after the fact too: the event shows what is left of it.
    if isinstance(item, model.Task):
        item.user_story = story
    item.milestone = milestone
    events.item_event(state, "delete", item, by)


def _forget(state: TaigaState, item: model.Item) -> None:
    closing.move_to_milestone(item, None)
    if isinstance(item, model.Task):
        closing.move_to_story(item, None)
        del state.tasks[item.id]
    elif isinstance(item, model.Story):
        del state.stories[item.id]
    else:
        del state.issues[item.id]
    del state.values[item.kind, item.id]
    del state.histories[item.kind, item.id]
