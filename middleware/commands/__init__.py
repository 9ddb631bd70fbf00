"""The commands of `taiga-billing`, one module each; imported only when they are called."""
