"""What every answer of the receiver has, and what every address may look like."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLASHES = re.compile("/{2,}")
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
STRICT_TRANSPORT = "max-age=31536000"


class Surface:
    """Takes a slash too many for one, and gives answers the headers that are missing; webhooks pass as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "//" in scope["path"]:
            # `https://billing.example//webhooks/stripe`: the address of a proxy or a person ended with a slash, too.
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        if scope["path"].startswith("/webhooks/"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
            await send(message)

        await self._app(scope, receive, send_with_headers)
