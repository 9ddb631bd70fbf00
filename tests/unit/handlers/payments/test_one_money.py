"""Stripe's public bug reports S1 to S11: each smallest input, in every order of arrival, with its right value."""

import itertools
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import NeedsPerson
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from tests.support.payments.money_stories import payment_record, session, stripe_invoice
from tests.support.payments.payment_bench import Bench, bench, dispute, open_invoice, paid, refund, stripe_event
from tests.support.payments.stripe_answers import StripeAnswers
from tests.support.payments.stripe_story import Json

DAY = 1_790_000_000


NUMBER: Any = {"invoice_number": "R-1"}
_KEYS = {"is_used": False}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Everything is played without a key of Stripe and with one; whose money it is has tests of its own."""
    keys = [False] if metafunc.cls is TestOtherAccounts else [False, True]
    metafunc.parametrize("has_key", keys, ids=lambda used: "with a key" if used else "without a key", indirect=True)


@pytest.fixture(autouse=True)
def has_key(request: pytest.FixtureRequest) -> None:
    """Whether Stripe can be asked in this test."""
    _KEYS["is_used"] = request.param


@pytest.fixture
async def desk(has_key: None) -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja; with a key, Stripe knows what was delivered."""
    async with bench() as one:
        if _KEYS["is_used"]:
            one.stripe = StripeAnswers(lambda: delivered(one))
        yield one


def delivered(desk: Bench) -> list[Json]:
    """The events of Stripe that came so far."""
    stored = [event for events in desk.history.events.values() for event in events]
    return [dict(event.payload) for event in stored if event.source == "stripe"]


def held(desk: Bench) -> dict[str, tuple[Any, Any]]:
    """The payments that count: amount and refunded, by their references."""
    return {row["number"]: (row["amount"], row["refunded"]) for row in desk.payments()}


async def told(events: Sequence[Json], order: Sequence[int], **rules: object) -> tuple[Bench, Json]:
    """A desk after these events in this order, and its one invoice."""
    async with bench() as desk:
        desk.rule(**rules)
        if _KEYS["is_used"]:
            desk.stripe = StripeAnswers(lambda: events)
        invoice = await open_invoice(desk)
        await desk.deliver_all(events[index] for index in order)
        assert desk.misfits() == []
        return desk, desk.invoice_row(invoice)


def orders(count: int) -> list[tuple[int, ...]]:
    """All orders of so many events."""
    return list(itertools.permutations(range(count)))


