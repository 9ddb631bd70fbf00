"""Python's collector of cyclic garbage, set for a process that runs for months."""

import gc

ALLOCATIONS_BETWEEN_LOOKS = 5_000
"""Python's own 700 are a handful of requests: most looks would find nothing."""


def spare_what_stays() -> None:
    """Never again look at what is loaded by now (modules, settings, routes), and look less often at the rest.

    A look at everything takes tens of milliseconds, in which nobody is answered. To be called once, after the start.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_LOOKS, *gc.get_threshold()[1:])
