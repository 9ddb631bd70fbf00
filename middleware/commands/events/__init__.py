"""`taiga-billing events ...`."""
