"""Passwords as argon2id hashes, and what a password must be."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 200

# OWASP's parameters for least memory (7 MiB, 5 passes, 1 lane): the receiver of webhooks lives in the same process.
_HASHER = PasswordHasher(time_cost=5, memory_cost=7 * 1024, parallelism=1)


class WeakPasswordError(Exception):
    """This password cannot be taken; the message says why."""


def check_strength(password: str, name: str) -> None:
    """Refuse what is guessed at once.

    Raises:
        WeakPasswordError: it is too short or too long, all alike, or the name.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPasswordError(f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}")
    if len(set(password)) < SHORTEST // 2 or password.casefold() in {name.casefold() * 2, name.casefold()}:
        raise WeakPasswordError("this password is guessed at once: take several words that do not belong together")


def hash_password(password: str) -> str:
    """The argon2id hash with its parameters and salt. Takes some 30 ms of a core."""
    return _HASHER.hash(password)


def is_right(password_hash: str, password: str) -> bool:
    """Whether the hash was made of this password. Takes as long as making it."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)
