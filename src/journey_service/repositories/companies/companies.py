"""Companies: their settings, test clocks, policies and stage actions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import TextClause, Update, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.parsing import actions_to_json, parse_actions
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, StageAction, StageActionMap
from journey_service.domain.calendar import FormerZone
from journey_service.domain.companies.currencies import Currency, get_currency
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.companies.records import Company, CompanyRecord
from journey_service.domain.journeys.prediction.parameters import ChurnModel
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.stage_map import StageMap
from journey_service.repositories.journeys.churn_models import ChurnModels
from journey_service.repositories.stages.stage_maps import StageMaps
from journey_service.repositories.tables import OPERATORS, companies

_SELECT = (
    "SELECT id, name, timezone, former_zones, currency, clock_at, map_version, migrated_version, created_at,"
    " next_nightly_run_at, scored_at, delivers_messages, rollup_version, churn_model_id,"
    " CAST(policy AS text) AS policy,"
    " CAST(stage_actions AS text) AS stage_actions, coalesce(clock_at, clock_timestamp()) AS now,"
    " clock_timestamp() AS clock"
    " FROM companies WHERE id = :company_id"
)
_READ = text(_SELECT)
# A shared lock: a test clock is not moved while a transaction uses its time.
_READ_AND_LOCK_CLOCK = text(f"{_SELECT} FOR SHARE")
_READ_AND_LOCK = text(f"{_SELECT} FOR NO KEY UPDATE")
_SET_ACTIONS = text(
    "UPDATE companies SET stage_actions = CASE WHEN CAST(:actions AS text) IS NULL"
    " THEN stage_actions - CAST(:stage_key AS text)"
    " ELSE jsonb_set(stage_actions, ARRAY[CAST(:stage_key AS text)], CAST(CAST(:actions AS text) AS jsonb)) END"
    " WHERE id = :company_id"
)
_HAS_AMOUNTS = text(
    "SELECT EXISTS (SELECT 1 FROM journey_events WHERE company_id = :company_id AND amount <> 0)"
    " OR EXISTS (SELECT 1 FROM imports WHERE company_id = :company_id"
    " AND status IN ('reading', 'queued', 'running'))"
)
_MAX_ASSIGNED_ID = 2**40
"""Upper limit, exclusive, of the ids that the service assigns; callers may choose any id."""


class Companies:
    """One company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_context(self) -> CompanyContext:
        """Returns the company, its rules and its current time. Raises CompanyNotFoundError."""
        return await self._read(_READ)

    async def lock_clock(self) -> CompanyContext:
        """Returns the context; until the transaction ends, the company's clock cannot be moved."""
        return await self._read(_READ_AND_LOCK_CLOCK)

    async def lock(self) -> CompanyContext:
        """Returns the context; the company's row stays locked until the transaction ends."""
        return await self._read(_READ_AND_LOCK)

    async def set_clock(self, clock_at: datetime | None) -> None:
        """Moves the test clock; None returns the company to real time."""
        await self._connection.execute(self._update().values(clock_at=clock_at))

    async def set_next_nightly_run(self, at: datetime) -> None:
        """Sets when the next nightly run falls due."""
        await self._connection.execute(self._update().values(next_nightly_run_at=at))

    async def set_scored(self, as_of: datetime) -> None:
        """Records that every stored score is as of `as_of` or later."""
        await self._connection.execute(
            self._update().values(scored_at=func.greatest(companies.c.scored_at, as_of))
        )

    async def set_identity(
        self, name: str, timezone: str, former_zones: Sequence[FormerZone], currency: Currency
    ) -> None:
        """Replaces the name, the time zone with its former ones, and the currency."""
        await self._connection.execute(
            self._update().values(
                name=name,
                timezone=timezone,
                former_zones=[[zone.name, zone.until.isoformat()] for zone in former_zones],
                currency=currency.code,
                currency_units=currency.units,
                updated_at=func.clock_timestamp(),
            )
        )

    async def has_amounts(self) -> bool:
        """Returns whether an amount of the company is stored, or an import may still store one."""
        return bool(await self._connection.scalar(_HAS_AMOUNTS, {"company_id": self._company_id}))

    async def set_policy(self, policy: CompanyPolicy) -> None:
        """Replaces the policy of the company."""
        await self._connection.execute(self._update().values(policy=policy_to_json(policy)))

    async def set_actions(self, stage_key: str, actions: Sequence[StageAction] | None) -> None:
        """Sets the actions of a stage; None restores the default actions."""
        encoded = None if actions is None else orjson.dumps(actions_to_json(actions)).decode()
        await self._connection.execute(
            _SET_ACTIONS, {"company_id": self._company_id, "stage_key": stage_key, "actions": encoded}
        )

    def _update(self) -> Update:
        return update(companies).where(companies.c.id == self._company_id)

    async def _read(self, statement: TextClause) -> CompanyContext:
        row = (await self._connection.execute(statement, {"company_id": self._company_id})).one_or_none()
        if row is None:
            raise CompanyNotFoundError(self._company_id)
        company = _to_company(row._mapping)
        policy = _policy(row.policy, company.currency)
        maps = StageMaps(self._connection, self._company_id)
        stage_map = await maps.get(company.map_version, policy.currency)
        rulebook = Rulebook(
            stage_map, policy, await self._churn_model(row.churn_model_id, company, stage_map)
        )
        stage_actions, customized = _stage_actions(row.stage_actions)
        return CompanyContext(company, rulebook, row.now, row.clock, stage_actions, customized)

    async def _churn_model(
        self, model_id: int | None, company: Company, stage_map: StageMap
    ) -> ChurnModel | None:
        if model_id is None:
            return None
        parameters = await ChurnModels(self._connection, self._company_id).get_parameters(model_id)
        if parameters is None:
            return None
        units = get_currency(company.currency).units
        return ChurnModel(model_id, parameters, company.zone, stage_map.churn_days, units)

    async def set_churn_model(self, model_id: int | None) -> None:
        """Sets the model whose predictions are shown; None: none is."""
        await self._connection.execute(self._update().values(churn_model_id=model_id))

    async def insert(
        self,
        record: CompanyRecord,
        rulebook: Rulebook,
        *,
        findings: Sequence[Mapping[str, object]],
        author: str,
    ) -> bool:
        """Inserts the company with the first version of its map; returns False if the id is taken."""
        inserted = await self._connection.execute(
            upsert(companies)
            .values(
                id=self._company_id,
                name=record.name,
                timezone=record.timezone,
                currency=record.currency,
                currency_units=rulebook.policy.currency.units,
                clock_at=record.clock_at,
                delivers_messages=record.delivers_messages,
                map_version=rulebook.stage_map.version,
                rollup_version=rulebook.stage_map.version,
                policy=policy_to_json(rulebook.policy),
            )
            .on_conflict_do_nothing()
            .returning(companies.c.id)
        )
        if inserted.one_or_none() is None:
            return False
        await StageMaps(self._connection, self._company_id).insert(
            rulebook.stage_map, author=author, findings=findings
        )
        return True


