"""Who works at the command line, as the audit names them."""

import getpass
import os


def cli_actor() -> str:
    """`cli:` and the name of the operating system's user; the number, where the user has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
