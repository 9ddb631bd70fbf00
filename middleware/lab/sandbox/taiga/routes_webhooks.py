"""Webhooks and their logs, for project administrators only (docs/facts/taiga.md sections 1, 5 and 7)."""

import re
from urllib.parse import urlsplit

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, events, model, setup, table_views
from middleware.lab.sandbox.taiga.http import Call, Reply, Resource, page_of
from middleware.lab.sandbox.taiga.outbox import Delivery
from middleware.lab.sandbox.taiga.routes_items import find_project
from middleware.lab.sandbox.taiga.state import TaigaState, sort_hooks
from middleware.lab.sandbox.taiga.webhook_log import is_private

_LONGEST_URL = 200
_HOST = re.compile(
    r"localhost|(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*|[0-9.]+|[0-9a-f:.]+", re.IGNORECASE
)


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module."""
    return [
        Route("/webhooks", Resource(state, GET=list_hooks, POST=create)),
        Route("/webhooks/{id:int}", Resource(state, GET=get, PATCH=patch, DELETE=delete)),
        Route("/webhooks/{id:int}/test", Resource(state, POST=test)),
        Route("/webhooklogs", Resource(state, GET=list_logs)),
        Route("/webhooklogs/{id:int}", Resource(state, GET=get_log)),
        Route("/webhooklogs/{id:int}/resend", Resource(state, POST=resend)),
    ]


def _administrates(call: Call, project: model.Project) -> bool:
    membership = call.state.membership(call.user, project)
    return membership is not None and membership.is_admin


def _own(call: Call) -> list[model.Webhook]:
    hooks = (hook for hook in call.state.hooks.values() if _administrates(call, hook.project))
    return sort_hooks(hooks)


def list_hooks(call: Call) -> Reply:
    """The webhooks of the projects that the user administrates; an empty list for everybody else."""
    wanted = call.query.get("project")
    shown = [hook for hook in _own(call) if wanted in (None, str(hook.project.id))]
    return page_of(call, shown, lambda hook: table_views.webhook(call.state, hook))


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse addresses that Taiga refuses: host names without a dot, and private ones when those are not allowed.

    Raises:
        ApiError: 400 with the message for the field `url`.
    """
    if len(url) > _LONGEST_URL:
        raise errors.invalid(url=f"Ensure this value has at most {_LONGEST_URL} characters (it has {len(url)}).")
    address = urlsplit(url)
    host = address.hostname or ""
    if address.scheme not in ("http", "https", "ftp", "ftps") or _HOST.fullmatch(host) is None:
        raise errors.invalid(url="Invalid value.")
    if not allow_private and is_private(host):
        raise errors.invalid(url="Not allowed IP Address")


def create(call: Call) -> Reply:
    """A new webhook; the key must not be empty."""
    body = call.json()
    missing = {name: "This field is required." for name in ("name", "url", "key") if not body.get(name)}
    if missing:
        raise errors.invalid(**missing)
    check_url(str(body["url"]), allow_private=call.state.allow_private_addresses)
    project = find_project(call, body.get("project"))
    call.demand_admin(project)
    hook = setup.add_webhook(call.state, project, str(body["url"]), str(body["key"]), str(body["name"]))
    return Reply(table_views.webhook(call.state, hook), 201, {"Location": hook.url})


def _find(call: Call) -> model.Webhook:
    hook = call.state.hooks.get(call.path["id"])
    if hook is None:
        raise errors.no_match("Webhook")
    call.demand_admin(hook.project)
    return hook


def get(call: Call) -> Reply:
    """One webhook."""
    return Reply(table_views.webhook(call.state, _find(call)))


def patch(call: Call) -> Reply:
    """Change name, address or key."""
    hook = _find(call)
    body = call.json()
    if "url" in body:
        check_url(str(body["url"]), allow_private=call.state.allow_private_addresses)
    for name in ("name", "url", "key"):
        if name in body and not body[name]:
            raise errors.invalid(**{name: "This field is required."})
        setattr(hook, name, str(body.get(name, getattr(hook, name))))
    return Reply(table_views.webhook(call.state, hook))


def delete(call: Call) -> Reply:
    """Remove a webhook."""
    del call.state.hooks[_find(call).id]
    return Reply(status=204)


async def test(call: Call) -> Reply:
    """Send a test now, within the request, and answer with its log entry."""
    hook = _find(call)
    entry = await call.state.send(events.test_delivery(call.state, hook, call.member))
    return Reply(table_views.webhook_log(entry))


def list_logs(call: Call) -> Reply:
    """The last deliveries, newest first; `webhook` asks for those of one webhook."""
    wanted = call.query.get("webhook")
    hooks = [hook for hook in _own(call) if wanted in (None, str(hook.id))]
    entries = [entry for hook in hooks for entry in call.state.logs.of(hook)]
    return page_of(call, sorted(entries, key=lambda entry: -entry.id), table_views.webhook_log)


def _find_log(call: Call) -> model.WebhookLog:
    entry = call.state.logs.get(call.path["id"])
    if entry is None or not _administrates(call, entry.webhook.project):
        raise errors.not_found()
    return entry


def get_log(call: Call) -> Reply:
    """One logged delivery; 404 for members who do not administrate the project."""
    return Reply(table_views.webhook_log(_find_log(call)))


async def resend(call: Call) -> Reply:
    """Send a logged delivery again, as it came back from the database: other bytes, another signature."""
    entry = _find_log(call)
    payload = entry.request_data
    again = await call.state.send(Delivery(entry.webhook, call.state.now(), lambda: payload))
    return Reply(table_views.webhook_log(again))
