"""With what exit code `taiga-billing reconcile` ends, and that both sub-commands say so alike."""

from dataclasses import dataclass
from typing import Any

import pytest

from middleware.commands.reconcile.group import reconcile_taiga
from middleware.commands.reconcile.run import exit_code
from middleware.commands.reconcile.stripe import reconcile_stripe


@dataclass(frozen=True)
class Report:
    """What a run found."""

    differences: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    postponed: int = 0
    looked_at: int = 5
    items_read: int = 5


@pytest.mark.parametrize(
    ("report", "real", "dry"),
    [
        (Report(), 0, 0),
        (Report(differences=("x",)), 0, 3),
        (Report(problems=("hidden",)), 1, 1),
        (Report(problems=("hidden",), differences=("x",)), 1, 1),
        (Report(postponed=1), 1, 1),
        (Report(postponed=1, differences=("x",)), 1, 1),
    ],
)
def test_what_was_left_out_comes_first(report: Report, real: int, dry: int) -> None:
    """0 and 3 are said of runs that looked at everything; 3 only by a dry run."""
    assert (exit_code(report, dry_run=False), exit_code(report, dry_run=True)) == (real, dry)


@pytest.mark.parametrize("command", [reconcile_taiga, reconcile_stripe])
def test_both_say_what_their_codes_mean(command: Any) -> None:
    """In the same words."""
    told = " ".join(command.help.split())
    assert "0: done, or nothing to do; 1: failed, or something was left out; 2: wrong use; 3: --dry-run covered" in told
    assert "everything, and something would be enqueued" in told
