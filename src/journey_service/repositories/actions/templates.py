"""Message templates written by a company; they override those of the service."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.records import StoredTemplate
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import Template
from journey_service.repositories.tables import Row
from journey_service.repositories.tables import message_templates as table

_COLUMNS: Final = [
    table.c[name]
    for name in (
        *("id", "key", "channel", "language", "subject", "body", "html", "author"),
        *("created_at", "updated_at"),
    )
]


class Templates:
    """The templates of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, template: Template, *, author: str) -> int:
        """Inserts a template; returns its id.

        Violates a unique key, so that the transaction is run again, if the key and language exist.
        """
        inserted = await self._connection.execute(
            insert(table)
            .values(company_id=self._company_id, author=author, **_values(template))
            .returning(table.c.id)
        )
        return int(inserted.scalar_one())

    async def update(self, id_: int, template: Template, *, author: str) -> None:
        """Replaces a template."""
        await self._connection.execute(
            update(table)
            .where(*self._is(id_))
            .values(author=author, updated_at=func.clock_timestamp(), **_values(template))
        )

    async def delete(self, id_: int) -> None:
        """Deletes a template; a template of the service with the same key applies again."""
        await self._connection.execute(delete(table).where(*self._is(id_)))

    async def find(self, id_: int) -> StoredTemplate | None:
        """Finds a template by id."""
        row = (await self._connection.execute(select(*_COLUMNS).where(*self._is(id_)))).one_or_none()
        return None if row is None else _to_stored(row)

    async def get_many(self, keys: Collection[str]) -> list[StoredTemplate]:
        """Returns the company's templates of these keys, in all languages."""
        if not keys:
            return []
        rows = await self._connection.execute(
            select(*_COLUMNS)
            .where(table.c.company_id == self._company_id, table.c.key.in_(sorted(keys)))
            .order_by(table.c.id)
        )
        return [_to_stored(row) for row in rows]

    async def page(self, *, after: int, limit: int) -> list[StoredTemplate]:
        """Returns the next templates by id, after `after`."""
        rows = await self._connection.execute(
            select(*_COLUMNS)
            .where(table.c.company_id == self._company_id, table.c.id > after)
            .order_by(table.c.id)
            .limit(limit)
        )
        return [_to_stored(row) for row in rows]

    def _is(self, id_: int) -> tuple[Any, Any]:
        return table.c.company_id == self._company_id, table.c.id == id_


def _values(template: Template) -> dict[str, object]:
    return {
        "key": template.key,
        "channel": template.channel.value,
        "language": template.language,
        "subject": template.subject,
        "body": template.text,
        "html": template.html,
    }


def _to_stored(row: Row) -> StoredTemplate:
    template = Template(
        key=row.key,
        channel=Channel(row.channel),
        language=row.language,
        text=row.body,
        subject=row.subject,
        html=row.html,
    )
    return StoredTemplate(row.id, template, row.author, row.created_at, row.updated_at)
