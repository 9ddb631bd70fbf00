"""Editing, deleting and restoring comments: each sends the entry again, with its original difference."""

from middleware.lab.sandbox.taiga import errors, events, history, model
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso, markdown


def find(state: TaigaState, item: model.Item, entry_id: str) -> model.HistoryEntry:
    """The history entry with this id.

    Raises:
        ApiError: 404, the item has no such entry.
    """
    for entry in state.histories[item.kind, item.id].entries:
        if entry.id == entry_id:
            return entry
    raise errors.not_found()


def edit(state: TaigaState, item: model.Item, by: model.User, entry: model.HistoryEntry, comment: str) -> None:
    """Replace the text of a comment; the old one stays among its versions."""
    version = {
        "date": iso(entry.edit_comment_date or entry.created_at),
        "comment": entry.comment,
        "comment_html": markdown(entry.comment),
        "user": {"id": by.id},
    }
    entry.comment_versions = [*(entry.comment_versions or []), version]
    entry.comment = comment
    entry.edit_comment_date = state.now()
    _send_again(state, item, entry)


def delete(state: TaigaState, item: model.Item, by: model.User, entry: model.HistoryEntry) -> None:
    """Mark a comment as deleted; its text stays."""
    entry.delete_comment_date, entry.delete_comment_user = state.now(), by
    _send_again(state, item, entry)


def undelete(state: TaigaState, item: model.Item, entry: model.HistoryEntry) -> None:
    """Show a deleted comment again."""
    entry.delete_comment_date = entry.delete_comment_user = None
    _send_again(state, item, entry)


def _send_again(state: TaigaState, item: model.Item, entry: model.HistoryEntry) -> None:
    events.item_event(state, "change", item, entry.user, history.change_of(entry))
