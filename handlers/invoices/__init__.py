"""Unbilled time becomes invoices."""
