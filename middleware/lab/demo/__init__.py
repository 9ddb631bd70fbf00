"""`taiga-billing demo`: the whole flow on this machine, against the sandbox servers."""
