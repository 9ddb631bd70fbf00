"""One stored event becomes one finished event: attempt, retry, report."""
