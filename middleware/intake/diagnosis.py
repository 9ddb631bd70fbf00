"""Says which mistake made a webhook fail its proof; pure.

A signature covers the raw bytes, so there are few mistakes, and each can be tried: another key, a body that was read
and written again on its way, another digest, another way of writing the signature, a clock that is wrong.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mappings.errors import NotUnderstood
from middleware.intake.body_variants import rewritten
from middleware.sources.base import Delivery, NotJsonError, Source, decode
from middleware.sources.signing import SignatureError

_HEX = re.compile(r"[0-9a-fA-F]{32,128}")
# No time stamp is older or newer than this.
FOR_EVER = 10**12
_DIGESTS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512", "md5": "MD5"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
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
class Case:
    """A delivery whose signature is looked into. `tolerance` in seconds, for sources that sign a time."""

    source: Source
    delivery: Delivery
    tolerance: int = 300


def diagnose(case: Case, secrets: Sequence[str]) -> Diagnosis:
    """Find the mistake; tried in the order of how sure each answer is."""
    try:
        index = case.source.verify(case.delivery, secrets, case.tolerance)
    except SignatureError as error:
        return _explain(case, secrets, error)
    if not _may_sign(case, secrets, index):
        hint = "give the webhook the key that is bound to its project, or bind this one to it: PROJECT:KEY"
        return Diagnosis(
            "key_of_another_project", f"key {index + 1} fits, but is bound to another project", hint, index
        )
    return Diagnosis("ok", f"signed with key {index + 1} of {len(secrets)}", key=index)


def _may_sign(case: Case, secrets: Sequence[str], index: int) -> bool:
    try:
        return case.source.may_sign(secrets, index, decode(case.delivery.body))
    except (NotJsonError, NotUnderstood):
        # Its signature is right, which is what was asked.
        return True


def _explain(case: Case, secrets: Sequence[str], error: SignatureError) -> Diagnosis:
    if error.reason in ("timestamp_too_old", "timestamp_in_future"):
        hint = (
            "set the clock of this machine"
            if error.reason == "timestamp_in_future"
            else (
                f"delivered too late, or replayed: send it again from {case.source.title}, or raise "
                f"{case.source.name.upper()}_TOLERANCE; check the clock"
            )
        )
        return Diagnosis(error.reason, f"the key is right, but {error}", hint)
    for look in (_as_stripped_key, _as_changed_body, _as_other_digest, _as_other_writing):
        if (found := look(case, secrets)) is not None:
            return found
    if error.reason in ("missing_signature", "no_secret"):
        return Diagnosis(error.reason, str(error), case.source.missing_signature)
    if error.reason == "wrong_signature":
        return Diagnosis(
            "wrong_key",
            f"the signature is well made, but by none of our {len(secrets)} keys over this body",
            "compare the key at the sender with the setting; else the body was changed in a way that cannot be undone",
        )
    return Diagnosis(error.reason, str(error), "something between sender and receiver changes the header")


def _fits(case: Case, body: bytes, secrets: Sequence[str]) -> int | None:
    try:
        return case.source.verify(replace(case.delivery, body=body), secrets, FOR_EVER)
    except SignatureError:
        return None


def _as_stripped_key(case: Case, secrets: Sequence[str]) -> Diagnosis | None:
    """A key pasted with blanks, quotes or a line end, here or at the sender."""
    for index, secret in enumerate(secrets):
        bare = secret.strip().strip("'\"")
        for other in {bare, f"{bare}\n", f"{bare} ", f" {bare}", f'"{bare}"', f"'{bare}'", f"{bare}\r\n"} - {secret}:
            if _fits(case, case.delivery.body, [other]) is not None:
                where = "our key" if other == bare else "the key at the sender"
                message = f"key {index + 1} fits, but {where} has blanks, quotes or a line end around it"
                return Diagnosis("blanks_around_key", message, "remove them", index)
    return None


def _as_changed_body(case: Case, secrets: Sequence[str]) -> Diagnosis | None:
    """A body that was parsed and written again, or whose line ends were changed."""
    for how, body in rewritten(case.delivery.body):
        index = _fits(case, body, secrets)
        if index is not None:
            return Diagnosis(
                "body_changed",
                f"key {index + 1} fits the body as it was sent; on its way it was changed: {how}",
                "let the proxy pass the body through unchanged: the signature covers its raw bytes",
                index,
            )
    return None


def _offered(case: Case) -> list[str]:
    """Everything in the signature headers that looks like a digest."""
    values = (case.delivery.headers.get(name, "") for name in case.source.signature_headers)
    return [found for value in values for found in _HEX.findall(value)]


def _as_other_digest(case: Case, secrets: Sequence[str]) -> Diagnosis | None:
    """The right key with another digest, or the digest of something else than the whole message."""
    right = _DIGESTS[case.source.digest]
    hint = f"sign with HMAC {right} over the raw body, as {case.source.title} does"
    offered = [one.lower() for one in _offered(case)]
    for index, secret in enumerate(secrets):
        for how, digest in _other_digests(case, secret.encode("utf-8", "surrogatepass")):
            if digest in offered:
                return Diagnosis("other_digest", f"key {index + 1} fits, but it signed {how} instead", hint, index)
    return None


def _other_digests(case: Case, key: bytes) -> Iterator[tuple[str, str]]:
    source, body = case.source, case.delivery.body
    for name, shown in _DIGESTS.items():
        if name != source.digest:
            yield f"with HMAC {shown}", hmac.new(key, source.signed(case.delivery), name).hexdigest()
        if source.signs_time:
            yield f"with HMAC {shown}, without the time stamp,", hmac.new(key, body, name).hexdigest()
        plain = hashlib.new(name, key + body, usedforsecurity=False).hexdigest()
        yield f"with a plain {shown} of key and body (no HMAC)", plain


def _as_other_writing(case: Case, secrets: Sequence[str]) -> Diagnosis | None:
    """The right signature, written otherwise: upper case, with a prefix, in the wrong header."""
    offered = _offered(case)
    for index, secret in enumerate(secrets):
        key = secret.encode("utf-8", "surrogatepass")
        digest = hmac.new(key, case.source.signed(case.delivery), case.source.digest).hexdigest()
        for one in offered:
            if one.lower() != digest:
                continue
            how = "in upper case" if one != digest else "with a prefix or in a header where it is not expected"
            message = f"key {index + 1} fits and the signature is right, but written {how}"
            return Diagnosis("other_writing", message, case.source.expected_signature, index)
    return None
