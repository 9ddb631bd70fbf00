"""A stranger finds every room: no folder is too full to read, and the root holds only what every engineer knows."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_IN_A_FOLDER = 20
MOST_IN_THE_ROOT = 12


def modules(folder: Path) -> list[str]:
    """The modules of one folder."""
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def folders() -> list[Path]:
    """Every folder of the product that holds modules, and those of the helpers of the tests."""
    roots = (ROOT / name for name in ("handlers", "mappings", "middleware", "tests/support"))
    found = {path.parent for root in roots for path in root.rglob("*.py")}
    return sorted(folder for folder in found if "lab" not in folder.parts)


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_folder_is_too_full(folder: Path) -> None:
    """A prefix that several modules of a full folder share is a folder that is missing."""
    assert len(modules(folder)) <= MOST_IN_A_FOLDER, modules(folder)


def test_the_root_of_the_middleware_is_small() -> None:
    """What starts the program and what everything uses; all else has a room."""
    assert len(modules(ROOT / "middleware")) <= MOST_IN_THE_ROOT, modules(ROOT / "middleware")
