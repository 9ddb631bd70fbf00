"""Payment links: one for what is open, in the invoice, refused where nothing is owed, whatever answer is lost."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from handlers.errors import RemoteError
from handlers.payment_links.link import PaymentLink, payment_link
from handlers.payment_links.upkeep import tend_all
from handlers.ports.payment_links import LinkRecord
from mappings.config.file import parse_mapping
from middleware.lab.sandbox.faults import Faults, Rule
from tests.support.payments.payment_link_bench import PRICE, LinkBench, OneLost, link_bench


@pytest.fixture
async def desk() -> AsyncIterator[LinkBench]:
    """An empty bench."""
    async with link_bench() as made:
        yield made


class TestMaking:
    """What the link is and where it goes."""

    async def test_it_is_for_the_open_balance_and_names_its_invoice(self, desk: LinkBench) -> None:
        """Amount, currency, single use, and the invoice in the metadata of link and payment."""
        invoice_id = await desk.invoice(await desk.client(), "100.50", "2026-7", public_notes="Thank you")
        made = await payment_link("2026-7", desk.context)
        (link,) = desk.links()
        assert made == PaymentLink(
            invoice_id,
            "2026-7",
            link["url"],
            link["id"],
            Decimal("100.5"),
            "EUR",
            is_new=True,
            written_to="public_notes",
        )
        assert desk.account.lines[link["id"]][0]["amount_total"] == 10050
        named = {"invoice_ninja_invoice_id": invoice_id, "invoice_number": "2026-7"}
        assert link["payment_intent_data"]["metadata"] == named
        assert named.items() <= link["metadata"].items()
        assert link["restrictions"]["completed_sessions"]["limit"] == 1
        assert desk.invoice_row(invoice_id)["public_notes"] == f"Thank you\nPay online: {link['url']}"

    async def test_asking_twice_gives_the_same_link(self, desk: LinkBench) -> None:
        """By number or by id, and nothing is written a second time."""
        invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        before = desk.faults.count("PUT")
        second = await payment_link(invoice_id, desk.context)
        assert (second.url, second.is_new, desk.faults.count("PUT")) == (first.url, False, before)
        assert len(desk.links()) == 1

    @pytest.mark.parametrize(("currency", "amount", "minor"), [("JPY", "5000", 5000), ("HUF", "5000", 500000)])
    async def test_minor_units_are_stripes(self, desk: LinkBench, currency: str, amount: str, minor: int) -> None:
        """Yen have no decimals at Stripe, forints two, whatever Invoice Ninja thinks."""
        await desk.invoice(await desk.client(currency), amount, "2026-7")
        made = await payment_link("2026-7", desk.context)
        assert desk.account.lines[made.link_id][0]["amount_total"] == minor

    async def test_a_custom_field_takes_the_bare_address(self, desk: LinkBench) -> None:
        """`payment_link_field` decides where it stands."""
        desk.rule(payment_link_field="custom_value2")
        invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
        made = await payment_link("2026-7", desk.context)
        assert desk.invoice_row(invoice_id)["custom_value2"] == made.url
        assert desk.invoice_row(invoice_id)["public_notes"] == ""

    async def test_none_leaves_the_invoice_alone(self, desk: LinkBench) -> None:
        """With `none` the address is only told."""
        desk.mapping = parse_mapping(json.dumps({"billing_rules": {"payment_link_field": "none"}}))
        await desk.invoice(await desk.client(), "10", "2026-7")
        made = await payment_link("2026-7", desk.context)
        assert (made.written_to, desk.faults.count("PUT")) == ("", 0)

    async def test_a_locked_invoice_is_said(self, desk: LinkBench) -> None:
        """The link is there; that its address could not be written is a remark."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        desk.faults.add(
            method="PUT", path="/invoices/", status=422, body={"message": "", "errors": {"number": "locked"}}
        )
        made = await payment_link("2026-7", desk.context)
        assert made.url
        assert "public_notes" in made.remark

    async def test_stripe_refuses_the_amount(self, desk: LinkBench) -> None:
        """A person reads why, and a later question with another amount starts anew."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        body = {"error": {"type": "invalid_request_error", "code": "amount_too_small", "message": "too small"}}
        desk.stripe_faults.add(method="POST", path="payment_links", status=400, body=body)
        assert "too small" in (await desk.refusal("2026-7")).reason
        assert (await payment_link("2026-7", desk.context)).is_new


class TestRefusals:
    """Nobody is asked for money that is not owed."""

    @pytest.mark.parametrize(
        ("action", "words"),
        [("cancel", "is cancelled"), ("mark_paid", "is paid"), ("delete", "is deleted")],
    )
    async def test_closed_invoices(self, desk: LinkBench, action: str, words: str) -> None:
        """Paid, cancelled and deleted ones are refused, and their link is closed; they are not written."""
        invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
        await payment_link("2026-7", desk.context)
        await desk.post("/invoices/bulk", {"action": action, "ids": [invoice_id]})
        puts = desk.faults.count("PUT")
        assert words in (await desk.refusal(invoice_id)).reason
        assert (desk.links(), desk.faults.count("PUT")) == ([], puts)

    async def test_a_draft(self, desk: LinkBench) -> None:
        """It is not owed before it is sent."""
        await desk.invoice(await desk.client(), "10", "2026-7", draft=True)
        assert "mark it sent first" in (await desk.refusal("2026-7")).reason

    async def test_an_unknown_invoice(self, desk: LinkBench) -> None:
        """The number is repeated, so that a typing mistake is seen."""
        assert "'2026-8'" in (await desk.refusal("2026-8")).reason
        assert "'../x'" in (await desk.refusal("../x")).reason

    async def test_an_amount_that_stripe_cannot_charge(self, desk: LinkBench) -> None:
        """Invoice Ninja keeps three decimals of Kuwaiti dinars, Stripe takes two."""
        await desk.invoice(await desk.client("KWD"), "1.234", "2026-7")
        assert "1.234 KWD" in (await desk.refusal("2026-7")).reason

    async def test_money_on_its_way(self, desk: LinkBench) -> None:
        """A debit that takes days must not be asked for a second time; when it bounces, a new link is made."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        session = desk.people.pay_link(first.link_id, debit=True)
        assert "on its way" in (await desk.refusal("2026-7")).reason
        assert "on its way" in (await desk.refusal("2026-7")).reason
        desk.people.debit_bounces(session["id"])
        second = await payment_link("2026-7", desk.context)
        assert second.url != first.url

    async def test_a_payment_that_is_not_recorded_yet(self, desk: LinkBench) -> None:
        """The customer paid a second ago: no second link, until the payment is recorded or ignored."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        intent = desk.people.pay_link(first.link_id)["payment_intent"]
        assert intent in (await desk.refusal("2026-7")).reason
        desk.remember(intent, status="ignored")
        assert (await payment_link("2026-7", desk.context)).is_new


class TestChanges:
    """The link follows its invoice."""

    async def test_another_balance_makes_another_link(self, desk: LinkBench) -> None:
        """The old one is closed, also on a page that is open; its address is replaced, people's text stays."""
        client = await desk.client()
        invoice_id = await desk.invoice(client, "100", "2026-7", public_notes="Before")
        first = await payment_link("2026-7", desk.context)
        open_page = await desk.open_page(first.link_id)
        await desk.post(f"/invoices/{invoice_id}", {"public_notes": f"Before {first.url} after"}, "PUT")
        await desk.pay_by_hand(client, invoice_id, "40")
        second = await payment_link("2026-7", desk.context)
        assert desk.invoice_row(invoice_id)["public_notes"] == f"Before {second.url} after"
        assert [link["id"] for link in desk.links()] == [second.link_id]
        assert second.amount == 60
        assert desk.account.find("checkout.session", open_page["id"])["status"] == "expired"

    async def test_a_link_that_a_person_closed_is_made_anew(self, desk: LinkBench) -> None:
        """Whoever closed it in Stripe's dashboard and asks again wants one."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        desk.account.change(desk.links()[0], active=False)
        second = await payment_link("2026-7", desk.context)
        assert (second.url == first.url, second.is_new) == (False, True)

    async def test_a_key_of_another_account(self, desk: LinkBench) -> None:
        """A link that Stripe does not know any more is forgotten."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        desk.account.tables["payment_link"].remove(first.link_id)
        assert (await payment_link("2026-7", desk.context)).is_new

    async def test_a_payment_closes_the_link_of_its_invoice(self, desk: LinkBench) -> None:
        """Paid past the link: settling the payment closes it."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        await payment_link("2026-7", desk.context)
        intent = desk.people.pay(1000, "eur", {"invoice_number": "2026-7"})
        await desk.deliver(_event(desk, intent))
        assert desk.links() == []

    async def test_a_part_payment_replaces_the_link(self, desk: LinkBench) -> None:
        """What is asked for is what is still open."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        await payment_link("2026-7", desk.context)
        intent = desk.people.pay(400, "eur", {"invoice_number": "2026-7"})
        await desk.deliver(_event(desk, intent))
        (link,) = desk.links()
        assert desk.account.lines[link["id"]][0]["amount_total"] == 600

    async def test_a_debit_that_bounces_brings_a_new_link(self, desk: LinkBench) -> None:
        """While it is on its way nothing is asked for; when it comes back, the invoice gets a page again by itself."""
        desk.people.listen("http://bridge.test", "whsec_test")
        invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
        first = await payment_link("2026-7", desk.context)
        session = desk.people.pay_link(first.link_id, debit=True)
        await desk.deliver_all([delivery.event for delivery in desk.account.outbox.take()])
        assert desk.links() == []
        desk.people.debit_bounces(session["id"])
        await desk.deliver_all([delivery.event for delivery in desk.account.outbox.take()])
        (link,) = desk.links()
        assert link["url"] in desk.invoice_row(invoice_id)["public_notes"]
        assert first.url not in desk.invoice_row(invoice_id)["public_notes"]

    async def test_many_ask_at_once(self, desk: LinkBench) -> None:
        """One link, whoever comes first."""
        await desk.invoice(await desk.client(), "10", "2026-7")
        made = await asyncio.gather(*(payment_link("2026-7", desk.context) for _ in range(8)))
        assert len({one.url for one in made}) == 1
        assert [one.is_new for one in made].count(True) == 1

    async def test_paying_the_link_pays_the_invoice(self, desk: LinkBench) -> None:
        """The circle: link, page, payment, invoice paid, link closed; the metadata alone finds the invoice."""
        invoice_id = await desk.invoice(await desk.client(), "10", "2026-7")
        made = await payment_link("2026-7", desk.context)
        session = desk.people.pay_link(made.link_id)
        intent = desk.account.find("payment_intent", session["payment_intent"])
        await desk.deliver(_event(desk, intent))
        assert str(desk.invoice_row(invoice_id)["status_id"]) == "4"
        assert [row.state for row in desk.link_memory.rows.values()] == ["retired"]


