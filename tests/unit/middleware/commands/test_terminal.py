"""No text of a payer or a member of Taiga acts on the terminal of the operator."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.values.text import one_line
from middleware.commands.terminal import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("Eve \x1b]0;owned\x07\x1b[2J", "Eve \\u001b]0;owned\\u0007\\u001b[2J"),
        ("\x9b2J\x9d0;x\x9c", "\\u009b2J\\u009d0;x\\u009c"),
        ("back\rforged", "back\\u000dforged"),
        ("evil\u202egpj", "evil\\u202egpj"),
        ("Zoë 東京 👩‍💻", "Zoë 東京 👩‍💻"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """Line ends, tabs and colours pass; the rest is written as what it is."""
    assert visible(text) == shown


@given(st.text())
def test_json_stays_what_it_is(text: str) -> None:
    """A JSON document means the same after it."""
    assert json.loads(visible(json.dumps({"x": text}, ensure_ascii=False))) == {"x": text}


def test_of_a_whole_program() -> None:
    """What a command prints with click or rich goes through it."""
    program = (
        "import click; from rich.console import Console; from middleware.commands.terminal import guard_output;"
        "guard_output(); click.echo('a\\x1b]0;b\\x07'); Console().print('c\\x9bd')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "a\\u001b]0;b\\u0007\nc\\u009bd\n"


def test_names_that_turn_the_line_round() -> None:
    """Directional embeddings are blanks in names of clients and subjects, too."""
    assert one_line("Acme\u202e gpj\u2066.exe") == "Acme gpj .exe"
