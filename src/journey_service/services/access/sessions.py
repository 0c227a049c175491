"""Browser sessions: a session is a random token in a cookie; the database holds only its hash.

The token begins with the company id, so that the look-up runs under that tenant's row-level security.
"""

import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from journey_service.domain.access.actors import ROLE_SCOPES, Actor, Role
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.errors import UnauthenticatedError
from journey_service.domain.events.event import MAX_ID
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.access.credentials import OPERATORS, Principal, allowed

MAX_SESSION_SECONDS: Final = 12 * 3600
"""Lifetime of a session, from sign-in."""
OPERATOR_SECONDS: Final = 3600
"""Lifetime of an operator's session."""
IDLE_SECONDS: Final = 2 * 3600
"""Time without a request after which a session expires."""
LINK_SECONDS: Final = 15 * 60
"""Lifetime of a sign-in link, which opens one session."""

_NOTE_SECONDS: Final = 60
"""Minimum time between two updates of a session's last use."""
_SECRET_BYTES: Final = 32
_TOKEN: Final = re.compile(r"(\d{1,19})\.[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session just opened, with its token, which cannot be read again."""

    token: str
    principal: Principal


@dataclass(frozen=True, slots=True)
class SessionDetails:
    """What a client needs to begin: the company, and when the browser session ends.

    `company` is None for an operator who has chosen none, and for a company that does not exist. The times are None for
    a caller without a browser session.
    """

    company: CompanyContext | None
    expires_at: datetime | None = None
    idle_until: datetime | None = None


async def open_session(database: Database, principal: Principal, *, by: Actor) -> OpenedSession:
    """Opens a session for an authenticated principal. Raises UnauthenticatedError for an unknown company."""

    async def unit(uow: UnitOfWork) -> OpenedSession:
        return await _open(uow, principal, by)

    return await database.run(principal.company_id, unit)


async def find_session(database: Database, token: str, *, is_known: bool = False) -> Principal:
    """Authenticates a session token. Raises UnauthenticatedError, with the same message for every reason.

    A session that `is_known` to have been valid lately is looked up even while many unknown ones are.
    """
    company_id = _company(token)

    async def unit(uow: UnitOfWork) -> Principal | None:
        found = await uow.sessions.find_live(
            _hash(token), idle_seconds=IDLE_SECONDS, note_seconds=_NOTE_SECONDS
        )
        if found is None:
            return None
        scopes = allowed(found.role, found.scopes)
        return Principal(
            found.actor,
            company_id,
            Role(found.role),
            scopes,
            found.key_id,
            found.chosen_company_id,
            found.reason,
        )

    principal = await database.run_for_credential(company_id, unit, is_known=is_known)
    if principal is None:
        raise UnauthenticatedError("The credential is not valid.")
    return principal


async def get_details(database: Database, principal: Principal, token: str | None) -> SessionDetails:
    """Returns the company that a caller acts for, and the ends of the browser session whose token it sent, if any."""

    async def find_company(uow: UnitOfWork) -> CompanyContext | None:
        with contextlib.suppress(CompanyNotFoundError):
            return await uow.companies.get_context()
        return None

    async def unit(uow: UnitOfWork) -> SessionDetails:
        company = None if principal.is_operator else await find_company(uow)
        session = None
        if token is not None:
            session = await uow.sessions.find_live(
                _hash(token), idle_seconds=IDLE_SECONDS, note_seconds=_NOTE_SECONDS
            )
        if session is None:
            return SessionDetails(company)
        return SessionDetails(company, session.expires_at, session.idle_until)

    details = await database.run(principal.company_id, unit)
    if principal.is_operator and principal.chosen_company_id is not None:
        return replace(details, company=await database.run(principal.chosen_company_id, find_company))
    return details


async def choose_company(
    database: Database, token: str, principal: Principal, company_id: int, *, by: Actor
) -> OpenedSession:
    """Lets an operator's session act for a company for the rest of its lifetime, for the reason of the actor.

    The choice is recorded in the company's audit log first. The session gets another token, because processes cache the
    previous one with the previous company. Raises CompanyNotFoundError, and UnauthenticatedError if the session ended.
    """

    async def record(uow: UnitOfWork) -> None:
        await uow.companies.get_context()
        await uow.audit_log.record(by, AuditEntry("session.enter_company"))

    await database.run(company_id, record)
    return await _act_for(database, token, principal, company_id, by.reason)


async def leave_company(database: Database, token: str, principal: Principal, *, by: Actor) -> OpenedSession:
    """Lets an operator's session act for no company; recorded in the audit log of the company that it leaves.

    Raises UnauthenticatedError if the session ended.
    """

    async def record(uow: UnitOfWork) -> None:
        await uow.audit_log.record(by, AuditEntry("session.leave_company"))

    if principal.chosen_company_id is not None:
        await database.run(principal.chosen_company_id, record)
    return await _act_for(database, token, principal, None, None)


async def _act_for(
    database: Database, token: str, principal: Principal, company_id: int | None, reason: str | None
) -> OpenedSession:
    new_token = _new_token(OPERATORS)

    async def unit(uow: UnitOfWork) -> bool:
        return await uow.sessions.choose_company(_hash(token), _hash(new_token), company_id, reason)

    if not await database.run(OPERATORS, unit):
        raise UnauthenticatedError("The credential is not valid.")
    return OpenedSession(new_token, replace(principal, chosen_company_id=company_id, reason=reason))


async def end_session(database: Database, token: str, *, by: Actor) -> None:
    """Ends a session. Does nothing if it has already ended."""

    async def unit(uow: UnitOfWork) -> None:
        if await uow.sessions.end(_hash(token)):
            await uow.audit_log.record(by, AuditEntry("session.delete"))

    await database.run(_company(token), unit)


async def create_link(
    database: Database, company_id: int, role: Role, *, by: Actor, seconds: int = LINK_SECONDS
) -> str:
    """Creates a token that opens one session in a role, within `seconds`. Raises CompanyNotFoundError."""
    token = _new_token(company_id)

    async def unit(uow: UnitOfWork) -> None:
        if company_id != OPERATORS:
            await uow.companies.get_context()
        await uow.sessions.insert_link(_hash(token), actor=by.name, role=role, seconds=seconds)
        await uow.audit_log.record(by, AuditEntry("sign_in_link.create", detail={"role": role}))

    await database.run(company_id, unit)
    return token


async def open_by_link(database: Database, token: str, *, by: Callable[[str], Actor]) -> OpenedSession:
    """Opens a session by a sign-in link, which can be used once. Raises UnauthenticatedError."""
    company_id = _company(token)

    async def unit(uow: UnitOfWork) -> OpenedSession | None:
        found = await uow.sessions.use_link(_hash(token))
        if found is None:
            return None
        name, role = f"link:{found[0]}", Role(found[1])
        principal = Principal(name, company_id, role, ROLE_SCOPES[role])
        return await _open(uow, principal, by(name))

    opened = await database.run_for_credential(company_id, unit)
    if opened is None:
        raise UnauthenticatedError("The link was used already or has expired.")
    return opened


async def _open(uow: UnitOfWork, principal: Principal, by: Actor) -> OpenedSession:
    if principal.company_id != OPERATORS:
        try:
            await uow.companies.get_context()
        except (
            CompanyNotFoundError
        ):  # an identity provider may name companies that this service does not have
            raise UnauthenticatedError("The credential is not valid.") from None
    token = _new_token(principal.company_id)
    await uow.sessions.delete_expired()
    await uow.sessions.insert(
        _hash(token),
        actor=principal.name,
        role=principal.role,
        scopes=() if principal.scopes == ROLE_SCOPES[principal.role] else sorted(principal.scopes),
        key_id=principal.key_id,
        seconds=OPERATOR_SECONDS if principal.is_operator else MAX_SESSION_SECONDS,
    )
    await uow.audit_log.record(
        replace(by, name=principal.name), AuditEntry("session.create", detail={"role": principal.role})
    )
    return OpenedSession(token, principal)


def _new_token(company_id: int) -> str:
    return f"{company_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"


def _company(token: str) -> int:
    match = _TOKEN.fullmatch(token)
    if match is None or int(match[1]) > MAX_ID:
        raise UnauthenticatedError("The credential is not valid.")
    return int(match[1])


def _hash(token: str) -> bytes:
    # A random token needs no slow hash.
    return sha256(token.encode()).digest()
