"""What `taiga-billing check` looks at: each finding says what is, and how to repair what is wrong."""

from middleware.checks.findings import Finding, Level

__all__ = ["Finding", "Level"]