class TestReceiptInvoices:
    """S1: the receipt of a Checkout payment is the same money."""

    @pytest.mark.parametrize("order", orders(3))
    @pytest.mark.parametrize("where", ["everywhere", "invoice", "session", "intent"])
    async def test_is_recorded_once(self, order: tuple[int, ...], where: str) -> None:
        """Whatever names the invoice, and in whichever order it comes."""
        on = {one: NUMBER if where in {one, "everywhere"} else {} for one in ("intent", "session", "invoice")}
        events = [
            paid(10000, **on["intent"]),
            session(metadata=on["session"]),
            stripe_invoice(metadata=on["invoice"]),
        ]
        desk, invoice = await told(events, order)
        assert held(desk) == {"pi_1": (100, 0)}
        assert (invoice["balance"], invoice["status_id"]) == (0, "4")
        assert desk.reviews.kinds == []

    @pytest.mark.parametrize("order", orders(3))
    async def test_is_not_matched_by_its_amount(self, order: tuple[int, ...]) -> None:
        """`match_by_amount: auto` finds no other open invoice for a receipt."""
        events = [paid(10000, **NUMBER), session(), stripe_invoice(customer="cus_1")]
        async with bench() as desk:
            desk.rule(match_by_amount="auto")
            client = await desk.client()
            await desk.invoice(client, "100", "R-1")
            other = await desk.invoice(client, "100", "R-2")
            await desk.deliver_all(events[index] for index in order)
            assert (held(desk), desk.invoice_row(other)["balance"]) == ({"pi_1": (100, 0)}, 100)

    async def test_old_versions_deny_it(self, desk: Bench) -> None:
        """`paid_out_of_band: false` is an answer."""
        await open_invoice(desk)
        await desk.deliver(stripe_invoice(metadata=NUMBER, paid_out_of_band=False))
        assert (held(desk), desk.reviews.kinds) == ({}, [])

    async def test_unexplained_invoice_waits_for_a_person(self, desk: Bench) -> None:
        """Without any sign it is held with both readings, and neither choice doubles money."""
        await open_invoice(desk)
        outcome = await desk.deliver(stripe_invoice(metadata=NUMBER))
        assert isinstance(outcome, Processed)
        assert "nothing shows by which payment" in outcome.reason
        assert (held(desk), desk.reviews.kinds) == ({}, ["payment_problem"])
        assert "only the receipt" in str(desk.reviews.opened)
        await desk.decide("in_1", "ignore", why="a receipt")
        assert (held(desk), desk.reviews.kinds) == ({}, [])
        await desk.decide("in_1", "match", invoice="R-1")
        assert held(desk) == {"in_1": (100, 0)}

    async def test_doubled_by_a_person_is_told(self, desk: Bench) -> None:
        """Somebody took the receipt for money of its own: when the session shows what it was, a person is asked."""
        await open_invoice(desk)
        await desk.deliver(stripe_invoice())
        await desk.decide("in_1", "match", invoice="R-1")
        await desk.deliver(session(metadata=NUMBER))
        assert desk.reviews.kinds == ["payment_problem"]
        assert "the same money as payment pi_1" in str(desk.reviews.opened)


class TestMoneyPastStripe:
    """S2: payment records are money with their amounts."""

    @pytest.mark.parametrize("order", orders(4))
    async def test_part_past_stripe_and_part_by_card(self, order: tuple[int, ...]) -> None:
        """40 by bank transfer and 60 by card make 100."""
        link = payment_record(6000, key="inpay_2")
        link["data"]["object"]["payment"] = {"type": "payment_intent", "payment_intent": "pi_1"}
        events = [
            payment_record(4000),
            link,
            paid(6000),
            stripe_invoice(metadata=NUMBER, attempted=True, attempt_count=1),
        ]
        desk, invoice = await told(events, order)
        assert held(desk) == {"in_1": (40, 0), "pi_1": (60, 0)}
        assert invoice["balance"] == 0

    @pytest.mark.parametrize("order", orders(2))
    async def test_all_past_stripe(self, order: tuple[int, ...]) -> None:
        """`attempted: true` says nothing about it."""
        events = [payment_record(10000), stripe_invoice(metadata=NUMBER, attempted=True)]
        desk, invoice = await told(events, order)
        assert (held(desk), invoice["balance"]) == ({"in_1": (100, 0)}, 0)

    async def test_part_of_an_open_invoice(self, desk: Bench) -> None:
        """A part that came past Stripe is recorded before the rest is paid."""
        invoice = await open_invoice(desk)
        await desk.deliver(stripe_invoice("invoice.overdue", metadata=NUMBER, status="open", amount_paid=4000))
        await desk.deliver(payment_record(4000))
        assert (held(desk), desk.invoice_row(invoice)["balance"]) == ({"in_1": (40, 0)}, 60)


