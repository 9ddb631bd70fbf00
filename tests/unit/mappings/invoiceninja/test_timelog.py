"""Invoice Ninja's time_log."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoiceninja.task_log import read_log, write_log
from mappings.invoiceninja.tasks import LogEntry, spans_of


def test_one_billable_entry_as_the_server_stores_it() -> None:
    """The text is the compact four-part form that the recorded server answers."""
    assert write_log([LogEntry(1795240800, 1795242600)]) == '[[1795240800,1795242600,"",true]]'


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("[]", ()),
        ("[[1795240800,1795244400]]", ((1795240800, 1795244400),)),
        ("[[1795240800, 1795244400]]", ((1795240800, 1795244400),)),
        ('[[1795240800,1795242600,"first part",true]]', ((1795240800, 1795242600),)),
        ('[[1,2],[3,4,"x",false]]', ((1, 2), (3, 4))),
        ("[[1795249800,0]]", ((1795249800, 0),)),
        ([[1, 2, "", True]], ((1, 2),)),
        ("[[true,false],[1.5,2.5],[],[null],null,5,[1,2]]", ((1, 2),)),
        ("[[1,2],[3]]", ((1, 2), (3, 0))),
        ("[1733047200,1733063400]", ()),
        ('[{"start":1,"end":2}]', ()),
        ('{"a":1}', ()),
        ("", ()),
        ("garbage", ()),
        ("[" * 100_000, ()),
        (None, ()),
        (5, ()),
    ],
)
def test_logs_are_read_with_tolerance(text: Any, entries: tuple[tuple[int, int], ...]) -> None:
    """Recorded forms are read, a running entry ends at 0, and what is no entry is left out."""
    assert spans_of(read_log(text)) == entries


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_what_is_written_is_read(started: int, ended: int) -> None:
    """A log of ours comes back as it was."""
    assert read_log(write_log([LogEntry(started, ended)])) == (LogEntry(started, ended),)
