"""The log of deliveries: the last ten of each webhook, stored as jsonb (docs/facts/taiga.md section 5)."""

import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from middleware.lab.sandbox.taiga.model import Webhook, WebhookLog
from middleware.lab.sandbox.taiga.outbox import Delivery
from middleware.lab.sandbox.taiga.text import dump

if TYPE_CHECKING:
    from middleware.lab.sandbox.taiga.state import TaigaState

KEPT = 10
"""Log entries that are kept for each webhook."""

_LOGGED_HEADERS = ("X-TAIGA-WEBHOOK-SIGNATURE", "X-Hub-Signature", "Content-Type", "Authorization")


class WebhookLogs:
    """All log entries, newest first for each webhook."""

    def __init__(self, state: "TaigaState") -> None:
        self._state = state
        self._entries: dict[int, list[WebhookLog]] = {}

    def add(self, delivery: Delivery, headers: dict[str, str], status: int, answer: str, seconds: float) -> WebhookLog:
        """Log one delivery and forget the oldest when there are too many."""
        payload = delivery.payload
        logged = {name: headers[name] for name in _LOGGED_HEADERS if name in headers}
        if logged:
            logged["Content-Length"] = str(len(dump(payload).encode()))
        entry = WebhookLog(
            id=self._state.next_id("webhook_log"),
            webhook=delivery.hook,
            url=delivery.url,
            status=status,
            request_data=as_jsonb(payload),
            request_headers=logged,
            response_data=answer,
            duration=seconds,
            created=self._state.clock(),
        )
        entries = self._entries.setdefault(delivery.hook.id, [])
        entries.insert(0, entry)
        del entries[KEPT:]
        return entry

    def of(self, hook: Webhook) -> list[WebhookLog]:
        """The entries of a webhook, newest first."""
        return self._entries.get(hook.id, [])

    def get(self, entry_id: int) -> WebhookLog | None:
        """The entry with this id, if it is still kept."""
        found = (entry for entries in self._entries.values() for entry in entries if entry.id == entry_id)
        return next(found, None)


def as_jsonb(value: Any) -> Any:
    """The value as PostgreSQL gives it back from jsonb: keys by length, then by bytes; 1e300 written out."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: as_jsonb(value[key]) for key in keys}
    if isinstance(value, list):
        return [as_jsonb(item) for item in value]
    if isinstance(value, float) and "e+" in repr(value):
        return int(value) if value == int(value) else value
    return value


def refused_address(url: str) -> str | None:
    """Why the real server would not send to this address; None when it is public (or cannot be resolved)."""
    host = urlsplit(url).hostname or ""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return None
    private = any(is_private(str(address)) for address in addresses)
    return "error-in-request: Private IP Address not allowed" if private else None


def is_private(host: str) -> bool:
    """Tell whether this is a literal private or loopback IP address."""
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return False
