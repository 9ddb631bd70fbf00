"""What people read is plain English: pages, messages, help and documents."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("handlers", "mappings", "middleware")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]

PHRASES: dict[str, str] = {
    r"\btold\b": "reported, shown, sent: say which",
    r"\bby hand of\b": "by",
    r"(?<!there )\b(is|are) none\b": "is not valid, is missing: say which",
    r"\bthis are\b": "this is",
    r"\bsince (\d+|\{[^}]*\}) (s|seconds?|minutes?|hours?|days?)\b": "for 20 minutes",
    r"\bdue since\b": "has been due for",
    r"\bwho(ever|soever)\b": "the person, the process: say which",
    r"\b(used|needed|wanted|needs it|needs them) no more\b": "no longer used",
    r"\ball the same\b": "anyway",
    r"\bstands? (there|below|above|in|on|at|as)\b": "is",
    r"\bat this moment: ": "just now",
    r"\blooking again\b": "retrying",
    r"\bdo not belong together\b": "is wrong",
    r"\bput (back to work|in by)\b": "processed again, enqueued by",
    r"\bis no administrator'?s?\b": "does not belong to an administrator",
    r"\bof (this|that|it) (nobody|somebody)\b": "turn the sentence round",
    r"\bof which a person\b": "turn the sentence round",
}
BAD = re.compile("|".join(f"(?:{phrase})" for phrase in PHRASES), re.IGNORECASE)


def found(text: str) -> list[str]:
    """The bad phrases of a text."""
    return [match.group(0) for match in BAD.finditer(" ".join(text.split()))]


def messages(module: str) -> Iterator[tuple[int, str]]:
    """Line and text of every string in a module that has words and is no docstring."""
    tree = ast.parse(module)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)} | parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        else:
            continue
        if " " in text:
            yield node.lineno, text


def help_texts(module: str) -> Iterator[tuple[int, str]]:
    """Line and text of the docstrings of commands: click prints them."""
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.FunctionDef) and any("command" in ast.unparse(mark) for mark in node.decorator_list):
            yield node.lineno, ast.get_docstring(node) or ""


def test_messages_are_plain() -> None:
    """Errors, hints, outcomes, help of options; lines of the log too. The laboratory talks to us only."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {phrases}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "lab" not in path.parts
        for line, text in messages(path.read_text("utf-8"))
        if (phrases := found(text)) and not text.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "WITH", "DELETE"))
    ]
    assert bad == []


def test_help_of_commands_is_plain() -> None:
    """What `--help` prints."""
    bad = [
        f"{path.relative_to(ROOT)}:{line}: {phrases}"
        for path in sorted((ROOT / "middleware" / "commands").rglob("*.py"))
        for line, text in help_texts(path.read_text("utf-8"))
        if (phrases := found(text))
    ]
    assert bad == []


@pytest.mark.parametrize("path", sorted((ROOT / "middleware/dashboard/templates").glob("*.html")), ids=lambda p: p.name)
def test_pages_are_plain(path: Path) -> None:
    """The text of a page, without its tags; names inside expressions are the program's."""
    text = re.sub(r"<[^>]+>|\{%.*?%\}", " ", path.read_text("utf-8"), flags=re.DOTALL)
    shown = re.sub(
        r"\{\{(.*?)\}\}", lambda code: " ".join(re.findall(r'"([^"]*)"', code.group(1))), text, flags=re.DOTALL
    )
    assert found(shown) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_are_plain(path: Path) -> None:
    """Prose only: what is set as code is as it is."""
    prose = re.sub(r"```.*?```|`[^`]*`", " ", path.read_text("utf-8"), flags=re.DOTALL)
    assert found(prose) == []


@pytest.mark.parametrize(
    "text",
    [
        "an event waits for a worker since 20 minutes",
        "the oldest that is due since 30 s",
        "key 2 is none: 32 bytes in url-safe base64",
        "and this are 230",
        "the token is no administrator's",
        "nobody is told",
        "a pause since {} minutes",
    ],
)
def test_the_list_finds_what_it_was_made_for(text: str) -> None:
    """The sentences that people stumbled over."""
    assert found(text)
