"""The ledger of consent changes: channel, status, time and origin of each."""

from collections.abc import Mapping, Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.customers.records import ConsentChange
from journey_service.repositories.tables import consent_changes


class Consents:
    """The consent changes of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, changes: Mapping[int, Sequence[ConsentChange]]) -> None:
        """Inserts changes by customer."""
        rows = [
            {
                "company_id": self._company_id,
                "customer_id": customer_id,
                "channel": change.channel,
                "previous_status": change.previous_status,
                "status": change.status,
                "at": change.at,
                "source": change.source,
                "method": change.method,
                "granted_at": change.granted_at,
            }
            for customer_id in sorted(changes)
            for change in changes[customer_id]
        ]
        if rows:
            await self._connection.execute(insert(consent_changes), rows)

    async def list_changes(self, customer_id: int) -> list[ConsentChange]:
        """Lists the consent changes of a customer, oldest first."""
        rows = await self._connection.execute(
            select(
                consent_changes.c.channel,
                consent_changes.c.previous_status,
                consent_changes.c.status,
                consent_changes.c.at,
                consent_changes.c.source,
                consent_changes.c.method,
                consent_changes.c.granted_at,
            )
            .where(
                consent_changes.c.company_id == self._company_id,
                consent_changes.c.customer_id == customer_id,
            )
            .order_by(consent_changes.c.id)
        )
        return [ConsentChange(*row) for row in rows]
