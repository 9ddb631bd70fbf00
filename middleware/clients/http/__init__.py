"""What all clients share: transport, failures, JSON, clocks."""
