"""Sealing of stored bodies with rotating keys (`ENCRYPTION_KEYS`): Fernet, AES-128-CBC with HMAC-SHA256.

A sealed value begins with a mark that no JSON begins with, so that plain rows of earlier days are still read. The
newest key seals; every key opens.
"""

import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from middleware.store.encryption import CannotOpenError

MARK = b"\x00fernet:"


class SealingKeyError(ValueError):
    """A key is not valid; the message never shows it."""


class Sealer:
    """Seals and opens; without keys it leaves everything as it is.

    Raises:
        SealingKeyError: a key is not 32 bytes in url-safe base64.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._fingerprints = tuple(hashlib.sha256(key.encode()).hexdigest()[:8] for key in keys)
        fernets = [_fernet(key, number) for number, key in enumerate(keys, start=1)]
        self._newest = fernets[0] if fernets else None
        self._all = MultiFernet(fernets) if fernets else None

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What the keys are called where it may be seen, newest first."""
        return self._fingerprints

    def seal(self, plain: bytes) -> bytes:
        """The value as it is stored; empty ones stay empty."""
        if self._newest is None or not plain:
            return plain
        return MARK + self._newest.encrypt(plain)

    def open(self, stored: bytes) -> bytes:
        """The plain value; one that no key opens comes back as it is stored: it is not lost, only not readable now."""
        if self._all is None or not stored.startswith(MARK):
            return stored
        try:
            return self._all.decrypt(stored[len(MARK) :])
        except InvalidToken:
            return stored

    def resealed(self, stored: bytes) -> bytes | None:
        """The stored value sealed with the newest key; None when it is.

        Raises:
            CannotOpenError: no key opens it.
        """
        if self._newest is None or not stored or (is_sealed(stored) and self._is_newest(stored)):
            return None
        plain = self.open(stored)
        if is_sealed(plain):
            raise CannotOpenError
        return self.seal(plain)

    def _is_newest(self, stored: bytes) -> bool:
        try:
            return self._newest is not None and bool(self._newest.decrypt(stored[len(MARK) :]))
        except InvalidToken:
            return False


def is_sealed(value: bytes) -> bool:
    """Whether the value is sealed (still)."""
    return value.startswith(MARK)


def _fernet(key: str, number: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise SealingKeyError(
            f"key {number} is not valid: it must be 32 bytes in URL-safe base64;"
            " `taiga-billing housekeeping --new-key` makes one"
        ) from error
