"""Closed work becomes time entries, and Taiga shows what became of it."""
