"""When stories and sprints count as closed: computed from what is in them, without any webhook of their own."""

from middleware.lab.sandbox.taiga import model
from middleware.lab.sandbox.taiga.state import TaigaState


def move_to_story(task: model.Task, story: model.Story | None) -> None:
    """Put a task into a story (or none); it goes to the sprint of that story."""
    if task.user_story is not None and task in task.user_story.tasks:
        task.user_story.tasks.remove(task)
    task.user_story = story
    if story is not None:
        story.tasks.append(task)
        move_to_milestone(task, story.milestone)


def move_to_milestone(item: model.Item, milestone: model.Milestone | None) -> None:
    """Put an item into a sprint (or none); a story takes its tasks along."""
    if item.milestone is not None:
        item.milestone.items.discard(item)
    item.milestone = milestone
    if milestone is not None:
        milestone.items.add(item)
    if isinstance(item, model.Story):
        for task in item.tasks:
            move_to_milestone(task, milestone)


def settle(state: TaigaState, *places: model.Story | model.Milestone | None) -> None:
    """Compute again whether these stories, and the sprints they and others are in, are closed."""
    milestones = {place for place in places if isinstance(place, model.Milestone)}
    for place in places:
        if isinstance(place, model.Story):
            _settle_story(state, place)
            if place.milestone is not None:
                milestones.add(place.milestone)
    for milestone in milestones:
        milestone.closed = _all_closed(milestone)


def settle_item(state: TaigaState, item: model.Item) -> None:
    """Set or empty the closing date of an item, then settle where it is in."""
    if not isinstance(item, model.Story):
        if not item.status.is_closed:
            item.finished_date = None
        elif item.finished_date is None:
            item.finished_date = state.now()
    own_story = item if isinstance(item, model.Story) else getattr(item, "user_story", None)
    settle(state, own_story, item.milestone)


def _settle_story(state: TaigaState, story: model.Story) -> None:
    closed = all(task.status.is_closed for task in story.tasks) if story.tasks else story.status.is_closed
    if closed != story.is_closed:
        story.is_closed = closed
        story.finished_date = state.now() if closed else None


def is_closed(item: model.Item) -> bool:
    """Tell whether an item counts as closed."""
    return item.is_closed if isinstance(item, model.Story) else item.status.is_closed


def _all_closed(milestone: model.Milestone) -> bool:
    return bool(milestone.items) and all(is_closed(item) for item in milestone.items)
