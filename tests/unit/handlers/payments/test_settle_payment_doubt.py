"""Whatever answer is lost, and whenever: the books end the same."""

from collections.abc import Awaitable, Callable

import pytest

from middleware.lab.sandbox.faults import Faults, Rule
from tests.support.payments.payment_bench import Bench, bench, events_of, stage
from tests.support.payments.payment_link_bench import OneLost
from tests.support.payments.stripe_story import Json, story

NOBODY = Rule(action="delay")


async def paid_and_refunded(desk: Bench) -> list[Json]:
    """A payment that is refunded in two parts."""
    events = await stage(desk, story("d1_refund"))
    return [events[0], events[2], events[6]]


async def overdue_then_paid(desk: Bench) -> list[Json]:
    """A Stripe invoice whose first payment fails."""
    events = await stage(desk, story("c0_invoice_acacia"))
    return [events[2], events[4]]


async def overpaid_and_refunded(desk: Bench) -> list[Json]:
    """More was paid than is owed, and all of it goes back."""
    events = await stage(desk, story("d1_refund"), amount="100")
    return [events[0], *events[2:]]


async def refund_fails(desk: Bench) -> list[Json]:
    """A refund goes out and fails weeks later."""
    return await events_of(desk, [("refund", "re_1", 8800, "succeeded"), ("refund", "re_1", 8800, "failed")])


async def one_of_two_refunds_fails(desk: Bench) -> list[Json]:
    """Two refunds, of which the first fails later."""
    steps = [
        ("refund", "re_1", 4000, "succeeded"),
        ("refund", "re_2", 4800, "succeeded"),
        ("refund", "re_1", 4000, "failed"),
    ]
    return await events_of(desk, steps)


Tale = Callable[[Bench], Awaitable[list[Json]]]
TALES: list[Tale] = [
    paid_and_refunded,
    overdue_then_paid,
    overpaid_and_refunded,
    refund_fails,
    one_of_two_refunds_fails,
]


async def told(tale: Tale, faults: Faults) -> tuple[Json, list[str]]:
    """The books and notes after a tale; faults act when the stage is set."""
    async with bench() as desk:
        events = await tale(desk)
        desk.spoil(faults)
        await desk.deliver_all(events)
        assert desk.misfits() == []
        return desk.books(), sorted(desk.notes())


@pytest.mark.parametrize("tale", TALES)
@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(Rule(action="cut", when="before"), id="cut before"),
        pytest.param(Rule(action="cut", when="after"), id="cut after"),
        pytest.param(Rule(action="answer", status=500, when="after"), id="500 after"),
        pytest.param(Rule(action="html", when="after"), id="a page after"),
    ],
)
async def test_one_lost_answer_changes_nothing(tale: Tale, rule: Rule) -> None:
    """Each write in turn is lost, before or after its effect: the books are the same, and so are the notes."""
    calm = OneLost(-2, NOBODY)
    whole = await told(tale, calm)
    for index in range(calm.writes):
        assert await told(tale, OneLost(index, rule)) == whole, f"write {index} of {calm.writes}"


@pytest.mark.parametrize("rule", [Rule(status=500, probability=0.2, times=None), Rule(status=429, retry_after=2)])
async def test_failing_reads_only_delay(rule: Rule) -> None:
    """When many requests fail, the end is late and the same."""
    faults = Faults(seed=5)
    faults.add(rule)
    assert await told(paid_and_refunded, faults) == await told(paid_and_refunded, Faults())
