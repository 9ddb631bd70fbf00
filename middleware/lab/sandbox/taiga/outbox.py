"""Outgoing webhooks: one delivery per event and hook, sent once, never again (docs/facts/taiga.md section 5).

A delivery waits in the outbox until somebody calls `deliver`. Tests take it from there to lose, repeat, delay or mix
up deliveries; the web application empties it at the end of every request unless `hold` is set.
"""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote, urlsplit

import httpx

from middleware.lab.sandbox.taiga.model import Json, Webhook
from middleware.lab.sandbox.taiga.text import dump
from middleware.sources.signing import sign_taiga

Sender = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""Sends `(url, body, headers)` and returns the HTTP status; raises `OSError` or `httpx.HTTPError` without an answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One webhook on its way.

    The body is made when it is looked at: with `TaigaState.late_read` the related objects (attribute values, story,
    status) are then read at the moment of sending, as a celery worker does; otherwise they were read at the event.
    """

    hook: Webhook
    created: datetime
    read: Callable[[], Json] = field(repr=False)

    @property
    def url(self) -> str:
        """Where it goes: the present address of the hook."""
        return self.hook.url

    @property
    def payload(self) -> Json:
        """The JSON object that is sent."""
        return self.read()

    @property
    def body(self) -> bytes:
        """The bytes that are sent: raw UTF-8."""
        return dump(self.payload).encode()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of these bytes, signed with the present key of the hook; Host and Content-Length come later."""
        return signed_headers(self.hook, self.body)


def signed_headers(hook: Webhook, body: bytes) -> dict[str, str]:
    """The headers that Taiga sends with `body`, as recorded (docs/facts/taiga.md section 1)."""
    signature = sign_taiga(body, hook.key)
    headers = {
        "Accept-Encoding": "identity",
        "User-Agent": "python-urllib3/2.5.0",
        "X-TAIGA-WEBHOOK-SIGNATURE": signature,
        "X-Hub-Signature": f"sha1={signature}",
        "Content-Type": "application/json",
    }
    address = urlsplit(hook.url)
    if address.username is not None:
        credentials = f"{unquote(address.username)}:{unquote(address.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return headers


async def send_by_http(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send with a new connection and no time limit, as Taiga does; redirects are not followed."""
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113 - Taiga waits for ever
        # A request made by hand gets none of the client's own default headers.
        response = await client.send(httpx.Request("POST", url, content=body, headers=headers))
        return response.status_code


class Outbox(list[Delivery]):
    """Deliveries that wait, oldest first; an ordinary list, so that tests may reorder, repeat or drop them."""

    def take(self) -> list[Delivery]:
        """Empty the outbox and return what was in it."""
        waiting = list(self)
        self.clear()
        return waiting
