"""Profiles: the language tag of a customer, and the name in a greeting."""

import re
from collections.abc import Mapping
from typing import Final

MAX_LANGUAGE_LENGTH: Final = 35
"""Characters of a language tag; longer ones are not used in practice."""
_TAG: Final = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", re.ASCII)


def normalize_language(value: str | None) -> str | None:
    """Returns a language tag of BCP 47 in lower case, with `-` for `_`; None for other text."""
    if value is None:
        return None
    tag = value.strip().lower().replace("_", "-")
    return tag if len(tag) <= MAX_LANGUAGE_LENGTH and _TAG.fullmatch(tag) else None


def language_fallbacks(tag: str) -> list[str]:
    """Returns a language tag and what it falls back to: `zh-hant-tw`, `zh-hant`, `zh`."""
    parts = tag.lower().replace("_", "-").split("-")
    return ["-".join(parts[:number]) for number in range(len(parts), 0, -1)]


def greeting_name(first_name: str | None, name: str | None) -> str | None:
    """Returns the name for a greeting: the first name if it is known, else the full name without outer blanks."""
    for value in (first_name, name):
        if value is not None and (trimmed := " ".join(value.split())):
            return trimmed
    return None


def missing_fields(own: Mapping[str, str | None], other: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the fields of another profile that are empty in a profile, by name: what it takes over in a merge."""
    return {
        name: value
        for name, value in other.items()
        if value is not None and value.strip() and not (own.get(name) or "").strip()
    }
