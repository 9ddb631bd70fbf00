"""The sandbox Stripe over HTTP: refusals, lists, idempotency, expansion, and pages that close."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.stripe import StripePeople, StripeState, create_app
from middleware.lab.sandbox.stripe.errors import ApiError
from middleware.lab.sandbox.stripe.forms import decode

START = datetime(2026, 9, 21, tzinfo=UTC)
PRICE = {
    "line_items[0][price_data][currency]": "eur",
    "line_items[0][price_data][unit_amount]": "5000",
    "line_items[0][price_data][product_data][name]": "Invoice 2026-0042",
    "line_items[0][quantity]": "2",
}


class Sandbox:
    """A sandbox account with a clock that tests move, people, and a client."""

    def __init__(self) -> None:
        self.moment = START
        self.state = StripeState(clock=lambda: self.moment)
        self.state.hold = True
        self.faults = Faults()
        self.people = StripePeople(self.state)
        app = create_app(self.state, self.faults)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://stripe.test",
            headers={"Authorization": "Bearer sk_test_sandbox"},
        )

    async def get(self, path: str, **query: Any) -> Any:
        """The decoded answer of a GET."""
        return (await self.client.get(f"/v1/{path}", params=query)).json()

    async def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Any:
        """The decoded answer of a POST."""
        return (await self.client.post(f"/v1/{path}", data=form or {}, headers=headers)).json()

    def later(self, **delta: int) -> None:
        """Move the clock."""
        self.moment += timedelta(**delta)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A fresh sandbox."""
    made = Sandbox()
    yield made
    await made.client.aclose()


def code(answer: Any) -> tuple[str, str | None, str | None]:
    """Type, code and parameter of an error."""
    error = answer["error"]
    return error["type"], error.get("code"), error.get("param")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer ", "Bearer sk_live_real", "Bearer whatever", "Basic c2tfbGl2ZV94Og=="]
)
async def test_wrong_keys_are_refused(sandbox: Sandbox, authorization: str) -> None:
    """No key, a key of the other mode or no key at all: 401 in Stripe's shape."""
    answer = await sandbox.client.get("/v1/charges", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
    basic = await sandbox.client.get("/v1/charges", headers={"Authorization": "Basic c2tfdGVzdF94Og=="})
    assert basic.status_code == 200
    assert basic.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    ("path", "form", "expected"),
    [
        ("payment_intents", {}, ("parameter_missing", "amount")),
        ("payment_intents", {"amount": "x", "currency": "eur"}, ("parameter_invalid_integer", "amount")),
        ("payment_intents", {"amount": "0", "currency": "eur"}, (None, "amount")),
        ("payment_intents", {"amount": "9999999999999", "currency": "eur"}, ("amount_too_large", "amount")),
        ("payment_intents", {"amount": "5"}, ("parameter_missing", "currency")),
        ("payment_intents", {"amount": "5", "currency": "eur", "customer": "cus_x"}, ("resource_missing", "customer")),
        ("payment_intents", {"amount": "5", "currency": "eur", "colour": "red"}, ("parameter_unknown", "colour")),
        ("payment_intents", {"amount": "5", "currency": "eur", "confirm": "yes"}, (None, "confirm")),
        ("payment_intents", {"amount": "5", "currency": "eur", "metadata": "x"}, (None, "metadata")),
        ("payment_intents", {"amount": "5", "currency": "eur", f"metadata[{'k' * 41}]": "x"}, (None, "metadata")),
        ("refunds", {}, (None, None)),
        ("refunds", {"charge": "ch_x"}, ("resource_missing", "charge")),
        ("payment_links", {}, ("parameter_missing", "line_items")),
        ("payment_links", {"line_items": "x"}, (None, "line_items")),
        ("checkout/sessions", {"mode": "setup"}, (None, "mode")),
        ("checkout/sessions", {"mode": "payment", **PRICE, "expires_at": "1"}, (None, "expires_at")),
        ("invoices", {"customer": "cus_x"}, ("resource_missing", "customer")),
        ("nonsense", {}, (None, None)),
        ("charges/ch_x/refund_me", {}, (None, None)),
    ],
)
async def test_mistakes_have_stripes_error_shape(
    sandbox: Sandbox, path: str, form: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    """Every wrong request is answered with type, and code and parameter where Stripe gives them."""
    assert code(await sandbox.post(path, form)) == ("invalid_request_error", *expected)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "evt_x"}, "starting_after"),
        ({"types[]": ["x"] * 21}, "types"),
        ({"type": "a", "types[]": "b"}, None),
        ({"colour": "red"}, "colour"),
        ({"created[gte]": "x"}, "created[gte]"),
    ],
)
async def test_wrong_lists_are_refused(sandbox: Sandbox, query: dict[str, Any], param: str | None) -> None:
    """Limits, cursors and filters are checked."""
    assert code(await sandbox.get("events", **query))[2] == param


