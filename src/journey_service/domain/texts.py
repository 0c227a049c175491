"""Texts of an input, and why they cannot be stored."""

import re
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FORMULA_PREFIXES: Final = (*"=+-@", *"\uff1d\uff0b\uff0d\uff20")
"""Signs with which a formula begins; some spreadsheets take the full-width ones too."""


def find_text_error(text: str) -> str | None:
    """Returns why a text cannot be stored, or None."""
    if "\x00" in text:
        return "must not contain NUL"
    return "must be valid Unicode text" if _SURROGATE.search(text) else None


def is_formula(text: str) -> bool:
    """Returns whether a spreadsheet may evaluate a text: it begins with a sign, after spaces or without."""
    return text.lstrip().startswith(_FORMULA_PREFIXES)
