"""Says which mistake made a webhook fail its proof; pure.

A signature covers the raw bytes, so there are few mistakes, and each can be tried: another key, a body that was read
and written again on its way, another digest, another way of writing the signature, a clock that is wrong.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from middleware.intake.body_variants import rewritten
from middleware.sources.signing import SignatureError, verify_stripe, verify_taiga

Verify = Callable[[bytes, Mapping[str, str], Sequence[str]], int]

_HEX = re.compile(r"[0-9a-fA-F]{32,128}")
_STRIPE_TIME = re.compile(r"t=(\d{1,12})")
# No time stamp is older or newer than this.
FOR_EVER = 10**12


@dataclass(frozen=True, slots=True)
class Finding:
    """What is the matter. `kind` is a stable word, `key` the index of the key that fits, if one does."""

    kind: str
    message: str
    hint: str = ""
    key: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether the request would be accepted."""
        return self.kind == "ok"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent; header names in any case. `now` and `tolerance` in seconds, for Stripe."""

    source: str
    body: bytes
    headers: Mapping[str, str]
    now: int
    tolerance: int = 300


def examine(request: Request, secrets: Sequence[str]) -> Finding:
    """Find the mistake; tried in the order of how sure each answer is."""
    try:
        index = _verify(request, request.body, secrets)
    except SignatureError as error:
        return _explain(request, secrets, error)
    return Finding("ok", f"signed with key {index + 1} of {len(secrets)}", key=index)


def _verify(request: Request, body: bytes, secrets: Sequence[str], tolerance: int | None = None) -> int:
    lowered = {name.lower(): value for name, value in request.headers.items()}
    if request.source == "taiga":
        return verify_taiga(body, lowered, secrets)
    allowed = request.tolerance if tolerance is None else tolerance
    return verify_stripe(body, lowered.get("stripe-signature"), secrets, request.now, allowed)


def _explain(request: Request, secrets: Sequence[str], error: SignatureError) -> Finding:
    if error.reason in ("timestamp_too_old", "timestamp_in_future"):
        hint = (
            "set the clock of this machine"
            if error.reason == "timestamp_in_future"
            else (
                "delivered too late, or replayed: send it again from Stripe, or raise STRIPE_TOLERANCE; check the clock"
            )
        )
        return Finding(error.reason, f"the key is right, but {error}", hint)
    for look in (_as_stripped_key, _as_changed_body, _as_other_digest, _as_other_writing):
        if (found := look(request, secrets)) is not None:
            return found
    if error.reason in ("missing_signature", "no_secret"):
        return Finding(error.reason, str(error), _MISSING_HINTS[request.source])
    if error.reason == "wrong_signature":
        return Finding(
            "wrong_key",
            f"the signature is well made, but by none of our {len(secrets)} keys over this body",
            "compare the key at the sender with the setting; else the body was changed in a way that cannot be undone",
        )
    return Finding(error.reason, str(error), "something between sender and receiver changes the header")


_MISSING_HINTS = {
    "taiga": "give the webhook a key in Taiga, and let the proxy pass X-TAIGA-WEBHOOK-SIGNATURE",
    "stripe": "let the proxy pass Stripe-Signature",
}


def _fits(request: Request, body: bytes, secrets: Sequence[str]) -> int | None:
    try:
        return _verify(request, body, secrets, FOR_EVER)
    except SignatureError:
        return None


def _as_stripped_key(request: Request, secrets: Sequence[str]) -> Finding | None:
    """A key pasted with blanks, quotes or a line end, here or at the sender."""
    for index, secret in enumerate(secrets):
        bare = secret.strip().strip("'\"")
        for other in {bare, f"{bare}\n", f"{bare} ", f" {bare}", f'"{bare}"', f"'{bare}'", f"{bare}\r\n"} - {secret}:
            if _fits(request, request.body, [other]) is not None:
                where = "our key" if other == bare else "the key at the sender"
                message = f"key {index + 1} fits, but {where} has blanks, quotes or a line end around it"
                return Finding("blanks_around_key", message, "remove them", index)
    return None


def _as_changed_body(request: Request, secrets: Sequence[str]) -> Finding | None:
    """A body that was parsed and written again, or whose line ends were changed."""
    for how, body in rewritten(request.body):
        index = _fits(request, body, secrets)
        if index is not None:
            return Finding(
                "body_changed",
                f"key {index + 1} fits the body as it was sent; on its way it was changed: {how}",
                "let the proxy pass the body through unchanged: the signature covers its raw bytes",
                index,
            )
    return None


def _offered(request: Request) -> list[str]:
    """Everything in the signature headers that looks like a digest."""
    names = ("x-taiga-webhook-signature", "x-hub-signature", "x-hub-signature-256", "stripe-signature")
    return [found for name, value in request.headers.items() if name.lower() in names for found in _HEX.findall(value)]


def _signed_bytes(request: Request) -> bytes:
    if request.source == "taiga":
        return request.body
    header = next((value for name, value in request.headers.items() if name.lower() == "stripe-signature"), "")
    time = _STRIPE_TIME.search(header)
    return (f"{time[1]}." if time else "").encode() + request.body


def _as_other_digest(request: Request, secrets: Sequence[str]) -> Finding | None:
    """The right key with another digest, or the digest of something else than the whole message."""
    right = "SHA-1" if request.source == "taiga" else "SHA-256"
    hint = f"sign with HMAC {right} over the raw body, as {request.source.title()} does"
    offered = [one.lower() for one in _offered(request)]
    for index, secret in enumerate(secrets):
        for how, digest in _other_digests(request, secret.encode("utf-8", "surrogatepass"), right):
            if digest in offered:
                return Finding("other_digest", f"key {index + 1} fits, but it signed {how} instead", hint, index)
    return None


def _other_digests(request: Request, key: bytes, right: str) -> Iterator[tuple[str, str]]:
    for name, shown in (("sha1", "SHA-1"), ("sha256", "SHA-256"), ("sha512", "SHA-512"), ("md5", "MD5")):
        if shown != right:
            yield f"with HMAC {shown}", hmac.new(key, _signed_bytes(request), name).hexdigest()
        if request.source == "stripe":
            yield f"with HMAC {shown}, without the time stamp,", hmac.new(key, request.body, name).hexdigest()
        plain = hashlib.new(name, key + request.body, usedforsecurity=False).hexdigest()
        yield f"with a plain {shown} of key and body (no HMAC)", plain


def _as_other_writing(request: Request, secrets: Sequence[str]) -> Finding | None:
    """The right signature, written otherwise: upper case, with a prefix, in the wrong header."""
    right = "sha1" if request.source == "taiga" else "sha256"
    offered = _offered(request)
    for index, secret in enumerate(secrets):
        digest = hmac.new(secret.encode("utf-8", "surrogatepass"), _signed_bytes(request), right).hexdigest()
        for one in offered:
            if one.lower() != digest:
                continue
            how = "in upper case" if one != digest else "with a prefix or in a header where it is not expected"
            told = f"key {index + 1} fits and the signature is right, but written {how}"
            return Finding("other_writing", told, _WRITINGS[request.source], index)
    return None


_WRITINGS = {
    "taiga": "send 40 lower-case hex digits in X-TAIGA-WEBHOOK-SIGNATURE (or sha1=... in X-Hub-Signature)",
    "stripe": "send t=<unix seconds>,v1=<64 lower-case hex digits> in Stripe-Signature",
}