class TestPaidTwice:
    """S3: a refund of one of two payments is covered by the other."""

    EVENTS = (
        paid(10000, **NUMBER),
        paid(10000, "pi_2", created=DAY + 60, **NUMBER),
        refund("re_1", 10000),
    )

    @pytest.mark.parametrize("order", orders(3))
    @pytest.mark.parametrize("rule", ["close", "reopen"])
    async def test_client_owes_nothing_and_is_owed_nothing(self, order: tuple[int, ...], rule: str) -> None:
        """In every order: one payment kept, the invoice paid, no credit of any kind."""
        desk, invoice = await told(self.EVENTS, order, on_refund=rule)
        assert (invoice["balance"], invoice["status_id"]) == (0, "4")
        kept = sum(Decimal(str(amount)) - Decimal(str(back)) for amount, back in held(desk).values())
        assert kept == 100
        assert [row["number"] for row in desk.state.tables["credits"] if not row["is_deleted"]] == []
        applied = sum(
            Decimal(str(part["amount"])) - Decimal(str(part["refunded"]))
            for row in desk.payments()
            for part in row["paymentables"]
        )
        assert applied == 100

    @pytest.mark.parametrize("order", orders(3))
    async def test_other_covers_a_part(self, order: tuple[int, ...]) -> None:
        """The second payment had 60: 40 are settled by a credit, as `on_refund: close` says."""
        events = (self.EVENTS[0], paid(6000, "pi_2", created=DAY + 60, **NUMBER), self.EVENTS[2])
        desk, invoice = await told(events, order)
        assert invoice["balance"] == 0
        live = [row["amount"] for row in desk.state.tables["credits"] if not row["is_deleted"]]
        assert live == [40]

    @pytest.mark.parametrize("order", orders(4))
    @pytest.mark.parametrize("rule", ["close", "reopen"])
    async def test_what_is_left_of_the_other_is_used_once(self, order: tuple[int, ...], rule: str) -> None:
        """Of the second payment 60 were given back: its 40 cover 40, and the other 60 are settled or owed."""
        events = (*self.EVENTS[:2], refund("re_2", 6000, payment="pi_2"), self.EVENTS[2])
        desk, invoice = await told(events, order, on_refund=rule)
        settled = sum(row["amount"] for row in desk.state.tables["credits"] if not row["is_deleted"])
        assert (settled, invoice["balance"]) == ((60, 0) if rule == "close" else (0, 60))
        assert desk.misfits() == []
        (other,) = [row for row in desk.payments() if row["number"] == "pi_2"]
        assert other["applied"] <= 100


