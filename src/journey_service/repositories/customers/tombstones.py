"""Tombstones of erased customers: a keyed hash of the customer id, and nothing else.

The key is a secret of the service: without it, a copied table reveals no customer. With another key no
erased customer is recognised, so new customers are refused until the right key is set.
"""

import hmac
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import exists, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.tables import erasure_tombstones

_FIND: Final = text(
    "SELECT EXISTS (SELECT 1 FROM erasure_tombstones WHERE company_id = :company_id"
    " AND (key_id < CAST(:key_id AS bytea) OR key_id > CAST(:key_id AS bytea))) AS has_other_key,"
    " ARRAY(SELECT customer_hmac FROM erasure_tombstones WHERE company_id = :company_id"
    " AND customer_hmac = ANY(CAST(:hmacs AS bytea[]))) AS found"
)


class ErasureKey:
    """The secret key of the hashes that stay in place of erased identifiers."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.id = self._digest("fingerprint")[:8]

    def hash_customer(self, company_id: int, customer_id: int) -> bytes:
        """Returns the hash of a customer id."""
        return self._digest(f"customer:{company_id}:{customer_id}")

    def hash_ref(self, company_id: int, ref: str) -> bytes:
        """Returns the hash of a customer's id as text."""
        return self._digest(f"ref:{company_id}:{ref}")

    def hash_handle(self, company_id: int, kind: str, handle: str) -> str:
        """Returns the hash of an identifier of another system."""
        return self._digest(f"{kind}:{company_id}:{handle}").hex()

    def hash_mailbox(self, company_id: int, mailbox: str) -> bytes:
        """Returns the hash of the address of a mailbox."""
        return self._digest(f"mailbox:{company_id}:{mailbox}")

    def hash_content(self, company_id: int, content: bytes) -> bytes:
        """Returns the keyed hash of an event's content hash, which could be guessed without a key."""
        return self._digest(f"content:{company_id}:{content.hex()}")

    def _digest(self, message: str) -> bytes:
        return hmac.digest(self._secret, message.encode(), sha256)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The hash of one erased customer, and the id of the key it was made with."""

    customer_hmac: bytes
    key_id: bytes
    erased_at: datetime


class Tombstones:
    """The tombstones of one company. Without a key, only their existence can be checked."""

    def __init__(self, connection: AsyncConnection, company_id: int, key: ErasureKey | None) -> None:
        self._connection = connection
        self._company_id = company_id
        self._key = key

    @property
    def key(self) -> ErasureKey:
        """The erasure key. Raises UnavailableError if none is set."""
        if self._key is None:
            raise UnavailableError("JOURNEY_ERASURE_KEY is not set: customers cannot be erased.")
        return self._key

    async def find_erased(
        self, customer_ids: Iterable[int], refs: Mapping[int, str] | None = None
    ) -> set[int]:
        """Returns which of these customer ids belong to erased customers, also by the `refs` of some of them.

        Raises UnavailableError if tombstones exist that the current key cannot check: an erased customer
        could be created again.
        """
        ids, refs = list(customer_ids), refs or {}
        if not ids and not refs:
            return set()
        hmacs: dict[bytes, int] = {}
        if self._key is not None:
            hmacs = {self._key.hash_customer(self._company_id, id_): id_ for id_ in ids}
            hmacs |= {self._key.hash_ref(self._company_id, ref): id_ for id_, ref in refs.items()}
        key_id = b"" if self._key is None else self._key.id
        row = (
            await self._connection.execute(
                _FIND, {"company_id": self._company_id, "key_id": key_id, "hmacs": list(hmacs)}
            )
        ).one()
        if row.has_other_key:
            raise UnavailableError(
                "JOURNEY_ERASURE_KEY is not the key that customers were erased with: new customers are refused."
            )
        return {hmacs[bytes(hmac_)] for hmac_ in row.found}

    async def page(self, *, after: bytes, limit: int) -> list[Tombstone]:
        """Returns the next tombstones by hash, after `after`."""
        columns = erasure_tombstones.c
        rows = await self._connection.execute(
            select(columns.customer_hmac, columns.key_id, columns.erased_at)
            .where(columns.company_id == self._company_id, columns.customer_hmac > after)
            .order_by(columns.customer_hmac)
            .limit(limit)
        )
        return [Tombstone(bytes(row[0]), bytes(row[1]), row[2]) for row in rows]

    def match(self, customer_ids: Iterable[int], hmacs: Container[bytes]) -> list[int]:
        """Returns the customers whose hash is among `hmacs`. Raises UnavailableError without a key."""
        key = self.key
        return [id_ for id_ in customer_ids if key.hash_customer(self._company_id, id_) in hmacs]

    async def has_any_since(self, at: datetime) -> bool:
        """Returns whether a customer was erased since an instant, by the database's time."""
        has_any = await self._connection.scalar(
            select(
                exists().where(
                    erasure_tombstones.c.company_id == self._company_id, erasure_tombstones.c.erased_at >= at
                )
            )
        )
        return bool(has_any)

    async def insert_all(self, tombstones: Sequence[Tombstone]) -> None:
        """Inserts stored tombstones; those that exist stay as they are."""
        if tombstones:
            await self._connection.execute(
                upsert(erasure_tombstones).on_conflict_do_nothing(),
                [{"company_id": self._company_id, **asdict(tombstone)} for tombstone in tombstones],
            )

    async def insert(self, customer_id: int, ref: str | None) -> None:
        """Inserts the tombstones of a customer: of the id, and of the ref if there is one."""
        hmacs = [self.key.hash_customer(self._company_id, customer_id)]
        if ref is not None:
            hmacs.append(self.key.hash_ref(self._company_id, ref))
        await self._connection.execute(
            upsert(erasure_tombstones).on_conflict_do_nothing(),
            [
                {"company_id": self._company_id, "customer_hmac": hmac_, "key_id": self.key.id}
                for hmac_ in hmacs
            ],
        )
