"""The retry policy: how a try ended decides what becomes of its event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import (
    Doubtful,
    NeedsPerson,
    NotFound,
    Refused,
    Rejected,
    RetryLater,
    ServerError,
    Throttled,
    Unreachable,
)
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from mappings.errors import BadInput, NotUnderstood
from middleware.pipeline.retry import GIVE_UP_ATTEMPTS, LONGEST_DELAY, Attempt, Verdict, backoff, judge
from middleware.store.database import StoreUnavailableError

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAYS = timedelta(days=3)
NINJA = "invoiceninja"


def verdict(result: Any, attempt: int = 1, hours: float = 0, jitter: float = 0.5) -> Verdict:
    """What becomes of an event whose try ended so."""
    return judge(result, Attempt(attempt, START, START + timedelta(hours=hours), jitter), DAYS)


def test_outcomes() -> None:
    """What the handler says is the end."""
    assert verdict(Processed(Code.TIME_RECORDED, "done")) == Verdict("processed", Code.TIME_RECORDED, "done")
    assert verdict(Ignored(Code.TEST_WEBHOOK, "test")) == Verdict("ignored", Code.TEST_WEBHOOK, "test")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (NeedsPerson(Code.BAD_HOURS, "why", "do this"), "do this"),
        (BadInput(Code.BAD_HOURS, "field", "value", "problem", "do that"), "do that"),
        (NotUnderstood("data.id", "is missing"), "report"),
        (Rejected(NINJA, "POST /tasks", "no", status=422), "replay"),
        (NotFound(NINJA, "GET /tasks/x", "no", status=400), "replay"),
    ],
)
def test_dead_at_once(error: Exception, hint: str) -> None:
    """What stays wrong however often it is tried is dead at once, with what to do."""
    result = verdict(error)
    assert (result.status, result.reason) == ("dead", str(error))
    assert hint in result.hint


FAILURES = [
    Unreachable(NINJA, "GET /x", "no connection"),
    Doubtful(NINJA, "POST /x", "the answer was lost"),
    ServerError(NINJA, "POST /x", "Server Error", status=500),
    StoreUnavailableError("PostgreSQL: away"),
    TimeoutError("the attempt took longer than 120 s"),
]


@pytest.mark.parametrize("error", FAILURES)
def test_failures_are_tried_for_three_days(error: Exception) -> None:
    """Failures that pass are tried again for as long as configured, and at least ten times."""
    assert verdict(error, attempt=1000, hours=71.9).status == "retrying"
    assert verdict(error, attempt=GIVE_UP_ATTEMPTS - 1, hours=72).status == "retrying"
    last = verdict(error, attempt=GIVE_UP_ATTEMPTS, hours=72)
    assert (last.status, last.reason) == ("dead", f"gave up after 72 hours: {error}")
    assert "replay" in last.hint


@pytest.mark.parametrize("hours", [0, 1000])
def test_refused_credentials_wait_for_ever(hours: float) -> None:
    """Refused credentials never end an event: it waits, a minute to ten, and says which setting is wrong."""
    result = verdict(Refused(NINJA, "GET /x", "Invalid token", status=403), attempt=500, hours=hours)
    assert result.status == "retrying"
    assert 60 <= result.delay <= 600
    assert "INVOICE_NINJA_TOKEN" in result.hint


def test_refused_by_a_system_of_tomorrow() -> None:
    """A system that the policy does not know has a hint, too."""
    assert "the credentials" in verdict(Refused("other", "GET /x", "no", status=401)).hint


def test_handler_that_asks_for_another_look() -> None:
    """A wait that the handler asks for is obeyed, also after the time is over."""
    result = verdict(RetryLater(Code.CHANGED_MEANWHILE, "invoiced just now", 1), attempt=900, hours=900)
    assert result == Verdict("retrying", Code.CHANGED_MEANWHILE, "invoiced just now", delay=1)


@given(wait=st.floats(0, 86_400), jitter=st.floats(0, 1, exclude_max=True))
def test_throttled(wait: float, jitter: float) -> None:
    """Never sooner than the server asks, and not all at the same moment."""
    result = verdict(Throttled(NINJA, "GET /x", "slowly", retry_after=wait, status=429), jitter=jitter)
    assert wait <= result.delay <= wait * 1.25


def test_unforeseen_error() -> None:
    """An error of ours is tried five times and then told as what it is."""
    assert verdict(KeyError("x"), attempt=4).status == "retrying"
    last = verdict(KeyError("x"), attempt=5)
    assert (last.status, last.reason) == ("dead", "unforeseen KeyError: 'x'")


def test_error_without_words() -> None:
    """An error without a message is told by its name."""
    assert verdict(TimeoutError()).reason == "TimeoutError"


@given(attempt=st.integers(1, 10**9), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded(attempt: int, jitter: float) -> None:
    """The wait lies between a second and an hour, whatever the attempt."""
    assert 1 <= backoff(attempt, jitter) <= LONGEST_DELAY


@given(attempt=st.integers(1, 40), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_grows(attempt: int, jitter: float) -> None:
    """With the same chance, a later try never waits shorter."""
    assert backoff(attempt, jitter) <= backoff(attempt + 1, jitter)