class CompanyDirectory:
    """All companies, for operators and for the dispatcher."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def page(self, *, after: int, limit: int) -> Sequence[Company]:
        """Returns the next companies by id, after `after`."""
        rows = await self._connection.execute(
            select(
                companies.c.id,
                companies.c.name,
                companies.c.timezone,
                companies.c.former_zones,
                companies.c.currency,
                companies.c.clock_at,
                companies.c.map_version,
                companies.c.migrated_version,
                companies.c.created_at,
                companies.c.next_nightly_run_at,
                companies.c.scored_at,
                companies.c.delivers_messages,
                companies.c.rollup_version,
            )
            .where(companies.c.id > max(after, OPERATORS))
            .order_by(companies.c.id)
            .limit(limit)
        )
        return [_to_company(row._mapping) for row in rows]

    async def next_id(self) -> int:
        """Returns an id that no company has yet; a concurrent insert may still take it."""
        highest = await self._connection.scalar(
            select(func.max(companies.c.id)).where(companies.c.id < _MAX_ASSIGNED_ID)
        )
        return (highest or OPERATORS) + 1


def _to_company(row: Mapping[Any, Any]) -> Company:
    return Company(
        id=row["id"],
        name=row["name"],
        timezone=row["timezone"],
        former_zones=tuple(
            FormerZone(name, datetime.fromisoformat(until)) for name, until in row["former_zones"]
        ),
        currency=row["currency"],
        clock_at=row["clock_at"],
        map_version=row["map_version"],
        created_at=row["created_at"],
        migrated_version=row["migrated_version"],
        next_nightly_run_at=row["next_nightly_run_at"],
        scored_at=row["scored_at"],
        delivers_messages=row["delivers_messages"],
        rollup_version=row["rollup_version"],
    )


@lru_cache(maxsize=4096)
def _policy(raw: str, currency: str) -> CompanyPolicy:
    return parse_policy(orjson.loads(raw), currency=get_currency(currency), is_stored=True)


@lru_cache(maxsize=4096)
def _stage_actions(raw: str) -> tuple[StageActionMap, frozenset[str]]:
    customized = {key: parse_actions(actions) for key, actions in orjson.loads(raw).items()}
    return {**DEFAULT_ACTIONS, **customized}, frozenset(customized)
