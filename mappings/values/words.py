"""Words for messages about invoices."""


def counted(number: int, word: str) -> str:
    """`1 invoice`, `2 invoices`, `1 entry`, `0 entries`."""
    if number == 1:
        return f"1 {word}"
    return f"{number} {word[:-1]}ies" if word.endswith("y") else f"{number} {word}s"
