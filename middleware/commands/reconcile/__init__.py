"""`taiga-billing reconcile ...`."""
