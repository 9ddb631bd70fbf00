"""`taiga-billing invoices ...`."""
