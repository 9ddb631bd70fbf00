"""Verifies and makes the signatures of Taiga and Stripe; pure: no clock, no I/O, no JSON.

Only the raw bytes of the body are signed: a re-serialised body never verifies. Every comparison takes constant time
and every secret is tried, so the time taken tells nobody which secret matched.

Sources: docs/facts/taiga.md section 1, docs/facts/stripe.md section 2. We are stricter than Stripe's library on purpose
where it accepts a time stamp in the far future or one that is not plain digits.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

SignatureReason = Literal[
    "missing_signature",
    "malformed_signature",
    "malformed_timestamp",
    "oversized_signature",
    "wrong_signature",
    "timestamp_too_old",
    "timestamp_in_future",
    "body_not_utf8",
    "no_secret",
]

MAX_HEADER: Final = 4096
MAX_V1_ENTRIES: Final = 16
_MAX_TIMESTAMP_DIGITS: Final = 12

_TAIGA_HEADER: Final = "x-taiga-webhook-signature"
_HUB_HEADER: Final = "x-hub-signature"
_HUB_SCHEME: Final = "sha1="
_SHA1_HEX: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)


class SignatureError(Exception):
    """A delivery is not proven to come from its source. `reason` is a stable word for counters and logs."""

    def __init__(self, reason: SignatureReason, message: str) -> None:
        super().__init__(message)
        self.reason: SignatureReason = reason


def sign_taiga(body: bytes, secret: str) -> str:
    """The lower-case hex HMAC-SHA1 that Taiga puts into both of its signature headers."""
    return hmac.digest(_key(secret), body, "sha1").hex()


def sign_stripe(body: bytes, secret: str, now: int) -> str:
    """A whole `Stripe-Signature` header value; `now` in unix seconds."""
    return f"t={now},v1={_stripe_digest(body, secret, now)}"


def verify_taiga(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> int:
    """The index of the secret with which Taiga signed this body.

    Either of X-TAIGA-WEBHOOK-SIGNATURE and X-Hub-Signature (`sha1=...`) suffices. Header names in any case.

    Raises:
        SignatureError: missing_signature, malformed_signature, wrong_signature or no_secret.
    """
    candidates = [candidate for candidate in _taiga_candidates(headers) if _SHA1_HEX.fullmatch(candidate)]
    usable = _usable(secrets)
    expected = ((index, sign_taiga(body, secret)) for index, secret in usable)
    matched = _first_match(expected, candidates)
    if matched is not None:
        return matched
    if candidates:
        raise SignatureError("wrong_signature", "the signature was made with another key, or the body was changed")
    if any(True for _ in _taiga_candidates(headers)):
        raise SignatureError("malformed_signature", "the signature header holds no lower-case SHA-1 hex value")
    raise SignatureError("missing_signature", "the request carries no X-TAIGA-WEBHOOK-SIGNATURE header")


def verify_stripe(body: bytes, header: str | None, secrets: Sequence[str], now: int, tolerance: int = 300) -> int:
    """The index of the secret with which Stripe signed this body.

    The signature is judged before the time: `timestamp_too_old` means that the secret is right. `now` and `tolerance`
    in seconds; a time stamp exactly `tolerance` away is accepted.

    Raises:
        SignatureError: for everything that is not a timely signature by one of the secrets; nothing else is raised.
    """
    timestamp, candidates = _read_stripe_header(header)
    usable = _usable(secrets)
    if not _is_utf8(body):
        raise SignatureError("body_not_utf8", "the body is not UTF-8 text, which Stripe always sends")
    expected = ((index, _stripe_digest(body, secret, timestamp)) for index, secret in usable)
    matched = _first_match(expected, candidates)
    if matched is None:
        raise SignatureError("wrong_signature", "no v1 signature was made with one of our secrets over this body")
    if timestamp < now - tolerance:
        raise SignatureError("timestamp_too_old", f"signed {now - timestamp} s ago, the limit is {tolerance} s")
    if timestamp > now + tolerance:
        raise SignatureError("timestamp_in_future", f"signed {timestamp - now} s in the future: check the clock")
    return matched


def _taiga_candidates(headers: Mapping[str, str]) -> Iterable[str]:
    """What the two headers offer as a signature, unchecked."""
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == _TAIGA_HEADER:
            yield value
        elif lowered == _HUB_HEADER:
            yield value.removeprefix(_HUB_SCHEME) if value.startswith(_HUB_SCHEME) else ""


def _read_stripe_header(header: str | None) -> tuple[int, list[str]]:
    """The time stamp and the v1 signatures of the header, read like the official library does."""
    if not header:
        raise SignatureError("missing_signature", "the request carries no Stripe-Signature header")
    if len(header) > MAX_HEADER:
        raise SignatureError("oversized_signature", f"the Stripe-Signature header is longer than {MAX_HEADER}")
    pairs = [item.split("=", 2) for item in header.split(",")]
    timestamps = [pair[1] for pair in pairs if pair[0] == "t" and len(pair) > 1]
    if not timestamps:
        raise SignatureError("malformed_signature", "the Stripe-Signature header has no time stamp t=")
    signatures = [pair[1] for pair in pairs if pair[0] == "v1" and len(pair) > 1]
    if not signatures:
        raise SignatureError("malformed_signature", "the Stripe-Signature header has no v1= signature")
    if len(signatures) > MAX_V1_ENTRIES:
        raise SignatureError("oversized_signature", f"more than {MAX_V1_ENTRIES} v1 signatures in one header")
    return _timestamp(timestamps[0]), signatures


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_TIMESTAMP_DIGITS):
        raise SignatureError("malformed_timestamp", "the time stamp t= is not plain digits")
    return int(text)


def _usable(secrets: Sequence[str]) -> list[tuple[int, str]]:
    """The secrets that are not blank, with their index: with an empty key anybody could sign."""
    usable = [(index, secret) for index, secret in enumerate(secrets) if secret.strip()]
    if not usable:
        raise SignatureError("no_secret", "no webhook secret is configured for this source")
    return usable


def _first_match(expected: Iterable[tuple[int, str]], candidates: Sequence[str]) -> int | None:
    """The lowest index whose digest is among the candidates; all pairs are compared, whatever matched before."""
    offered = [candidate.encode("utf-8", "surrogatepass") for candidate in candidates]
    matches = [
        index for index, digest in expected for given in offered if hmac.compare_digest(digest.encode("ascii"), given)
    ]
    return min(matches, default=None)


def _stripe_digest(body: bytes, secret: str, timestamp: int) -> str:
    return hmac.digest(_key(secret), b"%d." % timestamp + body, "sha256").hex()


def _key(secret: str) -> bytes:
    """The whole secret as bytes, `whsec_` included; never fails, whatever the environment held."""
    return secret.encode("utf-8", "surrogatepass")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
