"""What reaches a terminal: texts of payers and of Taiga's people must not act there."""

import re
import sys
from typing import Any

# Colours are ours, and harmless; every other control character or sequence is shown as what it is. C1 controls begin
# sequences, too, and directional embeddings let a line read other than it is.
_UNSAFE = re.compile(r"\x1b\[[0-9;]*m|([\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069])")


def visible(text: str) -> str:
    """The text with the code of every control character in its place; line ends, tabs and colours pass.

    In JSON that is the same text, escaped.
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[1]):04x}" if found[1] else found[0], text)


def guard_output() -> None:
    """From now on nothing else is written to the standard output."""
    stream: Any = sys.stdout
    if stream is None:
        return
    write = stream.write
    stream.write = lambda text: write(visible(text))
