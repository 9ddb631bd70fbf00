"""`python -m middleware` is `taiga-billing`."""

from middleware.cli import main

main()
