"""Tables of links, plans, payments, reviews and the mirror of invoices."""
