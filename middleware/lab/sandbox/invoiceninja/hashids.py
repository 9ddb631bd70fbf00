"""The ids of Invoice Ninja: hashids (a published algorithm) of the row number, at least ten characters, without a salt.

Row 1 of every table is therefore `VolejRejNm`, as in every recording (docs/facts/invoice-ninja.md section 2).
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

MIN_LENGTH = 10
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890"
_SEPARATORS = "cfhistuCFHISTU"
_LETTERS_PER_SEPARATOR = 3.5
_LETTERS_PER_GUARD = 12
_SEED = 100
"""What the algorithm adds per position when it picks the first letter of a single number."""


def _shuffled(letters: Sequence[str], salt: Sequence[str]) -> list[str]:
    """Shuffle by the salt, the same way each time; an empty salt changes nothing."""
    mixed = list(letters)
    if not salt:
        return mixed
    total = 0
    for step, last in enumerate(range(len(mixed) - 1, 0, -1)):
        code = ord(salt[step % len(salt)])
        total += code
        other = (code + step % len(salt) + total) % last
        mixed[last], mixed[other] = mixed[other], mixed[last]
    return mixed


def _split_alphabet() -> tuple[list[str], list[str]]:
    """Take separators and guards out of the alphabet; only the letters for digits and the guards are needed here."""
    separators = [letter for letter in _SEPARATORS if letter in _ALPHABET]
    letters = [letter for letter in _ALPHABET if letter not in separators]
    missing = -int(-len(letters) // _LETTERS_PER_SEPARATOR) - len(separators)
    if missing > 0:
        letters = letters[missing:]
    guards = -(-len(letters) // _LETTERS_PER_GUARD)
    return letters[guards:], letters[:guards]


_LETTERS, _GUARDS = _split_alphabet()


def _digits(number: int, letters: Sequence[str]) -> list[str]:
    found: list[str] = []
    while True:
        number, rest = divmod(number, len(letters))
        found.insert(0, letters[rest])
        if number == 0:
            return found


@lru_cache(maxsize=65_536)
def encode(number: int) -> str:
    """Give the id of row `number` (1 or more)."""
    hashed = number % _SEED
    first = _LETTERS[hashed % len(_LETTERS)]
    letters = _shuffled(_LETTERS, [first, *_LETTERS][: len(_LETTERS)])
    text = [first, *_digits(number, letters)]
    if len(text) < MIN_LENGTH:
        text.insert(0, _GUARDS[(hashed + ord(text[0])) % len(_GUARDS)])
    if len(text) < MIN_LENGTH:
        text.append(_GUARDS[(hashed + ord(text[2])) % len(_GUARDS)])
    while len(text) < MIN_LENGTH:
        letters = _shuffled(letters, letters)
        half = len(letters) // 2
        text = [*letters[half:], *text, *letters[:half]]
        excess = len(text) - MIN_LENGTH
        if excess > 0:
            text = text[excess // 2 : excess // 2 + MIN_LENGTH]
    return "".join(text)


def portal_key(kind: str, number: int) -> str:
    """Give the key of a link for customers: random in reality, here always the same for the same record."""
    return hashlib.sha256(f"{kind}:{number}".encode()).hexdigest()[:32]
