"""Sealed bodies: only with a key they are open, keys rotate, plain rows of earlier days still read."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from middleware.store import encryption as sealed
from middleware.store.encryption import CannotOpenError
from middleware.store.sealing import MARK, Sealer, SealingKeyError, is_sealed

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@given(st.binary(min_size=1))
def test_round_trip(body: bytes) -> None:
    """What was sealed comes back, and does not show what it was."""
    sealer = Sealer([NEW])
    stored = sealer.seal(body)
    assert is_sealed(stored)
    assert body not in stored[len(MARK) :] or len(body) < 4
    assert sealer.open(stored) == body


def test_rotation() -> None:
    """The newest key seals, every key opens; sealing anew makes the old one superfluous."""
    stored = Sealer([OLD]).seal(b"body")
    both = Sealer([NEW, OLD])
    assert both.open(stored) == b"body"
    again = both.resealed(stored)
    assert again is not None
    assert both.resealed(again) is None
    assert Sealer([NEW]).open(again) == b"body"
    assert both.fingerprints == (Sealer([NEW]).fingerprints[0], Sealer([OLD]).fingerprints[0])


def test_plain_and_empty() -> None:
    """A plain row reads as it is and is sealed by the next round; an empty body stays empty."""
    sealer = Sealer([NEW])
    assert sealer.open(b'{"a":1}') == b'{"a":1}'
    again = sealer.resealed(b'{"a":1}')
    assert again is not None
    assert sealer.open(again) == b'{"a":1}'
    assert (sealer.seal(b""), sealer.resealed(b"")) == (b"", None)


def test_without_its_key() -> None:
    """A body of an unknown key comes back sealed, is not lost, and is not sealed a second time."""
    stored = Sealer([OTHER]).seal(b"body")
    assert Sealer([NEW]).open(stored) == stored
    assert Sealer().open(stored) == stored
    with pytest.raises(CannotOpenError):
        Sealer([NEW]).resealed(stored)
    assert Sealer([NEW]).open(stored[:-3] + b"xxx") == stored[:-3] + b"xxx"


@pytest.mark.parametrize("key", ["", "short", "x" * 44, "ä" * 44])
def test_keys_that_are_none(key: str) -> None:
    """The message says which one, and never shows it."""
    with pytest.raises(SealingKeyError, match="key 2 is not valid") as error:
        Sealer([NEW, key])
    assert not key or key not in str(error.value)


def test_without_keys_nothing_changes() -> None:
    """The edge of the store is off by default."""
    sealed.use_keys([])
    assert sealed.edge_in_use() is None
    assert sealed.sealed(b"body") == b"body"