class TestDisputes:
    """S4, S6, S10: what moved decides."""

    @pytest.mark.parametrize(
        ("status", "moved", "back", "problem"),
        [
            ("lost", (), 100, False),
            ("lost", (-10000,), 100, False),
            ("lost", (-10000, 7000), 30, True),
            ("lost", (-10000, 10000), 0, True),
            ("won", (-10000,), 0, False),
            ("won", (-10000, 10000), 0, False),
            ("won", (-10000, 6000), 40, True),
            ("prevented", (), 0, False),
            ("prevented", (-10000,), 100, True),
            ("warning_closed", (), 0, False),
            ("warning_needs_response", (-10000,), 0, False),
            ("under_review", (-10000,), 0, False),
        ],
    )
    async def test_money_decides(
        self, desk: Bench, status: str, moved: tuple[int, ...], back: int, problem: bool
    ) -> None:
        """Withdrawn minus reinstated; where that contradicts the word, a person is told."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, **NUMBER))
        await desk.deliver(dispute(status, 10000, moved))
        assert held(desk) == {"pi_1": (100, back)}
        assert (desk.reviews.kinds == ["payment_problem"]) is problem

    @pytest.mark.parametrize("moved", [(-9500,), (-9500, 9500), (-9500, 5000)])
    async def test_balance_in_another_currency(self, desk: Bench, moved: tuple[int, ...]) -> None:
        """All or nothing can be told; for a part Stripe's word counts and a person is told."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, **NUMBER))
        event = dispute("lost", 10000, moved)
        for move in event["data"]["object"]["balance_transactions"]:
            move["currency"] = "usd"
        await desk.deliver(event)
        (back,) = [back for _, back in held(desk).values()]
        assert back == {(-9500,): 100, (-9500, 9500): 0, (-9500, 5000): 100}[moved]
        assert (desk.reviews.kinds == ["payment_problem"]) is (len(moved) > 1)

    @pytest.mark.parametrize(
        "reason", ["insufficient_funds", "incorrect_account_details", "bank_cannot_process", "debit_not_authorized"]
    )
    async def test_returned_debit_is_owed_again(self, desk: Bench, reason: str) -> None:
        """Whatever `on_refund` says: the customer never paid. A person is told."""
        invoice = await open_invoice(desk)
        await desk.deliver(paid(10000, **NUMBER))
        await desk.deliver(dispute("lost", 10000, (-10000,), reason=reason))
        row = desk.invoice_row(invoice)
        assert (row["balance"], row["status_id"]) == (100, "2")
        assert [row["number"] for row in desk.state.tables["credits"]] == []
        assert (desk.memory.records["pi_1"].status, desk.reviews.kinds) == ("returned", ["payment_problem"])

    @pytest.mark.parametrize("order", orders(3))
    async def test_returned_and_refunded(self, order: tuple[int, ...]) -> None:
        """30 were given back and are not owed; the other 70 never came and are."""
        events = [
            paid(10000, **NUMBER),
            refund("re_1", 3000),
            dispute("lost", 7000, (-7000,), reason="insufficient_funds"),
        ]
        desk, invoice = await told(events, order)
        assert (held(desk), invoice["balance"]) == ({"pi_1": (100, 100)}, 70)

    async def test_several_disputes(self, desk: Bench) -> None:
        """Each takes its own part."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, **NUMBER))
        await desk.deliver(dispute("lost", 4000, (-4000,)))
        await desk.deliver(dispute("won", 3000, (-3000, 3000), key="du_2"))
        assert held(desk) == {"pi_1": (100, 40)}


class TestCaptures:
    """S7, S8, S11: captures in parts, releases, strange fees."""

    def captured(self, amount: int, at: int, **more: object) -> Json:
        """The charge of pi_1, of which so much is captured."""
        body = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount": 10000, "captured": True}
        body |= {"amount_captured": amount, "amount_refunded": 0, "currency": "eur", "status": "succeeded"}
        body |= {"created": DAY, "metadata": NUMBER}
        return stripe_event("charge.updated", DAY + at, {**body, **more})

    @pytest.mark.parametrize("order", orders(3))
    async def test_growth_is_recorded(self, order: tuple[int, ...]) -> None:
        """30, 80 and 100 of 100 are captured: in the end 100 are paid, whatever came first."""
        events = [self.captured(amount, at) for at, amount in enumerate((3000, 8000, 10000))]
        desk, invoice = await told(events, order)
        assert (sum(amount for amount, _ in held(desk).values()), invoice["balance"]) == (100, 0)

    async def test_grown_payment_is_refunded(self, desk: Bench) -> None:
        """A refund of all takes all parts."""
        await open_invoice(desk)
        for at, amount in enumerate((3000, 8000, 10000)):
            await desk.deliver(self.captured(amount, at))
        await desk.deliver(refund("re_1", 10000))
        assert sum(back for _, back in held(desk).values()) == 100

    @pytest.mark.parametrize("order", orders(2))
    async def test_release_never_gives_money_back(self, order: tuple[int, ...]) -> None:
        """A refund with Stripe's own reason `expired_uncaptured_charge` is no money."""
        events = [
            self.captured(6000, 0, amount_refunded=4000),
            refund("re_1", 4000, reason="expired_uncaptured_charge"),
        ]
        desk, invoice = await told(events, order)
        assert (held(desk), invoice["balance"]) == ({"pi_1": (60, 0)}, 40)

    async def test_strange_fee_decides_nothing(self, desk: Bench) -> None:
        """A negative fee, or one that is none, is left out."""
        await open_invoice(desk)
        event = paid(10000, **NUMBER)
        move = {"id": "txn_1", "object": "balance_transaction", "fee": "x", "currency": "eur", "created": DAY}
        charge = self.captured(10000, 0)["data"]["object"]
        event["data"]["object"]["latest_charge"] = {**charge, "balance_transaction": move}
        await desk.deliver(event)
        assert held(desk) == {"pi_1": (100, 0)}


