"""Roles, their scopes, and actors as the audit log and the transitions name them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EVERYTHING: Final = "*"
"""Scope that includes every other scope except OPERATE."""
OPERATE: Final = "operate"
"""Scope of operators only; it cannot be granted."""
SELF: Final = "self"
"""Scope of every valid credential: read its own principal."""
SCOPES: Final[dict[str, str]] = {
    EVERYTHING: "everything within the company, without the operator's functions",
    "events:write": "send events and import files",
    "customers:read": "read customers, their journeys and scores",
    "customers:write": "write profiles and consents of customers",
    "journeys:write": "move, pin, evaluate and annotate customers manually",
    "privacy": "export and erase the personal data of customers, merge customers",
    "stages:read": "read the stage map",
    "stages:write": "preview and change the stage map",
    "actions:read": "read tasks, campaigns and the delivery log",
    "actions:write": "complete tasks, start actions, end campaigns, retry deliveries",
    "analytics:read": "read metrics and reports",
    "admin": "administer the company: jobs, API keys, settings, audit log",
}
"""Scopes that can be granted to a credential, each with its description."""


class Role(StrEnum):
    """Role of a principal; it determines the default scopes."""

    SERVICE = "service"
    """Another system: sends events and reads customers."""
    AGENT = "agent"
    """Works with customers."""
    MANAGER = "manager"
    """Manages the stage map and reads reports, in addition to an agent's work."""
    ADMIN = "admin"
    """Administers the company's account."""
    OPERATOR = "operator"
    """Runs the service itself, for all companies."""


_SERVICE: Final = frozenset(("events:write", "customers:read", "customers:write"))
_AGENT: Final = frozenset(
    (
        *("customers:read", "customers:write", "journeys:write", "stages:read"),
        *("actions:read", "actions:write"),
    )
)
ROLE_SCOPES: Final[dict[Role, frozenset[str]]] = {
    Role.SERVICE: _SERVICE,
    Role.AGENT: _AGENT,
    Role.MANAGER: _AGENT | {"stages:write", "analytics:read"},
    Role.ADMIN: frozenset((EVERYTHING,)),
    Role.OPERATOR: frozenset((EVERYTHING, OPERATE)),
}
"""Scopes of a credential that has no scopes of its own, by role."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change, as named in transitions and the audit log.

    `name` is `key:<id>`, `user:<subject>`, `schedule` or `delivery`. `is_operator`: an operator acts for the company,
    for the given `reason`. `request_id` and `address` identify the HTTP request; None outside of one.
    """

    name: str
    is_operator: bool = False
    reason: str | None = None
    request_id: str | None = None
    address: str | None = None


def assignee_of(actor_name: str) -> str:
    """Returns the name under which tasks are assigned to an actor: its name without the kind of the credential.

    `user:<subject>` is the subject, `key:<id>` the id of the key, and `link:<author>` the author of the sign-in link.
    """
    kind, separator, name = actor_name.partition(":")
    if not separator or kind not in ("key", "user", "link"):
        return actor_name
    return assignee_of(name) if kind == "link" else name


SCHEDULE: Final = Actor("schedule")
"""Author of scheduled changes."""
DELIVERY: Final = Actor("delivery")
"""Author of what the delivery of messages changes."""
