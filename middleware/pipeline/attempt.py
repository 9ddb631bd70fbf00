"""One attempt as records, pure: what the handler is given, and what is written down when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.event import Event, Work
from mappings.codes import Code
from mappings.errors import NotUnderstood
from middleware.clients.http.calls import Call
from middleware.clients.http.json_codec import read_json
from middleware.pipeline.retry import Verdict
from middleware.store.events.claim_records import AttemptRecord, Claim, ClaimedEvent, Doubt, StatusChange

# How a body begins that no configured key opens (`middleware.store.sealing`).
SEALED = b"\x00fernet:"
HANDED_BACK = "handed back: the worker was stopped"


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that ended: everything its settlement needs. `attempt` is None when it is not worth a row.

    `doubt`: a request of it may still be carried out.
    """

    claim: Claim
    changes: tuple[StatusChange, ...]
    attempt: AttemptRecord | None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When an attempt began, how many seconds it took, and the calls it made."""

    started_at: datetime
    seconds: float = 0.0
    calls: Sequence[Call] = ()


def lead_event(claim: Claim) -> ClaimedEvent:
    """The event that carries the attempt: the newest state, when it is due, else the newest of the due ones."""
    return claim.newest if claim.newest_is_due else claim.due[-1]


def work_of(claim: Claim) -> Work:
    """The claim as its handler sees it.

    Raises:
        NotUnderstood: a body cannot be decoded.
    """
    return Work(claim.subject, tuple(_event(event) for event in claim.due), _event(claim.newest))


def end_attempt(claim: Claim, verdict: Verdict, timing: Timing, now: datetime) -> EndedAttempt:
    """How the events of a claim leave an attempt."""
    lead = lead_event(claim)
    next_attempt_at = now + timedelta(seconds=verdict.delay) if verdict.status == "retrying" else None
    if verdict.is_free:
        return _put_off(claim, verdict, timing, next_attempt_at)
    own = StatusChange(lead.id, verdict.status, verdict.code, verdict.reason, verdict.hint, next_attempt_at)
    reason = f"taken together with event {lead.id} of the same subject"
    others = [
        StatusChange(event.id, "ignored", Code.TAKEN_TOGETHER, reason) for event in claim.due if event.id != lead.id
    ]
    return EndedAttempt(claim, (own, *others), _record(lead, verdict, timing), _doubt(claim, timing))


def _put_off(claim: Claim, verdict: Verdict, timing: Timing, next_attempt_at: datetime | None) -> EndedAttempt:
    """All events of a claim wait as if nobody had looked at them; an attempt without any request leaves no trace."""
    changes = tuple(
        StatusChange(event.id, "retrying", verdict.code, verdict.reason, next_attempt_at=next_attempt_at, is_free=True)
        for event in claim.due
    )
    record = _record(lead_event(claim), verdict, timing) if timing.calls else None
    return EndedAttempt(claim, changes, record, _doubt(claim, timing))


def _doubt(claim: Claim, timing: Timing) -> Doubt | None:
    unsettled = [call for call in timing.calls if call.is_unsettled]
    if not unsettled:
        return None
    last = unsettled[-1]
    return Doubt(claim.subject, lead_event(claim).id, f"{last.system}: {last.method} {last.path}: {last.error}")


def released(claim: Claim, now: datetime) -> EndedAttempt:
    """All events of a claim back to work at once: their attempt was cut short."""
    verdict = Verdict("retrying", Code.HANDED_BACK, HANDED_BACK)
    changes = tuple(
        StatusChange(event.id, "retrying", verdict.code, verdict.reason, next_attempt_at=now) for event in claim.due
    )
    lead = lead_event(claim)
    doubt = Doubt(claim.subject, lead.id, HANDED_BACK)
    return EndedAttempt(claim, changes, _record(lead, verdict, Timing(now)), doubt)


def call_as_json(call: Call) -> dict[str, object]:
    """A call as it is kept with its attempt."""
    return {
        "system": call.system,
        "method": call.method,
        "path": call.path,
        "status": call.status,
        "ms": call.ms,
        "error": call.error,
    }


def _record(lead: ClaimedEvent, verdict: Verdict, timing: Timing) -> AttemptRecord:
    calls = [call_as_json(call) for call in timing.calls]
    milliseconds = round(timing.seconds * 1000)
    return AttemptRecord(
        lead.id, lead.attempts, timing.started_at, milliseconds, verdict.status, verdict.code, verdict.reason, calls
    )


def _event(row: ClaimedEvent) -> Event:
    if not row.body:
        raise NotUnderstood("", "its body was removed (RETENTION_DAYS): it cannot be replayed from what is stored")
    if row.body.startswith(SEALED):
        raise NotUnderstood("", "its body is sealed with a key that ENCRYPTION_KEYS does not name; add it, then replay")
    try:
        payload = read_json(row.body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("", f"the stored body cannot be decoded: {error}") from error
    # A replay begins another series later than the event was received.
    is_fresh = row.attempts == 1 and row.series_started_at == row.received_at
    return Event(
        row.id,
        row.source,
        row.type,
        row.key,
        row.subject,
        row.occurred_at,
        row.received_at,
        payload,
        is_fresh,
    )
