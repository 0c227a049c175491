"""Sanitizes text of other systems before it is stored and shown."""

from typing import Final

_MAX_LENGTH: Final = 255


def sanitize_response_text(text: str) -> str:
    """Returns the text as one line of at most 255 printable characters."""
    # Limits the work for very long text.
    start = text[: 8 * _MAX_LENGTH]
    printable = "".join(character if character.isprintable() else " " for character in start)
    return " ".join(printable.split())[:_MAX_LENGTH].rstrip()
