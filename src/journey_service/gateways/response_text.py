"""Sanitizes text of other systems before it is stored and shown."""

from typing import Final

_LONGEST: Final = 255


def sanitize_response_text(said: str) -> str:
    """Returns the text as one line of at most 255 printable characters."""
    # Text far beyond the limit is not processed.
    shown = "".join(email if email.isprintable() else " " for email in said[: 8 * _LONGEST])
    return " ".join(shown.split())[:_LONGEST].rstrip()
