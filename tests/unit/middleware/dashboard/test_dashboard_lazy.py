"""The dashboard costs a receiver nothing until somebody opens a page."""

import subprocess
import sys

HEAVY = ("jinja2", "babel", "argon2", "middleware.dashboard.site", "middleware.dashboard.pages")


def test_receiver_starts_without_what_pages_need() -> None:
    """None of it is imported with the receiver."""
    program = f"import sys, middleware.commands.serve; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert found.stdout.strip() == "[]"
