"""The retry policy, pure: how an attempt ended decides what becomes of its event. It has no clock and no randomness."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.errors import (
    NeedsPerson,
    Refused,
    Rejected,
    RemoteError,
    RetryLater,
    Suspended,
    Throttled,
    WorkError,
)
from handlers.outcome import Ignored, Outcome, Processed
from mappings.codes import Code
from mappings.errors import BadInput, NotUnderstood
from middleware.store.database import StoreUnavailableError

FIRST_DELAY = 2.0
LONGEST_DELAY = 3600.0
REFUSED_DELAY = 60.0
LONGEST_REFUSED_DELAY = 600.0
# An error nobody foresaw is most likely a mistake of ours that repeats; a few attempts cover the rest.
UNFORESEEN_ATTEMPTS = 5
# Nothing is given up before it was tried this often, however long it waited for an outage to end.
GIVE_UP_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an event. `delay` in seconds, for `retrying` only; `is_free`: the attempt counts for nothing."""

    status: str
    code: Code
    reason: str
    hint: str = ""
    delay: float = 0.0
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the policy sees it. `attempt` counts from 1; `jitter` lies in [0, 1)."""

    attempt: int
    series_started_at: datetime
    now: datetime
    jitter: float


def backoff(attempt: int, jitter: float, *, longest: float = LONGEST_DELAY) -> float:
    """Seconds until the next attempt: doubling from 2 s up to `longest`, of which half is left to chance."""
    full = min(longest, FIRST_DELAY * 2.0 ** min(attempt - 1, 30))
    return full / 2 + full / 2 * jitter


def judge(result: Outcome | BaseException, this: Attempt, keep_trying: timedelta) -> Verdict:
    """Decide what becomes of an event after this attempt.

    `keep_trying` is how long failing attempts are repeated, from the beginning of the series; refused credentials, an
    outage of the whole system and waits asked for by a handler go on for as long as it takes.
    """
    match result:
        case Processed(code, reason) | Ignored(code, reason):
            return Verdict("processed" if isinstance(result, Processed) else "ignored", code, reason)
        case NeedsPerson() | BadInput() | NotUnderstood() | Rejected():
            return _dead(result)
        case Suspended():
            return Verdict("retrying", result.code, str(result), delay=result.delay + this.jitter, is_free=True)
        case RetryLater():
            return Verdict("retrying", result.code, result.reason, delay=result.delay)
        case Refused():
            delay = backoff(this.attempt + 5, this.jitter, longest=LONGEST_REFUSED_DELAY)
            return Verdict(
                "retrying", result.code, str(result), _credentials_hint(result), delay=max(REFUSED_DELAY, delay)
            )
        case _:
            return _failed(result, this, keep_trying)


def _dead(error: NeedsPerson | BadInput | NotUnderstood | Rejected) -> Verdict:
    match error:
        case NeedsPerson() | BadInput():
            hint = error.hint
        case NotUnderstood():
            hint = "the sender's format is not known: please report it with this event"
        case Rejected():
            hint = "correct what the server complains about, then replay this event"
    return Verdict("dead", error.code, str(error), hint)


def _failed(error: BaseException, this: Attempt, keep_trying: timedelta) -> Verdict:
    code = code_of(error)
    foreseen = code is not Code.UNFORESEEN
    reason = str(error) or type(error).__name__
    if not foreseen:
        reason = f"unforeseen {type(error).__name__}: {reason}"
    if not foreseen and this.attempt >= UNFORESEEN_ATTEMPTS:
        return Verdict("dead", code, reason, "this is probably an error in taiga-billing: see the log and report it")
    is_outage = isinstance(error, RemoteError) and error.is_outage
    is_over = this.attempt >= GIVE_UP_ATTEMPTS and this.now - this.series_started_at >= keep_trying
    if is_over and not is_outage:
        hours = int(keep_trying.total_seconds() // 3600)
        return Verdict(
            "dead",
            Code.GAVE_UP,
            f"gave up after {hours} hours: {reason}",
            "when the cause is repaired, replay this event",
        )
    delay = backoff(this.attempt, this.jitter)
    if isinstance(error, Throttled):
        delay = max(error.retry_after, error.retry_after * (1 + this.jitter / 4))
    return Verdict("retrying", code, reason, delay=delay)


def code_of(error: BaseException) -> Code:
    """The code of a failure; `unforeseen` for one that nobody expected."""
    match error:
        case WorkError():
            return error.code
        case StoreUnavailableError():
            return Code.STORE_UNAVAILABLE
        case TimeoutError():
            return Code.TIMED_OUT
    return Code.UNFORESEEN


def _credentials_hint(error: RemoteError) -> str:
    variables = {
        "taiga": "TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD",
        "invoiceninja": "INVOICE_NINJA_TOKEN",
        "stripe": "STRIPE_API_KEY",
    }
    return f"correct {variables.get(error.system, 'the credentials')} and restart; the event waits until then"
