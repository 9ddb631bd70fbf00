"""The only place that speaks to Taiga, Invoice Ninja and Stripe."""
