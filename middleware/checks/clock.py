"""Looks at the clocks: signatures of Stripe are only good for minutes, and periods of invoices end at midnight."""

from middleware.checks.findings import Finding

LARGE_SECONDS = 30


def check_clock(system: str, skew: float | None, tolerance: int | None = None) -> list[Finding]:
    """How far a system's clock is from ours; beyond `tolerance` seconds its webhooks would be refused."""
    if skew is None:
        return []
    name, far = f"{system} clock", round(abs(skew))
    word = "ahead of" if skew > 0 else "behind"
    hint = "let NTP set the clock of both machines (timedatectl shows whether it does)"
    if tolerance is not None and far > tolerance:
        message = f"is {far} s {word} ours: its webhooks are refused beyond {tolerance} s"
        return [Finding(name, "failed", message, hint)]
    if far > LARGE_SECONDS:
        return [Finding(name, "warning", f"is {far} s {word} ours", hint)]
    return [Finding(name, "ok", f"agrees with ours ({far} s)")]
