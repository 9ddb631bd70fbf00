"""From the hours a person typed to the hours that are billed, exact on whole seconds."""

from decimal import Decimal

from mappings.config.rules import BelowMinimum, Rounding, RoundingMode
from mappings.values.hours import SECONDS_PER_HOUR, hours_to_seconds, seconds_to_hours

STEP_SECONDS: dict[Rounding, int] = {
    "none": 1,
    "quarter_hour": SECONDS_PER_HOUR // 4,
    "half_hour": SECONDS_PER_HOUR // 2,
    "hour": SECONDS_PER_HOUR,
}


def round_hours(
    raw: Decimal,
    step: Rounding = "none",
    mode: RoundingMode = "up",
    minimum: Decimal = Decimal(0),
    below_minimum: BelowMinimum = "raise",
) -> Decimal | None:
    """The billed hours: a multiple of the step, and never less than the minimum rounded up to the step.

    Half a step counts as a whole one in mode `nearest`. Nothing (0) stays nothing and is not raised to the minimum.

    Returns:
        None when `raw` itself is below the minimum and such work is skipped.
    """
    seconds, least, size = hours_to_seconds(raw), hours_to_seconds(minimum), STEP_SECONDS[step]
    if seconds < least and below_minimum == "skip":
        return None
    if seconds <= 0:
        return Decimal(0)
    return seconds_to_hours(max(_rounded(seconds, size, mode), _rounded(least, size, "up")))


def _rounded(seconds: int, size: int, mode: RoundingMode) -> int:
    whole, rest = divmod(seconds, size)
    goes_up = {"up": rest > 0, "nearest": 2 * rest >= size, "down": False}[mode]
    return (whole + goes_up) * size
