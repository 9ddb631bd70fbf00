"""The recorded deliveries of Taiga and the sample events of Stripe, as inputs for everybody's tests.

Taiga: bytes and headers exactly as a real server (6.10.0) sent them; the body must be taken raw, because re-serialised
JSON has another signature (docs/facts/taiga.md section 1).
"""

import base64
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[1] / "recordings"

TAIGA_WEBHOOK_KEY = "taiga-lab-webhook-key"
"""Every recorded Taiga delivery is signed with this key."""


@dataclass(frozen=True)
class RecordedWebhook:
    """One delivery: `name` is its file name without ending, e.g. `010_task_status_closed`."""

    name: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """The decoded body, fresh at every use."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


@dataclass(frozen=True)
class RecordedEvent:
    """One sample event of Stripe: `name` is its file name without ending."""

    name: str
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """The decoded event, fresh at every use."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


@cache
def _taiga() -> tuple[RecordedWebhook, ...]:
    return tuple(_webhook(path) for path in sorted((RECORDINGS / "taiga" / "webhooks").glob("*.json")))


def _webhook(path: Path) -> RecordedWebhook:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return RecordedWebhook(path.stem, dict(stored["headers"]), base64.b64decode(stored["body_base64"]))


def taiga_webhooks() -> list[RecordedWebhook]:
    """All recorded Taiga deliveries in the order they arrived; the caller may change their headers."""
    return [replace(webhook, headers=dict(webhook.headers)) for webhook in _taiga()]


def taiga_webhook(name: str) -> RecordedWebhook:
    """The delivery with this name, or the only one whose name starts with it (`"010"`).

    Raises:
        LookupError: no delivery, or more than one, is called so.
    """
    webhooks = taiga_webhooks()
    found = [webhook for webhook in webhooks if webhook.name == name]
    found = found or [webhook for webhook in webhooks if webhook.name.startswith(name)]
    if len(found) != 1:
        raise LookupError(f"{len(found)} recorded deliveries start with {name!r}, expected one")
    return found[0]


def stripe_events() -> list[RecordedEvent]:
    """All stored Stripe events by name; empty when tests/recordings/stripe/events is not there."""
    paths = sorted((RECORDINGS / "stripe" / "events").glob("*.json"))
    return [RecordedEvent(path.stem, path.read_bytes()) for path in paths]
