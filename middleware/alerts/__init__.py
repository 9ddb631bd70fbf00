"""Tells people when something needs them: found in the store, grouped, sent once, and once more when it is over."""
