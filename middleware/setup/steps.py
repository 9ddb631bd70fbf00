"""What the set-up would do, as steps that can be shown before they are carried out."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from handlers.errors import RemoteError
from middleware.setup.prompts import Asker


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `title` says what, `act` does it, `hint` says what to do when it is refused."""

    title: str
    act: Callable[[], Awaitable[object]]
    hint: str = ""


async def carry_out(steps: Sequence[Step], asker: Asker) -> list[str]:
    """Do every step, also when one before it failed; returns what failed, in the words of the server."""
    failed = []
    for step in steps:
        try:
            await step.act()
        except (RemoteError, OSError) as error:
            hint = f" -> {step.hint}" if step.hint else ""
            failed.append(f"{step.title}: {error}{hint}")
            asker.say(f"  failed: {failed[-1]}")
        else:
            asker.say(f"  done: {step.title}")
    return failed
