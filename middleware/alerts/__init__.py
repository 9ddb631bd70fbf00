"""Tells people when something needs them: found in the store, grouped, told once, and told again when it is over."""
