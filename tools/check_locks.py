"""Each lock file installs exactly its pins, with old pips and new ones, whatever is published later.

    python -m tools.check_locks

The files of the locks are fetched once. Beside them lie wheels of a far higher version of packages that others ask for
with an extra (`coverage[toml]`, `redis[hiredis]`): a pip that resolves looks at those before it meets the pin, and
stops. The same command without `--no-deps` shows that this bait works. Nothing is installed: pip only says what it
would install.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-demo.lock", "requirements-dev.lock")
# What Debian 12 and Python 3.11 bring, the oldest that can say what it would install, and the newest (no version).
PIPS = ("pip==22.3", "pip==23.0.1", "pip==23.2.1", "pip")
# pip 22 and 23.0 do not start on Python 3.12.
_PIPS_OF_NEWER_PYTHONS = ("pip==23.2.1", "pip")
PIPS_HERE = PIPS if sys.version_info < (3, 12) else _PIPS_OF_NEWER_PYTHONS
# Asked for with an extra by another package of a lock: a pip that resolves stumbles over a newer one in its range.
BAIT = (("coverage", "9999.0", "toml"), ("redis", "5.9999", "hiredis"))
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*(.+?))?\s*\\?$", re.MULTILINE)
_FILES = ("--require-hashes", "--only-binary", ":all:", "--no-binary", "localstripe", "--no-build-isolation")


class Failed(Exception):
    """A lock does not install as it is written, or the check itself is blind."""


def main() -> int:
    """0: every lock holds with every pip, or no index can be reached and the check says so; 1: one does not hold."""
    with TemporaryDirectory(prefix="taiga-billing-locks-") as name:
        folder = Path(name)
        try:
            pips = [download_pip(requirement, folder) for requirement in PIPS_HERE]
        except subprocess.CalledProcessError as error:
            print(
                f"Skipped: the lock files were not checked, pip cannot be downloaded.\n{error.stderr}", file=sys.stderr
            )
            return 0
        try:
            check_all(pips, folder / "offered")
        except Failed as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


def check_all(pips: Sequence[Path], offered: Path) -> None:
    """Every lock with every pip; `Failed` at the first that does not hold."""
    for lock in LOCKS:
        download(pips[-1], lock, offered)
    for bait in BAIT:
        write_wheel(offered, *bait)
    for pip in pips:
        for lock in LOCKS:
            check(pip, lock, offered)
    check_that_the_bait_works(pips, offered)


def write_wheel(folder: Path, package: str, version: str, extra: str) -> None:
    """A wheel of the package without any module, newer than every real one."""
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{package}-{version}-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nProvides-Extra: {extra}\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: bait\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def download_pip(requirement: str, folder: Path) -> Path:
    """The wheel of this pip; pip runs out of its wheel."""
    target = folder / requirement.replace("==", "-")
    command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(target), requirement]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, capture_output=True, text=True)
    (wheel,) = target.glob("pip-*.whl")
    return wheel


def download(pip: Path, lock: str, folder: Path) -> None:
    """Fetch the files of a lock; `Failed` when a pin or its hash is not what the index has."""
    command = [sys.executable, str(pip / "pip"), "download", "--quiet", "--no-deps", "--dest", str(folder), *_FILES]
    ended = subprocess.run([*command, "--requirement", lock], cwd=ROOT, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise Failed(f"The files of {lock} cannot be downloaded:\n{ended.stderr}")


def check(pip: Path, lock: str, offered: Path) -> None:
    """Raise `Failed` unless this pip would install the pins of the lock and nothing else."""
    ended = install(pip, lock, offered, ["--no-deps"])
    if ended.returncode:
        raise Failed(f"{pip.name} cannot install {lock}:\n{ended.stderr}")
    found = would_install(json.loads(ended.stdout))
    wanted = pins((ROOT / lock).read_text("utf-8"))
    if found != wanted:
        raise Failed(f"{pip.name} installs of {lock}: {sorted(found.items() ^ wanted.items())}")
    print(f"{pip.name}: {lock} installs its {len(wanted)} pins")


def check_that_the_bait_works(pips: Sequence[Path], offered: Path) -> None:
    """Raise `Failed` when even the pip that is known to stumble resolves a lock in spite of the newer releases."""
    for pip in pips:
        if pip.name.startswith("pip-23.2.1") and not install(pip, "requirements-dev.lock", offered, []).returncode:
            raise Failed(f"The check is blind: {pip.name} resolves requirements-dev.lock although coverage is newer")


def install(pip: Path, lock: str, offered: Path, options: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """What pip says about installing the lock into an empty environment."""
    command = [sys.executable, str(pip / "pip"), "--disable-pip-version-check", "install", *options]
    command += [
        "--dry-run",
        "--ignore-installed",
        "--quiet",
        "--report",
        "-",
        "--no-index",
        "--find-links",
        str(offered),
    ]
    return subprocess.run(
        [*command, *_FILES, "--requirement", lock], cwd=ROOT, check=False, capture_output=True, text=True
    )


def would_install(report: Mapping[str, list[dict[str, dict[str, str]]]]) -> dict[str, str]:
    """Name and version of all that a report of pip lists."""
    return {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in report["install"]}


def pins(text: str) -> dict[str, str]:
    """Name and version of all that a lock holds for this Python and this machine."""
    return {
        canonical(name): version
        for name, version, marker in _PIN.findall(text)
        if not marker or Marker(marker).evaluate()
    }


def canonical(name: str) -> str:
    """The spelling under which an index knows a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    raise SystemExit(main())
