"""`taiga-billing rates ...`."""
