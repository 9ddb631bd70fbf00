"""Lists of Taiga that change while their pages are read: what is there all the time comes, and once."""

from collections.abc import Callable

import httpx
import pytest

from middleware.clients.connect import connect_taiga
from middleware.clients.taiga import Credentials
from middleware.lab.sandbox.taiga import create_app
from middleware.lab.sandbox.taiga.people import BRIDGE, PASSWORD, Card, Place, Team


class Meanwhile(httpx.AsyncBaseTransport):
    """People act after each page that was answered."""

    def __init__(self, app: httpx.AsyncBaseTransport, acts: list[Callable[[], object]]) -> None:
        self.app = app
        self.acts = acts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, and let somebody act."""
        answer = await self.app.handle_async_request(request)
        if "page" in request.url.params and self.acts:
            self.acts.pop(0)()
        return answer


def _closed(number: int) -> tuple[Team, Place, list[Card]]:
    team = Team()
    place = team.project("Acme")
    return team, place, [place.loose_task(f"Task {n}", status="Closed") for n in range(number)]


async def _listed(team: Team, place: Place, acts: list[Callable[[], object]]) -> list[int]:
    transport = Meanwhile(httpx.ASGITransport(create_app(team.state)), acts)
    taiga = connect_taiga("http://taiga.sandbox", Credentials(username=BRIDGE, password=PASSWORD), transport)
    try:
        return [item.id async for item in taiga.closed_items("task", place.id)]
    finally:
        await taiga.aclose()


@pytest.mark.parametrize("number", [201, 401, 450])
async def test_rows_that_leave_the_list(number: int) -> None:
    """Tasks of the first page are opened again between the pages: what moves forward is read all the same, once."""
    team, place, cards = _closed(number)

    def leave(some: list[Card]) -> Callable[[], object]:
        return lambda: [card.reopen() for card in some]

    ids = await _listed(team, place, [leave(cards[:1]), leave(cards[1:3])])
    assert len(ids) == len(set(ids))
    assert {card.id for card in cards[3:]} <= set(ids)


async def test_more_than_a_page_leaves_the_list() -> None:
    """The pages that were asked for are no more: it is begun where the rest moved to."""
    team, place, cards = _closed(450)
    ids = await _listed(team, place, [lambda: None, lambda: [card.reopen() for card in cards[:380]]])
    assert len(ids) == len(set(ids))
    assert {card.id for card in cards[380:]} <= set(ids)