class TestRounds:
    """The round by the clock over all open links."""

    async def test_what_happened_elsewhere(self, desk: LinkBench) -> None:
        """Paid by bank, partly paid, deleted, unchanged: each link becomes right; a page tells the balances."""
        client = await desk.client()
        ids = {number: await desk.invoice(client, "100", number) for number in ("paid", "part", "gone", "same")}
        for number in ids:
            await payment_link(number, desk.context)
        await desk.pay_by_hand(client, ids["paid"], "100")
        await desk.pay_by_hand(client, ids["part"], "30")
        await desk.post("/invoices/bulk", {"action": "delete", "ids": [ids["gone"]]})
        desk.faults.requests.clear()
        round_one = await tend_all(desk.context)
        assert round_one.looked_at == 4
        assert sorted(done.split(":")[0] for done in round_one.changed) == [
            "invoice gone",
            "invoice paid",
            "invoice part",
        ]
        assert desk.faults.count("GET", f"/invoices/{ids['same']}") == 0
        left = {desk.account.lines[link["id"]][0]["amount_total"] for link in desk.links()}
        assert left == {7000, 10000}
        assert (await tend_all(desk.context)).changed == ()

    async def test_a_failure_of_one_does_not_stop_the_others(self, desk: LinkBench) -> None:
        """What Stripe refused stays for the next round."""
        client = await desk.client()
        for number in ("a", "b"):
            invoice_id = await desk.invoice(client, "100", number)
            await payment_link(number, desk.context)
            await desk.pay_by_hand(client, invoice_id, "100")
        desk.stripe_faults.add(method="POST", path="payment_links/", status=500)
        first = await tend_all(desk.context)
        assert (len(first.changed), len(first.problems)) == (1, 1)
        assert len((await tend_all(desk.context)).changed) == 1
        assert desk.links() == []

    async def test_nothing_open_asks_nobody(self, desk: LinkBench) -> None:
        """Without open links no request is sent."""
        desk.faults.requests.clear()
        assert (await tend_all(desk.context)).looked_at == 0
        assert len(desk.faults.requests) == 0


