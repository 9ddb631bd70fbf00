"""Money at Stripe becomes payments, refunds and notes in Invoice Ninja."""
