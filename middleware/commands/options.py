"""What commands share: moments as people write them, and the name of the person at the command line."""

import getpass
import os
import re
from datetime import UTC, datetime, timedelta

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,4})([mhdw])")


class Ago(click.ParamType[datetime]):
    """A moment: `30d`, `12h`, `90m`, `2w` ago, or an ISO date or time (UTC unless it says otherwise)."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment as aware UTC."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        if span := _SPAN.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither an age such as 30d, 12h, 90m nor a date such as 2026-11-01", param, ctx)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def cli_actor() -> str:
    """`cli:` and the name of the operating system's user for the audit; the number, where the user has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
