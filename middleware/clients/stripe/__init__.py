"""The API of Stripe."""
