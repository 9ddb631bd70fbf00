"""The client of Stripe: what is sent, how lists are read, and what every refusal means."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from handlers.errors import Doubtful, NotFound, Refused, Rejected, RemoteError, ServerError, Throttled, Unreachable
from middleware.clients.http.calls import recorded_calls
from middleware.clients.stripe.client import STRIPE_VERSION, Stripe, connect_stripe, form
from middleware.lab.sandbox.stripe import StripePeople, StripeState, create_app

Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer | httpx.Response) -> Stripe:
    """A client whose requests are answered by a function, or always alike."""
    given = answer if callable(answer) else lambda _request: answer
    return connect_stripe("https://stripe.test", "sk_test_1", httpx.MockTransport(given))


def error(status: int, headers: dict[str, str] | None = None, **details: Any) -> httpx.Response:
    """An error of Stripe."""
    body = {"error": {"type": "invalid_request_error", "message": "No.", **details}}
    return httpx.Response(status, json=body, headers=headers)


class TestForm:
    """Bracket notation."""

    def test_nested_fields(self) -> None:
        """Objects, lists, lists of objects and truth values."""
        fields = {
            "amount": 5,
            "metadata": {"a b": "ü&", "n": 1},
            "expand": ["x", "y"],
            "line_items": [{"price_data": {"currency": "eur"}, "quantity": 1}],
            "active": False,
            "on": True,
            "rate": Decimal("1.50"),
        }
        assert form(fields) == (
            "amount=5&metadata%5Ba+b%5D=%C3%BC%26&metadata%5Bn%5D=1&expand%5B%5D=x&expand%5B%5D=y"
            "&line_items%5B0%5D%5Bprice_data%5D%5Bcurrency%5D=eur&line_items%5B0%5D%5Bquantity%5D=1"
            "&active=false&on=true&rate=1.50"
        )

    @pytest.mark.parametrize("value", [1.5, None, b"x"])
    def test_floats_are_never_sent(self, value: Any) -> None:
        """Amounts are integers of the minor unit."""
        with pytest.raises(TypeError, match="amount"):
            form({"amount": value})


class TestRequests:
    """What is sent."""

    async def test_key_version_and_expansion(self) -> None:
        """The key as bearer, the pinned version, the expansion in the query."""
        seen: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={"id": "pi_1", "object": "payment_intent"})

        await client(answer).payment_intent("pi_1")
        (request,) = seen
        assert request.headers["authorization"] == "Bearer sk_test_1"
        assert request.headers["stripe-version"] == STRIPE_VERSION
        assert request.url.path == "/v1/payment_intents/pi_1"
        assert dict(request.url.params) == {"expand[]": "latest_charge.balance_transaction"}

    async def test_post_is_a_form_with_an_idempotency_key(self) -> None:
        """The key makes a repetition harmless."""
        seen: list[httpx.Request] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={"id": "plink_1"})

        made = await client(answer).post("/v1/payment_links", {"metadata": {"a": "1"}}, idempotency_key="k1")
        assert made == {"id": "plink_1"}
        assert seen[0].headers["idempotency-key"] == "k1"
        assert seen[0].headers["content-type"] == "application/x-www-form-urlencoded"
        assert seen[0].content == b"metadata%5Ba%5D=1"

    async def test_calls_are_recorded_without_the_key(self) -> None:
        """The timeline shows the request, never the key."""
        with recorded_calls() as calls:
            await client(httpx.Response(200, json={"id": "ch_1"})).charge("ch_1")
        assert (calls[0].system, calls[0].method, calls[0].status) == ("stripe", "GET", 200)
        assert "sk_test" not in repr(calls)

    @pytest.mark.parametrize("base", ["ftp://stripe.test", "https://", "no address", "http://\x00"])
    def test_wrong_address_is_named(self, base: str) -> None:
        """The message names the setting."""
        with pytest.raises(ValueError, match="STRIPE_API_BASE"):
            connect_stripe(base, "sk_test_1")

    @pytest.mark.parametrize("key", ["", " ", "sk test", "sk_té"])
    def test_wrong_key_is_named(self, key: str) -> None:
        """The message names the setting, never the key."""
        with pytest.raises(ValueError, match="STRIPE_API_KEY"):
            connect_stripe("https://stripe.test", key)

    async def test_address_may_end_in_v1(self) -> None:
        """As people copy it from the documentation."""
        seen: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(str(request.url.path))
            return httpx.Response(200, json={})

        stripe = connect_stripe("https://stripe.test/v1/", "sk_test_1", httpx.MockTransport(answer))
        await stripe.get("/v1/charges/ch_1")
        await stripe.aclose()
        assert seen == ["/v1/charges/ch_1"]


class TestLists:
    """Cursors, no totals."""

    async def test_all_pages_are_read(self) -> None:
        """Each page begins behind the last object of the one before."""
        pages = {
            None: {"data": [{"id": "re_1"}, {"id": "re_2"}], "has_more": True},
            "re_2": {"data": [{"id": "re_3"}], "has_more": False},
        }

        def answer(request: httpx.Request) -> httpx.Response:
            assert request.url.params["payment_intent"] == "pi_1"
            assert request.url.params["limit"] == "100"
            return httpx.Response(200, json=pages[request.url.params.get("starting_after")])

        stripe = client(answer)
        assert [row["id"] async for row in stripe.refunds(payment_intent="pi_1")] == ["re_1", "re_2", "re_3"]

    async def test_time_windows_and_links(self) -> None:
        """`created[gte]`, and invoice payments by one of two names."""
        seen: list[dict[str, str]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append({key: value for key, value in request.url.params.items() if key != "limit"})
            return httpx.Response(200, json={"data": [], "has_more": False})

        stripe = client(answer)
        for pages in (
            stripe.payment_intents(created={"gte": 5}),
            stripe.disputes(charge="ch_1"),
            stripe.sessions(payment_intent="pi_1"),
            stripe.invoice_payments(invoice="in_1"),
            stripe.invoice_payments(payment_intent="pi_1"),
        ):
            assert [row async for row in pages] == []
        assert seen == [
            {"created[gte]": "5"},
            {"charge": "ch_1"},
            {"payment_intent": "pi_1"},
            {"invoice": "in_1"},
            {"payment[type]": "payment_intent", "payment[payment_intent]": "pi_1"},
        ]

    @pytest.mark.parametrize("body", [{"data": "x"}, {"data": ["x"]}, {}])
    async def test_list_of_another_shape_is_doubtful(self, body: Any) -> None:
        """A proxy's answer is not a list."""
        with pytest.raises(Doubtful, match="STRIPE_API_BASE"):
            _ = [row async for row in client(httpx.Response(200, json=body)).refunds()]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401), Refused),
        (error(403), Refused),
        (error(404, code="resource_missing"), NotFound),
        (error(404, message="No such charge: 'ch_1'"), NotFound),
        (error(404, message="Unrecognized request URL (GET: /v2)."), Doubtful),
        (error(400, code="resource_missing", param="payment_intent"), NotFound),
        (error(400, type="idempotency_error"), Rejected),
        (error(402, type="card_error", code="card_declined"), Rejected),
        (error(424), Rejected),
        (error(409), Throttled),
        (error(429, code="lock_timeout"), Throttled),
        (error(429, code="rate_limit"), Throttled),
        (error(400, {"stripe-should-retry": "true"}), Throttled),
        (error(409, {"stripe-should-retry": "false"}), Rejected),
        (error(500), ServerError),
        (error(503, {"stripe-should-retry": "false"}), ServerError),
        (httpx.Response(200, text="<html>"), Doubtful),
        (httpx.Response(200, json=[]), Doubtful),
        (httpx.Response(400, text="<html>"), Doubtful),
    ],
)
async def test_every_refusal_has_its_meaning(answer: httpx.Response, kind: type[RemoteError]) -> None:
    """The classes alone decide whether it is tried again."""
    with pytest.raises(RemoteError) as caught:
        await client(answer).charge("ch_1")
    assert type(caught.value) is kind
    assert caught.value.system == "stripe"


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (error(429, code="rate_limit"), 5.0),
        (error(429, {"retry-after": "17"}, code="rate_limit"), 17.0),
        (error(429, code="lock_timeout"), 2.0),
        (error(409), 2.0),
        (httpx.Response(429, text="slow down"), 5.0),
    ],
)
async def test_waits_as_long_as_is_asked(answer: httpx.Response, seconds: float) -> None:
    """Short when somebody else holds the object, longer when we asked too much."""
    with pytest.raises(Throttled) as caught:
        await client(answer).charge("ch_1")
    assert caught.value.retry_after == seconds


