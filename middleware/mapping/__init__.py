"""What mappings.json means: the effective rules, what they make of events, and what another file would change."""
