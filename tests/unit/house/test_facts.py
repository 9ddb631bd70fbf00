"""Every fact that the code and the documents cite is in docs/facts."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("handlers", "mappings", "middleware", "tests", "docs")
CITED = re.compile(r"(?<![\w/])(docs/)?facts/([a-z0-9-]+\.md)(?:,? sections? ((?:[0-9E]+(?:\.\d+)?|, | and | to )+))?")
_HEADING = re.compile(r"^#+ ([0-9]+(?:\.[0-9]+)?|E)\b", re.MULTILINE)


@cache
def sections(page: str) -> frozenset[str]:
    """The numbers of the headings of a page."""
    return frozenset(_HEADING.findall((ROOT / "docs" / "facts" / page).read_text("utf-8")))


def citations() -> Iterator[tuple[str, str, str, str]]:
    """File, folder as cited, page and sections of each citation; one that goes over a line end is read as one."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sql", ".md", ".html"}:
                flowing = re.sub(r"\s*\n[\s#]*", " ", path.read_text("utf-8"))
                for prefix, page, numbers in CITED.findall(flowing):
                    yield str(path.relative_to(ROOT)), prefix, page, numbers


def numbers_of(cited: str) -> list[str]:
    """Each section that a citation names; `4 to 6` names three."""
    found: list[str] = []
    for first, last in re.findall(r"([0-9E]+(?:\.\d+)?)(?: to (\d+))?", cited):
        found += [str(number) for number in range(int(first), int(last) + 1)] if last else [first]
    return found


def test_every_cited_section_exists() -> None:
    """A page or section that is renamed is noticed where it is cited."""
    wrong = [
        f"{file}: {page} {number}"
        for file, _prefix, page, cited in citations()
        for number in numbers_of(cited) or [""]
        if not (ROOT / "docs" / "facts" / page).is_file() or (number and number not in sections(page))
    ]
    assert wrong == []


def test_citations_lead_from_the_root_of_the_repository() -> None:
    """A reader can open what is cited as it is written."""
    short = {file for file, prefix, _page, _cited in citations() if not prefix and not file.startswith("docs/")}
    assert short == set()


def test_there_are_citations_to_check() -> None:
    """The code leans on the facts in more than a hundred places."""
    assert len(list(citations())) > 100


@pytest.mark.parametrize(
    ("cited", "numbers"),
    [
        ("4", ["4"]),
        ("1, 5 and 7", ["1", "5", "7"]),
        ("4 to 6", ["4", "5", "6"]),
        ("3.3", ["3.3"]),
        ("E", ["E"]),
        ("", []),
    ],
)
def test_sections_are_read_as_people_write_them(cited: str, numbers: list[str]) -> None:
    """Lists and ranges of sections are understood."""
    assert numbers_of(cited) == numbers


def test_documents_cite_tests_that_exist() -> None:
    """A promise names the test that proves it; a test that is renamed is noticed here."""
    paths = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    known = paths | {path.rpartition("/")[2] for path in paths}
    wrong = [
        f"{document.name}: {cited}"
        for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
        for cited in re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", document.read_text("utf-8"))
        if cited not in known
    ]
    assert wrong == []
