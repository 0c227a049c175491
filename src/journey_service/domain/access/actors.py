"""Who acts: roles and what they may do, and how somebody is named where acts are written down."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EVERYTHING: Final = "*"
OPERATE: Final = "operate"
"""What operators alone may do."""
SELF: Final = "self"
"""What everybody may do who has a credential: know who they are here."""
SCOPES: Final[dict[str, str]] = {
    EVERYTHING: "everything of the own company, never what is an operator's",
    "events:write": "send events and histories",
    "customers:read": "read customers, their journeys and scores",
    "customers:write": "write customers' profiles and consents",
    "journeys:write": "move, pin, evaluate and annotate by hand",
    "privacy": "hand out and erase everything held on a customer",
    "stages:read": "read the stage map",
    "stages:write": "preview and change the stage map",
    "actions:read": "read tasks, campaigns and the log of deliveries",
    "actions:write": "work off tasks, act on customers, end campaigns, retry deliveries",
    "analytics:read": "read figures about all customers",
    "admin": "operate the own company: jobs, keys, settings, the audit log",
}
"""What a credential can be given, and what each allows."""


class Role(StrEnum):
    """What somebody is to the service."""

    SERVICE = "service"
    """Another system: tells what happened, and reads where customers stand."""
    AGENT = "agent"
    """Works with customers."""
    MANAGER = "manager"
    """Answers for how customers are worked with."""
    ADMIN = "admin"
    """Answers for the company's account."""
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
"""What each role may do where a credential does not say it itself."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts, as histories and the audit log name them: `key:<id>`, `user:<subject>`, `schedule`.

    `is_operator`: acts for a company that is not their own, for the `reason` given. `request_id` and `address` tell
    from where, if it was over the network.
    """

    name: str
    is_operator: bool = False
    reason: str | None = None
    request_id: str | None = None
    address: str | None = None


SCHEDULE: Final = Actor("schedule")
"""What is done because its time has come."""
