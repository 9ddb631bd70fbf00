"""Small stateful Taiga, Invoice Ninja and Stripe servers for the demo and the tests, faithful to the recordings."""
