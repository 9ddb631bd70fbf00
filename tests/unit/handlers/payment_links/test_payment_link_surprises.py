"""Payment links when Stripe or Invoice Ninja do not know them any more, or change in the same moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from handlers.errors import NeedsPerson, Refused, RemoteError
from handlers.payment_links.link import LinkKeeper, lock_of, payment_link
from handlers.payment_links.upkeep import tend, tend_all
from tests.support.payments.payment_link_bench import LinkBench, link_bench

NO_SUCH_LINK = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such link"}}
NOT_OPEN = {"error": {"type": "invalid_request_error", "message": "Only open sessions can be expired."}}


@pytest.fixture
async def desk() -> AsyncIterator[LinkBench]:
    """An empty bench."""
    async with link_bench() as made:
        yield made


async def _invoice(desk: LinkBench, amount: str = "10") -> tuple[str, str]:
    """An open invoice 2026-7 of a new client; returns the ids of client and invoice."""
    client = await desk.client()
    return client, await desk.invoice(client, amount, "2026-7")


class TestUnknown:
    """What is asked for, or was made, is not there (any more)."""

    async def test_without_a_key_of_stripe(self, desk: LinkBench) -> None:
        """A person reads which setting is missing; the clock's round has nothing to do."""
        bare = replace(desk.context, payment_links=None)
        with pytest.raises(NeedsPerson, match="no STRIPE_API_KEY is set") as refused:
            await payment_link("2026-7", bare)
        assert refused.value.hint == "set STRIPE_API_KEY"
        assert (await tend_all(bare)).looked_at == 0

    async def test_an_id_that_no_invoice_has(self, desk: LinkBench) -> None:
        """What looks like an id is asked for as one, and told when there is none."""
        assert (await desk.refusal(" VolejRejNm ")).reason == "there is no invoice 'VolejRejNm' in Invoice Ninja"

    async def test_an_invoice_that_was_purged(self, desk: LinkBench) -> None:
        """Its page is closed: nobody pays for an invoice that is gone."""
        _, invoice_id = await _invoice(desk)
        await payment_link("2026-7", desk.context)
        table = desk.state.tables["invoices"]
        row = table.get(invoice_id)
        assert row is not None
        table.remove(row)
        assert (await tend_all(desk.context)).changed == ("invoice 2026-7: its invoice is gone",)
        assert desk.links() == []
        assert (await tend_all(desk.context)).looked_at == 0

    async def test_closing_a_link_of_another_account(self, desk: LinkBench) -> None:
        """With another key Stripe does not know the old link: that nobody closed it is noted."""
        client, invoice_id = await _invoice(desk)
        first = await payment_link("2026-7", desk.context)
        await desk.pay_by_hand(client, invoice_id, "4")
        desk.account.tables["payment_link"].remove(first.link_id)
        assert (await payment_link("2026-7", desk.context)).amount == 6
        old, _new = desk.link_memory.rows.values()
        assert old.state == "retired"
        assert old.why.endswith("changed; Stripe does not know it with this STRIPE_API_KEY")

    async def test_pages_of_a_link_of_another_account(self, desk: LinkBench) -> None:
        """Nobody can have paid with a link that Stripe does not know: another one may be made."""
        await _invoice(desk)
        first = await payment_link("2026-7", desk.context)
        desk.account.change(desk.links()[0], active=False)
        for _ in range(2):
            desk.stripe_faults.add(method="GET", path="checkout/sessions", status=404, body=NO_SUCH_LINK)
        second = await payment_link("2026-7", desk.context)
        assert (second.is_new, second.url == first.url) == (True, False)


class TestMoments:
    """Two things at the same time."""

    async def test_paid_while_its_page_is_closed(self, desk: LinkBench) -> None:
        """A page that was completed in that moment cannot be closed; the others are, and the link is."""
        client, invoice_id = await _invoice(desk)
        first = await payment_link("2026-7", desk.context)
        page = await desk.open_page(first.link_id)
        await desk.pay_by_hand(client, invoice_id, "10")
        desk.stripe_faults.add(method="POST", path=f"{page['id']}/expire", status=400, body=NOT_OPEN)
        assert (await tend_all(desk.context)).changed == ("invoice 2026-7: no payment link: invoice 2026-7 is paid",)
        assert desk.links() == []
        assert desk.account.find("checkout.session", page["id"])["status"] == "open"

    async def test_two_rounds_at_once(self, desk: LinkBench) -> None:
        """The one that waited finds that nothing is left to do."""
        client, invoice_id = await _invoice(desk)
        await payment_link("2026-7", desk.context)
        await desk.pay_by_hand(client, invoice_id, "10")
        links = desk.context.payment_links
        assert links is not None
        async with links.payments.exclusive(lock_of(invoice_id)):
            second = asyncio.create_task(tend(invoice_id, desk.context, links))
            await asyncio.sleep(0)
            first = await LinkKeeper(invoice_id, desk.context, links).tend()
        assert (first, await second) == ("no payment link: invoice 2026-7 is paid", "")

    async def test_a_key_that_was_revoked(self, desk: LinkBench) -> None:
        """The round ends at once: every further request would be refused as well, and a person has to act."""
        client = await desk.client()
        for number in ("a", "b"):
            invoice_id = await desk.invoice(client, "10", number)
            await payment_link(number, desk.context)
            await desk.pay_by_hand(client, invoice_id, "10")
        desk.stripe_faults.add(method="POST", path="payment_links/", status=401, times=None)
        desk.stripe_faults.requests.clear()
        with pytest.raises(Refused):
            await tend_all(desk.context)
        assert desk.stripe_faults.count("POST") == 1

    async def test_a_request_that_never_arrived_and_was_forgotten(self, desk: LinkBench) -> None:
        """A day later no link bears the mark of the plan: it is made now, once."""
        await _invoice(desk)
        desk.stripe_faults.add(method="POST", path="payment_links$", action="cut", times=None)
        with pytest.raises(RemoteError):
            await payment_link("2026-7", desk.context)
        desk.stripe_faults.clear()
        desk.clock.wait(25 * 3600)
        made = await payment_link("2026-7", desk.context)
        assert [link["id"] for link in desk.links()] == [made.link_id]
