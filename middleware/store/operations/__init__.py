"""Tables of workers, circuits, alerts, users and the audit."""
