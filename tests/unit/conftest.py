"""What several unit tests of invoicing begin with."""

from collections.abc import AsyncIterator

import pytest

from tests.support.invoicing.invoicing_bench import Office, office
from tests.support.invoicing.race_fakes import Race


@pytest.fixture
async def bureau() -> AsyncIterator[Office]:
    """An office on New Year's morning."""
    async with office() as made:
        yield made


@pytest.fixture
def race(bureau: Office, monkeypatch: pytest.MonkeyPatch) -> Race:
    """What others do in its Invoice Ninja meanwhile."""
    return Race(bureau.ninja, monkeypatch)
