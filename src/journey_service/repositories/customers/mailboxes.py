"""Mailboxes that have unsubscribed: a keyed hash of the address, so that they stay unsubscribed after an erasure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.customers.tombstones import ErasureKey

_LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)")
_LOCK_SHARED: Final = text("SELECT pg_advisory_xact_lock_shared(:key)")
_LOCK_ALL_SHARED: Final = text(
    "SELECT pg_advisory_xact_lock_shared(key)"
    " FROM (SELECT DISTINCT key FROM unnest(CAST(:keys AS bigint[])) AS k(key) ORDER BY key) AS ordered"
)
_FIND_MANY: Final = text(
    "SELECT k.mailbox_hmac, (SELECT withdrawn_at FROM mailbox_withdrawals WHERE company_id = :company_id"
    " AND mailbox_hmac = k.mailbox_hmac) AS withdrawn_at,"
    " EXISTS (SELECT 1 FROM mailbox_withdrawals WHERE company_id = :company_id"
    " AND (key_id < CAST(:key_id AS bytea) OR key_id > CAST(:key_id AS bytea))) AS has_others"
    " FROM unnest(CAST(:mailbox_hmacs AS bytea[])) AS k(mailbox_hmac)"
)
_WITHDRAW: Final = text(
    "INSERT INTO mailbox_withdrawals (company_id, mailbox_hmac, key_id, withdrawn_at)"
    " VALUES (:company_id, :mailbox_hmac, :key_id, CAST(:at AS timestamptz))"
    " ON CONFLICT (company_id, mailbox_hmac) DO UPDATE"
    " SET withdrawn_at = greatest(mailbox_withdrawals.withdrawn_at, excluded.withdrawn_at)"
)
_CUSTOMERS: Final = text(
    "SELECT customer_id FROM customers WHERE company_id = :company_id"
    " AND mailbox = lower(btrim(CAST(:email AS text))) AND merged_into IS NULL ORDER BY customer_id"
)


class Mailboxes:
    """The mailboxes of one company's customers; addresses are compared without case and outer blanks."""

    def __init__(self, connection: AsyncConnection, company_id: int, key: ErasureKey | None) -> None:
        self._connection = connection
        self._company_id = company_id
        self._key = key

    async def lock(self, email: str, *, is_shared: bool) -> None:
        """Locks a mailbox until the transaction ends; before customers, which excludes deadlocks.

        Transactions that write an address lock it shared: they see a concurrent withdrawal, or are seen by it.
        """
        await self._connection.execute(_LOCK_SHARED if is_shared else _LOCK, {"key": self._lock_key(email)})

    async def lock_many(self, emails: Iterable[str]) -> None:
        """Locks mailboxes shared, in one order, before customers."""
        keys = [self._lock_key(email) for email in emails]
        if keys:
            await self._connection.execute(_LOCK_ALL_SHARED, {"keys": keys})

    async def find_withdrawal(self, email: str) -> datetime | None:
        """Returns when a mailbox withdrew consent to emails, None if it did not.

        Raises UnavailableError if withdrawals exist that the current key cannot check.
        """
        return (await self.find_withdrawals([email])).get(email)

    async def find_withdrawals(self, emails: Iterable[str]) -> dict[str, datetime]:
        """Returns when mailboxes withdrew consent to emails; those that did not are left out.

        Raises UnavailableError if withdrawals exist that the current key cannot check.
        """
        mailboxes = {email: b"" if self._key is None else self._hash(email) for email in emails}
        if not mailboxes:
            return {}
        rows = await self._connection.execute(
            _FIND_MANY,
            {
                "company_id": self._company_id,
                "mailbox_hmacs": list(set(mailboxes.values())),
                "key_id": b"" if self._key is None else self._key.id,
            },
        )
        withdrawn: dict[bytes, datetime | None] = {}
        for row in rows:
            if row.has_others:
                raise UnavailableError(
                    "JOURNEY_ERASURE_KEY is not the key that mailboxes unsubscribed with:"
                    " addresses cannot be written."
                )
            withdrawn[row.mailbox_hmac] = row.withdrawn_at
        return {email: at for email, key in mailboxes.items() if (at := withdrawn[key]) is not None}

    async def withdraw(self, email: str, at: datetime) -> None:
        """Stores that a mailbox withdrew consent to emails. Raises UnavailableError without a key."""
        if self._key is None:
            raise UnavailableError("JOURNEY_ERASURE_KEY is not set: mailboxes cannot unsubscribe.")
        await self._connection.execute(
            _WITHDRAW,
            {
                "company_id": self._company_id,
                "mailbox_hmac": self._hash(email),
                "key_id": self._key.id,
                "at": at,
            },
        )

    async def list_customers(self, email: str) -> Sequence[int]:
        """Returns the ids of the customers with a mailbox, without merged ones."""
        found = await self._connection.scalars(_CUSTOMERS, {"company_id": self._company_id, "email": email})
        return found.all()

    def _lock_key(self, email: str) -> int:
        return 0 if self._key is None else int.from_bytes(self._hash(email)[:8], signed=True)

    def _hash(self, email: str) -> bytes:
        assert self._key is not None  # checked by the caller
        return self._key.hash_mailbox(self._company_id, email.strip().lower())