class TestOtherAccounts:
    """S5: events of an organisation name the account they come from."""

    async def test_other_account_is_ignored(self, desk: Bench) -> None:
        """Neither its payment nor its refund touches our books."""
        await open_invoice(desk)
        desk.own_account = "acct_ours"
        for event in (paid(10000, **NUMBER), refund("re_1", 10000)):
            outcome = await desk.deliver({**event, "context": "acct_other"})
            assert isinstance(outcome, Ignored)
            assert outcome.code is Code.OTHER_ACCOUNT
        assert held(desk) == {}

    async def test_ours_counts(self, desk: Bench) -> None:
        """Also where the context is a path."""
        await open_invoice(desk)
        desk.own_account = "acct_ours"
        await desk.deliver({**paid(10000, **NUMBER), "context": "org_1/acct_ours"})
        assert held(desk) == {"pi_1": (100, 0)}

    async def test_unknown_account_waits_for_a_person(self, desk: Bench) -> None:
        """Without a key and without the setting nothing says whose money it is."""
        await open_invoice(desk)
        error = await desk.deliver({**paid(10000, **NUMBER), "context": "acct_other"})
        assert isinstance(error, NeedsPerson)
        assert (error.code, held(desk)) == (Code.STRIPE_ACCOUNT_UNKNOWN, {})


class TestOtherCurrencies:
    """S9: a payment in another currency than its invoice has a way that ends; nothing is converted."""

    async def test_hint_can_work(self, desk: Bench) -> None:
        """It waits, and what is advised is possible: to enter it by hand."""
        await open_invoice(desk)
        outcome = await desk.deliver(paid(9500, currency="chf", **NUMBER))
        assert isinstance(outcome, Processed)
        assert "enter it in Invoice Ninja by hand with pi_1 as transaction reference" in outcome.reason
        assert "payments match" not in outcome.reason

    @pytest.mark.parametrize("is_first", [True, False])
    @pytest.mark.parametrize("back", [4000, 9500])
    async def test_entered_by_hand(self, desk: Bench, back: int, *, is_first: bool) -> None:
        """Entered in euros by a person it is theirs; a refund that the books do not show is told until they do."""
        invoice = await open_invoice(desk)
        client = str(desk.invoice_row(invoice)["client_id"])
        body = {"client_id": client, "amount": 100, "transaction_reference": "pi_1"}
        body["invoices"] = [{"invoice_id": invoice, "amount": 100}]
        if is_first:
            await desk.post("/payments", body)
        await desk.deliver(paid(9500, currency="chf", **NUMBER))
        if not is_first:
            await desk.post("/payments", body)
        outcome = await desk.deliver(paid(9500, currency="chf", created=DAY + 9, **NUMBER))
        assert isinstance(outcome, Processed)
        assert outcome.code == Code.PAYMENT_ENTERED_BY_PERSON
        assert (desk.memory.records["pi_1"].status, desk.reviews.kinds) == ("paid", [])
        await desk.deliver(refund("re_1", back, currency="chf"))
        assert desk.reviews.kinds == ["payment_problem"]
        assert held(desk) == {row["number"]: (100, 0) for row in desk.payments()}
        parts = [{"invoice_id": invoice, "amount": back // 95}]
        (row,) = desk.payments()
        await desk.post("/payments/refund", {"id": row["id"], "date": "2026-11-01", "invoices": parts})
        await desk.deliver(refund("re_1", back, currency="chf", again=True) | {"id": "evt_again"})
        assert desk.reviews.kinds == []

    async def test_a_refund_of_ignored_money_in_the_books(self, desk: Bench) -> None:
        """It was ignored, then entered by hand: its refund is told."""
        client = await desk.client()
        await desk.deliver(paid(9500, currency="chf"))
        await desk.decide("pi_1", "ignore", why="adaptive pricing")
        await desk.post("/payments", {"client_id": client, "amount": 100, "transaction_reference": "pi_1"})
        await desk.deliver(refund("re_1", 9500, currency="chf"))
        assert desk.reviews.kinds == ["payment_problem"]
        assert desk.memory.records["pi_1"].status == "refunded"
