"""The one error of the embedded servers."""


class EmbeddedServerError(RuntimeError):
    """An embedded server cannot be used; the message says why and what to do."""
