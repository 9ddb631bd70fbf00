"""Every mistake that can make a webhook fail its proof is told by name, with the key that fits."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.intake.body_variants import rewritten
from middleware.intake.diagnosis import Case, Diagnosis, diagnose
from middleware.sources.base import Delivery
from middleware.sources.signing import sign_stripe, sign_taiga
from middleware.sources.table import SOURCES

NOW = 1_800_000_000
KEYS = ("new-key", "old-key")
BODY = json.dumps(
    {"type": "task", "data": {"subject": "Größe 🚀 a/b", "hours": 4.50, "id": 7}, "by": None}, ensure_ascii=False
).encode()


def _examined(source: str, body: bytes, headers: dict[str, str], keys: Sequence[str] = KEYS) -> Diagnosis:
    lowered = {name.lower(): value for name, value in headers.items()}
    return diagnose(Case(SOURCES[source], Delivery(body, lowered, datetime.fromtimestamp(NOW, UTC))), keys)


def _taiga(body: bytes, signature: str, name: str = "X-TAIGA-WEBHOOK-SIGNATURE") -> Diagnosis:
    return _examined("taiga", body, {name: signature})


def _stripe(body: bytes, header: str) -> Diagnosis:
    return _examined("stripe", body, {"Stripe-Signature": header})


@pytest.mark.parametrize("index", [0, 1])
def test_right(index: int) -> None:
    """Which key it was, for both sources."""
    for finding in (_taiga(BODY, sign_taiga(BODY, KEYS[index])), _stripe(BODY, sign_stripe(BODY, KEYS[index], NOW))):
        assert (finding.kind, finding.key, finding.is_good) == ("ok", index, True)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "compact": lambda body: json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode(),
    "ascii": lambda body: json.dumps(json.loads(body)).encode(),
    "ascii and compact": lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
    "indented": lambda body: json.dumps(json.loads(body), indent=2).encode(),
    "line end": lambda body: body + b"\n",
    "CRLF": lambda body: body + b"\r\n",
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "slashes": lambda body: body.replace(b"/", b"\\/"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_body_that_was_written_again(change: str) -> None:
    """What a proxy made of it is undone, and the key still fits."""
    changed = CHANGES[change](BODY)
    assert changed != BODY
    for finding in (
        _taiga(changed, sign_taiga(BODY, KEYS[1])),
        _stripe(changed, sign_stripe(BODY, KEYS[1], NOW - 9999)),
    ):
        assert (finding.kind, finding.key) == ("body_changed", 1)


def test_numbers_are_left_as_they_are() -> None:
    """Rewriting keeps every digit: 4.50 stays 4.50."""
    body = b'{"b":1e5,"a":[4.50,-0,12345678901234567890.10],"n":null,"t":true}'
    texts = [text for _, text in rewritten(body)]
    assert b'{"b": 1e5, "a": [4.50, -0, 12345678901234567890.10], "n": null, "t": true}' in texts
    assert b'{"a":[4.50,-0,12345678901234567890.10],"b":1e5,"n":null,"t":true}' in texts


@pytest.mark.parametrize("digest", ["sha256", "sha512", "md5"])
def test_another_digest_for_taiga(digest: str) -> None:
    """The right key with SHA-256 instead of SHA-1, also as sha256=... in the hub header."""
    signature = hmac.new(KEYS[0].encode(), BODY, digest).hexdigest()
    for finding in (_taiga(BODY, signature), _taiga(BODY, f"{digest}={signature}", "X-Hub-Signature-256")):
        assert (finding.kind, finding.key) == ("other_digest", 0)
        assert "instead" in finding.message


def test_another_digest_for_stripe() -> None:
    """SHA-1, or the time stamp left out, or no HMAC at all."""
    plain = hashlib.sha256(KEYS[0].encode() + BODY).hexdigest()
    for signature in (
        hmac.new(KEYS[0].encode(), f"{NOW}.".encode() + BODY, "sha1").hexdigest(),
        hmac.new(KEYS[0].encode(), BODY, "sha256").hexdigest(),
        plain,
    ):
        finding = _stripe(BODY, f"t={NOW},v1={signature}")
        assert (finding.kind, finding.key) == ("other_digest", 0)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("X-TAIGA-WEBHOOK-SIGNATURE", "{upper}"),
        ("X-TAIGA-WEBHOOK-SIGNATURE", "sha1={lower}"),
        ("X-Hub-Signature", "{lower}"),
        ("X-Hub-Signature", "sha256={lower}"),
    ],
)
def test_another_way_of_writing(name: str, form: str) -> None:
    """Upper case, a prefix too many or too few."""
    signature = sign_taiga(BODY, KEYS[0])
    finding = _taiga(BODY, form.format(upper=signature.upper(), lower=signature), name)
    assert (finding.kind, finding.key) == ("other_writing", 0)


@pytest.mark.parametrize(("age", "kind"), [(400, "timestamp_too_old"), (-400, "timestamp_in_future")])
def test_times(age: int, kind: str) -> None:
    """The key is right, the clock is not, and the message says by how much."""
    finding = _stripe(BODY, sign_stripe(BODY, KEYS[0], NOW - age))
    assert (finding.kind, "400 s" in finding.message) == (kind, True)


@pytest.mark.parametrize("made_with", ["new-key\n", " new-key", '"new-key"', "new-key\r\n"])
def test_blanks_around_a_key(made_with: str) -> None:
    """A key pasted with a line end or quotes, here or there."""
    assert _taiga(BODY, sign_taiga(BODY, made_with)).kind == "blanks_around_key"
    ours = _examined("taiga", BODY, {"X-Hub-Signature": f"sha1={sign_taiga(BODY, 'new-key')}"}, [made_with])
    assert (ours.kind, "our key" in ours.message) == ("blanks_around_key", True)


def test_a_wrong_key_and_missing_headers() -> None:
    """What no guess explains is a wrong key; a missing header is told as that."""
    assert _taiga(BODY, sign_taiga(BODY, "another")).kind == "wrong_key"
    assert _stripe(BODY, sign_stripe(BODY, "another", NOW)).kind == "wrong_key"
    assert _taiga(BODY, "no digest at all").kind == "malformed_signature"
    assert _examined("taiga", BODY, {}).kind == "missing_signature"
    assert _examined("stripe", BODY, {}).kind == "missing_signature"


@given(st.binary(max_size=200), st.text(max_size=120), st.sampled_from(["taiga", "stripe"]))
def test_nothing_breaks_it(body: bytes, header: str, source: str) -> None:
    """Whatever arrives, there is an answer, and it is not good."""
    name = "X-TAIGA-WEBHOOK-SIGNATURE" if source == "taiga" else "Stripe-Signature"
    assert not _examined(source, body, {name: header}).is_good


def test_a_key_that_is_bound() -> None:
    """A right signature with the key of another project is told as that; without a project nothing is said."""
    keys = ("17:bound", "other")
    mine, theirs = (json.dumps({"type": "task", "data": {"project": {"id": one}}}).encode() for one in (17, 18))
    header = "X-TAIGA-WEBHOOK-SIGNATURE"
    assert _examined("taiga", mine, {header: sign_taiga(mine, "bound")}, keys).is_good
    assert _examined("taiga", theirs, {header: sign_taiga(theirs, "bound")}, keys).kind == "key_of_another_project"
    assert _examined("taiga", theirs, {header: sign_taiga(theirs, "other")}, keys).is_good
    assert _examined("taiga", b"[]", {header: sign_taiga(b"[]", "bound")}, keys).is_good
