"""deploy/try.sh tries the shipped files with the tools that are there."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_nothing_is_refused() -> None:
    """What can be tried here is accepted; the rest is named as skipped."""
    done = subprocess.run([str(ROOT / "deploy" / "try.sh")], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("skipped: nginx.conf" in done.stdout) == (shutil.which("nginx") is None)
