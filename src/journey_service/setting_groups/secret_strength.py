"""Strength of secrets: which are placeholders, and which can be guessed."""

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from zxcvbn import zxcvbn

_MIN_SECRET_GUESSES_LOG10: Final = 19.0
"""Number of guesses that a secret must withstand, as a power of ten: about twenty random characters."""
_MIN_PASSWORD_GUESSES_LOG10: Final = 8.0
"""Number of guesses that a password of PostgreSQL, Redis or the mail server must withstand, as a power of ten.

It is lower than for secrets because such passwords can only be guessed online.
"""
_MAX_ESTIMATED_LENGTH: Final = 72
"""Number of characters of a secret whose strength is estimated; the time of the estimate grows with the length."""
_PLACEHOLDER_WORDS: Final = re.compile(
    r"change.?(me|this)|placeholder|example|insecure|default|password", re.IGNORECASE
)


def is_guessable(secret: str) -> bool:
    """Whether a secret is a placeholder or can be guessed."""
    return _PLACEHOLDER_WORDS.search(secret) is not None or _guesses(secret) < _MIN_SECRET_GUESSES_LOG10


def has_weak_password(url: str) -> bool:
    """Whether the URL of a database or Redis contains a weak password."""
    try:
        parts = urlsplit(url)
        passwords = [
            *([] if parts.password is None else [unquote(parts.password)]),
            *parse_qs(parts.query, keep_blank_values=True).get("password", []),
        ]
    except ValueError:
        return False
    known = (unquote(parts.username or ""), parts.path.strip("/"))
    return any(_guesses(password, known) < _MIN_PASSWORD_GUESSES_LOG10 for password in passwords)


def has_weak_login(user: str, password: str) -> bool:
    """Whether the password of a login at a mail server is weak."""
    # Some mail servers use one long token as user and password; then the user is a secret too.
    known = (user,) if _guesses(user) < _MIN_SECRET_GUESSES_LOG10 else ()
    return _guesses(password, known) < _MIN_PASSWORD_GUESSES_LOG10


def _guesses(secret: str, known: tuple[str, ...] = ()) -> float:
    """Returns the number of guesses that a secret withstands, as a power of ten; 0 for a `known` secret."""
    estimated = secret[:_MAX_ESTIMATED_LENGTH]
    if not estimated or estimated in known:
        return 0.0
    return float(zxcvbn(estimated, user_inputs=[*known])["guesses_log10"])
