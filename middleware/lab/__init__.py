"""Sandbox servers, demo, bench and chaos: nothing of the product imports it."""
