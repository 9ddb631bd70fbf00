"""What every process is spared from loading."""

import subprocess
import sys

SPARED = """
import sys
import redis.asyncio
assert "cryptography.x509" not in sys.modules, "redis-py loads PyJWT again: see the pin in pyproject.toml"
"""


def test_redis_loads_no_cryptography() -> None:
    """redis-py from 5.3 on loads PyJWT and cryptography for a cloud that is not used here: a tenth of the memory."""
    done = subprocess.run([sys.executable, "-c", SPARED], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