async def test_words_of_a_refusal_are_there_to_decide_by() -> None:
    """Type, code and parameter are names in the error."""
    with pytest.raises(Rejected) as caught:
        await client(error(400, code="parameter_unknown", param="colour")).charge("ch_1")
    assert caught.value.names("parameter_unknown")
    assert caught.value.names("colour")
    assert caught.value.message == "No."


async def test_no_connection_is_unreachable() -> None:
    """Nothing was carried out."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unreachable):
        await client(refuse).charge("ch_1")


async def test_sandbox_is_read_like_stripe() -> None:
    """Intent with charge and fee, refunds, invoice and its payments."""
    state = StripeState()
    state.hold = True
    people = StripePeople(state)
    stripe = connect_stripe("http://stripe.test", "sk_test_1", httpx.ASGITransport(create_app(state)))
    intent = people.pay(12345, "eur")
    people.refund(intent["id"], 345)
    read = await stripe.payment_intent(intent["id"])
    assert read["latest_charge"]["balance_transaction"]["fee"] > 0
    assert (await stripe.charge(read["latest_charge"]["id"]))["amount_refunded"] == 345
    assert [one["amount"] async for one in stripe.refunds(payment_intent=intent["id"])] == [345]
    invoice = people.bill(9900, "eur")
    people.invoice_paid(invoice["id"])
    assert (await stripe.invoice(invoice["id"]))["status"] == "paid"
    (link,) = [one async for one in stripe.invoice_payments(invoice=invoice["id"])]
    linked = link["payment"]["payment_intent"]
    assert [one["id"] async for one in stripe.invoice_payments(payment_intent=linked)] == [link["id"]]
    await stripe.aclose()
