"""Pure translation: what Taiga and Stripe say becomes what Invoice Ninja should hold.

Nothing here reads a clock, a network, a database or a logger; only the standard library and pydantic are imported.
"""
