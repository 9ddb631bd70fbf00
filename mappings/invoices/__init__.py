"""From unbilled hours to invoices, pure: periods, entries, lines, sums, plans (docs/invoicing.md)."""
