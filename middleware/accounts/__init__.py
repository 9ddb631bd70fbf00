"""Who may look at the dashboard and who may act: passwords, sessions, throttling. Knows nothing of pages."""
