"""Parses the fields of a profile in an event or a line: texts, the language, and consents by channel."""

from collections.abc import Mapping
from typing import Final

from journey_service.domain.customers.profiles import normalize_language
from journey_service.domain.customers.updates import PROFILE_LENGTHS, ProfileUpdate
from journey_service.domain.errors import FieldError, pointer_token
from journey_service.domain.texts import find_text_error

CONSENT_CHANNELS: Final = ("email", "sms", "call", "offer")
CONSENT_STATUSES: Final = ("granted", "withdrawn", "unknown")
_MAX_LANGUAGE_LENGTH: Final = 64


def parse_profile_fields(raw: Mapping[str, object], pointer: str, errors: list[FieldError]) -> dict[str, str]:
    """Parses the texts and the language of a profile; adds errors. Empty texts and nulls name nothing."""
    fields = {
        name: text
        for name, maximum in PROFILE_LENGTHS.items()
        if (text := _text(raw.get(name), f"{pointer}/{name}", maximum, errors)) is not None
    }
    language = _text(raw.get("language"), f"{pointer}/language", _MAX_LANGUAGE_LENGTH, errors)
    if language is not None:
        tag = normalize_language(language)
        if tag is None:
            errors.append(FieldError(f"{pointer}/language", "must be a language tag such as de or pt-BR"))
        else:
            fields["language"] = tag
    return fields


def parse_consents(
    named: Mapping[str, tuple[object, object]], pointer: str, errors: list[FieldError]
) -> dict[str, str]:
    """Parses consents, given as (channel, status) by pointer; adds errors."""
    consents: dict[str, str] = {}
    for at, (channel, value) in named.items():
        status = value.strip().lower() if isinstance(value, str) else value
        if channel not in CONSENT_CHANNELS:
            # The name comes from the input, and may be personal data.
            errors.append(FieldError(pointer, f"must be by channel: {', '.join(CONSENT_CHANNELS)}"))
        elif status not in CONSENT_STATUSES:
            errors.append(FieldError(at, f"must be one of {', '.join(CONSENT_STATUSES)}"))
        elif consents.setdefault(str(channel), str(status)) != status:
            errors.append(FieldError(at, f"differs from another consent to {channel} in the line"))
    return consents


def parse_profile(raw: object, pointer: str, errors: list[FieldError]) -> ProfileUpdate | None:
    """Parses the object `customer` of an event; adds errors. Without an object, returns None."""
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        return None
    known = (*PROFILE_LENGTHS, "language", "consents")
    errors += [
        FieldError(f"{pointer}/{pointer_token(str(name))}", "is not a known field")
        for name in raw
        if name not in known
    ]
    fields = parse_profile_fields(raw, pointer, errors)
    consents = {} if raw.get("consents") is None else raw["consents"]
    if not isinstance(consents, Mapping):
        errors.append(FieldError(f"{pointer}/consents", 'must be an object such as {"email": "granted"}'))
        return None
    named = {
        f"{pointer}/consents/{pointer_token(str(channel))}": (channel, status)
        for channel, status in consents.items()
    }
    return ProfileUpdate(fields, parse_consents(named, f"{pointer}/consents", errors), {})


def _text(value: object, pointer: str, maximum: int, errors: list[FieldError]) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > maximum:
        errors.append(FieldError(pointer, f"must be text of at most {maximum} characters"))
    elif (problem := find_text_error(value)) is not None:
        errors.append(FieldError(pointer, problem))
    else:
        return value
    return None
