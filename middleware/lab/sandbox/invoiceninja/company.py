"""Company, users, tokens, and the small fixed answers (facts sections 1 and 8)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import reference
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError, refuse
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.state import USER

REPORTS_PER_MINUTE = 20


def ping(call: Call) -> Any:
    """Answer GET /ping."""
    user = next(iter(call.state.tables["users"]))
    return {
        "company_name": call.state.setting("name"),
        "user_name": f"{user['first_name']} {user['last_name']}",
    }


def health_check(_: Call) -> Any:
    """Answer GET /health_check."""
    return {"system_health": True, "simple_db_check": True, "env_writable": True, "mail_mailer": "log"}


def statics(_: Call) -> Any:
    """Answer GET /statics."""
    return reference.statics()


def companies(call: Call) -> Any:
    """Answer GET /companies."""
    return {"data": [dict(call.state.company)]}


def current(call: Call) -> Any:
    """Answer POST /companies/current."""
    return {"data": dict(call.state.company)}


def refresh(call: Call) -> Any:
    """Answer POST /refresh: the user of the token with its rights (and much more, which nobody here reads)."""
    user = next(iter(call.state.tables["users"]))
    return {
        "data": [
            {**call.state.rights, "is_locked": False, "user": dict(user.data), "company": dict(call.state.company)}
        ]
    }


def update(call: Call) -> Any:
    """Answer PUT /companies/<id>; given settings overwrite, the number counters among them (the trap)."""
    company = call.state.company
    if call.segments[-1] != company["id"]:
        refuse(400, "No query results for model [App\\Models\\Company].")
    settings = {**company["settings"], **(call.data.get("settings") or {})}
    given = {key: value for key, value in call.data.items() if key in reference.COMPANY and key != "id"}
    company.update(given, settings=settings, updated_at=call.state.now())
    return {"data": dict(company)}


def create_user(call: Call) -> Any:
    """Answer POST /users; the password of the caller is asked for in a header."""
    require_password(call)
    state = call.state
    stamps = {"created_at": state.now(), "updated_at": state.now(), "archived_at": 0, "is_deleted": False}
    given = {key: value for key, value in call.data.items() if key in USER}
    fresh = {"email_verified_at": None, "has_password": False}
    return one(call, "users", state.tables["users"].add({**USER, **fresh, **given, **stamps}))


def show_user(call: Call, row_id: str) -> Any:
    """Answer GET /users/<id>."""
    require_password(call)
    return one(call, "users", call.row("users", row_id))


def create_token(call: Call) -> Any:
    """Answer POST /tokens: the sandbox has one token and gives no second."""
    require_password(call)
    return refuse(401, "This action is unauthorized.")


def require_password(call: Call) -> None:
    """Refuse with 412 when the password header is missing."""
    if not call.headers.get("x-api-password"):
        raise RefusedError(412, {"message": "Invalid Password", "errors": {}})


def report(call: Call) -> Any:
    """Answer POST /reports/clients: throttled on every server, without Retry-After."""
    minute = call.state.now() // 60
    if call.state.reports_of_minute.get(minute, 0) >= REPORTS_PER_MINUTE:
        refuse(429, "Too many requests")
    call.state.reports_of_minute = {minute: call.state.reports_of_minute.get(minute, 0) + 1}
    return {"message": "00000000-0000-4000-8000-000000000000"}
