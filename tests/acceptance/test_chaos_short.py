"""Chaos in a quarter of a minute: nothing is lost or doubled; and without any one protection the count says so."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from middleware.lab.chaos import plan as plans
from middleware.lab.chaos.driver import VICTIMS, victim
from middleware.lab.chaos.plan import Plan
from middleware.lab.chaos.run import Result, run


async def played(plan: Plan, folder: Path) -> Result:
    """The result of a plan; its differences stand in the failure of the test."""
    result = await run(plan, folder)
    for line in result.lines:
        for difference in line.differences[:10]:
            print(f"{line.what}: {difference}")  # noqa: T201 - shown when the test fails
    return result


def differing(result: Result) -> set[str]:
    """The lines of the count that are not right."""
    return {line.what for line in result.lines if not line.is_right}


async def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Receivers, workers, PostgreSQL and Redis die, the other systems fail; in the end all is as it should be."""
    seed = secrets.randbelow(1_000_000)
    print(f"taiga-billing bench chaos --short --seed {seed}")  # noqa: T201 - shown when the test fails
    result = await played(plans.short(seed), tmp_path)
    assert differing(result) == set()
    assert len(result.post.acknowledged) >= 300
    assert {victim(name) for name in result.broken} == set(VICTIMS)
    assert sum(result.starts.values()) > 4


@pytest.mark.parametrize(
    ("plan", "caught"),
    [
        (plans.focused("no-lookup", "ninja: cut after", "ninja: 500 after"), {"stored events with an end"}),
        (
            plans.focused("no-subject-lock", "ninja: slow writes", webhooks=400, reads_taiga=False),
            {"time entries", "time entries with wrong content"},
        ),
        (
            plans.focused("no-sweep", "kill worker", "ninja: slow writes", "ninja: hangs before"),
            {"stored events with an end"},
        ),
        (plans.focused("no-commit", "kill receiver"), {"acknowledged events stored"}),
        (
            plans.focused(
                "no-second-look", "ninja: writes after the retry", webhooks=400, drain_seconds=12, reads_taiga=False
            ),
            {"time entries", "time entries with wrong content"},
        ),
    ],
    ids=lambda value: value.weakness if isinstance(value, Plan) else "",
)
async def test_count_notices_a_missing_protection(plan: Plan, caught: set[str], tmp_path: Path) -> None:
    """With one protection switched off, the count finds what it protects; chance may spare a run, but not five."""
    found: set[str] = set()
    for seed in range(5):
        found |= differing(await played(replace(plan, seed=seed), tmp_path / str(seed)))
        if caught & found:
            return
    pytest.fail(f"{plan.weakness} was not noticed, only {found}")
