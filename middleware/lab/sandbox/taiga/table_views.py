"""Accounts, members, sprints, statuses, attributes, history and webhooks as the REST API shows them."""

from middleware.lab.sandbox.taiga import model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.rest_views import project_info, user_info
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso, markdown


def account(state: TaigaState, user: model.User) -> Json:
    """The own account, as `/users/me` and the login show it."""
    places = [place for place in state.memberships.values() if place.user is user]
    return {
        "id": user.id,
        "username": user.username,
        "full_name": user.full_name,
        "full_name_display": user.full_name,
        "color": user.color,
        "bio": "",
        "lang": "",
        "theme": "",
        "timezone": "",
        "is_active": True,
        "photo": None,
        "big_photo": None,
        "gravatar_id": user.gravatar_id,
        "roles": sorted({place.role.name for place in places}),
        "total_private_projects": sum(place.project.owner is user for place in places),
        "total_public_projects": 0,
        "email": user.email,
        "uuid": user.uuid,
        "date_joined": iso(user.date_joined),
        "read_new_terms": True,
        "accepted_terms": True,
        "max_private_projects": None,
        "max_public_projects": None,
        "max_memberships_private_projects": None,
        "max_memberships_public_projects": None,
        "verified_email": True,
    }


def membership(place: model.Membership) -> Json:
    """A membership, with the e-mail address that administrators see."""
    return {
        "id": place.id,
        "user": place.user.id,
        "project": place.project.id,
        "role": place.role.id,
        "is_admin": place.is_admin,
        "created_at": iso(place.created_at),
        "invited_by": user_info(place.invited_by),
        "invitation_extra_text": None,
        "user_order": place.user_order,
        "role_name": place.role.name,
        "full_name": place.user.full_name,
        "is_user_active": True,
        "color": place.user.color,
        "photo": None,
        "gravatar_id": place.user.gravatar_id,
        "project_name": place.project.name,
        "project_slug": place.project.slug,
        "is_owner": place.project.owner is place.user,
        "email": place.user.email,
        "user_email": place.user.email,
    }


def milestone(sprint: model.Milestone) -> Json:
    """A sprint."""
    return {
        "project": sprint.project.id,
        "project_extra_info": project_info(sprint.project),
        "id": sprint.id,
        "name": sprint.name,
        "slug": sprint.slug,
        "owner": sprint.owner.id,
        "estimated_start": sprint.estimated_start,
        "estimated_finish": sprint.estimated_finish,
        "created_date": iso(sprint.created_date),
        "modified_date": iso(sprint.modified_date),
        "closed": sprint.closed,
        "disponibility": sprint.disponibility,
        "order": sprint.order,
        "user_stories": [],
        "total_points": None,
        "closed_points": None,
    }


def status(column: model.Status) -> Json:
    """A status in its own list."""
    shown: Json = {
        "id": column.id,
        "name": column.name,
        "slug": column.slug,
        "order": column.order,
        "is_closed": column.is_closed,
        "color": column.color,
        "project": column.project_id,
    }
    if column.kind == "userstory":
        return {**shown, "is_archived": column.is_archived, "wip_limit": None}
    return shown


def attribute(definition: model.Attribute) -> Json:
    """A custom attribute in its own list."""
    return {
        "id": definition.id,
        "name": definition.name,
        "description": definition.description,
        "type": definition.type,
        "order": definition.order,
        "project": definition.project_id,
        "extra": definition.extra,
        "created_date": iso(definition.created_date),
        "modified_date": iso(definition.modified_date),
    }


def history_entry(entry: model.HistoryEntry) -> Json:
    """One change of an item: `diff` with ids, `values_diff` with names."""
    deleter = entry.delete_comment_user
    return {
        "id": entry.id,
        "user": {
            "pk": entry.user.id,
            "username": entry.user.username,
            "name": entry.user.full_name,
            "photo": None,
            "is_active": True,
            "gravatar_id": entry.user.gravatar_id,
        },
        "created_at": iso(entry.created_at),
        "type": 1,
        "key": entry.key,
        "diff": entry.diff,
        "snapshot": None,
        "values": entry.names,
        "values_diff": entry.values_diff,
        "comment": entry.comment,
        "comment_html": markdown(entry.comment),
        "delete_comment_date": iso(entry.delete_comment_date),
        "delete_comment_user": None if deleter is None else {"pk": deleter.id, "name": deleter.full_name},
        "edit_comment_date": iso(entry.edit_comment_date),
        "is_hidden": False,
        "is_snapshot": False,
    }


def webhook(state: TaigaState, hook: model.Webhook) -> Json:
    """A webhook with its key in plain text."""
    return {
        "id": hook.id,
        "project": hook.project.id,
        "name": hook.name,
        "url": hook.url,
        "key": hook.key,
        "logs_counter": len(state.logs.of(hook)),
    }


def webhook_log(entry: model.WebhookLog) -> Json:
    """One logged delivery."""
    return {
        "id": entry.id,
        "webhook": entry.webhook.id,
        "url": entry.url,
        "status": entry.status,
        "request_data": entry.request_data,
        "request_headers": entry.request_headers,
        "response_data": entry.response_data,
        "response_headers": {},
        "duration": entry.duration,
        "created": iso(entry.created),
    }
