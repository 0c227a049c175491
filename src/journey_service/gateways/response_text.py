"""What other systems say, made fit to be kept and shown: it is theirs, and may hold anything."""

from typing import Final

_LONGEST: Final = 255


def sanitize_response_text(said: str) -> str:
    """What was said as one line of at most 255 printable characters."""
    # What is far beyond is not looked at.
    shown = "".join(email if email.isprintable() else " " for email in said[: 8 * _LONGEST])
    return " ".join(shown.split())[:_LONGEST].rstrip()
