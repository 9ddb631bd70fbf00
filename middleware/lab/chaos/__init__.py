"""`taiga-billing bench chaos`: kill everything again and again while people work, then count what arrived.

Real receivers, workers, PostgreSQL and Redis as processes; sandbox Taiga, Stripe and Invoice Ninja as the world. The
count at the end believes nobody: it remembers what people did and looks into the sandboxes, and shares no code with
the handlers and mappings.
"""
