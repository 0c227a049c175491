"""Claims of an identity provider's token: where they are, and which roles they name."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from journey_service.domain.access.actors import Role
from journey_service.domain.errors import InvalidInputError, quote_value

_ROLE_MAP: Final = "OIDC_ROLE_MAP"


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """The claims that contain the company and the roles, and the roles that the provider's names stand for.

    Without `role_map`, each role has its own name at the provider. With it, other names are no roles.
    """

    company_claim: str
    role_claim: str
    role_map: Mapping[str, Role] | None = None

    def company(self, claims: Mapping[str, Any]) -> object:
        """Returns the value of the company claim; None if there is none."""
        return find_claim(claims, self.company_claim)

    def roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """Returns the roles that a token names."""
        known = {role.value: role for role in Role} if self.role_map is None else self.role_map
        named = _names(find_claim(claims, self.role_claim))
        return frozenset(known[name] for name in named if name in known)


def find_claim(claims: Mapping[str, Any], name: str) -> object:
    """Returns the claim of a name, or else the value at its dotted path; None if there is neither.

    The parts of a path may contain dots: `resource_access.my.client.roles` is found in each way of splitting it.
    """
    if name in claims:
        return claims[name]
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            found = find_claim(inner, ".".join(parts[length:]))
            if found is not None:
                return found
    return None


def parse_role_map(value: str) -> dict[str, Role]:
    """Parses `name=role` pairs, separated by commas, or a JSON object of roles by name. Raises InvalidInputError."""
    text = value.strip()
    pairs = list(_json_pairs(text) if text.startswith("{") else _listed_pairs(text))
    roles = {name: _role(role) for name, role in pairs}
    if len(roles) < len(pairs):
        raise InvalidInputError.at(_ROLE_MAP, "contains a name twice")
    return roles


def _listed_pairs(text: str) -> Iterator[tuple[str, object]]:
    for pair in text.split(","):
        # The last equals sign: names such as `cn=desk` contain others.
        name, separator, role = (part.strip() for part in pair.rpartition("="))
        if not (separator and name):
            raise InvalidInputError.at(
                _ROLE_MAP, "must be name=role pairs, separated by commas, or a JSON object of roles by name"
            )
        yield name, role


def _json_pairs(text: str) -> list[tuple[str, object]]:
    try:
        pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise InvalidInputError.at(_ROLE_MAP, "is not a valid JSON object") from None
    if not pairs or any(not name for name, _ in pairs):
        raise InvalidInputError.at(_ROLE_MAP, "must contain at least one name, and no empty one")
    return pairs


def _role(value: object) -> Role:
    try:
        return Role(str(value))
    except ValueError:
        raise InvalidInputError.at(
            _ROLE_MAP, f"must map names to {', '.join(Role)}; got {quote_value(value)}"
        ) from None


def _names(value: object) -> Iterator[str]:
    """Yields the names in a role claim: a text, the `name` or the keys of an object, or a list of these.

    A key whose value is false or null names no role.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _names(entry)
    elif isinstance(value, Mapping):
        if isinstance(value.get("name"), str):
            yield value["name"]
        else:
            yield from (key for key, held in value.items() if held is not None and held is not False)
