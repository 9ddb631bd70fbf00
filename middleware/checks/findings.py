"""One line of a check."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from handlers.errors import NotFound, Refused, Rejected, RemoteError

Level = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, and how to repair it. Only `failed` makes the command fail."""

    name: str
    level: Level
    message: str
    hint: str = ""


async def finding_of(name: str, look: Callable[[], Awaitable[str]], hints: dict[type[RemoteError], str]) -> Finding:
    """Run one look at a remote system; `look` returns the good news. The first fitting hint goes with the bad ones."""
    try:
        return Finding(name, "ok", await look())
    except RemoteError as error:
        hint = next((text for kind, text in hints.items() if isinstance(error, kind)), _general_hint(error))
        return Finding(name, "failed", str(error), hint)


def _general_hint(error: RemoteError) -> str:
    if isinstance(error, Refused):
        return "correct the credentials of this system"
    if isinstance(error, NotFound):
        return "it does not exist there, or not for this account"
    if isinstance(error, Rejected):
        return "read the server's message"
    return "is the address right, and the system running and reachable from here?"
