"""What is kept of customers who were erased: a keyed hash of the id each was known by, and nothing else.

The key is the service's secret. Without it a stolen table answers no question; with another one nobody would be
recognised, and so nobody is let in until the right one is back.
"""

import hmac
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import exists, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.tables import erasure_tombstones

_FOUND: Final = text(
    "SELECT customer_hmac FROM erasure_tombstones WHERE company_id = :company_id"
    " AND customer_hmac = ANY(CAST(:hmacs AS bytea[]))"
)
_HAS_OTHERS: Final = text(
    "SELECT EXISTS (SELECT 1 FROM erasure_tombstones WHERE company_id = :company_id"
    " AND (key_id < CAST(:key_id AS bytea) OR key_id > CAST(:key_id AS bytea)))"
)


class ErasureKey:
    """The secret by which erased customers are recognised, and their handles are told apart."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.id = self._digest("fingerprint")[:8]

    def hash_customer(self, company_id: int, customer_id: int) -> bytes:
        """What is kept instead of a customer's id."""
        return self._digest(f"customer:{company_id}:{customer_id}")

    def hash_handle(self, company_id: int, kind: str, handle: str) -> str:
        """What is kept instead of another system's own name of something."""
        return self._digest(f"{kind}:{company_id}:{handle}").hex()

    def hash_content(self, company_id: int, content: bytes) -> bytes:
        """What is kept instead of the hash of an event's content, which could be made again from guesses."""
        return self._digest(f"content:{company_id}:{content.hex()}")

    def _digest(self, said: str) -> bytes:
        return hmac.digest(self._secret, said.encode(), sha256)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is kept of one erased customer, and which secret it was made with."""

    customer_hmac: bytes
    key_id: bytes
    erased_at: datetime


class Tombstones:
    """The erased customers of one company. Without a key one can only be told that there are some."""

    def __init__(self, connection: AsyncConnection, company_id: int, key: ErasureKey | None) -> None:
        self._connection = connection
        self._company_id = company_id
        self._key = key

    @property
    def key(self) -> ErasureKey:
        """The key. Raises UnavailableError where nobody has told it."""
        if self._key is None:
            raise UnavailableError("The service was not told JOURNEY_ERASURE_KEY; nobody can be erased.")
        return self._key

    async def find_erased(self, customer_ids: Iterable[int]) -> set[int]:
        """Which of these ids were those of customers who were erased.

        Raises UnavailableError when there are tombstones that the key at hand cannot read: whoever was erased might
        otherwise be let in again.
        """
        asked = list(customer_ids)
        if not asked:
            return set()
        fingerprint = b"" if self._key is None else self._key.id
        if await self._connection.scalar(
            _HAS_OTHERS, {"company_id": self._company_id, "key_id": fingerprint}
        ):
            raise UnavailableError(
                "JOURNEY_ERASURE_KEY is not the one that customers were erased with; nobody new is taken in."
            )
        if self._key is None:
            return set()
        hmacs = {self._key.hash_customer(self._company_id, id_): id_ for id_ in asked}
        found = await self._connection.scalars(_FOUND, {"company_id": self._company_id, "hmacs": list(hmacs)})
        return {hmacs[bytes(hmac_)] for hmac_ in found}

    async def page(self, *, after: bytes, limit: int) -> list[Tombstone]:
        """Tombstones beyond a hash, in the order of the hashes."""
        columns = erasure_tombstones.c
        rows = await self._connection.execute(
            select(columns.customer_hmac, columns.key_id, columns.erased_at)
            .where(columns.company_id == self._company_id, columns.customer_hmac > after)
            .order_by(columns.customer_hmac)
            .limit(limit)
        )
        return [Tombstone(bytes(row[0]), bytes(row[1]), row[2]) for row in rows]

    def match(self, customer_ids: Iterable[int], hmacs: Container[bytes]) -> list[int]:
        """Those of the customers whose hash is among these. Raises UnavailableError without the key."""
        key = self.key
        return [id_ for id_ in customer_ids if key.hash_customer(self._company_id, id_) in hmacs]

    async def has_any_since(self, at: datetime) -> bool:
        """Whether anybody was erased since an instant, by the database's clock."""
        found = await self._connection.scalar(
            select(
                exists().where(
                    erasure_tombstones.c.company_id == self._company_id, erasure_tombstones.c.erased_at >= at
                )
            )
        )
        return bool(found)

    async def insert(self, customer_id: int) -> None:
        """Remember that a customer was erased."""
        await self._connection.execute(
            upsert(erasure_tombstones)
            .values(
                company_id=self._company_id,
                customer_hmac=self.key.hash_customer(self._company_id, customer_id),
                key_id=self.key.id,
            )
            .on_conflict_do_nothing()
        )
