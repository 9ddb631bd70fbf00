"""What the bench reads of processes."""

import os
import subprocess
import sys

from middleware.lab.bench.machine import cpu_seconds, spent


def test_a_process_that_ended_is_left_out() -> None:
    """PostgreSQL's helpers end between the listing and the reading: that stops no measurement."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert set(cpu_seconds([os.getpid(), ended.pid])) == {os.getpid()}


def test_only_processes_that_live_at_both_readings_count() -> None:
    """Neither the whole life of a new process nor the end of an old one looks like work in between."""
    assert spent({1: 10.0, 2: 90.0}, {1: 10.5, 3: 70.0}) == 0.5