async def test_lists_filter_and_page(sandbox: Sandbox) -> None:
    """Newest first, by time and type, with cursors in both directions and `has_more`."""
    for day in range(5):
        sandbox.people.pay(100 + day, "eur")
        sandbox.later(days=1)
    since = int((START + timedelta(days=2)).timestamp())
    listed = await sandbox.get("events", **{"types[]": "payment_intent.succeeded", "created[gte]": since, "limit": 2})
    amounts = [event["data"]["object"]["amount"] for event in listed["data"]]
    assert (amounts, listed["has_more"], listed["object"]) == ([104, 103], True, "list")
    rest = await sandbox.get("events", type="payment_intent.*", starting_after=listed["data"][-1]["id"], limit=100)
    assert rest["has_more"] is False
    back = await sandbox.get("payment_intents", limit=2, ending_before=(await newest(sandbox, 5))["id"])
    assert ([one["amount"] for one in back["data"]], back["has_more"]) == ([102, 101], True)
    exact = await sandbox.get("charges", created=int(START.timestamp()))
    assert [one["amount"] for one in exact["data"]] == [100]


async def newest(sandbox: Sandbox, count: int) -> Any:
    """The last of so many newest intents."""
    return (await sandbox.get("payment_intents", limit=count))["data"][-1]


