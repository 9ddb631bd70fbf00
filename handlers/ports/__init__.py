"""What handlers need of the world: declared here, provided by `middleware.bootstrap`."""
