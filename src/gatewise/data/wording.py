"""Numbers with their nouns, for messages and notes."""


def count(number: int, singular: str, plural: str | None = None) -> str:
    """`1 text`, `3 texts`, `12,345 entries`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
