"""From the socket to a committed row: the only way in for events."""
