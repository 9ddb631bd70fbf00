"""Operations on many items: bulk creation and the drags of boards and backlog (docs/facts/taiga.md section 3)."""

from starlette.routing import Route

from middleware.lab.sandbox.taiga import closing, errors, history, model, work
from middleware.lab.sandbox.taiga.http import Call, Reply, Resource
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.rest_views import task_detail
from middleware.lab.sandbox.taiga.routes_items import find, find_project
from middleware.lab.sandbox.taiga.state import TaigaState

_WRONG_TASKS = (
    "Invalid task ids. All tasks must belong to the same project and, if it exists, to the same status, user story "
    "and/or milestone."
)
_WRONG_STORIES = "Invalid user story ids. All stories must belong to the same project."


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module."""
    return [
        Route("/tasks/bulk_create", Resource(state, POST=bulk_create)),
        Route("/tasks/bulk_update_taskboard_order", Resource(state, POST=taskboard_order)),
        Route("/tasks/bulk_update_milestone", Resource(state, POST=tasks_milestone)),
        Route("/tasks/{id:int}/promote_to_user_story", Resource(state, POST=promote)),
        Route("/userstories/bulk_update_kanban_order", Resource(state, POST=kanban_order)),
        Route("/userstories/bulk_update_milestone", Resource(state, POST=stories_milestone)),
    ]


def _project(call: Call, body: Json, permission: str) -> model.Project:
    project = find_project(call, body.get("project_id"))
    call.demand(project, permission)
    return project


def bulk_create(call: Call) -> Reply:
    """One task for each line of `bulk_tasks`."""
    body = call.json()
    state = call.state
    project = _project(call, body, "add_task")
    given = {
        "user_story": state.stories.get(body.get("us_id") or 0),
        "milestone": state.milestones.get(body.get("milestone_id") or 0),
        "status": state.statuses["task"].get(body.get("status_id") or 0),
    }
    subjects = [line.strip() for line in str(body.get("bulk_tasks", "")).splitlines() if line.strip()]
    fields = {name: row for name, row in given.items() if row is not None}
    tasks = work.create_tasks_in_bulk(state, call.member, project, subjects, fields)
    return Reply([task_detail(state, task, call.user) for task in tasks])


def _tasks(call: Call, project: model.Project, body: Json) -> list[tuple[model.Task, int]]:
    rows = [(call.state.tasks.get(row["task_id"]), row["order"]) for row in body.get("bulk_tasks", [])]
    found = [(task, order) for task, order in rows if task is not None and task.project is project]
    if len(found) != len(rows):
        raise errors.invalid(bulk_tasks=_WRONG_TASKS)
    return found


def taskboard_order(call: Call) -> Reply:
    """Put the named cards of one column first, in this order; no history, no webhook."""
    body = call.json()
    project = _project(call, body, "modify_task")
    cards = _tasks(call, project, body)
    places = {"status": body.get("status_id"), "user_story": body.get("us_id"), "milestone": body.get("milestone_id")}
    for task, _ in cards:
        for name, wanted in places.items():
            row = getattr(task, name)
            if wanted is not None and (row is None or row.id != wanted):
                raise errors.invalid(bulk_tasks=_WRONG_TASKS)
    if not cards:
        return Reply({})
    first = cards[0][0]
    column = [task for task in call.state.tasks.values() if task.project is project and task.status is first.status]
    places_taken = work.reorder(column, {task.id: order for task, order in cards})
    return Reply({str(key): place for key, place in places_taken.items()})


def tasks_milestone(call: Call) -> Reply:
    """Put tasks into a sprint: one change event each."""
    body = call.json()
    project = _project(call, body, "modify_task")
    sprint = _milestone(call, project, body)
    cards = _tasks(call, project, body)
    for task, order in cards:
        # Written by SQL: no sprint opens or closes by it.
        closing.move_to_milestone(task, sprint)
        task.taskboard_order = order
        history.record(call.state, task, call.member)
    return Reply({str(task.id): sprint.id for task, _ in cards})


def _milestone(call: Call, project: model.Project, body: Json) -> model.Milestone:
    sprint = call.state.milestones.get(body.get("milestone_id") or 0)
    if sprint is None or sprint.project is not project:
        raise errors.invalid(milestone_id="The milestone isn't valid for the project")
    return sprint


def promote(call: Call) -> Reply:
    """Make a user story of a task; neither sends a webhook (recorded), and the answer is the ref."""
    task = find(call, "task", call.path["id"], "modify")
    call.demand(task.project, "add_us")
    if not isinstance(task, model.Task):
        raise errors.no_match("Task")
    story = work.promote(call.state, call.member, task)
    return Reply([story.ref])


def kanban_order(call: Call) -> Reply:
    """Drop stories at the top of a column: one change event each."""
    body = call.json()
    state = call.state
    project = _project(call, body, "modify_us")
    status = state.statuses["userstory"].get(body.get("status_id") or 0)
    stories = [state.stories.get(key) for key in body.get("bulk_userstories", [])]
    if status is None or status.project_id != project.id:
        raise errors.invalid(status_id="The status isn't valid for the project")
    moved = [story for story in stories if story is not None and story.project is project]
    if len(moved) != len(stories):
        raise errors.invalid(bulk_userstories=_WRONG_STORIES)
    for place, story in enumerate(moved, 1):
        story.status, story.kanban_order = status, place
        closing.settle(state, story)
        history.record(state, story, call.member)
    return Reply(
        [{"id": story.id, "swimlane": None, "status": status.id, "kanban_order": story.kanban_order} for story in moved]
    )


def stories_milestone(call: Call) -> Reply:
    """Put stories, and silently their tasks, into a sprint: one change event for each story."""
    body = call.json()
    project = _project(call, body, "modify_us")
    sprint = _milestone(call, project, body)
    rows = [(call.state.stories.get(row["us_id"]), row["order"]) for row in body.get("bulk_stories", [])]
    for story, order in rows:
        if story is None or story.project is not project:
            raise errors.invalid(bulk_stories=_WRONG_STORIES)
        closing.move_to_milestone(story, sprint)
        story.sprint_order = order
        history.record(call.state, story, call.member)
    return Reply({str(story.id): order for story, order in rows if story is not None})
