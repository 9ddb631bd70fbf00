"""Texts as PostgreSQL can hold them."""


def storable(text: str) -> str:
    """Replace what a PostgreSQL text cannot hold (NUL, lone surrogates) by U+FFFD; other texts pass unchanged."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
