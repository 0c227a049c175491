"""The versions of one company's stage map: append-only, with the stages of the current version."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.companies.currencies import Currency
from journey_service.domain.journeys.records import MapVersion
from journey_service.domain.journeys.relationship import Activation
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.domain.stages.rules import rules_to_json
from journey_service.domain.stages.stage_map import Stage, StageMap
from journey_service.repositories.tables import Row, companies, customer_journey_stages, stage_map_versions

_CACHED_STAGE_MAPS: Final[dict[tuple[int, int, Currency], StageMap]] = {}
_MAX_CACHED_STAGE_MAPS: Final = 4096
_VERSION: Final = [
    stage_map_versions.c[name]
    for name in ("version", "author", "activated_at", "activation", "notes", "findings", "created_at")
]
_STAGES: Final = select(
    stage_map_versions.c.stages,
    text("coalesce(xmin = CAST(pg_current_xact_id_if_assigned() AS xid), false) AS is_of_this_transaction"),
).where(
    stage_map_versions.c.company_id == bindparam("company_id"),
    stage_map_versions.c.version == bindparam("version"),
)
_COUNT_BY_STAGE: Final = text(
    "SELECT current_stage AS stage, count(*) AS customers FROM customer_relationships"
    " WHERE company_id = :company_id AND current_stage = ANY(CAST(:stages AS text[])) GROUP BY current_stage"
)
_AFFECTED: Final = (
    " FROM customer_relationships WHERE company_id = :company_id AND (current_stage = ANY(CAST(:stages AS text[]))"
    " OR next_evaluation_at <= CAST(:due AS timestamptz))"
)
_COUNT_AFFECTED: Final = text(f"SELECT count(*){_AFFECTED}")
_PAGE_AFFECTED: Final = text(
    f"SELECT customer_id{_AFFECTED} AND customer_id > :after ORDER BY customer_id LIMIT :limit"
)


class StageMaps:
    """The stage maps of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get(self, version: int, currency: Currency) -> StageMap:
        """Returns the stages of a version, with amounts in the currency.

        Raises KeyError if the version does not exist.
        """
        # A committed version never changes, so it may be cached without expiry.
        cached = _CACHED_STAGE_MAPS.get((self._company_id, version, currency))
        if cached is not None:
            return cached
        row = (
            await self._connection.execute(_STAGES, {"company_id": self._company_id, "version": version})
        ).one_or_none()
        if row is None:
            raise KeyError(version)
        stage_map = parse_stage_map(row.stages, version=version, currency=currency, is_stored=True)
        if row.is_of_this_transaction:
            return stage_map  # a rollback may undo it, and another map may take its number
        if len(_CACHED_STAGE_MAPS) >= _MAX_CACHED_STAGE_MAPS:
            _CACHED_STAGE_MAPS.clear()
        _CACHED_STAGE_MAPS[self._company_id, version, currency] = stage_map
        return stage_map

    async def find(self, version: int) -> MapVersion | None:
        """Finds a version, without its stages."""
        row = (
            await self._connection.execute(
                select(*_VERSION).where(
                    stage_map_versions.c.company_id == self._company_id,
                    stage_map_versions.c.version == version,
                )
            )
        ).one_or_none()
        return None if row is None else _to_version(row)

    async def page(self, *, before: int | None, limit: int) -> list[MapVersion]:
        """Returns versions, newest first, below `before`."""
        statement = select(*_VERSION).where(stage_map_versions.c.company_id == self._company_id)
        if before is not None:
            statement = statement.where(stage_map_versions.c.version < before)
        rows = await self._connection.execute(
            statement.order_by(stage_map_versions.c.version.desc()).limit(limit)
        )
        return [_to_version(row) for row in rows]

    async def list_after(self, version: int) -> list[MapVersion]:
        """Lists the versions after one, oldest first."""
        rows = await self._connection.execute(
            select(*_VERSION)
            .where(
                stage_map_versions.c.company_id == self._company_id, stage_map_versions.c.version > version
            )
            .order_by(stage_map_versions.c.version)
        )
        return [_to_version(row) for row in rows]

    async def get_in_force(self, at: datetime, currency: Currency) -> StageMap:
        """Returns the map that was in force at an instant; before the creation, the first map."""
        version = await self._connection.scalar(
            select(func.max(stage_map_versions.c.version)).where(
                stage_map_versions.c.company_id == self._company_id,
                func.coalesce(stage_map_versions.c.activated_at, at) <= at,
            )
        )
        return await self.get(version, currency)

    async def insert(
        self,
        stage_map: StageMap,
        *,
        author: str,
        findings: Sequence[Mapping[str, object]],
        activated_at: datetime | None = None,
        activation: Activation = Activation.FUTURE_ONLY,
        notes: str | None = None,
    ) -> None:
        """Inserts a new version and replaces the current stages by its stages.

        Violates a unique key, so that the transaction is run again, if another transaction has inserted this version.
        """
        await self._connection.execute(
            insert(stage_map_versions).values(
                company_id=self._company_id,
                version=stage_map.version,
                stages=stage_map_to_json(stage_map),
                author=author,
                activated_at=activated_at,
                activation=activation.value,
                notes=notes,
                findings=list(findings),
            )
        )
        await self._replace_stages(stage_map)

    async def _replace_stages(self, stage_map: StageMap) -> None:
        statement = upsert(customer_journey_stages)
        columns = (
            *("stage_name", "description", "order_index", "kind", "color", "icon"),
            *("auto_transition_rules", "retention_days", "is_active"),
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["company_id", "stage_key"],
                set_={name: statement.excluded[name] for name in columns}
                | {"updated_at": func.clock_timestamp()},
            ),
            [{"company_id": self._company_id, **_to_columns(stage)} for stage in stage_map.stages],
        )

    async def activate(self, version: int) -> None:
        """Puts a version into force."""
        await self._connection.execute(
            update(companies).where(companies.c.id == self._company_id).values(map_version=version)
        )

    async def set_migrated_version(self, version: int) -> None:
        """Records that every customer was migrated to a version or a later one."""
        await self._connection.execute(
            update(companies)
            .where(companies.c.id == self._company_id)
            .values(migrated_version=func.greatest(companies.c.migrated_version, version))
        )

    async def count_by_stage(self, stages: Sequence[str]) -> dict[str, int]:
        """Returns the number of customers in each of these stages; empty stages are left out."""
        rows = await self._connection.execute(
            _COUNT_BY_STAGE, {"company_id": self._company_id, "stages": list(stages)}
        )
        return {row.stage: row.customers for row in rows}

    async def count_affected(self, stages: Sequence[str], due: datetime) -> int:
        """Returns how many customers are in one of these stages or are due until `due`."""
        count = await self._connection.scalar(
            _COUNT_AFFECTED, {"company_id": self._company_id, "stages": list(stages), "due": due}
        )
        return int(count or 0)

    async def page_affected(
        self, stages: Sequence[str], due: datetime, *, after: int, limit: int
    ) -> list[int]:
        """Returns the next affected customers by customer id, without locking them."""
        ids = await self._connection.scalars(
            _PAGE_AFFECTED,
            {
                "company_id": self._company_id,
                "stages": list(stages),
                "due": due,
                "after": after,
                "limit": limit,
            },
        )
        return list(ids.all())


def _to_version(row: Row) -> MapVersion:
    return MapVersion(
        version=row.version,
        author=row.author,
        activated_at=row.activated_at,
        activation=Activation(row.activation),
        notes=row.notes,
        findings=row.findings,
        created_at=row.created_at,
    )


def _to_columns(stage: Stage) -> dict[str, object]:
    return {
        "stage_key": stage.key,
        "stage_name": stage.name,
        "description": stage.description,
        "order_index": stage.order,
        "kind": stage.kind.value,
        "color": stage.color,
        "icon": stage.icon,
        "auto_transition_rules": rules_to_json(stage.rules),
        "retention_days": stage.retention_days,
        "is_active": stage.is_active,
    }
