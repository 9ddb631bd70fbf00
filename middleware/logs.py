"""Logging: structlog for us and for the libraries, one line an event, as JSON or for a terminal.

Event names are `noun.verbed`. Secrets are kept out by never being passed; known secret keys are masked anyway.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

MASKED_KEYS = frozenset({"authorization", "token", "password", "secret", "x-api-token", "stripe-signature", "api_key"})


def mask_secrets(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of keys that name a secret."""
    for key in line:
        if key.lower() in MASKED_KEYS:
            line[key] = "***"
    return line


def configure_logs(log_format: Literal["console", "json"], level: str) -> None:
    """Send structlog's and the standard library's records through one formatter to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    renderer: structlog.typing.Processor
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # The default traceback shows local variables, among them passwords.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Their lines say what ours say already; arq names every job twice.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "arq.worker", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
