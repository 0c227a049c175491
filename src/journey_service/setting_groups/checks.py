"""Checks that several groups of settings share. They raise ValueError, as pydantic requires."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from pydantic import BeforeValidator, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

from journey_service.domain.errors import InvalidInputError
from journey_service.setting_groups.secret_strength import has_weak_password, is_guessable

_KEYS: Final = {
    "key_pepper": "JOURNEY_KEY_PEPPER",
    "erasure_key": "JOURNEY_ERASURE_KEY",
    "vault_key": "JOURNEY_VAULT_KEY",
}
"""Variables of the keys from which every later secret must differ, by field."""


def is_in_production(info: ValidationInfo) -> bool:
    """Whether the environment, which is read before all other settings, is `production`."""
    return info.data.get("environment") == "production"


def check_strength(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Refuses a guessable secret in production."""
    if value is None or not is_in_production(info):
        return value
    secret = value.get_secret_value()
    if info.field_name == "bootstrap_key":
        secret = secret.split("_", 2)[-1]  # the id before it is public
    if is_guessable(secret):
        raise ValueError("is too weak: use the output of `openssl rand -base64 32`")
    return value


def check_distinct_secret(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Refuses a secret that is equal to another one, or of which one ends with the other."""
    for name, variable in _KEYS.items():
        other = info.data.get(name)
        if value is not None and other is not None and name != info.field_name and _is_same(value, other):
            raise ValueError(f"must differ from {variable}")
    return value


def check_password(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """Refuses the URL of a database or Redis with a weak password in production."""
    if value is not None and is_in_production(info) and has_weak_password(value.get_secret_value()):
        raise ValueError("has a well-known password")
    return value


@contextmanager
def input_errors() -> Iterator[None]:
    """Reports an InvalidInputError as an error of the setting."""
    try:
        yield
    except InvalidInputError as error:
        raise ValueError(error.errors[0].message) from None


def _is_same(one: SecretStr, other: SecretStr) -> bool:
    """Whether two secrets are equal, or one ends with the other."""
    first, second = one.get_secret_value().strip(), other.get_secret_value().strip()
    return first.endswith(second) or second.endswith(first)


def _split_commas(value: object) -> object:
    """Splits comma-separated text into a tuple."""
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
"""Texts that the environment variable separates by commas."""
