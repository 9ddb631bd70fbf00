"""Pages survive what nobody types: lone surrogates in payloads, places beyond the calendar, ids with slashes."""

from pathlib import Path

from middleware.accounts.passwords import hash_password
from middleware.dashboard.render import make_environment
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.users import UserStore
from tests.support.dashboard.seed import PASSWORD
from tests.support.dashboard.visitor import dashboard, visitor
from tests.support.pipeline import new_event


async def test_odd_content_and_addresses(clean_database: str, redis_url: str, tmp_path: Path) -> None:
    """An event with a lone surrogate has its page; a place in year 1 is no place."""
    async with open_pool(clean_database, size=1) as pool:
        await UserStore(pool).add("ada", "admin", hash_password(PASSWORD))
        (event,) = await EventStore(pool).insert([new_event(body=b'{"says": "a\\ud800b"}')])
    async with dashboard(clean_database, redis_url, tmp_path) as transport, visitor(transport) as ada:
        await ada.sign_in("ada")
        assert "a?b" in await ada.get(f"/events/{event.event_id}")
        for place in ("/time?after=0001-01-01T00:00:00%2B23:59|a|b", "/payments?after=0001-01-01T00:00:00%2B23:59|a"):
            await ada.get(place)
            await ada.get(place.replace("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"))


def test_ids_with_slashes() -> None:
    """The address of a page names the whole id."""
    assert make_environment().from_string("/payments/{{ one|urlencode }}").render(one="pi_1/../x?") == (
        "/payments/pi_1%2F..%2Fx%3F"
    )
