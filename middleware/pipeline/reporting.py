"""What is counted and logged of each attempt: one line, with everything that a person searches for."""

from datetime import UTC, datetime

import structlog

from handlers.errors import Refused, Suspended
from handlers.outcome import Outcome
from mappings.codes import Code
from middleware import metrics
from middleware.pipeline.retry import Verdict
from middleware.store.events.claim_records import ClaimedEvent

log = structlog.get_logger()


def report(lead: ClaimedEvent, verdict: Verdict, seconds: float, result: Outcome | BaseException) -> None:
    """Count an attempt that took `seconds` and write its one line."""
    metrics.ATTEMPTS.labels(lead.source, verdict.status).inc()
    metrics.ATTEMPT_SECONDS.labels(lead.source).observe(seconds)
    if verdict.status != "retrying":
        metrics.FINISHED.labels(lead.source, verdict.status).inc()
        waited = (datetime.now(UTC) - lead.received_at).total_seconds()
        metrics.END_TO_END_SECONDS.labels(lead.source).observe(waited)
    line = {
        "event_id": lead.id,
        "type": lead.type,
        "attempt": lead.attempts,
        "outcome": verdict.status,
        "code": verdict.code,
        "reason": verdict.reason,
        "duration_ms": round(seconds * 1000, 1),
    }
    if verdict.status == "retrying":
        line["next_attempt_in_s"] = round(verdict.delay, 1)
    if verdict.hint:
        line["hint"] = verdict.hint
    if isinstance(result, Suspended):
        # The outage has a line of its own.
        log.debug("event.attempted", **line)
    elif verdict.code is Code.UNFORESEEN:
        log.error("event.attempted", **line, exc_info=result)
    elif verdict.status in ("processed", "ignored"):
        log.info("event.attempted", **line)
    elif isinstance(result, Refused):
        log.error("event.attempted", **line)
    else:
        log.warning("event.attempted", **line)
