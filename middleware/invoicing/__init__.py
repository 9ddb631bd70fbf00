"""Invoice runs as people start and follow them."""
