"""`mappings.json`: models, rules, parser and checks."""
