"""From unbilled hours to invoices, pure: periods, entries, lines, sums, plans (DESIGN section 6, docs/invoicing.md)."""
