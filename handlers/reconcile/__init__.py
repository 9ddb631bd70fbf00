"""Compares what the other systems hold with what was recorded."""