class TestKills:
    """Whatever answer is lost: one link, one address."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("index", range(6))
    async def test_any_lost_write_at_stripe(self, desk: LinkBench, index: int, when: str) -> None:
        """Make, pay a part by hand, ask again; each writing request is lost once, before or after its effect."""
        client = await desk.client()
        invoice_id = await desk.invoice(client, "100", "2026-7")
        desk.spoil_stripe(OneLost(index, Rule.model_validate({"action": "cut", "when": when})))
        await _insist(desk)
        await desk.pay_by_hand(client, invoice_id, "40")
        made = await _insist(desk)
        assert [link["id"] for link in desk.links()] == [made.link_id]
        assert len(desk.account.tables["payment_link"]) == 2
        assert desk.invoice_row(invoice_id)["public_notes"] == f"Pay online: {made.url}"

    async def test_a_kill_that_lasts_longer_than_stripes_memory(self, desk: LinkBench) -> None:
        """After a day the idempotency key is forgotten: the link is found by its mark."""
        await desk.invoice(await desk.client(), "100", "2026-7")
        for number in range(150):
            await desk.client_of_stripe.post("/v1/payment_links", {"line_items": [PRICE]}, idempotency_key=str(number))
        desk.spoil_stripe(Faults())
        desk.stripe_faults.add(method="POST", path="payment_links$", action="cut", when="after")
        with pytest.raises(RemoteError):
            await payment_link("2026-7", desk.context)
        desk.clock.wait(25 * 3600)
        desk.account.answers.clear()
        made = await payment_link("2026-7", desk.context)
        assert len(desk.links()) == 151
        assert made.link_id == desk.links()[-1]["id"]

    async def test_a_kill_is_healed_by_the_clock(self, desk: LinkBench) -> None:
        """Nobody asks again: the round finishes what was begun."""
        await desk.invoice(await desk.client(), "100", "2026-7")
        desk.stripe_faults.add(method="POST", path="payment_links$", action="cut", when="after")
        with pytest.raises(RemoteError):
            await payment_link("2026-7", desk.context)
        await tend_all(desk.context)
        (row,) = desk.link_memory.rows.values()
        assert (row.state, row.link_id) == ("open", desk.links()[0]["id"])

    async def test_our_form_changed_between_two_tries(self, desk: LinkBench) -> None:
        """A newer version of the program sends other fields under the old key: the first link is taken."""
        await desk.invoice(await desk.client(), "100", "2026-7")
        desk.stripe_faults.add(method="POST", path="payment_links$", action="cut", when="after")
        with pytest.raises(RemoteError):
            await payment_link("2026-7", desk.context)
        ((key, row),) = desk.link_memory.rows.items()
        desk.link_memory.rows[key] = LinkRecord(
            row.invoice_id, 1, row.token, "renumbered", row.client_id, row.currency, row.amount, row.created_at
        )
        made = await payment_link("2026-7", desk.context)
        assert [link["id"] for link in desk.links()] == [made.link_id]


async def _insist(desk: LinkBench) -> PaymentLink:
    for _ in range(5):
        try:
            return await payment_link("2026-7", desk.context)
        except RemoteError:
            continue
    raise AssertionError("five tries were not enough")


def _event(desk: LinkBench, intent: dict[str, object]) -> dict[str, object]:
    created = int(desk.clock().timestamp())
    body = {"id": f"evt_{intent['id']}", "object": "event", "type": "payment_intent.succeeded", "created": created}
    return {**body, "livemode": True, "data": {"object": intent}}
