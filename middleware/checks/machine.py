"""Looks at this machine: disk space, and who may read the secrets."""

import difflib
import os
import shutil
import stat
from pathlib import Path

from dotenv import dotenv_values

from middleware.checks.findings import Finding, Level
from middleware.settings import Settings

GIGABYTE = 1_000_000_000
FEW_BYTES, TOO_FEW_BYTES = 2 * GIGABYTE, GIGABYTE // 5


def check_disk(folder: Path) -> Finding:
    """Whether there is room below DATA_DIR (or where it will be made)."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    message = f"{free / GIGABYTE:.1f} GB are free for {folder}"
    if free < FEW_BYTES:
        level: Level = "failed" if free < TOO_FEW_BYTES else "warning"
        return Finding("disk", level, message, "make room: a full disk stops PostgreSQL, and webhooks are refused")
    return Finding("disk", "ok", message)


def check_secrets_file(file: Path) -> list[Finding]:
    """Whether only the owner can read the secrets in `.env`."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return []
    if mode & (stat.S_IRGRP | stat.S_IROTH) and os.name == "posix":
        message = f"can be read by other users of this machine (mode {mode:03o})"
        return [Finding(str(file), "warning", message, f"chmod 600 {file}")]
    return []


def check_names(file: Path) -> list[Finding]:
    """Whether every name in `.env` is that of a setting: a mistyped one has no effect."""
    known = {name.upper() for name in Settings.model_fields} | {"POSTGRES_PASSWORD"}
    named = [name for name in dotenv_values(file) if name not in known and not name.startswith("PG")]
    findings = []
    for name in named:
        if name.endswith("_WEBHOOK_SECRETS") or name.removesuffix("_FILE") in known:
            continue
        meant = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {meant[0]}?" if meant else "remove it, or correct its name"
        findings.append(Finding(str(file), "warning", f"{name} is not the name of a setting", hint))
    return findings


def check_settings(settings: Settings) -> list[Finding]:
    """What the settings themselves say."""
    sources = ", ".join(settings.enabled_sources)
    findings = [Finding("settings", "ok", f"webhooks of {sources} are received")]
    if not settings.public_url:
        hint = "set PUBLIC_URL to the address under which Taiga and Stripe reach this program"
        message = "PUBLIC_URL is not set: only the path of webhooks can be compared, and alerts have no links"
        findings.append(Finding("public address", "warning", message, hint))
    if not settings.alert_urls:
        hint = "set ALERT_URLS (mail, ntfy, Slack and more; see docs/settings.md)"
        findings.append(Finding("alerts", "warning", "no alerts are sent when something needs a person", hint))
    return findings
