"""Tables of events: store, claim, settle, search, keep."""
