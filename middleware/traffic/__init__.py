"""Which request may leave now: rate limits, slots and circuit breakers of each system."""
