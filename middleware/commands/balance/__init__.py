"""`taiga-billing balance ...`."""
