"""`make locks-check`: what it reads from a lock and from pip."""

import zipfile
from pathlib import Path

from tools.check_locks import pins, would_install, write_wheel


def test_pins_of_a_lock_are_those_of_this_python() -> None:
    """A pin whose marker names another system is not expected."""
    text = (
        "arq==0.28.0 \\\n    --hash=sha256:aa\n"
        "uvloop==0.23.0 ; sys_platform == 'no-such-system' \\\n    --hash=sha256:bb\n"
        "Types_PyYAML==6.0 ; python_full_version >= '3.11' \\\n    --hash=sha256:cc\n"
    )
    assert pins(text) == {"arq": "0.28.0", "types-pyyaml": "6.0"}


def test_a_report_is_read_by_the_names_of_the_index() -> None:
    """Pip reports names as their authors spell them."""
    report = {"install": [{"metadata": {"name": "Types_PyYAML", "version": "6.0"}}]}
    assert would_install(report) == {"types-pyyaml": "6.0"}


def test_the_newer_release_offers_the_extra(tmp_path: Path) -> None:
    """Pip takes it for a release of the package that has the extra somebody asks for."""
    write_wheel(tmp_path, "redis", "5.9999", "hiredis")
    with zipfile.ZipFile(tmp_path / "redis-5.9999-py3-none-any.whl") as wheel:
        metadata = wheel.read("redis-5.9999.dist-info/METADATA").decode()
    assert "Version: 5.9999\nProvides-Extra: hiredis\n" in metadata
