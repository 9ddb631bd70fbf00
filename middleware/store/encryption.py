"""Where stored bodies are sealed and opened: at the edge of the store, for all of this process.

Opening is done by the connections (`store.database`): whatever column holds a sealed value, it arrives open.
Whatever writes a body seals it. Without keys none of this costs anything.
"""

from collections.abc import Sequence
from typing import Protocol

import asyncpg


class Edge(Protocol):
    """What seals and opens; `middleware.store.sealing.Sealer`."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """What the keys are called where it may be seen, newest first."""
        ...

    def seal(self, plain: bytes) -> bytes:
        """The value as it is stored."""
        ...

    def open(self, stored: bytes) -> bytes:
        """The plain value."""
        ...

    def resealed(self, stored: bytes) -> bytes | None:
        """The stored value under the newest key; None when nothing is to be done.

        Raises:
            CannotOpenError: no key opens it.
        """
        ...


class CannotOpenError(Exception):
    """A sealed value that no configured key opens."""


class _InUse:
    """The edge of this process, once it has keys."""

    edge: Edge | None = None


def use_keys(keys: Sequence[str]) -> None:
    """Seal and open with these keys from now on (newest first); none: leave everything plain.

    Connections that are open already go on as they are: call it at the start.

    Raises:
        SealingKeyError: a key is not valid.
    """
    if not keys:
        _InUse.edge = None
        return
    from middleware.store.sealing import Sealer  # noqa: PLC0415 - who does not seal does not pay for the library

    _InUse.edge = Sealer(keys)


def edge_in_use() -> Edge | None:
    """What seals in this process."""
    return _InUse.edge


def sealed(plain: bytes) -> bytes:
    """A body as it is stored."""
    return plain if _InUse.edge is None else _InUse.edge.seal(plain)


async def open_on_arrival(connection: asyncpg.Connection) -> None:
    """Let a connection give sealed values open."""
    edge = _InUse.edge
    if edge is None:
        return
    await connection.set_type_codec(
        "bytea", encoder=bytes, decoder=lambda data: edge.open(bytes(data)), schema="pg_catalog", format="binary"
    )


class MissingKeyError(Exception):
    """Bodies are sealed with a key that is not configured."""


async def check_keys(connection: asyncpg.Connection) -> None:
    """Compare the keys of this process with those that were sealed with, and write down the one that will.

    Raises:
        MissingKeyError: without the missing keys events could not be read.
    """
    ours = _InUse.edge.fingerprints if _InUse.edge is not None else ()
    known = {row["fingerprint"] for row in await connection.fetch("SELECT fingerprint FROM sealing_keys")}
    missing = sorted(known - set(ours))
    if missing:
        raise MissingKeyError(
            f"stored bodies are sealed with the key {', '.join(missing)} (the first 8 hex digits of its SHA-256), which"
            " ENCRYPTION_KEYS does not name: add it again after the newest key, and remove it only once"
            " `taiga-billing housekeeping` reports it as no longer used"
        )
    if ours:
        await connection.execute("INSERT INTO sealing_keys (fingerprint) VALUES ($1) ON CONFLICT DO NOTHING", ours[0])
