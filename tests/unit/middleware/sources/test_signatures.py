"""Signatures of Taiga and Stripe, against the official library's verdicts and against each other."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from middleware.sources.signing import (
    MAX_HEADER,
    MAX_V1_ENTRIES,
    SignatureError,
    sign_stripe,
    sign_taiga,
    verify_stripe,
    verify_taiga,
)

RECORDED = json.loads(
    (Path(__file__).parents[3] / "recordings" / "stripe" / "signature_cases.json").read_text("utf-8"),
)
BODIES = {name: zlib.decompress(base64.b64decode(packed)) for name, packed in RECORDED["bodies"].items()}
STRICTER = {
    "future_timestamp_10min": "timestamp_in_future",
    "future_timestamp_1year": "timestamp_in_future",
    "space_in_t_value": "malformed_timestamp",
    "t_plus_sign": "malformed_timestamp",
    "t_underscores": "malformed_timestamp",
    "t_arabic_digits": "malformed_timestamp",
}
NOW = 1_790_000_000
SECRET = "whsec_made_up"
BODY = b'{"id": "evt_1"}'


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_recorded_case_has_the_verdict_of_the_official_library(case: dict[str, Any]) -> None:
    """Every recorded case ends as in the official library, except where we are stricter on purpose."""
    try:
        verify_stripe(BODIES[case["body"]], case["header"], [case["secret"]], case["now"])
        reason = None
    except SignatureError as error:
        reason = error.reason
    if case["name"] in STRICTER:
        assert reason == STRICTER[case["name"]]
    else:
        assert (reason is None) == case["valid"], reason


def test_reason_says_precisely_what_is_wrong() -> None:
    """Missing, unreadable, wrong, old and unconfigured are told apart."""
    cases: list[tuple[str | None, list[str], int, str]] = [
        (None, [SECRET], NOW, "missing_signature"),
        ("", [SECRET], NOW, "missing_signature"),
        ("hello", [SECRET], NOW, "malformed_signature"),
        ("t=1", [SECRET], NOW, "malformed_signature"),
        ("t=now,v1=00", [SECRET], NOW, "malformed_timestamp"),
        (f"t={'9' * 13},v1=00", [SECRET], NOW, "malformed_timestamp"),
        (f"t={NOW},v1=é", [SECRET], NOW, "wrong_signature"),
        (f"t={NOW},v1=\ud800", [SECRET], NOW, "wrong_signature"),
        (sign_stripe(BODY, "other", NOW), [SECRET], NOW, "wrong_signature"),
        (sign_stripe(BODY, SECRET, NOW), [], NOW, "no_secret"),
        (sign_stripe(BODY, "", NOW), ["", " \n"], NOW, "no_secret"),
        (sign_stripe(BODY, SECRET, NOW), [SECRET], NOW + 301, "timestamp_too_old"),
        (sign_stripe(BODY, SECRET, NOW), [SECRET], NOW - 301, "timestamp_in_future"),
    ]
    for header, secrets, now, reason in cases:
        with pytest.raises(SignatureError) as caught:
            verify_stripe(BODY, header, secrets, now)
        assert caught.value.reason == reason, header


def test_oversized_headers_are_refused_before_any_work() -> None:
    """Neither a long header nor very many signatures cost us a comparison."""
    signature = sign_stripe(BODY, SECRET, NOW)
    for header in (signature + "," + "x" * MAX_HEADER, f"{signature}{',v1=00' * MAX_V1_ENTRIES}"):
        with pytest.raises(SignatureError) as caught:
            verify_stripe(BODY, header, [SECRET], NOW)
        assert caught.value.reason == "oversized_signature"


def test_rotation_returns_the_index_of_the_secret_that_matched() -> None:
    """While a secret is rolled both are accepted, and blank entries keep their place."""
    secrets = ["whsec_new", "", "whsec_old"]
    assert verify_stripe(BODY, sign_stripe(BODY, "whsec_new", NOW), secrets, NOW) == 0
    assert verify_stripe(BODY, sign_stripe(BODY, "whsec_old", NOW), secrets, NOW) == 2
    both = f"{sign_stripe(BODY, 'whsec_old', NOW)},{sign_stripe(BODY, 'whsec_new', NOW).split(',')[1]}"
    assert verify_stripe(BODY, both, secrets, NOW) == 0
    assert verify_taiga(BODY, {"X-Hub-Signature": "sha1=" + sign_taiga(BODY, "whsec_old")}, secrets) == 2


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_tolerance_is_inclusive_on_both_sides(age: int) -> None:
    """A time stamp exactly the tolerance away is accepted."""
    assert verify_stripe(BODY, sign_stripe(BODY, SECRET, NOW - age), [SECRET], NOW) == 0


def test_official_library_accepts_what_we_sign() -> None:
    """The sandbox's signatures are Stripe's signatures."""
    official: Any = stripe.WebhookSignature
    assert official.verify_header(BODY.decode(), sign_stripe(BODY, SECRET, NOW), SECRET)
    generated = official.generate_signature_header(BODY.decode(), SECRET, timestamp=NOW)
    assert verify_stripe(BODY, generated, [SECRET], NOW) == 0


@given(st.binary(max_size=40), st.text(max_size=60), st.lists(st.text(max_size=8), max_size=3), st.integers())
def test_no_input_raises_anything_but_a_signature_error(body: bytes, header: str, secrets: list[str], now: int) -> None:
    """Whatever arrives, the answer is an index or a SignatureError."""
    checks: list[Callable[[], int]] = [
        lambda: verify_stripe(body, header, secrets, now),
        lambda: verify_stripe(body, "t=1,v1=" + header, secrets, now),
        lambda: verify_taiga(body, {"x-hub-signature": header}, secrets),
    ]
    for check in checks:
        with pytest.raises(SignatureError):
            check()


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20).filter(str.strip), st.integers(0, 10**11))
def test_what_was_signed_verifies(body: bytes, secret: str, now: int) -> None:
    """Signing and verifying are inverse for every body and every secret that is not blank."""
    assert verify_taiga(body, {"X-Taiga-Webhook-Signature": sign_taiga(body, secret)}, [secret]) == 0
    text = body.decode("utf-8", "ignore").encode()
    assert verify_stripe(text, sign_stripe(text, secret, now), ["x" + secret, secret], now) == 1


def test_taiga_needs_only_one_valid_header() -> None:
    """Taiga sends the same value twice: a proxy may drop or spoil one of the two headers."""
    good = sign_taiga(BODY, "key")
    for headers in (
        {"X-TAIGA-WEBHOOK-SIGNATURE": good},
        {"X-Hub-Signature": f"sha1={good}"},
        {"X-TAIGA-WEBHOOK-SIGNATURE": "spoiled", "x-hub-signature": f"sha1={good}"},
        {"x-taiga-webhook-signature": good, "X-Hub-Signature": "sha256=00"},
    ):
        assert verify_taiga(BODY, headers, ["key"]) == 0


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_signature"),
        ({"X-Other": "1"}, "missing_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": ""}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(BODY, "key").upper()}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(BODY, "key") + "\n"}, "malformed_signature"),
        ({"X-Hub-Signature": sign_taiga(BODY, "key")}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(BODY, "another")}, "wrong_signature"),
    ],
)
def test_taiga_signature_that_is_not_taigas(headers: dict[str, str], reason: str) -> None:
    """Each way to be wrong has its own word."""
    with pytest.raises(SignatureError) as caught:
        verify_taiga(BODY, headers, ["key"])
    assert caught.value.reason == reason


def test_taiga_without_a_secret_is_refused() -> None:
    """An empty key would let anybody sign."""
    with pytest.raises(SignatureError) as caught:
        verify_taiga(BODY, {"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(BODY, "")}, [""])
    assert caught.value.reason == "no_secret"
