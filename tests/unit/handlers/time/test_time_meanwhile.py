"""People go on working in Taiga while the bridge works, and its requests are lost, repeated and carried out late."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulation import BILLABLE, HOURS, STATUS, Meanwhile


@pytest.mark.parametrize("trouble", [0.0, 0.4, 0.7])
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
async def test_everything_converges(trouble: float, seed: int) -> None:
    """Whatever is interleaved, late or lost: what people typed stands, and Invoice Ninja and Taiga say what follows."""
    of = Meanwhile(seed, trouble)
    await of.live(14)
    values = of.card.values
    assert (values.get(HOURS), bool(values.get(BILLABLE))) == (of.wish.hours, of.wish.is_billable)
    assert (values.get(STATUS) == "Pending Invoice") == (of.wish.billed is not None)
    expected = {} if of.wish.billed is None else {f"TAIGA-T{of.card.id}": of.wish.billed}
    assert of.ninja.hours == expected
