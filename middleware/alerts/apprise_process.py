"""Sends one message through apprise: `python -m middleware.alerts.apprise_process`, JSON in and out.

A process of its own, because apprise takes 40 MB and most of a second, for a message now and then.
"""

import json
import logging
import sys
from typing import Any, TextIO

import apprise


class _Words(logging.Handler):
    """Collects what apprise says of a failure, without the lines that may hold an address and its password."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "://" not in text:
            self.lines.append(text)


def deliver(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Send to each address; returns in order how it went: `ok`, and what apprise said."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    results = []
    for url in order["urls"]:
        words = _Words()
        logger.handlers = [words]
        target = apprise.Apprise()
        is_known = target.add(url)
        is_sent = is_known and target.notify(
            title=order["title"],
            body=order["body"],
            notify_type=apprise.NotifyType.SUCCESS if order["is_good_news"] else apprise.NotifyType.WARNING,
            body_format=apprise.NotifyFormat.TEXT,
        )
        said = "; ".join(words.lines) if is_known else "apprise does not know this kind of address"
        results.append({"ok": bool(is_sent), "said": said})
    return results


def main(stdin: TextIO, stdout: TextIO) -> None:
    """Read the order, send, write the results."""
    json.dump(deliver(json.load(stdin)), stdout)


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