async def test_idempotency_key(sandbox: Sandbox) -> None:
    """Replayed, refused with other parameters, not used up by a mistake, but by a declined card."""
    form = {"amount": "500", "currency": "eur"}
    first = await sandbox.client.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": "a"})
    again = await sandbox.client.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": "a"})
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await sandbox.post("payment_intents", {**form, "amount": "6"}, **{"Idempotency-Key": "a"})
    assert other["error"]["type"] == "idempotency_error"
    assert "error" in await sandbox.post("payment_intents", {"amount": "5"}, **{"Idempotency-Key": "b"})
    assert "error" not in await sandbox.post("payment_intents", form, **{"Idempotency-Key": "b"})
    declining = {**form, "confirm": "true", "payment_method": "pm_card_chargeDeclined"}
    answers = [await sandbox.post("payment_intents", declining, **{"Idempotency-Key": "c"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert (await sandbox.post("payment_intents", form, **{"Idempotency-Key": "x" * 256}))["error"]
    assert len((await sandbox.get("payment_intents"))["data"]) == 3


async def test_effect_stays_when_the_answer_is_lost(sandbox: Sandbox) -> None:
    """The connection breaks after the work: the same key finds what was done."""
    sandbox.faults.add(method="POST", path="/v1/refunds", action="cut", when="after")
    intent = sandbox.people.pay(900, "eur")
    form, key = {"payment_intent": intent["id"]}, {"Idempotency-Key": "r"}
    with pytest.raises(httpx.RemoteProtocolError):
        await sandbox.post("refunds", form, **key)
    assert (await sandbox.post("refunds", form, **key))["amount"] == 900
    assert len((await sandbox.get("refunds"))["data"]) == 1


async def test_expansion(sandbox: Sandbox) -> None:
    """Ids become objects, left-out lists appear, and what cannot be expanded is refused."""
    intent = sandbox.people.pay(12345, "eur")
    sandbox.people.refund(intent["id"], 45)
    path = f"payment_intents/{intent['id']}"
    shown = await sandbox.get(path, **{"expand[]": ["latest_charge.balance_transaction", "latest_charge.refunds"]})
    assert shown["latest_charge"]["balance_transaction"]["fee"] == 210
    assert [refund["amount"] for refund in shown["latest_charge"]["refunds"]["data"]] == [45]
    listed = await sandbox.get("payment_intents", **{"expand[]": "data.latest_charge"})
    assert listed["data"][0]["latest_charge"]["object"] == "charge"
    assert (await sandbox.get(path, **{"expand[]": "customer"}))["customer"] is None
    for wrong in ("amount", "data.x.y.z.a"):
        assert code(await sandbox.get(path, **{"expand[]": wrong}))[2] == "expand"


async def test_payment_link_from_creation_to_closing(sandbox: Sandbox) -> None:
    """Single use: paid once, then nobody can open it; its lines and sessions can be read."""
    limited = {"restrictions[completed_sessions][limit]": "1", "metadata[invoice_number]": "7"}
    link = await sandbox.post("payment_links", {**PRICE, **limited})
    assert (link["active"], link["currency"], link["url"][:23]) == (True, "eur", "https://buy.stripe.com/")
    lines = await sandbox.get(f"payment_links/{link['id']}/line_items")
    assert [line["amount_total"] for line in lines["data"]] == [10000]
    session = sandbox.people.pay_link(link["id"], client_reference="2026-0042")
    assert (session["amount_total"], session["payment_status"], session["metadata"]) == (
        10000,
        "paid",
        {"invoice_number": "7"},
    )
    with pytest.raises(ApiError, match="not active"):
        sandbox.people.pay_link(link["id"])
    assert [one["id"] for one in (await sandbox.get("payment_links", active="false"))["data"]] == [link["id"]]
    found = await sandbox.get("checkout/sessions", payment_link=link["id"])
    assert [one["id"] for one in found["data"]] == [session["id"]]
    intent = await sandbox.get(f"payment_intents/{session['payment_intent']}")
    assert intent["metadata"] == {}, "metadata of the link alone never reaches the intent"


async def test_sessions_expire_and_are_paid_once(sandbox: Sandbox) -> None:
    """An expired session cannot be paid, a paid one not twice."""
    soon = str(int(START.timestamp()) + 3600)
    data = {"payment_intent_data[metadata][invoice_number]": "9", "client_reference_id": "ref"}
    made = await sandbox.post("checkout/sessions", {"mode": "payment", **PRICE, **data, "expires_at": soon})
    paid = sandbox.people.pay_session(made["id"])
    assert (await sandbox.get(f"payment_intents/{paid['payment_intent']}"))["metadata"] == {"invoice_number": "9"}
    with pytest.raises(ApiError, match="complete"):
        sandbox.people.pay_session(made["id"])
    other = await sandbox.post("checkout/sessions", {"mode": "payment", **PRICE})
    assert (await sandbox.post(f"checkout/sessions/{other['id']}/expire"))["status"] == "expired"
    assert "error" in await sandbox.post(f"checkout/sessions/{other['id']}/expire")


async def test_intents_refuse_what_their_state_forbids(sandbox: Sandbox) -> None:
    """No capture of what was not authorised, no second confirmation, no cancelling of money."""
    intent = sandbox.people.pay(500, "eur")
    for action in ("confirm", "capture", "cancel"):
        answer = await sandbox.post(f"payment_intents/{intent['id']}/{action}")
        assert code(answer)[1] == "payment_intent_unexpected_state"
    held = sandbox.people.authorise(1000, "eur")
    too_much = await sandbox.post(f"payment_intents/{held['id']}/capture", {"amount_to_capture": "1001"})
    assert code(too_much)[2] == "amount_to_capture"
    captured = await sandbox.post(f"payment_intents/{held['id']}/capture", {"amount_to_capture": "600"})
    assert (captured["amount_received"], captured["amount"]) == (600, 1000)
    assert [one["amount"] for one in (await sandbox.get("refunds", payment_intent=held["id"]))["data"]] == [400]
    waiting = await sandbox.post("payment_intents", {"amount": "5", "currency": "eur"})
    changed = await sandbox.post(f"payment_intents/{waiting['id']}", {"amount": "6", "metadata[a]": "b"})
    assert (changed["amount"], changed["metadata"]) == (6, {"a": "b"})
    assert (await sandbox.post(f"payment_intents/{waiting['id']}/cancel"))["status"] == "canceled"


async def test_refunds_never_exceed_the_charge(sandbox: Sandbox) -> None:
    """Too much and twice are refused; a refund that failed may be repeated."""
    intent = sandbox.people.pay(1000, "eur")
    assert "error" in await sandbox.post("refunds", {"payment_intent": intent["id"], "amount": "1001"})
    whole = await sandbox.post("refunds", {"payment_intent": intent["id"]})
    twice = await sandbox.post("refunds", {"payment_intent": intent["id"]})
    assert code(twice)[1] == "charge_already_refunded"
    sandbox.people.refund_fails(whole["id"])
    assert (await sandbox.post("refunds", {"payment_intent": intent["id"]}))["amount"] == 1000
    failed = await sandbox.post("payment_intents", {"amount": "5", "currency": "eur"})
    assert "error" in await sandbox.post("refunds", {"payment_intent": failed["id"]})


async def test_billing_refuses_what_is_not_open(sandbox: Sandbox) -> None:
    """Drafts cannot be paid, closed invoices not changed; each way to close has its status."""
    customer = await sandbox.post("customers", {"email": "a@example.org"})
    draft = await sandbox.post("invoices", {"customer": customer["id"], "due_date": "1790000000"})
    assert "error" in await sandbox.post(f"invoices/{draft['id']}/pay")
    closing = {"void": "void", "mark_uncollectible": "uncollectible", "pay": "paid"}
    for action, status in closing.items():
        invoice = sandbox.people.bill(4200, "eur")
        form = {"paid_out_of_band": "true"} if action == "pay" else {}
        assert (await sandbox.post(f"invoices/{invoice['id']}/{action}", form))["status"] == status
        assert "error" in await sandbox.post(f"invoices/{invoice['id']}/pay")
    assert len((await sandbox.get("invoices", status="void"))["data"]) == 1
    assert code(await sandbox.get("invoice_payments", **{"payment[payment_intent]": "pi_1"}))[2] == "payment[type]"


async def test_rate_limit_and_endpoints(sandbox: Sandbox) -> None:
    """The switch answers 429 to everything; a deleted endpoint gets nothing any more."""
    made = await sandbox.post("webhook_endpoints", {"url": "http://127.0.0.1:1/x", "enabled_events[]": "*"})
    assert made["secret"].startswith("whsec_")
    assert "secret" not in await sandbox.get(f"webhook_endpoints/{made['id']}")
    sandbox.people.pay(5, "eur")
    heard = len(sandbox.state.outbox)
    assert heard == 4
    assert (await sandbox.client.delete(f"/v1/webhook_endpoints/{made['id']}")).json()["deleted"] is True
    sandbox.people.pay(5, "eur")
    assert len(sandbox.state.outbox) == heard
    sandbox.state.rate_limited = True
    assert (await sandbox.client.get("/v1/events")).status_code == 429


def test_forms_with_brackets() -> None:
    """Nested objects, indexed and plain lists, in any depth."""
    text = "a=1&b[c]=2&b[d][e]=%C3%A9&l[0][x]=3&l[1][x]=4&t[]=5&t[]=6&empty="
    expected = {"a": "1", "b": {"c": "2", "d": {"e": "é"}}, "l": [{"x": "3"}, {"x": "4"}], "t": ["5", "6"], "empty": ""}
    assert decode(text) == expected
    for wrong in ("a=1&a[b]=2", "[x]=1", "a[=1"):
        with pytest.raises(ApiError):
            decode(wrong)
