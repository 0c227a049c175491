"""Paths of this service that a sign-in may lead to; an address of another site never is one."""

import re
from typing import Final

HOME: Final = "/"
"""Where a sign-in leads if nothing else was requested."""
_MAX_LENGTH: Final = 2_000
# One slash, and not a second one or a backslash, which browsers read as the name of a host. Only visible characters:
# browsers remove others, such as a tab, from an address.
_OWN: Final = re.compile(r"/(?!/)[!-\[\]-~]*", re.ASCII)
_SIGN_IN: Final = re.compile(r"/sign-in(?:[/?#]|$)", re.ASCII)


def own_path(text: str) -> str:
    """Returns the path if it is one of this service and not of the sign-in itself; else the start page."""
    if len(text) > _MAX_LENGTH or _OWN.fullmatch(text) is None:
        return HOME
    return HOME if _SIGN_IN.match(text) else text
