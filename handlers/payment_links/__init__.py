"""Payment links at Stripe for open invoices."""
