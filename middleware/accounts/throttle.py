"""How many wrong passwords are too many, pure."""

from datetime import timedelta

from middleware.store.operations.users import Failures

WINDOW = timedelta(minutes=15)
OF_NAME = 5
"""Wrong passwords for one name from one address: a person who mistypes has a few tries."""
OF_ADDRESS = 30
"""Wrong passwords for all names from one address: somebody who tries names does not get far."""


OF_NAME_ANYWHERE = 25
"""Wrong passwords for one name from all addresses: a hundred an hour, and nobody guesses a password in their life."""


def is_too_many(failures: Failures) -> bool:
    """Whether nobody at this address is let in under this name for now, not even with the right password.

    Counted by address, so that nobody can lock a person out from elsewhere.
    """
    return failures.of_name >= OF_NAME or failures.of_address >= OF_ADDRESS


def is_under_attack(failures: Failures) -> bool:
    """Whether somebody guesses this name from many addresses: only where the person signed in before it is tried."""
    return failures.of_name_anywhere >= OF_NAME_ANYWHERE
