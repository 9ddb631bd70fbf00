"""One request of a person: who asks, in which time zone, and how answers are made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from middleware.accounts.cookies import is_same
from middleware.accounts.service import Accounts, UserSession
from middleware.dashboard.labels import notice
from middleware.dashboard.live import Asking
from middleware.dashboard.services import Services
from middleware.store.text import storable

SEE_OTHER = 303
LONGEST_FORM = 64 * 1024


class RefusedError(Exception):
    """The request is not carried out: `status` and a message for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Desk:
    """What every visit shares."""

    services: Services
    accounts: Accounts
    templates: Environment
    asking: Asking


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who signed in. `now` is the moment it came."""

    request: Request
    desk: Desk
    session: UserSession
    zone: tzinfo
    now: datetime

    @property
    def services(self) -> Services:
        """What the receiver gives."""
        return self.desk.services

    def asked(self, name: str) -> str:
        """A value of the address, without blanks around it; "" when it is missing."""
        return self.request.query_params.get(name, "").strip()

    def asked_id(self, name: str) -> int | None:
        """A number of the address; None when it cannot be an id."""
        return id_of(self.asked(name))

    async def form(self) -> Mapping[str, str]:
        """The fields of the form that was sent, once it is proven to come from a page of ours.

        Raises:
            RefusedError: it does not carry the token of the session.
        """
        fields = await read_form(self.request)
        if not is_same(self.session.csrf_token, fields.get("csrf_token", "")):
            raise RefusedError(403, "This form does not belong to your session. Go back, load the page, and try again.")
        return fields

    def page(self, template: str, **values: Any) -> Response:
        """Render a template."""
        html = self.desk.templates.get_template(template).render(
            session=self.session,
            zone=self.zone,
            now=self.now,
            path=self.request.url.path,
            said=notice(self.asked("said")),
            **values,
        )
        # Payloads may hold lone surrogates, which no page can be encoded with.
        return HTMLResponse(html.encode("utf-8", "replace"))


Page = Callable[[Visit], Awaitable[Response]]


def moment_of(text: str) -> datetime | None:
    """An aware moment, as an address carries it; None for anything else, or beyond the calendar."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def id_of(text: str) -> int | None:
    """The number of a row; None for what can be none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**63)) else None


async def read_form(request: Request) -> Mapping[str, str]:
    """The text fields of a form; of several with one name the last.

    Raises:
        RefusedError: it is too large.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LONGEST_FORM:
        raise RefusedError(413, "This form is too large.")
    async with request.form(max_files=0, max_fields=100) as fields:
        return {name: storable(value) for name, value in fields.multi_items() if isinstance(value, str)}


def go_to(path: str, **values: str) -> Response:
    """Send the browser to a page of ours with a GET; empty values are left out."""
    query = urlencode({name: value for name, value in values.items() if value})
    return RedirectResponse(f"{path}?{query}" if query else path, SEE_OTHER)


def local_path(path: str) -> str:
    """The path, when it is one of this host, else ""; browsers read a backslash as a slash."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() else ""
