"""The end of a month while everything fails at once and people go on working: the books are right in the end."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.invoicing.month_end import Month, month
from tests.support.invoicing.month_end_books import Books


@pytest.mark.parametrize("rules", [{"auto_send": True}, {"invoice_date": "period_end"}], ids=["sent", "drafts"])
@settings(max_examples=75, derandomize=True)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.05, 0.15, 0.3]))
async def test_each_hour_is_billed_once(rules: dict[str, Any], seed: int, share: float) -> None:
    """Whatever fails, comes late or dies, whatever people do meanwhile: each hour is on one invoice, to the cent."""
    async with month(seed, share, **rules) as of:
        await of.live()
        # The recheck alone leaves nothing billed twice; what is not billed yet waits for the next run.
        assert not Books(of).doubles()
        await of.run_by_clock()
        assert not Books(of).faults(await on_invoices_of_people(of))


async def on_invoices_of_people(of: Month) -> set[str]:
    """Tasks that a person's invoice bills without their link: the plan asks to save that invoice."""
    made = await of.office.plan()
    return {one.what.partition(" ")[0] for one in made.left_out if one.reason.startswith("it is on invoice")}
