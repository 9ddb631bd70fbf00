"""The HTTP server: connections, health pages, and a stop that loses nothing."""
