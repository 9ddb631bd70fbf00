"""How much happens in a run. The seed decides what people do, how deliveries are mistreated, and what breaks when."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Plan:
    """One run; times in seconds.

    Attributes:
        seed: repeats the same decisions; the machine's timing stays its own.
        webhooks: deliveries that people's work makes at least, both sources together.
        storm_seconds: how long the work and the faults go on.
        drain_seconds: how long everything may take to come to an end afterwards.
        payments: how many invoices customers pay.
        reads_taiga: whether the workers have credentials for Taiga, or believe the webhooks alone.
        closes_refunds: whether a refund is settled by a credit (`on_refund`), or owed again.
        least_faults: the faults go on until there were so many, also on a machine that is too slow for them.
        breaks: what the fault driver may do; all of it unless named.
        weakness: a protection that is switched off in receivers and workers (`middleware.lab.chaos.weakness`).
    """

    seed: int
    webhooks: int = 5000
    storm_seconds: float = 45.0
    drain_seconds: float = 90.0
    payments: int = 150
    receivers: int = 2
    workers: int = 2
    seconds_between_faults: float = 0.8
    reads_taiga: bool = True
    closes_refunds: bool = False
    least_faults: int = 8
    breaks: tuple[str, ...] = ()
    weakness: str = ""


def short(seed: int) -> Plan:
    """A few hundred webhooks in about a quarter of a minute, for the tests."""
    return Plan(seed, webhooks=300, storm_seconds=8, drain_seconds=40, payments=10, seconds_between_faults=0.6)


def focused(
    weakness: str, *breaks: str, webhooks: int = 150, drain_seconds: float = 4, reads_taiga: bool = True
) -> Plan:
    """A few seconds in which only these things break: enough to see whether one protection is there."""
    return replace(
        short(7),
        webhooks=webhooks,
        storm_seconds=4,
        drain_seconds=drain_seconds,
        payments=0,
        receivers=1,
        seconds_between_faults=0.4,
        breaks=breaks,
        weakness=weakness,
        reads_taiga=reads_taiga,
    )
