"""Passwords as argon2id hashes, and what a password must be."""

import re
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 200
LEAST_OF_ITS_OWN = 5
"""Letters that must be left of a password without what everybody tries first."""

SHORTEST_WORD, SHORTEST_ROW = 3, 4
ROWS = (
    *("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm"),
    *("yxcvbnm", "1qaz2wsx3edc4rfv", "q1w2e3r4t5y6"),
)
COMMON = frozenset(
    """
    password passwort passw pass word secret geheim admin administrator root user test guest login welcome letmein
    willkommen changeme changeit change default master monkey dragon football baseball soccer basketball superman batman
    sunshine princess shadow michael jordan charlie daniel jessica ashley iloveyou love hello hallo freedom whatever
    trustno computer internet google samsung apple microsoft starwars pokemon liverpool chelsea arsenal summer winter
    spring autumn sommer monday friday january december flower cookie chocolate cheese orange banana purple access money
    killer mustang corvette ferrari porsche mercedes hunter ranger tigger thomas george robert andrew matthew nicole
    anthony william joshua jennifer taiga billing invoice ninja stripe qwert asdf
    """.split()  # noqa: SIM905 - one a line would hide the rest of this file
)
_ROW_PARTS = tuple(
    part[start : start + length]
    for length in range(max(map(len, ROWS)), SHORTEST_ROW - 1, -1)
    for row in ROWS
    for part in (row, row[::-1])
    for start in range(len(row) - length + 1)
)
_MEANT = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s"})

# OWASP's parameters for least memory (7 MiB, 5 passes, 1 lane): the receiver of webhooks lives in the same process.
_HASHER = PasswordHasher(time_cost=5, memory_cost=7 * 1024, parallelism=1)


class WeakPasswordError(Exception):
    """This password cannot be taken; the message says why."""


def check_strength(password: str, name: str) -> None:
    """Refuse what is guessed at once.

    Raises:
        WeakPasswordError: it is too short or too long, or nothing but what everybody tries first.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise WeakPasswordError(
            f"a password must have {SHORTEST} to {LONGEST} characters; this one has {len(password)}"
        )
    if len(set(password)) < SHORTEST // 2 or len(_own_part(password, name)) < LEAST_OF_ITS_OWN:
        raise WeakPasswordError("this password is easy to guess: use several unrelated words")


def _own_part(password: str, name: str) -> str:
    """The letters that are left without rows of keys, the name, the words that everybody takes, and repetitions."""
    left = _without(password.casefold(), _ROW_PARTS).translate(_MEANT)
    words = {name.casefold(), *re.split(r"[._@-]", name.casefold()), *COMMON}
    left = _without(left, sorted((word for word in words if len(word) >= SHORTEST_WORD), key=len, reverse=True))
    return re.sub(r"[\W\d_]", "", re.sub(r"(.{1,4})\1+", r"\1", left))


def _without(text: str, parts: Iterable[str]) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text


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
