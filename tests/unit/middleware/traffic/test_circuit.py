"""When a remote system is left alone, and how seldom it is asked during an outage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.store.operations.circuits import CLOSED, LONGEST_PAUSE, Circuit
from middleware.traffic.circuit import FAILURES, after_failed_probe, after_failure, pause, with_probe_taken

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def failed(subjects: str, circuit: Circuit = CLOSED) -> Circuit:
    """The circuit after failures of these subjects, one letter each."""
    for subject in subjects:
        circuit = after_failure(circuit, subject, "away", NOW, 0.5)
    return circuit


def test_opens_after_failures_in_a_row() -> None:
    """Five failures of several subjects open it; four do not."""
    assert not failed("abab").is_open
    circuit = failed("ababa")
    assert circuit.open_since == NOW
    assert circuit.message == "away"
    assert not circuit.probe_is_due(NOW)
    assert circuit.probe_is_due(NOW + timedelta(seconds=1))


@given(st.integers(FAILURES, 1000))
def test_one_subject_alone_never_opens_it(times: int) -> None:
    """A record that the server stumbles over each time does not stop everybody's work."""
    circuit = CLOSED
    for _ in range(min(times, 50)):
        circuit = after_failure(circuit, "taiga:task:1", "500", NOW, 0.0)
    assert not circuit.is_open
    assert after_failure(circuit, "taiga:task:2", "500", NOW, 0.0).is_open


def test_failures_under_way_change_nothing() -> None:
    """What was sent before the circuit opened and fails now neither prolongs the pause nor counts."""
    circuit = failed("ababa")
    assert failed("cdef", circuit) == circuit


def test_only_one_tries() -> None:
    """Nobody tries before its time; who tries moves the time on, so that nobody else does."""
    circuit = failed("ababa")
    assert with_probe_taken(circuit, NOW, 0.5) is None
    later = NOW + timedelta(seconds=1)
    taken = with_probe_taken(circuit, later, 0.5)
    assert taken is not None
    assert with_probe_taken(taken, later, 0.5) is None
    assert with_probe_taken(CLOSED, later, 0.5) is None


def test_one_who_dies_while_trying_is_replaced() -> None:
    """After the pause another one may try, though nobody said how the first try ended."""
    taken = with_probe_taken(failed("ababa"), NOW + timedelta(seconds=1), 0.5)
    assert taken is not None
    assert with_probe_taken(taken, NOW + timedelta(seconds=4), 0.5) is not None


def test_failed_try_begins_the_pause_at_its_end() -> None:
    """A server that hangs takes half a minute to fail: the pause counts from then."""
    taken = with_probe_taken(failed("ababa"), NOW + timedelta(seconds=1), 0.0)
    assert taken is not None
    end = NOW + timedelta(seconds=31)
    ended = after_failed_probe(taken, "hangs", end, 0.0)
    assert ended.probe_at == end + timedelta(seconds=pause(1, 0.0))
    assert ended.message == "hangs"
    assert after_failed_probe(CLOSED, "closed meanwhile", end, 0.0) == CLOSED


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_pauses_are_bounded(probes: int, jitter: float) -> None:
    """Between three quarters of a second and a minute, however long it lasts."""
    assert 0.75 <= pause(probes, jitter) <= LONGEST_PAUSE


@pytest.mark.parametrize("hours", [1, 8, 72])
def test_requests_during_an_outage_are_few(hours: int) -> None:
    """However many workers look every second, an outage costs at most about 80 requests an hour."""
    circuit, requests = failed("ababa"), FAILURES
    for second in range(hours * 3600):
        now = NOW + timedelta(seconds=second)
        for _worker in range(3):
            taken = with_probe_taken(circuit, now, 0.3)
            if taken is not None:
                requests += 1
                circuit = after_failed_probe(taken, "still away", now, 0.3)
    assert requests <= 80 * hours + 15
    assert replace(circuit, probe_at=None).open_since == NOW


def test_a_try_set_by_a_wrong_clock_is_due() -> None:
    """A pause that ends days from now was written by a machine whose clock was ahead: somebody may try at once."""
    opened = Circuit(failures=5, open_since=NOW, probe_at=NOW + timedelta(days=66))
    assert opened.probe_is_due(NOW)
    assert not Circuit(open_since=NOW, probe_at=NOW + timedelta(seconds=LONGEST_PAUSE)).probe_is_due(NOW)
