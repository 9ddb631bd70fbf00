"""Stored events once more, first as a dry run that writes nothing."""
