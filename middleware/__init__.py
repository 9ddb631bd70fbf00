"""Everything that touches the world: HTTP in and out, PostgreSQL, Redis, the command line."""
