"""What every process is spared from loading."""

import subprocess
import sys

LOADS_LATE = """
import sys
import middleware
import redis.asyncio
assert "cryptography.x509" not in sys.modules
import jwt
assert jwt.decode(jwt.encode({"a": 1}, "k" * 32), "k" * 32, algorithms=["HS256"]) == {"a": 1}
from jwt.exceptions import DecodeError
assert issubclass(DecodeError, jwt.PyJWTError)
"""


def test_the_library_of_jwt_is_loaded_when_it_is_used() -> None:
    """redis-py asks for it and never uses it here: it is there for whoever does, and costs nothing until then."""
    done = subprocess.run([sys.executable, "-c", LOADS_LATE], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
