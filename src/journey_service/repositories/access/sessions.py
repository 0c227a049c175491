"""Browser sessions and single-use sign-in links. Tokens are stored as hashes only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.repositories.tables import Row, browser_sessions, sign_in_links


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A signed-in browser: its actor, its rights, its latest expiry, and its expiry without another request.

    `chosen_company_id` and `reason`: the company that an operator's session acts for, and why.
    """

    actor: str
    role: str
    scopes: tuple[str, ...]
    key_id: str | None
    expires_at: datetime
    idle_until: datetime
    chosen_company_id: int | None = None
    reason: str | None = None


# A session that was opened with a key ends with the key. A session that is not used for `idle_seconds` ends.
_FIND_LIVE: Final = text(
    "SELECT s.actor, s.role, s.scopes, s.key_id, s.expires_at, s.chosen_company_id, s.reason,"
    " s.last_used_at < clock_timestamp() - make_interval(secs => :note_seconds) AS is_use_due,"
    " least(s.expires_at, make_interval(secs => :idle_seconds) + CASE WHEN s.last_used_at < clock_timestamp()"
    " - make_interval(secs => :note_seconds) THEN clock_timestamp() ELSE s.last_used_at END) AS idle_until"
    " FROM browser_sessions s LEFT JOIN api_keys k ON k.company_id = s.company_id AND k.key_id = s.key_id"
    " WHERE s.company_id = :company_id AND s.token_hash = :token_hash AND s.ended_at IS NULL"
    " AND s.expires_at > clock_timestamp()"
    " AND s.last_used_at > clock_timestamp() - make_interval(secs => :idle_seconds)"
    " AND (s.key_id IS NULL OR (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())))"
)
_RECORD_USE: Final = text(
    "UPDATE browser_sessions SET last_used_at = clock_timestamp()"
    " WHERE company_id = :company_id AND token_hash = :token_hash"
)
_END: Final = text(
    "UPDATE browser_sessions SET ended_at = clock_timestamp()"
    " WHERE company_id = :company_id AND token_hash = :token_hash AND ended_at IS NULL"
)
_CHOOSE_COMPANY: Final = text(
    "UPDATE browser_sessions SET token_hash = :new_token_hash,"
    " chosen_company_id = CAST(:chosen_company_id AS bigint), reason = CAST(:reason AS text)"
    " WHERE company_id = :company_id AND token_hash = :token_hash AND ended_at IS NULL"
    " AND expires_at > clock_timestamp()"
)
_DELETE_EXPIRED: Final = text(
    "DELETE FROM browser_sessions WHERE company_id = :company_id"
    " AND greatest(expires_at, ended_at) < clock_timestamp() - interval '1 day'"
)
_DELETE_EXPIRED_LINKS: Final = text(
    "DELETE FROM sign_in_links WHERE company_id = :company_id AND expires_at < clock_timestamp() - interval '1 day'"
)
_USE: Final = text(
    "UPDATE sign_in_links SET used_at = clock_timestamp() WHERE company_id = :company_id"
    " AND token_hash = :token_hash AND used_at IS NULL AND expires_at > clock_timestamp() RETURNING actor, role"
)
_EXPIRY: Final = text("clock_timestamp() + make_interval(secs => :seconds)")


class BrowserSessions:
    """The browser sessions and sign-in links of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(
        self,
        token_hash: bytes,
        *,
        actor: str,
        role: str,
        scopes: Sequence[str],
        key_id: str | None,
        seconds: int,
    ) -> None:
        """Inserts a session."""
        await self._connection.execute(
            insert(browser_sessions).values(
                company_id=self._company_id,
                token_hash=token_hash,
                actor=actor,
                role=role,
                scopes=list(scopes),
                key_id=key_id,
                expires_at=_EXPIRY.bindparams(seconds=seconds),
            )
        )

    async def find_live(
        self, token_hash: bytes, *, idle_seconds: int, note_seconds: int
    ) -> BrowserSession | None:
        """Finds the session of a token unless it has ended, expired or idled too long.

        The last use is recorded when the recorded one is older than `note_seconds`.
        """
        values = {"company_id": self._company_id, "token_hash": token_hash}
        row = (
            await self._connection.execute(
                _FIND_LIVE, {**values, "idle_seconds": idle_seconds, "note_seconds": note_seconds}
            )
        ).one_or_none()
        if row is None:
            return None
        if row.is_use_due:
            await self._connection.execute(_RECORD_USE, values)
        return _to_session(row)

    async def choose_company(
        self, token_hash: bytes, new_token_hash: bytes, company_id: int | None, reason: str | None
    ) -> bool:
        """Sets the company that a session acts for, and replaces its token; returns False if it has ended."""
        updated = await self._connection.execute(
            _CHOOSE_COMPANY,
            {
                "company_id": self._company_id,
                "token_hash": token_hash,
                "new_token_hash": new_token_hash,
                "chosen_company_id": company_id,
                "reason": reason,
            },
        )
        return updated.rowcount == 1

    async def end(self, token_hash: bytes) -> bool:
        """Ends a session; returns False if it has ended already or does not exist."""
        ended = await self._connection.execute(
            _END, {"company_id": self._company_id, "token_hash": token_hash}
        )
        return ended.rowcount == 1

    async def delete_expired(self) -> None:
        """Deletes sessions and links that ended more than a day ago."""
        await self._connection.execute(_DELETE_EXPIRED, {"company_id": self._company_id})
        await self._connection.execute(_DELETE_EXPIRED_LINKS, {"company_id": self._company_id})

    async def insert_link(self, token_hash: bytes, *, actor: str, role: str, seconds: int) -> None:
        """Inserts a sign-in link that opens one session."""
        await self._connection.execute(
            insert(sign_in_links).values(
                company_id=self._company_id,
                token_hash=token_hash,
                actor=actor,
                role=role,
                expires_at=_EXPIRY.bindparams(seconds=seconds),
            )
        )

    async def use_link(self, token_hash: bytes) -> tuple[str, str] | None:
        """Marks a link as used and returns its (actor, role); None if it is used, expired or unknown."""
        row = (
            await self._connection.execute(_USE, {"company_id": self._company_id, "token_hash": token_hash})
        ).one_or_none()
        return None if row is None else (row.actor, row.role)


def _to_session(row: Row) -> BrowserSession:
    return BrowserSession(
        row.actor,
        row.role,
        tuple(row.scopes),
        row.key_id,
        row.expires_at,
        row.idle_until,
        row.chosen_company_id,
        row.reason,
    )
