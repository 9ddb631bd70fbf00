"""How the set-up speaks with a person, and what it does when there is none (`--yes`)."""

from collections.abc import Sequence
from typing import Protocol

import click

MOST_SHOWN = 15
NONE = "-"


class AnswerMissingError(Exception):
    """Nobody can be asked, and an answer that is needed was not given."""


class AnswerRefusedError(Exception):
    """Nobody can be asked again, and a server refused what was given."""


class Asker(Protocol):
    """Asks, says, and decides what happens when something is refused."""

    def say(self, line: str) -> None:
        """Tell the person something."""
        ...

    def text(self, question: str, variable: str, default: str = "", *, hidden: bool = False) -> str:
        """A text; `variable` is the setting that it becomes."""
        ...

    def confirm(self, question: str) -> bool:
        """Yes or no."""
        ...

    def choose(self, question: str, labels: Sequence[str], proposed: int | None) -> int | None:
        """One of the labels by its index; None for none of them."""
        ...

    def refused(self, message: str, *, is_missing: bool = False) -> None:
        """What was answered cannot be used, or something is missing; returns when it is asked for again."""
        ...


class Conversation:
    """A person at a terminal."""

    def say(self, line: str) -> None:
        """Print the line."""
        click.echo(line)

    def text(self, question: str, variable: str, default: str = "", *, hidden: bool = False) -> str:
        """Prompt; Enter keeps what is there."""
        kept = " (Enter keeps the present one)" if hidden and default else ""
        shown = f"{question}{kept} [{variable}]"
        answer: str = click.prompt(shown, default=default, hide_input=hidden, show_default=not hidden and bool(default))
        return answer.strip()

    def confirm(self, question: str) -> bool:
        """Prompt for y or n."""
        return click.confirm(question, default=True)

    def choose(self, question: str, labels: Sequence[str], proposed: int | None) -> int | None:
        """Prompt for a part of a name, or a number of the list that this gave, until one is meant."""
        default = labels[proposed] if proposed is not None else NONE
        shown: list[int] = list(range(len(labels))) if len(labels) <= MOST_SHOWN else []
        while True:
            for number, index in enumerate(shown, start=1):
                click.echo(f"  {number:3}  {labels[index]}")
            hint = f"number, part of a name, or {NONE} for none"
            answer = str(click.prompt(f"{question} ({hint})", default=default)).strip()
            if answer == NONE:
                return None
            if answer == default and proposed is not None:
                return proposed
            found = _meant(answer, labels, shown)
            if len(found) == 1:
                return found[0]
            shown = found[:MOST_SHOWN]
            click.echo(f"{len(found)} names fit {answer!r}" if found else f"no name holds {answer!r}")

    def refused(self, message: str, *, is_missing: bool = False) -> None:  # noqa: ARG002 - the same for everybody
        """Print the server's words; the question comes again."""
        click.echo(f"  this does not work: {message}")


def _meant(answer: str, labels: Sequence[str], shown: Sequence[int]) -> list[int]:
    if answer.isdecimal() and 0 < int(answer) <= len(shown):
        return [shown[int(answer) - 1]]
    wanted = answer.casefold()
    same = [index for index, label in enumerate(labels) if label.casefold() == wanted]
    return same or [index for index, label in enumerate(labels) if wanted in label.casefold()]


class Unattended:
    """Nobody is there: what was given is used, and what is missing ends the program."""

    def say(self, line: str) -> None:
        """Print the line."""
        click.echo(line)

    def text(self, question: str, variable: str, default: str = "", *, hidden: bool = False) -> str:  # noqa: ARG002 - the same for everybody
        """What was given; nothing, when nothing was."""
        return default

    def confirm(self, question: str) -> bool:  # noqa: ARG002 - the same for everybody
        """Yes: that is what `--yes` says."""
        return True

    def choose(self, question: str, labels: Sequence[str], proposed: int | None) -> int | None:  # noqa: ARG002 - the same for everybody
        """What is proposed; proposals that are not sure are not passed on."""
        return proposed

    def refused(self, message: str, *, is_missing: bool = False) -> None:
        """End: nobody can answer again.

        Raises:
            AnswerMissingError: something is missing.
            AnswerRefusedError: a server refused what was given.
        """
        if is_missing:
            raise AnswerMissingError(message)
        raise AnswerRefusedError(message)
