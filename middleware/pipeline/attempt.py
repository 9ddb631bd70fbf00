"""One try as records, pure: what the handler is given, and what is written down of its end. The processor does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.event import Event, Work
from mappings.codes import Code
from mappings.errors import NotUnderstood
from middleware.clients.http.calls import Call
from middleware.clients.http.json_codec import read_json
from middleware.pipeline.retry import Verdict
from middleware.store.events.claim_records import AttemptRecord, Claim, ClaimedEvent, Doubt, Settlement

# How a body begins that no configured key opens (`middleware.store.sealing`).
SEALED = b"\x00fernet:"
HANDED_BACK = "handed back: the worker was stopped"


@dataclass(frozen=True, slots=True)
class Ended:
    """A try that ended: everything its settlement needs. `attempt` is None when it is not worth a row.

    `doubt` tells that a request of it may still be carried out.
    """

    claim: Claim
    settlements: tuple[Settlement, ...]
    attempt: AttemptRecord | None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class Took:
    """When a try began, how many seconds it took, and the calls it made."""

    started_at: datetime
    seconds: float = 0.0
    calls: Sequence[Call] = ()


def lead_of(claim: Claim) -> ClaimedEvent:
    """The event that carries the try: the newest state, when it is due, else the newest of the due ones."""
    return claim.newest if claim.newest_is_due else claim.due[-1]


def work_of(claim: Claim) -> Work:
    """The claim as its handler sees it.

    Raises:
        NotUnderstood: a body cannot be decoded.
    """
    return Work(claim.subject, tuple(_event(event) for event in claim.due), _event(claim.newest))


def ended(claim: Claim, verdict: Verdict, took: Took, now: datetime) -> Ended:
    """How the events of a claim leave a try."""
    lead = lead_of(claim)
    next_attempt_at = now + timedelta(seconds=verdict.delay) if verdict.status == "retrying" else None
    if verdict.is_free:
        return _put_off(claim, verdict, took, next_attempt_at)
    own = Settlement(lead.id, verdict.status, verdict.code, verdict.reason, verdict.hint, next_attempt_at)
    reason = f"taken together with event {lead.id} of the same subject"
    others = [
        Settlement(event.id, "ignored", Code.TAKEN_TOGETHER, reason) for event in claim.due if event.id != lead.id
    ]
    return Ended(claim, (own, *others), _record(lead, verdict, took), _doubt(claim, took))


def _put_off(claim: Claim, verdict: Verdict, took: Took, next_attempt_at: datetime | None) -> Ended:
    """All events of a claim wait as if nobody had looked at them; a try without any request leaves no trace."""
    settlements = tuple(
        Settlement(event.id, "retrying", verdict.code, verdict.reason, next_attempt_at=next_attempt_at, is_free=True)
        for event in claim.due
    )
    record = _record(lead_of(claim), verdict, took) if took.calls else None
    return Ended(claim, settlements, record, _doubt(claim, took))


def _doubt(claim: Claim, took: Took) -> Doubt | None:
    unsettled = [call for call in took.calls if call.is_unsettled]
    if not unsettled:
        return None
    last = unsettled[-1]
    return Doubt(claim.subject, lead_of(claim).id, f"{last.system}: {last.method} {last.path}: {last.error}")


def handed_back(claim: Claim, now: datetime) -> Ended:
    """All events of a claim back to work at once: their try was cut short."""
    verdict = Verdict("retrying", Code.HANDED_BACK, HANDED_BACK)
    settlements = tuple(
        Settlement(event.id, "retrying", verdict.code, verdict.reason, next_attempt_at=now) for event in claim.due
    )
    lead = lead_of(claim)
    doubt = Doubt(claim.subject, lead.id, HANDED_BACK)
    return Ended(claim, settlements, _record(lead, verdict, Took(now)), doubt)


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


def _record(lead: ClaimedEvent, verdict: Verdict, took: Took) -> AttemptRecord:
    calls = [call_as_json(call) for call in took.calls]
    milliseconds = round(took.seconds * 1000)
    return AttemptRecord(
        lead.id, lead.attempts, took.started_at, milliseconds, verdict.status, verdict.code, verdict.reason, calls
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
