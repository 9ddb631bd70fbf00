"""Reads Taiga webhooks from files, for trying rules without a store."""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mappings.errors import NotUnderstood
from mappings.taiga.webhook import KINDS, describe, read_webhook
from middleware.clients.http.json_codec import read_json


class UnreadableError(Exception):
    """A file that is no webhook; the message names it."""


def read_webhooks(folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """The newest webhook of each task, story and issue in the `*.json` files of a folder, with its file name.

    A file holds the body as Taiga sent it, or an object with it as `body` or `body_base64`. Sprints and epics are
    passed over: nothing is billed for them.

    Raises:
        UnreadableError: a file is no webhook of Taiga.
    """
    newest: dict[str, tuple[Any, str, Mapping[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        payload = _payload(file)
        try:
            head = describe(payload)
            if payload["type"] not in KINDS:
                continue
            read_webhook(payload)
        except NotUnderstood as error:
            raise UnreadableError(f"{file} is not a Taiga webhook: {error}") from error
        known = newest.get(head.subject)
        if known is None or known[0] <= head.occurred_at:
            newest[head.subject] = (head.occurred_at, file.name, payload)
    return [(name, payload) for _, name, payload in newest.values()]


def _payload(file: Path) -> Any:
    try:
        content = read_json(file.read_bytes())
        if isinstance(content, Mapping) and "action" not in content:
            if "body_base64" in content:
                return read_json(base64.b64decode(content["body_base64"], validate=True))
            if "body" in content:
                return content["body"] if isinstance(content["body"], Mapping) else read_json(content["body"].encode())
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise UnreadableError(f"{file} cannot be read: {error}") from error
    return content
