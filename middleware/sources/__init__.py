"""Where webhooks come from: how each source signs, and how its bodies are read."""
