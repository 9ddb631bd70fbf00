"""What is in a built wheel and sdist, folder by folder: `python -m tools.release_contents dist`."""

import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def main(folder: Path) -> int:
    """Print the folders of every package in `folder`, with the number of files and their size."""
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as opened:
            show(wheel, ((entry.filename, entry.file_size) for entry in opened.infolist()))
    for sdist in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(sdist) as archive:
            below = ((entry.name.partition("/")[2], entry.size) for entry in archive if entry.isfile())
            show(sdist, below)
    return 0


def show(package: Path, entries: Iterable[tuple[str, int]]) -> None:
    """Print a line for each folder (two levels deep) of one package."""
    files: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for name, size in entries:
        folder = "/".join(name.split("/")[:-1][:2]) or "."
        files[folder] += 1
        sizes[folder] += size
    print(f"{package} ({package.stat().st_size // 1024} KiB, {files.total()} files)")
    for folder in sorted(files):
        print(f"  {folder:<44} {files[folder]:>5} files {sizes[folder] // 1024:>7} KiB")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
