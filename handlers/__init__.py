"""One module per use case: `async (work, context) -> Outcome`.

Handlers know no library and do no I/O of their own: what they need is declared in `handlers.ports.context`.
"""
